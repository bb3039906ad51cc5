"""The measurements of `edge-evaluate` in Markdown that also reads well on a terminal."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from zoo.scores.rate_report import corroboration_section, rates_section
from zoo.scores.table import markdown_table

BREAKDOWNS = (
    ("By source", "source", "by_source", None),
    ("By signal-to-noise ratio", "SNR, dB", "by_snr_db", "f1_by_snr.png"),
    ("By S − P time", "S − P, s", "by_sp_s", "f1_by_sp.png"),
    ("By epicentral distance", "distance, km", "by_distance_km", "f1_by_distance.png"),
)


def report(metrics: Mapping[str, Any], figures: Collection[str]) -> str:
    """The measurements as Markdown. `figures`: names of the PNGs beside it, which are embedded."""
    operating = metrics["operating_thresholds"]
    parts = [f"# {metrics['model']}", f"    {metrics['command']}"]
    if "data" in metrics:
        parts += _labelled(metrics, figures)
    for phase, rates in metrics.get("noise_false_per_hour", {}).items():
        at = f"{operating[phase]:g}"
        parts.append(f"Noise windows: {rates[at]:.1f} false {phase} picks an hour at threshold {at}.")
    if "continuous" in metrics:
        asked = ", ".join(metrics["records"]) or "all"
        parts += [f"## Continuous records: {asked}", _continuous_table(metrics["continuous"], operating)]
        parts += rates_section(metrics["false_against_recall"], operating)
        parts += _image("false_against_recall.png", figures)
        parts += corroboration_section(metrics["corroboration"])
    if "examples.png" in figures:
        parts += ["## Examples", *_image("examples.png", figures)]
    return "\n\n".join(parts)


def _labelled(metrics: Mapping[str, Any], figures: Collection[str]) -> list[str]:
    phases: Mapping[str, Any] = metrics["phases"]
    parts = [f"## Labelled traces: {metrics['data']}", f"{metrics['traces']} traces."]
    if not phases:
        return parts
    head = ("", "threshold", "labels", "F1 0.1 s", "0.2 s", "0.5 s", "prec", "recall", "residual, s")
    rows = [
        (f"{phase} {choice}", *_phase_cells(measured[choice]))
        for phase, measured in phases.items()
        for choice in ("card", "best")
        if choice in measured
    ]
    parts.append(markdown_table(head, rows))
    parts.append(
        "Thresholds: the model card's, and the best for each tolerance on these very traces. "
        "Precision and recall at 0.5 s; residual as mean ± std (MAE)."
    )
    parts += _image("precision_recall.png", figures) + _image("residuals.png", figures)
    choice = "card" if all("card" in measured for measured in phases.values()) else "best"
    for title, head_cell, key, figure in BREAKDOWNS:
        by_phase = {phase: measured[choice][key] for phase, measured in phases.items()}
        if any(name != "unknown" for bins in by_phase.values() for name in bins):
            parts += [f"### {title}", _breakdown(head_cell, by_phase)]
            parts += _image(figure, figures) if figure else []
    parts += ["### Calibration", *_calibration(phases), *_image("reliability.png", figures)]
    if any("time_to_pick_s" in measured for measured in phases.values()):
        parts += ["### Time to pick", _times(phases), *_image("time_to_pick.png", figures)]
    return parts


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
    head = (title, *(cell for p in phases for cell in (f"{p} labels", f"{p} F1 0.1/0.5 s")))
    return markdown_table(head, rows)


def _calibration(phases: Mapping[str, Any]) -> list[str]:
    errors = {phase: measured["calibration"]["ece"] for phase, measured in phases.items()}
    words = (f"{phase} {'–' if error is None else f'{error:.3f}'}" for phase, error in errors.items())
    return [
        f"Expected calibration error (Guo et al. 2017, 10 bins): {', '.join(words)}. Of all picks in the "
        "counting windows of labelled traces, however low; right is within 0.5 s of the label."
    ]


def _times(phases: Mapping[str, Any]) -> str:
    rows = [
        (phase, f"{of['count']}", *(f"{of[key]:.2f}" for key in ("median", "p95", "longest")))
        for phase, measured in phases.items()
        if (of := measured.get("time_to_pick_s"))
    ]
    table = markdown_table(("", "labels found", "median, s", "95 %, s", "longest, s"), rows)
    return f"{table}\n\nFrom the label to when its pick is out, in seconds of signal, without computing time."


def _continuous_table(scores: Iterable[Mapping[str, Any]], operating: Mapping[str, float]) -> str:
    def share(one: Mapping[str, Any], level: int) -> str:
        return f"{one['recalled'][level] / one['agreed'][level]:.3f}" if one["agreed"][level] else "–"

    scores = list(scores)
    levels = sorted({level for one in scores for level in one["agreed"]})
    recalls = (f"recall of ≥{n} peers" for n in levels)
    rows: list[Sequence[str]] = [
        (
            *(one["source"], one["phase"], f"{operating[one['phase']]:.2f}", f"{one['hours']:.1f}"),
            *(f"{one['picks']}", f"{one['false_per_hour']:.1f}", *(share(one, level) for level in levels)),
        )
        for one in scores
    ]
    table = markdown_table(("source", "", "threshold", "hours", "picks", "false/h", *recalls), rows)
    return f"{table}\n\nFalse: no peer pick within 0.5 s. Peers are other pickers, not truth."


def _image(name: str, figures: Collection[str]) -> list[str]:
    return [f"![{name.removesuffix('.png').replace('_', ' ')}]({name})"] if name in figures else []
