"""What waits on the time line: the samples of one channel, packet by packet."""

from collections import deque
from dataclasses import dataclass, field, replace
from itertools import takewhile

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.packet import Clock

_S = 1_000_000_000

LARGEST = 1e25
"""No ground moves so much in any unit: larger samples are damage, or a sign for missing ones. The amplitude
of a pick could be infinite, which its JSON cannot say, and an outbox could not be read again."""


@dataclass(slots=True, eq=False)
class Piece:
    """Valid samples of one channel out of one packet."""

    start_ns: int
    rate: float
    clock: Clock
    sigma_s: float | None
    samples: NDArray[np.int32] | NDArray[np.float64]
    continues: bool  # no gap between the piece before it and this one
    after_invalid: bool  # NaN, infinite or huge samples are right before it

    def time_ns(self, sample: float) -> int:
        """Time of a sample, counted from the first."""
        return self.start_ns + round(sample * _S / self.rate)

    def samples_until(self, time_ns: int) -> int:
        """The sample nearest to a time, counted from the first."""
        return round((time_ns - self.start_ns) * self.rate / _S)

    def seconds_after(self, time_ns: int) -> float:
        """How long after a time it begins, in whole samples: the same however the packets are cut."""
        return -self.samples_until(time_ns) / self.rate


@dataclass(slots=True, eq=False)
class Track:
    """One channel: its place in the blocks, where its data ended, and what waits for other channels."""

    slot: int
    pieces: deque[Piece] = field(default_factory=deque)
    end_ns: int | None = None  # where its next packet is due
    rate: float = 0.0
    broken: bool = False  # its last packet ended in invalid samples
    newest_ns: int = 0  # start of the newest packet that was not from the past
    late_ns: int = 0  # duration of what has come since, in order, from before that start
    late_end_ns: int = 0  # where that ended
    silent: bool = False  # no longer waited for

    def run(self) -> int:
        """Samples waiting before the next gap."""
        return sum(len(piece.samples) for piece in takewhile(lambda piece: piece.continues, self.pieces))

    def after_invalid(self) -> bool:
        """Whether what waits, or is awaited, is right behind NaN, infinite or huge samples."""
        return self.pieces[0].after_invalid if self.pieces else self.broken

    def follows_late(self, start_ns: int, rate: float) -> bool:
        """Whether a packet from before the newest one's start goes on behind the last such packet."""
        return start_ns < self.newest_ns and round((start_ns - self.late_end_ns) * rate / _S) >= 0

    def come_late(self, start_ns: int, rate: float, n: int) -> None:
        """Note a packet that lies entirely in the past."""
        if start_ns >= self.newest_ns:
            return
        span_ns = round(n * _S / rate)
        self.late_ns = span_ns + (self.late_ns if self.follows_late(start_ns, rate) else 0)
        self.late_end_ns = start_ns + span_ns

    def backlog_s(self) -> float:
        """Seconds waiting, less the newest packet: in order of start the others' data come before that."""
        return sum(len(piece.samples) / piece.rate for piece in list(self.pieces)[:-1])

    def take(self, n: int) -> list[Piece]:
        """The next n samples, removed from the queue."""
        taken = []
        while n > 0:
            head = self.pieces.popleft()
            if len(head.samples) > n:
                start_ns, samples = head.time_ns(n), head.samples[n:]
                rest = replace(head, start_ns=start_ns, samples=samples, continues=True, after_invalid=False)
                self.pieces.appendleft(rest)
                head.samples = head.samples[:n]
            taken.append(head)
            n -= len(head.samples)
        return taken


def are_valid(samples: NDArray[np.int32] | NDArray[np.float64]) -> NDArray[np.bool_]:
    """Of samples of any shape which are neither NaN nor infinite nor beyond `LARGEST`."""
    return (samples >= -LARGEST) & (samples <= LARGEST)


def valid_runs(samples: NDArray[np.int32] | NDArray[np.float64]) -> list[tuple[int, int]]:
    """First and last + 1 of every stretch of valid samples."""
    valid = are_valid(samples)
    if valid.all():
        return [(0, len(samples))]
    edges = np.flatnonzero(np.diff(valid, prepend=False, append=False)).tolist()
    return list(zip(edges[::2], edges[1::2], strict=True))
