"""Whether a pick's probability means what it says, and how soon after the onset the pick is out."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zoo.scores.scoring import RESIDUAL_TOLERANCE_S, Comparison

BINS = 10


@dataclass(frozen=True, slots=True)
class Reliability:
    """Picks by predicted probability, after Guo et al. (2017), in 10 equal bins of 0..1.

    `counts`: picks by bin. `prob`, `right`: their mean probability and the share within 0.5 s of the label,
    nan in an empty bin. `ece`: expected calibration error, the mean of |prob − right| over all picks; nan
    without picks.
    """

    counts: NDArray[np.int64]
    prob: NDArray[np.float64]
    right: NDArray[np.float64]
    ece: float


def reliability(comparison: Comparison) -> Reliability:
    """Of all picks that were made, however low, in the counting windows of labelled traces."""
    place = np.minimum((comparison.prob * BINS).astype(np.int64), BINS - 1)
    near = (np.abs(comparison.residual_s) <= RESIDUAL_TOLERANCE_S).astype(np.float64)
    counts = np.bincount(place, minlength=BINS)
    with np.errstate(invalid="ignore"):  # 0 / 0 in an empty bin
        prob = np.bincount(place, comparison.prob, BINS) / counts
        right = np.bincount(place, near, BINS) / counts
    filled = counts > 0
    gaps = counts[filled] * np.abs(prob[filled] - right[filled])
    return Reliability(counts, prob, right, float(gaps.sum() / counts.sum()) if filled.any() else math.nan)


def times_to_pick_s(comparison: Comparison, threshold: float) -> NDArray[np.float64]:
    """Seconds of signal from the label to when its pick was out, over labels found within 0.5 s by picks that
    know their latency: the earliest of the picks on a label. Computing and transport are not in it.
    """
    chosen = (comparison.prob >= threshold) & (np.abs(comparison.residual_s) <= RESIDUAL_TOLERANCE_S)
    out_s = (comparison.residual_s + comparison.latency_s)[chosen]
    earliest = np.full(len(comparison.names), np.inf)
    np.fmin.at(earliest, comparison.trace[chosen], out_s)
    known: NDArray[np.float64] = earliest[np.isfinite(earliest)]
    return known
