"""From the network's answers to onsets: decoding, and finding the peaks of probability."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from edge.pick import Phase

Floats = NDArray[np.float32]
OffsetKind = Literal["sigmoid", "linear"]
PHASES: tuple[Phase, ...] = get_args(Phase)
IMPOSSIBLE = -1.0
"""The probability of cells before and after a segment: the first and last ones in it can be peaks too."""


@dataclass(frozen=True, slots=True)
class Onset:
    """A found onset: `sample` counts from the segment's start at the model's rate, with a fraction."""

    phase: Phase
    sample: float
    prob: float


def softmax(logits: Floats) -> Floats:
    """Over the last axis."""
    e = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(e / e.sum(axis=-1, keepdims=True), dtype=np.float32)


def within_cell(raw: Floats, kind: OffsetKind) -> Floats:
    """Raw offsets to the onset within its cell, a fraction of it, 0..1."""
    if kind == "linear":
        return np.clip(raw, 0.0, 1.0)
    return np.asarray(1.0 / (1.0 + np.exp(-raw)), np.float32)


class Peaks:
    """Peaks of probability among consecutive cells.

    A peak is a cell in which a phase is likelier than in the `separation` cells on either side (the earlier
    one of two equals). An onset near the border of two cells is shared between them, so its probability is
    that of any of the peak and its neighbours, and its time their mean weighted by probability. It
    counts if that probability reaches the phase's threshold.
    """

    def __init__(self, stride: int, thresholds: dict[Phase, float], separation: int) -> None:
        self.separation = separation
        self._stride = stride
        self._thresholds = np.array([thresholds[p] for p in PHASES], np.float32)

    def likely(self, prob: Floats) -> NDArray[np.bool_]:
        """Of stretches of cells (streams, n, 2) those in which an onset could be, all but the `separation`
        cells at either end being asked for. Three cells reach a threshold only if the highest of them reaches
        a third of it."""
        w = self.separation
        found: NDArray[np.bool_] = np.any(prob[:, w:-w] >= self._thresholds / 3, axis=(1, 2))
        return found

    def of(self, first: int, prob: Floats, onset: Floats) -> list[Onset]:
        """The onsets in one stretch of cells, in order of time: `prob` (n, 2) of P and S, `onset` (n,) within
        its cell, the first of them the `first` of the segment; the `separation` cells at either end are known
        but not asked for."""
        w = self.separation
        found = []
        for k, phase in enumerate(PHASES):
            p = prob[:, k]
            for c in np.flatnonzero(p[w:-w] >= self._thresholds[k] / 3) + w:
                if not p[c - w : c].max() < p[c] >= p[c + 1 : c + 1 + w].max():
                    continue
                share = np.maximum(p[c - 1 : c + 2], 0.0).astype(np.float64)
                any_of_them = 1.0 - float(np.prod(1.0 - share))
                if any_of_them >= self._thresholds[k]:
                    inside = np.arange(-1, 2) + onset[c - 1 : c + 2]
                    cell = first + int(c)
                    sample = (cell + float(inside @ share) / float(share.sum())) * self._stride
                    found.append(Onset(phase, sample, any_of_them))
        return sorted(found, key=lambda one: one.sample)
