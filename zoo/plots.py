"""Plots of an evaluation, drawn without a display."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.signal import butter, sosfiltfilt

from edge.cells import PHASES
from edge.pick import Phase
from zoo import scoring
from zoo.data.seisbench import Trace
from zoo.scoring import TOLERANCES_S, Comparison, TracePick

COLOUR: Mapping[Phase, str] = {"P": "#1f6fb4", "S": "#c8402f"}
INK, MUTED, GRID = "#222222", "#6b6b6b", "#dddddd"
DISPLAY_HIGHPASS_HZ = 1.0
_STYLES = ("-", "--", ":")


@dataclass(frozen=True, slots=True)
class Example:
    """A trace to be drawn with its picks; `kind` says why ("best", "typical", "worst")."""

    kind: str
    trace: Trace
    picks: Sequence[TracePick]


def draw_residuals(
    path: Path, title: str, comparisons: Mapping[Phase, Comparison], thresholds: Mapping[Phase, float]
) -> None:
    """Histograms of pick minus label, P and S, over labels found within 0.5 s."""
    figure, axes = _figure(title, 1, len(PHASES), (9.0, 3.6))
    edges = (np.arange(-25.5, 26.0) * 0.02).tolist()
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
        axis.set(xlabel="pick − label, s", ylabel="picks", xlim=(-0.51, 0.51))
    _save(figure, path)


def draw_precision_recall(
    path: Path, title: str, comparisons: Mapping[Phase, Comparison], thresholds: Mapping[Phase, float]
) -> None:
    """Precision against recall over all thresholds, a line per tolerance; a dot at the threshold in use."""
    figure, axes = _figure(title, 1, len(PHASES), (9.0, 4.4))
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
    _save(figure, path)


def draw_f1_by_snr(
    path: Path, title: str, comparisons: Mapping[Phase, Comparison], thresholds: Mapping[Phase, float]
) -> None:
    """F1 at 0.1 s (dark) and 0.5 s (light) by signal-to-noise ratio at the label; counts of labels above."""
    figure, axes = _figure(title, 1, len(PHASES), (9.0, 3.8))
    for axis, phase in zip(axes, PHASES, strict=True):
        bins = scoring.by_snr(comparisons[phase])
        if not len(bins["unknown"].names):
            del bins["unknown"]
        for place, part in enumerate(bins.values()):
            wide, narrow = (scoring.score(part, tol, thresholds[phase]).f1 for tol in (0.5, 0.1))
            axis.bar(place, wide, 0.72, color=COLOUR[phase], alpha=0.35, label="0.5 s" if not place else None)
            axis.bar(place, narrow, 0.72, color=COLOUR[phase], label="0.1 s" if not place else None)
            axis.text(place, wide + 0.02, f"{len(part.names)}", ha="center", color=MUTED, fontsize=8)
        axis.set_xticks(range(len(bins)), list(bins))
        axis.set_title(
            f"{phase}, threshold {thresholds[phase]:.2f}; numbers: labels", loc="left", fontsize=10
        )
        axis.set(xlabel="SNR at the label, dB", ylabel="F1", ylim=(0, 1.3), yticks=np.arange(0, 1.1, 0.2))
        axis.legend(loc="upper left", frameon=False, ncols=2)
    _save(figure, path)


def draw_examples(path: Path, title: str, examples: Sequence[Example]) -> None:
    """A grid of traces, four a row: labels as dashed lines, picks as solid ones with their probability."""
    rows = -(-len(examples) // 4)
    figure, axes = _figure(title, rows, 4, (17.0, 0.9 + 3.4 * rows))
    for axis, example in zip(axes, examples, strict=False):
        _draw_example(axis, example)
    for axis in axes[len(examples) :]:
        axis.set_axis_off()
    figure.supxlabel(
        "seconds from the first label; dashed: label, solid: pick with its probability; "
        f"each component above {DISPLAY_HIGHPASS_HZ:g} Hz, scaled to its maximum",
        fontsize=9,
        color=MUTED,
    )
    _save(figure, path)


def _draw_example(axis: Axes, example: Example) -> None:
    trace, onsets = example.trace, scoring.labels_of(example.trace).onset_s
    known = {phase: onset for phase, onset in onsets.items() if onset is not None}
    zero = min(known.values())
    shown = [
        *known.values(),
        *(pick.time_s for pick in example.picks if zero - 20 <= pick.time_s <= zero + 40),
    ]
    reach = max(shown) - min(shown)
    time_s = np.arange(len(trace.samples)) / trace.rate
    low = max(min(shown) - max(0.3 * reach, 1.0), 0.0)
    high = min(max(shown) + max(0.5 * reach, 1.5), time_s[-1])
    inside = (time_s >= low) & (time_s <= high)
    filtered = _highpassed(trace.samples, trace.rate)[inside]
    for row, component in enumerate("ZNE"):
        values = filtered[:, row] / (2.1 * max(float(np.abs(filtered[:, row]).max()), 1e-30))
        if component in trace.present:
            axis.plot(time_s[inside] - zero, values - row, color=INK, linewidth=0.5)
        axis.text(low - zero, -row, f"{component} ", color=MUTED, fontsize=8, ha="right", va="center")
    for phase, onset in known.items():
        axis.axvline(onset - zero, color=COLOUR[phase], linestyle="--", linewidth=1.4)
    for pick in example.picks:
        if low <= pick.time_s <= high:
            axis.axvline(pick.time_s - zero, color=COLOUR[pick.phase], linewidth=1.1, alpha=0.8)
            words, height = f" {pick.phase} {pick.prob:.2f}", {"P": 0.72, "S": 0.54}[pick.phase]
            axis.text(pick.time_s - zero, height, words, color=COLOUR[pick.phase], fontsize=7)
    axis.set_title(f"{example.kind}: {trace.name}\n{_verdict(example)}", loc="left", fontsize=8)
    axis.set(xlim=(low - zero, high - zero), ylim=(-2.55, 0.9), yticks=[])


def _verdict(example: Example) -> str:
    """What became of each label, in words."""
    labels = scoring.labels_of(example.trace)
    words = []
    for phase in PHASES:
        one = scoring.compare([labels], {labels.name: example.picks}, phase)
        if not len(one.names):
            words.append(f"{phase} unlabelled")
            continue
        residual = float(scoring.nearest_residuals(one, 0.0)[0])
        false = scoring.score(one, scoring.RESIDUAL_TOLERANCE_S, 0.0).fp
        fate = f"{phase} missed" if math.isnan(residual) else f"{phase} {residual:+.2f} s"
        words.append(fate + (f", {false} false" if false else ""))
    return "; ".join(words)


def _highpassed(samples: NDArray[np.int32] | NDArray[np.float64], rate: float) -> NDArray[np.float64]:
    sections = butter(2, DISPLAY_HIGHPASS_HZ, "highpass", fs=rate, output="sos")
    filtered: NDArray[np.float64] = sosfiltfilt(sections, samples - samples.mean(axis=0), axis=0)
    return filtered


def _figure(title: str, rows: int, columns: int, size: tuple[float, float]) -> tuple[Figure, list[Axes]]:
    figure = Figure(size, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, color=INK)
    axes: list[Axes] = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(colors=MUTED, labelsize=8)
    return figure, axes


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, dpi=110)
