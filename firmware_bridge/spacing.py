"""The sample rate of packets that carry their time but not their rate, from the spacing of those times."""

from collections import Counter, deque
from dataclasses import replace

from firmware_bridge.packet import Packet
from firmware_bridge.stats import DecoderStats

RATES = (1.0, 5.0, 10.0, 20.0, 25.0, 40.0, 50.0, 62.5, 80.0, 100.0, 125.0, 200.0, 250.0, 400.0, 500.0, 1000.0)
"""Sample rates that are told apart, in Hz; any other must be declared."""

_NS = 1_000_000_000
_TOLERANCE_NS = 1_500_000  # two times rounded to the millisecond, and a little
_TOLERANCE = 0.02
_SPACINGS = 8
_VOTES = 5
_MOST_WAITING = 16


class RateFinder:
    """Gives the packets of one instrument their sample rate and counts their time jumps in `stats`.

    Each spacing of two packets' times votes for the one of `RATES` that it fits within 1.5 ms or 2 %.
    A rate is believed once five of the last eight spacings name it, so neither lost or reordered packets
    nor steps of the clock spoil it, and a digitizer that is set up anew is followed after five packets.
    A rate that is a whole fraction of the one believed needs all eight: lost packets look like it.
    Until one is believed up to 16 packets wait; then the oldest go out with rate None.
    `declared`: the rate in Hz if it is known beforehand: no packet waits then.
    """

    def __init__(self, declared: float | None, stats: DecoderStats) -> None:
        self.rate = declared
        self.waiting: deque[Packet] = deque()
        self._stats = stats
        self._declared = declared is not None
        self._votes: deque[float | None] = deque(maxlen=_SPACINGS)
        self._last: Packet | None = None
        self._next_ns: int | None = None

    def feed(self, packet: Packet, *, adjacent: bool = True) -> list[Packet]:
        """Take the next packet, which has a `start_ns`, and return those whose rate is settled, in order.

        `adjacent`: no packet is known to be missing before it; else that spacing has no vote.
        """
        if not self._declared:
            self._vote(packet, adjacent)
        self.waiting.append(packet)
        ready = []
        while self.waiting and (self.rate is not None or len(self.waiting) > _MOST_WAITING):
            ready.append(replace(self.waiting.popleft(), rate=self.rate))
            self._count_jump(ready[-1])
        return ready

    def _vote(self, packet: Packet, adjacent: bool) -> None:
        last, self._last = self._last, packet
        if last is None or not adjacent:
            return
        assert packet.start_ns is not None
        assert last.start_ns is not None
        self._votes.append(_rate_of(packet.start_ns - last.start_ns, len(last.samples)))
        rate, votes = Counter(self._votes).most_common(1)[0]
        if rate is None:
            return
        may_be_loss = self.rate is not None and rate < self.rate and self.rate % rate == 0
        if votes >= (_SPACINGS if may_be_loss else _VOTES):
            self.rate = rate

    def _count_jump(self, packet: Packet) -> None:
        if packet.rate is None:
            return
        assert packet.start_ns is not None
        tolerance_ns = max(0.5 * _NS / packet.rate, 1_000_000)
        if self._next_ns is not None and abs(packet.start_ns - self._next_ns) > tolerance_ns:
            self._stats.time_jumps += 1
        self._next_ns = packet.start_ns + round(len(packet.samples) * _NS / packet.rate)


def _rate_of(spacing_ns: int, samples: int) -> float | None:
    nearest = min(RATES, key=lambda rate: abs(samples * _NS / rate - spacing_ns))
    error_ns = abs(samples * _NS / nearest - spacing_ns)
    return nearest if error_ns <= max(_TOLERANCE_NS, _TOLERANCE * spacing_ns) else None
