"""Early picks: what is told of an onset before the final word on it, and how the final word ends that."""

from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from math import inf

from edge.cells import Onset
from edge.pick import Pick

Found = tuple[Onset, Pick]


class Early:
    """The early picks of one stream. Every one of them is told again under its id: as final, or rejected.

    `separation`: cells within which two onsets of a phase are the same.
    """

    def __init__(self, separation: int) -> None:
        self._separation = separation
        self._told: list[Found] = []
        self._settled: deque[Onset] = deque(maxlen=4)  # the last onsets of either phase that are final

    def tell(self, found: Iterable[Found]) -> list[Pick]:
        """Of onsets likely enough to be told early those that have not been told."""
        new: list[Pick] = []
        for onset, pick in found:
            known = [*(told for told, _ in self._told), *self._settled]
            if not any(self._same(onset, one) for one in known):
                preliminary = replace(pick, status="preliminary")
                self._told.append((onset, preliminary))
                new.append(preliminary)
        return new

    def settle(self, found: Iterable[Found], until: float = inf) -> list[Pick]:
        """Final onsets, under the ids of those told early; then those told early that can no longer be
        confirmed, as all onsets before the cell `until` are final. Without it the segment is over."""
        picks = []
        for onset, pick in found:
            self._settled.append(onset)
            told = next((one for one in self._told if self._same(onset, one[0])), None)
            if told:
                self._told.remove(told)
                pick = replace(pick, id=told[1].id, update=told[1].update + 1)
            picks.append(pick)
        for told in self._told[:]:
            if told[0].cell + self._separation < until:
                self._told.remove(told)
                picks.append(replace(told[1], status="rejected", update=told[1].update + 1))
        if until == inf:
            self._settled.clear()  # the next one's cells count from 0 again
        return picks

    def _same(self, a: Onset, b: Onset) -> bool:
        return a.phase == b.phase and abs(a.cell - b.cell) <= self._separation
