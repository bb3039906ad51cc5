"""Scores of first motions in Markdown that also reads well on a terminal."""

from collections.abc import Collection, Mapping
from typing import Any

from zoo.scores.polarity import WORDS
from zoo.scores.table import markdown_table

FIGURES = {
    "coverage": "accuracy_coverage.png",
    "confusion": "confusion.png",
    "snr": "by_snr.png",
    "calibration": "reliability.png",
}


def polarity_report(metrics: Mapping[str, Any], figures: Collection[str]) -> str:
    """The measurements as Markdown. `figures`: names of the PNGs beside it, which are embedded."""
    onsets: Mapping[str, Any] = metrics["onsets"]
    labels = next(iter(onsets.values()))["labels"]
    parts = [
        f"# First motions: {metrics['title']}",
        f"    {metrics['command']}",
        f"{labels} labelled first motions. A direction is told from probability {metrics['threshold']:g} up. "
        "Coverage: share of the onsets shown that are told one; accuracy: share of these that are right, and "
        "where that lies with 95 % confidence (Wilson 1927).",
        _summary(onsets),
        *_image("coverage", figures),
        "## Confusion",
        _confusion(onsets),
        *_image("confusion", figures),
        "## By signal-to-noise ratio",
        _by_snr(onsets),
        *_image("snr", figures),
        "## Calibration",
        _calibration(onsets),
        *_image("calibration", figures),
    ]
    return "\n\n".join(parts)


def _summary(onsets: Mapping[str, Any]) -> str:
    rows = [
        (
            who,
            f"{of['shown']}",
            f"{of['told']}",
            _share(of["coverage"]),
            _share(of["accuracy"]),
            "{:.2f}–{:.2f}".format(*of["accuracy_95"]),
            f"{_share(of['at_coverage']['accuracy'])} from {of['at_coverage']['threshold']:.2f}",
        )
        for who, of in onsets.items()
    ]
    least = next(iter(onsets.values()))["at_coverage"]["least"]
    head = ("", "shown", "told", "coverage", "accuracy", "95 %", f"best where {least:g} are told")
    return f"{markdown_table(head, rows)}"


def _confusion(onsets: Mapping[str, Any]) -> str:
    rows = [
        (who, label, *(f"{words[word]}" for word in WORDS))
        for who, of in onsets.items()
        for label, words in of["confusion"].items()
    ]
    table = markdown_table(("", "label", *WORDS), rows)
    return f"{table}\n\nNone: no pick within 0.5 s of the label, or not all of the window is there."


def _by_snr(onsets: Mapping[str, Any]) -> str:
    names = dict.fromkeys(name for of in onsets.values() for name in of["by_snr_db"])
    rows = []
    for name in names:
        row = [name]
        for of in onsets.values():
            part = of["by_snr_db"].get(name)
            told = f"{part['right']} of {part['told']} told" if part else "–"
            row += [f"{part['shown']}" if part else "–", told]
        rows.append(row)
    head = ("SNR, dB", *(cell for who in onsets for cell in (f"shown {who}", "right")))
    return f"{markdown_table(head, rows)}\n\nOf the vertical, 2 s after over 2 s before the label."


def _calibration(onsets: Mapping[str, Any]) -> str:
    errors = "; ".join(f"{_share(of['calibration']['ece'])} {who}" for who, of in onsets.items())
    return (
        f"Expected calibration error (Guo et al. 2017, 5 bins of 0.5 to 1): {errors}. Of the likelier "
        "direction at every onset shown, however low its probability."
    )


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _image(what: str, figures: Collection[str]) -> list[str]:
    name = FIGURES[what]
    return [f"![{name.removesuffix('.png').replace('_', ' ')}]({name})"] if name in figures else []
