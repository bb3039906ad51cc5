"""A stretch of one instrument's data without a gap: samples and where packets began in, timed blocks out."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edge.block import Block
from edge.resample import Resampler
from edge.track import Piece, Track
from firmware_bridge.packet import Stream


@dataclass(slots=True, eq=False)
class Segment:
    """Samples at `rate` Hz become blocks of `stream` at the resampler's. The first of its `live` channels
    tells the time; `next_ns`: when its next sample is due."""

    live: list[Track]
    stream: Stream
    resampler: Resampler
    rate: float
    next_ns: int
    _inputs: int = 0
    _outputs: int = 0
    _marks: deque[tuple[int, Piece]] = field(default_factory=deque)  # the sample at which a piece began

    def fills(self, more: int, block: int) -> bool:
        """Whether so many samples more fill the next `block` samples that go out."""
        return self.resampler.certain(self._inputs + more) // block > self._outputs // block

    def feed(
        self, rows: NDArray[np.float64], pieces: Iterable[tuple[int, Piece]], end_ns: int
    ) -> list[Block]:
        """The next samples (n, 3), which end at `end_ns`, with the pieces that tell their times, each behind
        the row at which it begins."""
        self._marks.extend((self._inputs + at, piece) for at, piece in pieces)
        self._inputs += len(rows)
        self.next_ns = end_ns
        return self._blocks(self.resampler.feed(rows))

    def finish(self) -> list[Block]:
        """What the resampler still holds: the segment is over."""
        return self._blocks(self.resampler.flush())

    def _blocks(self, samples: NDArray[np.float64]) -> list[Block]:
        """One block, timed by the packet that holds its first sample; none without samples."""
        if len(samples) == 0:
            return []
        up, down = self.resampler.ratio.as_integer_ratio()
        position = self._outputs * down  # of an input sample, `up` times
        marks = self._marks
        while len(marks) > 1 and marks[1][0] * up <= position:
            marks.popleft()
        index, piece = marks[0]
        start_ns = piece.time_ns((position - index * up) / up)
        rate = piece.rate * up / down
        starts = self._outputs == 0
        self._outputs += len(samples)
        return [Block(self.stream, start_ns, samples, rate, piece.clock, starts, piece.sigma_s)]
