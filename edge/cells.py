"""From the network's cells to onsets: decoding, and finding the picks in a stream of cells."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from edge.pick import Phase

Floats = NDArray[np.float32]
OffsetKind = Literal["sigmoid", "linear"]
PHASES: tuple[Phase, ...] = get_args(Phase)


@dataclass(frozen=True, slots=True)
class Cells:
    """Consecutive cells of one segment.

    `first`: index of the first, counted from the segment's start. `prob`: (n, 2), probability of a P and
    of an S onset in the cell. `onset`: (n,), the onset within the cell as a fraction of it, 0..1.
    """

    first: int
    prob: Floats
    onset: Floats


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


def decode(first: int, logits: Floats, offset: Floats, kind: OffsetKind) -> Cells:
    """Raw network outputs, logits (n, 3) of noise, P, S and offset (n,), to cells."""
    onset = 1.0 / (1.0 + np.exp(-offset)) if kind == "sigmoid" else np.clip(offset, 0.0, 1.0)
    return Cells(first, softmax(logits)[:, 1:], onset.astype(np.float32))


class OnsetFinder:
    """Peaks of probability in a stream of cells.

    A peak is a cell in which a phase is likelier than in the `separation` cells on either side (the earlier
    one of two equals). An onset near the border of two cells is shared between them, so its probability is
    that of any of the peak and its neighbours, and its time their mean weighted by probability. It
    counts if that probability reaches the phase's threshold. A cell is decided once `separation` further
    ones are known, and how the stream was cut makes no difference.
    """

    def __init__(self, stride: int, thresholds: dict[Phase, float], separation: int) -> None:
        self._stride = stride
        self._thresholds = np.array([thresholds[p] for p in PHASES], np.float32)
        self._separation = separation
        self.reset()

    def reset(self) -> None:
        """Begins a new segment."""
        # Cells before the segment count as impossible, so that the first ones can be peaks too.
        self._prob = np.full((self._separation, 2), -1.0, np.float32)
        self._onset = np.zeros(self._separation, np.float32)
        self._first = -self._separation

    def feed(self, cells: Cells) -> list[Onset]:
        """The onsets that these cells settle, in order of time. ValueError if a cell was skipped."""
        if cells.first != self._first + len(self._prob):
            raise ValueError(f"cell {self._first + len(self._prob)} expected, not {cells.first}")
        self._prob = np.concatenate([self._prob, cells.prob])
        self._onset = np.concatenate([self._onset, cells.onset])
        return self._settle()

    def flush(self) -> list[Onset]:
        """The onsets among the last cells of a segment, which nothing follows."""
        self._prob = np.concatenate([self._prob, np.full((self._separation, 2), -1.0, np.float32)])
        self._onset = np.concatenate([self._onset, np.zeros(self._separation, np.float32)])
        return self._settle()

    def _settle(self) -> list[Onset]:
        w = self._separation
        decidable = len(self._prob) - 2 * w
        if decidable <= 0:
            return []
        found = []
        for k, phase in enumerate(PHASES):
            prob = self._prob[:, k]
            # Three cells reach the threshold only if the highest of them reaches a third of it.
            for c in np.flatnonzero(prob[w : w + decidable] >= self._thresholds[k] / 3) + w:
                before, after = prob[c - w : c], prob[c + 1 : c + 1 + w]
                if not before.max() < prob[c] >= after.max():
                    continue
                share = np.maximum(prob[c - 1 : c + 2], 0.0).astype(np.float64)
                any_of_them = 1.0 - float(np.prod(1.0 - share))
                if any_of_them >= self._thresholds[k]:
                    inside = np.arange(-1, 2) + self._onset[c - 1 : c + 2]
                    cell = self._first + int(c)
                    sample = (cell + float(inside @ share) / float(share.sum())) * self._stride
                    found.append(Onset(phase, sample, any_of_them))
        self._prob = self._prob[decidable:]
        self._onset = self._onset[decidable:]
        self._first += decidable
        return sorted(found, key=lambda onset: onset.sample)
