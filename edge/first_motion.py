"""Polarity of the P picks of one stream: told with the pick, or as soon as its samples are there.

No pick waits for its polarity. One that is told before its window is whole says null, and is told again,
under its id and with its status, at the end of the hop that completes the window.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from heapq import merge

from edge.pick import Pick
from edge.picker import Found, Picker
from edge.polarity import Reader, read
from edge.preprocess import Window


@dataclass(frozen=True, slots=True)
class Polariser:
    """What reads first motions, and the channels whose positive counts are down: codes (HHZ), or those of one
    station (NET.STA.LOC.HHZ)."""

    reader: Reader
    reversed: frozenset[str] = frozenset()

    def turns(self, station_id: str, code: str) -> bool:
        """Whether a channel's positive counts are down."""
        return not self.reversed.isdisjoint((code, f"{station_id}.{code}"))

    def polarised(self, pick: Pick, window: Window) -> Pick:
        """A pick with the first motion in a window (L,) of its vertical, the first of its channels."""
        (motion,) = read(self.reader, window[None])
        if self.turns(pick.station, pick.channels[0]):
            motion = motion.opposite
        return replace(pick, polarity=motion.polarity, polarity_prob=motion.prob)


class FirstMotions:
    """The first motions of one stream that is answered every `hop` samples."""

    def __init__(self, polariser: Polariser, hop: int) -> None:
        self._polariser = polariser
        self._hop = hop
        self._waiting: dict[str, Found] = {}  # told without polarity
        self._repeated: set[str] = set()  # preliminary and told again

    @property
    def waiting(self) -> bool:
        """Whether a pick's window is not whole yet."""
        return bool(self._waiting)

    def tell(self, found: Iterable[Found], picker: Picker) -> list[Found]:
        """These picks, with the polarity that is known by then; and those of before that are told again. In
        the order in which they were due."""
        told = []
        for one in found:
            pick = one.pick
            self._waiting.pop(pick.id, None)
            if pick.id in self._repeated:
                pick = replace(pick, update=pick.update + 1)
            if pick.status != "preliminary":
                self._repeated.discard(pick.id)
            if pick.phase == "P" and pick.status != "rejected":
                if self._whole(one) <= one.heard:
                    pick = self._polarised(one, pick, picker)
                else:
                    self._waiting[pick.id] = replace(one, pick=pick)
            told.append(replace(one, pick=pick))
        return list(merge(told, self._again(picker), key=lambda one: one.heard))

    def leave(self) -> None:
        """The segment is over: what was told without polarity stays so."""
        self._waiting.clear()
        self._repeated.clear()

    def _again(self, picker: Picker) -> list[Found]:
        told = []
        for one in list(self._waiting.values()):
            if self._whole(one) > picker.heard_samples:
                continue
            del self._waiting[one.pick.id]
            heard = min(-(-self._whole(one) // self._hop) * self._hop, picker.heard_samples)
            pick = replace(one.pick, update=one.pick.update + 1, latency_s=picker.latency_s(one.onset, heard))
            pick = self._polarised(one, pick, picker)
            if pick.polarity is None:
                continue
            if pick.status == "preliminary":
                self._repeated.add(pick.id)
            told.append(Found(one.onset, pick, heard))
        return told

    def _whole(self, one: Found) -> int:
        """Samples of the segment after which its window is whole."""
        return round(one.onset.sample) + self._polariser.reader.card.input.after

    def _polarised(self, one: Found, pick: Pick, picker: Picker) -> Pick:
        """Unchanged where there is no motion on the vertical, or too little before the onset."""
        window = picker.vertical(one.onset, self._polariser.reader.card.input)
        return pick if window is None else self._polariser.polarised(pick, window)
