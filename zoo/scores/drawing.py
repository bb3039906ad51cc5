"""Which figures an evaluation has, and their files."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from edge.pick import Phase
from zoo.data.seisbench import read_traces
from zoo.scores import breakdown, plots, scoring
from zoo.scores.examples import Example, draw_examples
from zoo.scores.measure import Run
from zoo.scores.rate_plot import draw_rates
from zoo.scores.rates import Rates

EXAMPLES = 4
"""Traces drawn of each kind: best, typical, worst."""


def draw_labelled(
    out: Path, title: str, run: Run, thresholds: Mapping[Phase, float], data: Path, split: str | None
) -> list[str]:
    """Draws the PNGs of an evaluation on the labelled traces of `data` into `out`; returns their names, none
    where there is no label."""
    compared = run.comparisons
    if not any(len(comparison.names) for comparison in compared.values()):
        return []
    plots.draw_residuals(out / "residuals.png", title, compared, thresholds)
    plots.draw_precision_recall(out / "precision_recall.png", title, compared, thresholds)
    plots.draw_reliability(out / "reliability.png", title, compared)
    names = ["residuals.png", "precision_recall.png", "reliability.png"]
    for name, what, split_up in (
        ("f1_by_snr.png", "SNR at the label, dB", breakdown.by_snr),
        ("f1_by_sp.png", "S − P, s", breakdown.by_sp),
        ("f1_by_distance.png", "epicentral distance, km", breakdown.by_distance),
    ):
        parts = {phase: split_up(comparison) for phase, comparison in compared.items()}
        if any(
            len(part.names) for of in parts.values() for bin_, part in of.items() if bin_ != breakdown.UNKNOWN
        ):
            plots.draw_f1_by(out / name, title, what, parts, thresholds)
            names.append(name)
    if any(np.isfinite(comparison.latency_s).any() for comparison in compared.values()):
        plots.draw_times_to_pick(out / "time_to_pick.png", title, compared, thresholds)
        names.append("time_to_pick.png")
    kinds = scoring.rank(compared, thresholds, EXAMPLES)
    chosen = {name for ranked in kinds.values() for name in ranked}
    traces = {trace.name: trace for trace in read_traces(data, split, chosen)}
    examples = [
        Example(kind, traces[name], [p for p in run.picks[name] if p.prob >= thresholds[p.phase]])
        for kind, ranked in kinds.items()
        for name in ranked
    ]
    draw_examples(out / "examples.png", title, examples)
    return [*names, "examples.png"]


def draw_continuous(
    out: Path, title: str, groups: Mapping[str, Mapping[Phase, Rates]], thresholds: Mapping[Phase, float]
) -> list[str]:
    """Draws the PNG of an evaluation on continuous records into `out`; returns its name."""
    draw_rates(out / "false_against_recall.png", title, groups, thresholds)
    return ["false_against_recall.png"]
