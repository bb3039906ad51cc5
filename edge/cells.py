"""From the network's answers to onsets: decoding, and finding the peaks of probability."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from edge.pick import Phase

Floats = NDArray[np.float32]
OffsetKind = Literal["sigmoid", "linear"]
PHASES: tuple[Phase, ...] = get_args(Phase)
SILENCE = np.array([0.0, -np.inf, -np.inf, 0.0], np.float32)
"""The word on a cell before or after a segment: no phase."""


@dataclass(frozen=True, slots=True)
class Onset:
    """A found onset: `sample` counts from the segment's start at the model's rate, with a fraction. `cell`:
    where the peak is."""

    phase: Phase
    sample: float
    prob: float
    cell: int


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

    def __init__(self, stride: int, thresholds: Mapping[Phase, float], separation: int) -> None:
        self.separation = separation
        self._stride = stride
        self._thresholds = np.array([thresholds[p] for p in PHASES], np.float32)
        # Three cells reach a threshold only if the highest of them reaches a third of it, for which a phase
        # must be so much likelier than noise, less what rounding may do.
        share = self._thresholds / 3
        self._least = np.log(share / (1 - share)) - np.float32(1e-3)

    def likely(self, words: Floats) -> NDArray[np.bool_]:
        """Of stretches of cells those in which an onset could be, all but the `separation` cells at either
        end being asked for. `words` (streams, n, 4) as a network gives them, logits first."""
        asked = words[:, self.separation : -self.separation]
        found = asked[..., 1:3] - asked[..., :1] >= self._least
        return np.asarray(found.reshape(len(words), -1).any(axis=1))

    def of(self, first: int, prob: Floats, onset: Floats) -> list[Onset]:
        """The onsets in one stretch of cells, in their order: `prob` (n, 2) of P and S, `onset` (n,) within
        its cell, the first of them the `first` of the segment; the `separation` cells at either end are known
        but not asked for."""
        w = self.separation
        found = []
        for k, phase in enumerate(PHASES):
            p = prob[:, k]
            for c in np.flatnonzero(p[w:-w] >= self._thresholds[k] / 3) + w:
                if not p[c - w : c].max() < p[c] >= p[c + 1 : c + 1 + w].max():
                    continue
                share = p[c - 1 : c + 2].astype(np.float64)
                any_of_them = 1.0 - float(np.prod(1.0 - share))
                if any_of_them >= self._thresholds[k]:
                    inside = np.arange(-1, 2) + onset[c - 1 : c + 2]
                    cell = first + int(c)
                    sample = (cell + float(inside @ share) / float(share.sum())) * self._stride
                    found.append(Onset(phase, sample, any_of_them, cell))
        return sorted(found, key=lambda one: one.cell)
