"""Plots of first motions: accuracy against coverage, confusion, SNR, calibration."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from zoo.scores.figure import GRID, INK, MUTED, new_figure, save
from zoo.scores.polarity import (
    COVERAGE,
    WORDS,
    Motions,
    by_snr,
    confusion,
    curve,
    interval,
    point,
    reliability,
)
from zoo.scores.polarity_report import FIGURES

COLOURS = ("#1f6fb4", "#d98a1f")


def draw_polarity(out: Path, title: str, scored: Mapping[str, Motions], threshold: float) -> list[str]:
    """The PNGs of an evaluation into the folder `out`; their names."""
    draw_coverage(out / FIGURES["coverage"], title, scored, threshold)
    draw_confusion(out / FIGURES["confusion"], title, scored, threshold)
    draw_by_snr(out / FIGURES["snr"], title, scored, threshold)
    draw_reliability(out / FIGURES["calibration"], title, scored)
    return list(FIGURES.values())


def draw_coverage(path: Path, title: str, scored: Mapping[str, Motions], threshold: float) -> None:
    """Accuracy against coverage over all thresholds, with its 95 % interval; a dot at the one in use."""
    figure, (axis,) = new_figure(title, 1, 1, (6.4, 4.4))
    for colour, (who, motions) in zip(COLOURS, scored.items(), strict=False):
        points = [one for one in curve(motions) if one.told]
        ends = np.array([interval(one.right, one.told) for one in points]).reshape(-1, 2)
        coverage = [one.coverage for one in points]
        axis.plot(coverage, [one.accuracy for one in points], color=colour, label=who)
        axis.fill_between(coverage, ends[:, 0], ends[:, 1], color=colour, alpha=0.12, linewidth=0)
        used = point(motions, threshold)
        if used.told:
            axis.plot(used.coverage, used.accuracy, "o", color=colour, markersize=6)
    axis.axvline(COVERAGE, color=GRID, linewidth=0.8, zorder=0)
    axis.set(xlabel="coverage: share told a direction", ylabel="accuracy: share of these right")
    axis.set(xlim=(0, 1.02), ylim=(0.4, 1.02))
    axis.set_title(f"dots at threshold {threshold:g}; shaded: 95 % interval", loc="left", fontsize=10)
    axis.legend(loc="lower left", frameon=False, fontsize=8)
    save(figure, path)


def draw_confusion(path: Path, title: str, scored: Mapping[str, Motions], threshold: float) -> None:
    """Label against what is said, in counts."""
    figure, axes = new_figure(title, 1, len(scored), (1.0 + 4.2 * len(scored), 3.0))
    for axis, (who, motions) in zip(axes, scored.items(), strict=True):
        counts = np.array([[row[word] for word in WORDS] for row in confusion(motions, threshold).values()])
        axis.imshow(counts, cmap="Blues", vmin=0, vmax=max(1.4 * counts.max(), 1), aspect="auto")
        for (row, column), count in np.ndenumerate(counts):
            axis.text(column, row, f"{count}", ha="center", va="center", color=INK)
        axis.set_xticks(range(len(WORDS)), WORDS)
        axis.set_yticks(range(2), ["up", "down"])
        axis.set(xlabel="said", ylabel="label")
        axis.set_title(who, loc="left", fontsize=10)
    save(figure, path)


def draw_by_snr(path: Path, title: str, scored: Mapping[str, Motions], threshold: float) -> None:
    """Of each bin of SNR how many are right, wrong and unknown."""
    figure, axes = new_figure(title, 1, len(scored), (1.0 + 4.2 * len(scored), 3.6))
    for axis, (who, motions) in zip(axes, scored.items(), strict=True):
        points = {name: point(part, threshold) for name, part in by_snr(motions).items() if len(part.names)}
        right = np.array([one.right for one in points.values()])
        wrong = np.array([one.told - one.right for one in points.values()])
        unknown = np.array([one.shown - one.told for one in points.values()])
        below = np.zeros(len(points))
        for counts, colour, words in (
            (right, COLOURS[0], "right"),
            (wrong, "#c8402f", "wrong"),
            (unknown, GRID, "unknown"),
        ):
            axis.bar(list(points), counts, bottom=below, color=colour, label=words)
            below += counts
        axis.set(xlabel="SNR of the vertical at the label, dB", ylabel="onsets")
        axis.set_ylim(0, 1.4 * max(float(below.max(initial=0.0)), 1.0))
        axis.set_title(who, loc="left", fontsize=10)
        axis.legend(loc="upper left", frameon=False, fontsize=8)
    save(figure, path)


def draw_reliability(path: Path, title: str, scored: Mapping[str, Motions]) -> None:
    """Share of right directions against their probability, with its 95 % interval, and how many."""
    figure, axes = new_figure(title, 1, len(scored), (1.0 + 4.2 * len(scored), 4.2))
    for axis, (who, motions), colour in zip(axes, scored.items(), COLOURS, strict=False):
        found = reliability(motions)
        filled = found.counts > 0
        count, prob, right = found.counts[filled], found.prob[filled], found.right[filled]
        axis.plot((0.5, 1), (0.5, 1), "--", color=MUTED, linewidth=0.9, label="right as often as it says")
        ends = [interval(round(share * n), n) for share, n in zip(right, count.tolist(), strict=True)]
        axis.vlines(prob, [low for low, _ in ends], [high for _, high in ends], colour, alpha=0.4)
        axis.plot(prob, right, "o-", color=colour, markersize=5)
        for at, share, n in zip(prob, right, count.tolist(), strict=True):
            axis.text(at, share - 0.03, f"{n}", ha="center", va="top", color=MUTED, fontsize=7)
        axis.set(xlabel="probability of the likelier direction", ylabel="share right")
        axis.set(xlim=(0.48, 1.02), ylim=(0.0, 1.05))
        axis.set_title(f"{who}\nECE {found.ece:.3f} over {found.counts.sum()}", loc="left", fontsize=9)
        axis.legend(loc="lower left", frameon=False, fontsize=8)
    save(figure, path)
