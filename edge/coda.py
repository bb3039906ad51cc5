"""One P has one S: what is called S in the coda of a stronger S is not told."""

from collections.abc import Iterable

from edge.picker import Found

CODA_S = 15.0
"""After an S, seconds in which a less likely one without a P of its own is taken for its coda."""
SURE_P = 0.65
"""From this probability on a P may have an S of its own. It is not the threshold by which P are told, so that
thresholds choose among the same picks."""


class Coda:
    """The final picks of one stream, in order of their onsets, without S in the coda of another.
    `rate_hz`: of the onsets' samples. `least_p`: probability from which P are told; less likely ones may be
    among the onsets."""

    def __init__(self, rate_hz: float, least_p: float = 0.0) -> None:
        self._samples = CODA_S * rate_hz
        self._least_p = least_p
        self._last: Found | None = None  # the last S that was kept and no P has followed

    def kept(self, found: Iterable[Found]) -> list[Found]:
        """Those of the next onsets that are to be told."""
        kept = []
        for one in found:
            if one.onset.phase == "S":
                if self._covers(one):
                    continue
                self._last = one
                kept.append(one)
                continue
            if one.onset.prob >= SURE_P:
                self._last = None
            if one.onset.prob >= self._least_p:
                kept.append(one)
        return kept

    def leave(self) -> None:
        """The segment is over, and the samples of the next one count from 0 again."""
        self._last = None

    def _covers(self, one: Found) -> bool:
        last = self._last
        return (
            last is not None
            and one.onset.prob <= last.onset.prob
            and one.onset.sample - last.onset.sample < self._samples
        )
