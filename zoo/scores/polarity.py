"""Scores of first motions: right and wrong directions, how many are told, and whether probabilities hold."""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.scores.breakdown import SNR_EDGES_DB, UNKNOWN

THRESHOLDS = tuple(round(0.5 + 0.01 * step, 2) for step in range(50))
BINS = 5
"""Of the probability of the likelier direction, 0.5..1."""
WORDS = ("up", "down", "unknown", "none")
"""What may be said of a first motion; none where nothing was shown."""
COVERAGE = 0.8
"""Accuracy is also given where at least so many are told."""
CONFIDENCE = 1.96
"""Standard deviations of the interval that is given with a share: 95 %."""


@dataclass(frozen=True, slots=True)
class Motions:
    """First motions that were read at labelled onsets; one entry an onset. `up`: what the label says.
    `prob_up`: what the model says, nan where it was shown nothing. `snr_db`: nan where unknown."""

    names: NDArray[np.str_]
    sources: NDArray[np.str_]
    snr_db: NDArray[np.float64]
    up: NDArray[np.bool_]
    prob_up: NDArray[np.float64]

    @property
    def prob(self) -> NDArray[np.float64]:
        """That of the likelier direction, nan where nothing was shown."""
        return np.asarray(np.maximum(self.prob_up, 1.0 - self.prob_up))

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether the likelier direction is the label's."""
        turned = np.where(self.up, self.prob_up, 1.0 - self.prob_up)
        return np.asarray(turned > 0.5)

    def told(self, threshold: float) -> NDArray[np.bool_]:
        """Whether a direction is told at a threshold: none is of a probability of one half."""
        return np.asarray((self.prob >= threshold) & (self.prob_up != 0.5))

    def subset(self, chosen: NDArray[np.bool_]) -> "Motions":
        """Those onsets where `chosen` is True."""
        return Motions(
            self.names[chosen],
            self.sources[chosen],
            self.snr_db[chosen],
            self.up[chosen],
            self.prob_up[chosen],
        )


@dataclass(frozen=True, slots=True)
class Point:
    """What a threshold gives: of `shown` onsets so many are `told` a direction, of these so many `right`."""

    threshold: float
    shown: int
    told: int
    right: int

    @property
    def accuracy(self) -> float:
        """Share of right ones among those told; nan where none is."""
        return self.right / self.told if self.told else math.nan

    @property
    def coverage(self) -> float:
        """Share of those told among those shown; nan where none is."""
        return self.told / self.shown if self.shown else math.nan


def point(motions: Motions, threshold: float) -> Point:
    """Counts at a threshold, from which up a direction is told."""
    told = motions.told(threshold)
    shown = int(np.isfinite(motions.prob_up).sum())
    return Point(threshold, shown, int(told.sum()), int((told & motions.right).sum()))


def curve(motions: Motions) -> list[Point]:
    """Accuracy against coverage, as the threshold goes from 0.5 to 0.99."""
    return [point(motions, threshold) for threshold in THRESHOLDS]


def best(motions: Motions, coverage: float) -> Point:
    """The point of highest accuracy where at least so many are told, of equals the one that tells most; where
    there is none, that of the lowest threshold."""
    points = curve(motions)
    allowed = [one for one in points if one.told and one.coverage >= coverage]
    return max(allowed, key=lambda one: (one.accuracy, one.told), default=points[0])


def confusion(motions: Motions, threshold: float) -> dict[str, dict[str, int]]:
    """By label (up, down) and word (`WORDS`) how often."""
    words = np.where(motions.told(threshold), np.where(motions.prob_up > 0.5, "up", "down"), "unknown")
    words = np.where(np.isnan(motions.prob_up), "none", words)
    return {
        label: {word: int(((motions.up == is_up) & (words == word)).sum()) for word in WORDS}
        for label, is_up in (("up", True), ("down", False))
    }


def by_snr(motions: Motions) -> dict[str, Motions]:
    """Split by SNR at the label, in the bins of the picking scores; "unknown" where it cannot be told."""
    edges = SNR_EDGES_DB
    names = [f"<{edges[0]:g}", *(f"{low:g}–{high:g}" for low, high in pairwise(edges)), f"≥{edges[-1]:g}"]
    limits = pairwise((-math.inf, *edges, math.inf))
    bins = {
        name: motions.subset((motions.snr_db >= low) & (motions.snr_db < high))
        for name, (low, high) in zip(names, limits, strict=True)
    }
    return bins | {UNKNOWN: motions.subset(np.isnan(motions.snr_db))}


@dataclass(frozen=True, slots=True)
class Reliability:
    """Onsets by the probability of the likelier direction, after Guo et al. (2017), in 5 equal bins of
    0.5..1, which are 10 of 0..1 where up and down are alike. `counts`; `prob`, `right`: mean probability and
    share of right ones, nan in an empty bin; `ece`: mean of |prob − right| over all, nan without any."""

    counts: NDArray[np.int64]
    prob: NDArray[np.float64]
    right: NDArray[np.float64]
    ece: float


def reliability(motions: Motions) -> Reliability:
    """Of all onsets that were shown."""
    shown = np.isfinite(motions.prob_up)
    prob, right = motions.prob[shown], motions.right[shown].astype(np.float64)
    place = np.minimum(((prob - 0.5) * 2 * BINS).astype(np.int64), BINS - 1)
    counts = np.bincount(place, minlength=BINS)
    with np.errstate(invalid="ignore"):  # 0 / 0 in an empty bin
        mean = np.bincount(place, prob, BINS) / counts
        share = np.bincount(place, right, BINS) / counts
    filled = counts > 0
    gaps = counts[filled] * np.abs(mean[filled] - share[filled])
    return Reliability(counts, mean, share, float(gaps.sum() / counts.sum()) if len(prob) else math.nan)


def interval(right: int, told: int) -> tuple[float, float]:
    """Where the true share lies with 95 % confidence, after Wilson (1927); (0, 1) of none."""
    if not told:
        return 0.0, 1.0
    z2 = CONFIDENCE**2
    middle = (right + z2 / 2) / (told + z2)
    half = CONFIDENCE * math.sqrt(right * (told - right) / told + z2 / 4) / (told + z2)
    return max(0.0, middle - half), min(1.0, middle + half)


def measured(motions: Motions, threshold: float) -> dict[str, Any]:
    """All scores at a threshold as plain numbers, for cards and reports."""
    at, most, found = point(motions, threshold), best(motions, COVERAGE), reliability(motions)
    return {
        "labels": len(motions.names),
        "shown": at.shown,
        "told": at.told,
        "right": at.right,
        "accuracy": rounded(at.accuracy),
        "accuracy_95": [round(end, 4) for end in interval(at.right, at.told)],
        "coverage": rounded(at.coverage),
        "at_coverage": {
            "least": COVERAGE,
            "coverage": rounded(most.coverage),
            "accuracy": rounded(most.accuracy),
            "threshold": most.threshold,
        },
        "confusion": confusion(motions, threshold),
        "calibration": {
            "ece": rounded(found.ece),
            "counts": found.counts.tolist(),
            "prob": [rounded(value) for value in found.prob.tolist()],
            "right": [rounded(value) for value in found.right.tolist()],
        },
    }


def rounded(value: float) -> float | None:
    """For JSON: None for nan."""
    return None if math.isnan(value) else round(value, 4)
