"""Early picks: what is told of an onset before the final word on it, and how the final word ends that."""

from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from math import inf

from edge.cells import Onset
from edge.picker import Found


class Early:
    """The early picks of one stream. Every one of them is told again under its id: as final, or rejected.

    `separation`: cells within which two onsets of a phase are the same.
    """

    def __init__(self, separation: int) -> None:
        self._separation = separation
        self._told: list[Found] = []
        self._settled: deque[Onset] = deque(maxlen=4)  # the last onsets of either phase that are final

    def tell(self, found: Iterable[Found]) -> list[Found]:
        """Of onsets likely enough to be told early those that have not been told."""
        new: list[Found] = []
        for one in found:
            known = [*(told.onset for told in self._told), *self._settled]
            if not any(self._same(one.onset, onset) for onset in known):
                preliminary = replace(one, pick=replace(one.pick, status="preliminary"))
                self._told.append(preliminary)
                new.append(preliminary)
        return new

    def settle(self, found: Iterable[Found], until: float = inf) -> list[Found]:
        """Final onsets, under the ids of those told early; then those told early that can no longer be
        confirmed, as all onsets before the cell `until` are final. Without it the segment is over."""
        said = []
        for one in found:
            self._settled.append(one.onset)
            told = next((early for early in self._told if self._same(one.onset, early.onset)), None)
            if told:
                self._told.remove(told)
                one = replace(one, pick=replace(one.pick, id=told.pick.id, update=told.pick.update + 1))
            said.append(one)
        for told in self._told[:]:
            if told.onset.cell + self._separation < until:
                self._told.remove(told)
                pick = replace(told.pick, status="rejected", update=told.pick.update + 1)
                said.append(replace(told, pick=pick))
        if until == inf:
            self._settled.clear()  # the next one's cells count from 0 again
        return said

    def _same(self, a: Onset, b: Onset) -> bool:
        return a.phase == b.phase and abs(a.cell - b.cell) <= self._separation
