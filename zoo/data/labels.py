"""Cell labels: what the network is asked to say of a window, and where it is not asked at all."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edge.cells import PHASES
from edge.pick import Phase

UNTIMED_NEIGHBOURS = 1
"""Cells on either side of a positive one in which any answer is accepted, where its label is not timed."""

CLASS_WEIGHTS = (1.0, 1.5, 1.5)
"""Of noise, P and S, as in the later scripts of LPPN's authors."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A labelled onset at `sample` (fractional, of the record's or window's rate). `timed`: whether the
    label is good enough to teach the offset within a cell. `weight`: how much the class label counts."""

    phase: Phase
    sample: float
    timed: bool = True
    weight: float = 1.0

    def at(self, sample: float) -> "Arrival":
        return replace(self, sample=sample)


@dataclass(frozen=True, slots=True)
class CellLabels:
    """`cls`: (cells, 3) one-hot times weight, a row of zeros where the cell is not asked; `ofs`: (cells, 2),
    the onset as a fraction of its cell and the weight of that target."""

    cls: NDArray[np.float32]
    ofs: NDArray[np.float32]


def label_cells(
    arrivals: list[Arrival],
    unknown: list[tuple[float, float]],
    valid: slice,
    T: int,
    S: int,
) -> CellLabels:
    """Labels of a window of T samples in cells of S.

    The cell floor(sample / S) of an arrival is positive and its target is the fraction of the cell before
    the onset. Ignored are cells in `unknown` spans (an onset nobody picked may be there), cells outside the
    `valid` samples, and the neighbours of an arrival that is not timed. Neighbours of a timed one are
    noise, as in the authors' released script: ignoring them too lets the highest cell be the wrong one.
    """
    cells = T // S
    cls = np.zeros((cells, 3), np.float32)
    ofs = np.zeros((cells, 2), np.float32)
    cls[valid.start // S : -(-valid.stop // S), 0] = CLASS_WEIGHTS[0]
    for begin, end in unknown:
        cls[max(0, int(begin // S)) : max(0, int(end // S) + 1)] = 0.0
    inside = [a for a in arrivals if valid.start <= a.sample < valid.stop]
    for arrival in inside:
        if not arrival.timed:
            cell = int(arrival.sample // S)
            cls[max(0, cell - UNTIMED_NEIGHBOURS) : cell + UNTIMED_NEIGHBOURS + 1] = 0.0
    for arrival in inside:
        cell = int(arrival.sample // S)
        k = 1 + PHASES.index(arrival.phase)
        cls[cell] = 0.0
        cls[cell, k] = CLASS_WEIGHTS[k] * arrival.weight
        if arrival.timed:
            ofs[cell] = arrival.sample / S - cell, 1.0
    return CellLabels(cls, ofs)
