"""The measurements of `edge-evaluate` as plain text for a terminal."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def report(metrics: Mapping[str, Any]) -> str:
    """The measurements as plain text."""
    parts = []
    phases: Mapping[str, Any] = metrics.get("phases", {})
    if "data" in metrics:
        parts.append(f"{metrics['model']} on {metrics['data']}: {metrics['traces']} traces")
    if phases:
        head = ("", "threshold", "labels", "F1 0.1 s", "0.2 s", "0.5 s", "prec", "recall", "residual, s")
        rows = [
            (f"{phase} {choice}", *_phase_cells(measured[choice]))
            for phase, measured in phases.items()
            for choice in ("card", "best")
            if choice in measured
        ]
        parts.append(_table(head, rows) + "\nprecision and recall at 0.5 s; residual as mean ± std (MAE)")
        choice = "card" if all("card" in measured for measured in phases.values()) else "best"
        for title, key in (("source", "by_source"), ("SNR, dB", "by_snr_db")):
            parts.append(_breakdown(title, {phase: m[choice][key] for phase, m in phases.items()}))
    operating = metrics["operating_thresholds"]
    for phase, rates in metrics.get("noise_false_per_hour", {}).items():
        at = f"{operating[phase]:g}"
        parts.append(f"noise windows: {rates[at]:.1f} false {phase} picks an hour at threshold {at}")
    if "continuous" in metrics:
        parts.append(_continuous_table(metrics["continuous"], operating))
    return "\n\n".join(parts)


def _phase_cells(at: Mapping[str, Any]) -> tuple[str, ...]:
    scores, residual = at["scores"], at["residual"]
    thresholds = [f"{one['threshold']:.2f}" for one in scores.values()]
    labels = scores["0.5"]["tp"] + scores["0.5"]["fn"]
    spread = "–"
    if residual["count"]:
        spread = f"{residual['mean_s']:+.3f} ± {residual['std_s']:.3f} ({residual['mae_s']:.3f})"
    return (
        "/".join(thresholds if len(set(thresholds)) > 1 else thresholds[:1]),
        f"{labels}",
        *(f"{one['f1']:.3f}" for one in scores.values()),
        f"{scores['0.5']['precision']:.3f}",
        f"{scores['0.5']['recall']:.3f}",
        spread,
    )


def _breakdown(title: str, phases: Mapping[str, Mapping[str, Any]]) -> str:
    names = dict.fromkeys(name for parts in phases.values() for name in parts)
    rows = []
    for name in names:
        row = [name]
        for parts in phases.values():
            part = parts.get(name)
            f1 = "/".join(f"{part['scores'][tol]['f1']:.2f}" for tol in ("0.1", "0.5")) if part else "–"
            row += [f"{part['labels']}" if part else "–", f1]
        rows.append(row)
    return _table((title, *(cell for p in phases for cell in (f"{p} labels", f"{p} F1 0.1/0.5 s"))), rows)


def _continuous_table(scores: Iterable[Mapping[str, Any]], operating: Mapping[str, float]) -> str:
    def share(one: Mapping[str, Any], level: int) -> str:
        return f"{one['recalled'][level] / one['agreed'][level]:.3f}" if one["agreed"][level] else "–"

    scores = list(scores)
    levels = sorted({level for one in scores for level in one["agreed"]})
    head = (
        "source",
        "",
        "threshold",
        "hours",
        "picks",
        "false/h",
        *(f"recall of ≥{n} peers" for n in levels),
    )
    rows = [
        (
            *(one["source"], one["phase"], f"{operating[one['phase']]:.2f}", f"{one['hours']:.1f}"),
            *(f"{one['picks']}", f"{one['false_per_hour']:.1f}", *(share(one, level) for level in levels)),
        )
        for one in scores
    ]
    return _table(head, rows) + "\nfalse: no peer pick within 0.5 s; peers are other pickers, not truth"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    cells = [head, *rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    return "\n".join(
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    )
