"""What waits on the time line: the samples of one channel, packet by packet."""

from collections import deque
from dataclasses import dataclass, field, replace
from itertools import takewhile

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.packet import Clock

_S = 1_000_000_000


@dataclass(slots=True, eq=False)
class Piece:
    """Valid samples of one channel out of one packet."""

    start_ns: int
    rate: float
    clock: Clock
    anchor_ns: int | None  # from the packet's time to UTC; None: it is UTC
    samples: NDArray[np.int32] | NDArray[np.float64]
    continues: bool  # no gap between the piece before it and this one

    def time_ns(self, sample: float) -> int:
        """Time of a sample, counted from the first."""
        return self.start_ns + round(sample * _S / self.rate)

    def samples_until(self, time_ns: int) -> int:
        """The sample nearest to a time, counted from the first."""
        return round((time_ns - self.start_ns) * self.rate / _S)


@dataclass(slots=True, eq=False)
class Track:
    """One channel: its place in the blocks, where its data ended, and what waits for other channels."""

    slot: int
    pieces: deque[Piece] = field(default_factory=deque)
    end_ns: int | None = None  # where its next packet is due, in the packets' own time
    rate: float = 0.0
    anchor_ns: int | None = None
    broken: bool = False  # its last packet ended in invalid samples
    late_ns: int = 0  # duration of what came from the past since the last that did not
    silent: bool = False  # no longer waited for

    def run(self) -> int:
        """Samples waiting before the next gap."""
        return sum(len(piece.samples) for piece in takewhile(lambda piece: piece.continues, self.pieces))

    def backlog_s(self) -> float:
        """Seconds waiting, less the newest packet: in order of start the others' data come before that."""
        return sum(len(piece.samples) / piece.rate for piece in list(self.pieces)[:-1])

    def take(self, n: int) -> list[Piece]:
        """The next n samples, removed from the queue."""
        taken = []
        while n > 0:
            head = self.pieces.popleft()
            if len(head.samples) > n:
                rest = replace(head, start_ns=head.time_ns(n), samples=head.samples[n:], continues=True)
                self.pieces.appendleft(rest)
                head.samples = head.samples[:n]
            taken.append(head)
            n -= len(head.samples)
        return taken


def finite_runs(samples: NDArray[np.int32] | NDArray[np.float64]) -> list[tuple[int, int]]:
    """First and last + 1 of every stretch without NaN or infinity."""
    finite = np.isfinite(samples)
    if finite.all():
        return [(0, len(samples))]
    edges = np.flatnonzero(np.diff(finite, prepend=False, append=False)).tolist()
    return list(zip(edges[::2], edges[1::2], strict=True))
