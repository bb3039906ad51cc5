"""Plots of an evaluation on labelled traces: residuals, precision and recall, F1, calibration, time."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from edge.cells import PHASES
from edge.pick import Phase
from zoo.scores import scoring
from zoo.scores.breakdown import UNKNOWN
from zoo.scores.calibration import reliability, times_to_pick_s
from zoo.scores.figure import COLOUR, GRID, INK, MUTED, new_figure, save
from zoo.scores.scoring import TOLERANCES_S, Comparison

_STYLES = ("-", "--", ":")
_REACH_S = 0.5
_STEP_S = 0.02


def draw_residuals(
    path: Path, title: str, comparisons: Mapping[Phase, Comparison], thresholds: Mapping[Phase, float]
) -> None:
    """Histograms of pick minus label, P and S, over labels found within 0.5 s."""
    figure, axes = new_figure(title, 1, len(PHASES), (9.0, 3.6))
    edges = (np.arange(-_REACH_S - _STEP_S / 2, _REACH_S + _STEP_S, _STEP_S)).tolist()
    for axis, phase in zip(axes, PHASES, strict=True):
        nearest = scoring.nearest_residuals(comparisons[phase], thresholds[phase])
        found = nearest[~np.isnan(nearest)]
        spread = scoring.residuals(comparisons[phase], thresholds[phase])
        axis.hist(found, edges, color=COLOUR[phase])
        axis.axvline(0.0, color=INK, linewidth=0.8)
        axis.set_title(
            f"{phase}: {spread.count} of {len(comparisons[phase].names)} labels found",
            loc="left",
            fontsize=10,
        )
        if spread.count:
            words = (
                f"mean {1000 * spread.mean_s:+.0f} ms\nstd {1000 * spread.std_s:.0f} ms\n"
                f"MAE {1000 * spread.mae_s:.0f} ms\n≤ 0.1 s {np.mean(np.abs(found) <= 0.1):.0%}"
            )
            axis.text(0.97, 0.95, words, transform=axis.transAxes, ha="right", va="top", color=INK)
        axis.set(xlabel="pick − label, s", ylabel="picks", xlim=(-_REACH_S - 0.01, _REACH_S + 0.01))
    save(figure, path)


def draw_precision_recall(
    path: Path, title: str, comparisons: Mapping[Phase, Comparison], thresholds: Mapping[Phase, float]
) -> None:
    """Precision against recall over all thresholds, a line per tolerance; a dot at the threshold in use."""
    figure, axes = new_figure(title, 1, len(PHASES), (9.0, 4.4))
    for axis, phase in zip(axes, PHASES, strict=True):
        for tolerance, style in zip(TOLERANCES_S, _STYLES, strict=True):
            points = [one for one in scoring.curve(comparisons[phase], tolerance) if one.tp]
            used = scoring.score(comparisons[phase], tolerance, thresholds[phase])
            axis.plot(
                [one.recall for one in points],
                [one.precision for one in points],
                style,
                color=COLOUR[phase],
                label=f"{tolerance:g} s: F1 {used.f1:.3f}",
            )
            if used.tp:
                axis.plot(used.recall, used.precision, "o", color=COLOUR[phase], markersize=6)
        for f1 in (0.2, 0.4, 0.6, 0.8):
            recall = np.linspace(f1 / (2 - f1), 1, 100)
            axis.plot(recall, f1 * recall / (2 * recall - f1), color=GRID, linewidth=0.8, zorder=0)
            axis.text(1.0, f1 / (2 - f1), f" {f1:g}", color=MUTED, fontsize=7, va="center")
        axis.set_title(f"{phase}: dots at threshold {thresholds[phase]:.2f}", loc="left", fontsize=10)
        axis.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
        axis.legend(loc="lower left", frameon=False, title="tolerance")
    save(figure, path)


def draw_f1_by(
    path: Path,
    title: str,
    what: str,
    parts: Mapping[Phase, Mapping[str, Comparison]],
    thresholds: Mapping[Phase, float],
) -> None:
    """F1 at 0.1 s (dark) and 0.5 s (light) by bin of `what`; counts of labels above the bars."""
    figure, axes = new_figure(title, 1, len(PHASES), (9.0, 3.8))
    for axis, phase in zip(axes, PHASES, strict=True):
        bins = {name: part for name, part in parts[phase].items() if name != UNKNOWN or len(part.names)}
        for place, part in enumerate(bins.values()):
            wide, narrow = (scoring.score(part, tol, thresholds[phase]).f1 for tol in (0.5, 0.1))
            axis.bar(place, wide, 0.72, color=COLOUR[phase], alpha=0.35, label="0.5 s" if not place else None)
            axis.bar(place, narrow, 0.72, color=COLOUR[phase], label="0.1 s" if not place else None)
            axis.text(place, wide + 0.02, f"{len(part.names)}", ha="center", color=MUTED, fontsize=8)
        axis.set_xticks(range(len(bins)), list(bins))
        axis.set_title(
            f"{phase}, threshold {thresholds[phase]:.2f}; numbers: labels", loc="left", fontsize=10
        )
        axis.set(xlabel=what, ylabel="F1", ylim=(0, 1.3), yticks=np.arange(0, 1.1, 0.2))
        axis.legend(loc="upper left", frameon=False, ncols=2)
    save(figure, path)


def draw_reliability(path: Path, title: str, comparisons: Mapping[Phase, Comparison]) -> None:
    """Share of right picks against their probability, with one standard error, and the count of picks."""
    figure, axes = new_figure(title, 1, len(PHASES), (9.0, 4.6))
    for axis, phase in zip(axes, PHASES, strict=True):
        found = reliability(comparisons[phase])
        filled = found.counts > 0
        count, prob, right = found.counts[filled], found.prob[filled], found.right[filled]
        axis.plot((0, 1), (0, 1), "--", color=MUTED, linewidth=0.9, label="right as often as it says")
        # One success and one failure more, so that 3 of 3 is not certain.
        eased = (right * count + 1) / (count + 2)
        error = np.sqrt(eased * (1 - eased) / count)
        axis.vlines(
            prob, np.maximum(right - error, 0), np.minimum(right + error, 1), COLOUR[phase], alpha=0.4
        )
        axis.plot(prob, right, "o-", color=COLOUR[phase], markersize=5)
        edges = np.linspace(0, 1, len(found.counts) + 1)
        axis.bar(
            edges[:-1],
            found.counts / max(found.counts.max(), 1) * 0.12,
            np.diff(edges),
            bottom=-0.22,
            align="edge",
            color=GRID,
            edgecolor="white",
        )
        for left, picks in zip(edges[:-1].tolist(), found.counts.tolist(), strict=True):
            axis.text(left + 0.05, -0.225, f"{picks or ''}", ha="center", va="top", color=MUTED, fontsize=7)
        words = f"{phase}: ECE {found.ece:.3f} over {found.counts.sum()} picks" if len(count) else f"{phase}"
        axis.set_title(words, loc="left", fontsize=10)
        axis.set(xlabel="probability of the pick (below: picks)", ylabel="share within 0.5 s of the label")
        axis.legend(loc="upper left", frameon=False, fontsize=8)
        axis.spines["left"].set_bounds(0, 1)
        axis.set(xlim=(0, 1), ylim=(-0.29, 1.03), yticks=np.arange(0, 1.1, 0.2))
    save(figure, path)


def draw_times_to_pick(
    path: Path, title: str, comparisons: Mapping[Phase, Comparison], thresholds: Mapping[Phase, float]
) -> None:
    """Histograms of how long after the label its pick was out, in seconds of signal."""
    figure, axes = new_figure(title, 1, len(PHASES), (9.0, 3.6))
    times = {phase: times_to_pick_s(comparisons[phase], thresholds[phase]) for phase in PHASES}
    longest = max((float(some_s.max()) for some_s in times.values() if len(some_s)), default=1.0)
    edges = np.linspace(0.0, 1.02 * longest, 52).tolist()
    for axis, phase in zip(axes, PHASES, strict=True):
        axis.hist(times[phase], edges, color=COLOUR[phase])
        if len(times[phase]):
            for value, style, words in zip(
                np.percentile(times[phase], (50, 95)).tolist(), ("-", "--"), ("median", "95 %"), strict=True
            ):
                label = f"{words} {value:.2f} s"
                axis.axvline(value, color=INK, linewidth=1.0, linestyle=style, label=label)
            axis.legend(loc="upper left", frameon=False, fontsize=8)
        axis.set_title(
            f"{phase}, threshold {thresholds[phase]:.2f}: {len(times[phase])} labels found",
            loc="left",
            fontsize=10,
        )
        axis.set(xlabel="from the label to when its pick is out, s of signal", ylabel="labels")
    save(figure, path)
