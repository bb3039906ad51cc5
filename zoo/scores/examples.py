"""Traces drawn with their labels and picks: what an evaluation looks like to the eye."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray
from scipy.signal import butter, sosfiltfilt

from edge.cells import PHASES
from zoo.data.seisbench import Trace
from zoo.scores import scoring
from zoo.scores.figure import COLOUR, INK, MUTED, new_figure, save
from zoo.scores.scoring import TracePick

DISPLAY_HIGHPASS_HZ = 1.0


@dataclass(frozen=True, slots=True)
class Example:
    """A trace to be drawn with its picks; `kind` says why ("best", "typical", "worst")."""

    kind: str
    trace: Trace
    picks: Sequence[TracePick]


def draw_examples(path: Path, title: str, examples: Sequence[Example]) -> None:
    """A grid of traces, four a row: labels as dashed lines, picks as solid ones with their probability."""
    rows = -(-len(examples) // 4)
    figure, axes = new_figure(title, rows, 4, (17.0, 0.9 + 3.4 * rows))
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
    save(figure, path)


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
