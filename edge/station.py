"""The chain of each instrument: packets to the time line, to the picker, to picks."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from edge.bank import Bank
from edge.block import Block
from edge.clock_watch import ClockWatch
from edge.components import component_slots, that_go_together
from edge.first_motion import Polariser
from edge.flat import FlatWatch
from edge.model import Network
from edge.pick import NS, Phase, Pick
from edge.picker import Picker
from edge.resample import check_rate
from edge.terminal import Report
from edge.timekeeper import ClockStep, Timekeeper
from edge.timeline import Timeline
from firmware_bridge.packet import Packet, Stream

LIVE_LAG_S = 5.0
"""So much data of its other channels a live instrument waits for one that lags."""
ALIKE = 1.1
"""Channels whose sensitivities differ by a larger factor share no unit of amplitude."""
SILENCE_S = 10
COMPARE_S = 10
"""How often clocks are compared."""


@dataclass(slots=True)
class _Chain:
    key: str
    channels: tuple[str, ...]
    timeline: Timeline
    picker: Picker
    flat: FlatWatch
    scale: float = 1.0  # counts per unit
    unit: str = "count"
    introduced: bool = False
    summary: str | None = None  # as last reported


class Station:
    """Everything between packets and picks, for any number of instruments.

    `channels`: what each instrument (key `Stream.instrument`) will deliver, where that is known
    beforehand, as in an archive. Else it is learned: the packets of a new instrument wait until all three
    channels are there and one comes again, or 5 s of one; a channel that turns up later joins the others in
    a chain that starts over.
    `early`: by phase the probability from which picks are told early, and again when they are final or
    rejected; None for final picks alone. `polariser`: what tells the first motions of P picks, None for picks
    without.
    `report` gets one line for whatever an operator should know.
    """

    def __init__(
        self,
        network: Network,
        thresholds: Mapping[Phase, float],
        report: Report,
        channels: Mapping[str, tuple[str, ...]] | None = None,
        early: Mapping[Phase, float] | None = None,
        polariser: Polariser | None = None,
    ) -> None:
        self._rate = network.card.input.rate_hz
        self._hop = network.card.stream.hop
        self._bank = Bank(network, thresholds, early, polariser)
        self._polariser = polariser
        self._report = report
        self._channels = channels or {}
        self._keepers: dict[str, Timekeeper] = {}
        self._new: dict[str, list[Packet]] = {}  # what waits until its instrument's channels are known
        self._chains: dict[str, _Chain] = {}
        self._heard_ns: dict[str, int] = {}  # last arrival of each instrument that is not silent
        self._told: set[str] = set()
        self._watches: dict[str, ClockWatch] = {}
        self._compared_ns = 0

    def feed(self, packet: Packet, arrival_ns: int | None = None) -> list[Pick]:
        """The picks that this packet settles: `take` and `run`."""
        self.take(packet, arrival_ns)
        return self.run()

    def run(self) -> list[Pick]:
        """The picks that all taken packets settle. Cheapest where many have been taken."""
        return self._bank.run()

    def take(self, packet: Packet, arrival_ns: int | None = None) -> None:
        """Queues a packet. `arrival_ns`: when its last byte came, UTC nanoseconds; needed where the wire
        carries no UTC time. Packets whose rate or channels cannot be picked are reported once and skipped;
        what else the instrument sends, and the others, go on."""
        key = packet.stream.instrument
        keeper = self._keepers.get(key)
        if keeper is None:
            keeper = self._keepers[key] = Timekeeper()
        if arrival_ns is not None:
            self._heard_ns[key] = arrival_ns
        try:
            self._sort(key, keeper.feed(packet, arrival_ns))
        except ValueError as error:
            self._skip(key, error)

    def rest(self, now_ns: int) -> list[Pick]:
        """As time passes: ends the segments of instruments silent for 10 s, as their data may never go on;
        tells of UTC that cannot be true."""
        if abs(now_ns - self._compared_ns) > COMPARE_S * NS:
            self._compared_ns = now_ns
            for key, keeper in self._keepers.items():
                for text in self._watches.setdefault(key, ClockWatch()).feed(keeper.ahead_s):
                    self._report(f"{key}: {text}")
        for key, heard_ns in list(self._heard_ns.items()):
            if now_ns < heard_ns:  # the clock was set back
                self._heard_ns[key] = now_ns
            elif now_ns - heard_ns > SILENCE_S * NS:
                del self._heard_ns[key]
                self._finish(key)
        return self.run()

    def flush(self) -> list[Pick]:
        """Ends all segments: the picks among the last samples of each instrument. Reports what its time line
        had to break or drop, unless that is known already."""
        for key in self._keepers:
            self._finish(key)
        return self.run()

    def _finish(self, key: str) -> None:
        self._sort(key, self._keepers[key].flush())
        self._begin(key)
        if chain := self._chains.get(key):
            self._end(chain)
            self._summarize(key, chain)

    def _sort(self, key: str, items: Sequence[Packet | ClockStep]) -> None:
        for item in items:
            chain = self._chains.get(key)
            if isinstance(item, Packet):
                self._route(key, chain, item)
            elif chain:
                self._queue(chain, chain.timeline.restart(item.reason))

    def _route(self, key: str, chain: _Chain | None, packet: Packet) -> None:
        try:
            if packet.rate is None:
                raise ValueError("its sample rate is not known; give --rate")
            check_rate(packet.rate)
        except ValueError as error:
            self._skip(key, error)
            if chain:
                self._end(chain)  # good packets may never come again
            return
        if chain and (key in self._channels or set(packet.stream.channels) <= set(chain.channels)):
            chain.scale, chain.unit = _scale(packet)
            self._queue(chain, chain.timeline.feed(packet))
            return
        waiting = self._new.setdefault(key, [])
        waiting.append(packet)
        if chain or key in self._channels or _shown(waiting):
            self._begin(key)

    @property
    def gaps(self) -> int:
        """Breaks with samples missing, over all instruments."""
        return sum(chain.timeline.stats.gaps for chain in self._chains.values())

    def clocks(self) -> list[str]:
        """One line per instrument whose clock was compared with UTC."""
        return [
            f"{key}: samples {ppm:+.1f} ppm off its nominal rate"
            for key, keeper in self._keepers.items()
            if (ppm := keeper.rate_error_ppm) is not None
        ]

    def _begin(self, key: str) -> None:
        """Starts the chain of the channels that wait, over where there was one, and feeds it with them."""
        waiting = self._new.pop(key, [])
        counts = Counter(code for packet in waiting for code in packet.stream.channels)
        if not counts:
            return
        announced = self._channels.get(key)
        channels = announced or _in_order(that_go_together(counts))
        before = self._chains.get(key)
        if before:
            together = dict.fromkeys((*before.channels, *channels))
            if len(together) > 3 and len(channels) < 3:
                was, now = ", ".join(before.channels), ", ".join(channels)
                self._skip(key, ValueError(f"{now} beside {was}"))
                return
            channels = _in_order(together) if len(together) <= 3 else channels
            self._end(self._chains.pop(key))
            self._summarize(key, before)
            was, now = ",".join(before.channels), ",".join(channels)
            self._report(f"{key}: sends {now} instead of {was} now, starting over")
        try:
            lag = {} if announced else {"max_lag_s": LIVE_LAG_S}
            timeline = Timeline(channels, self._rate, **lag, block=self._hop)
        except ValueError as error:
            self._skip(key, error)
            return
        picker = before.picker if before else self._bank.open()
        chain = _Chain(key, channels, timeline, picker, FlatWatch(self._rate))
        self._chains[key] = chain
        for packet in waiting:
            if announced or set(packet.stream.channels) <= set(channels):
                self._route(key, chain, packet)
            else:
                beside = ", ".join(packet.stream.channels)
                self._skip(key, ValueError(f"{beside} beside {', '.join(channels)}"))

    def _end(self, chain: _Chain) -> None:
        self._queue(chain, chain.timeline.flush())
        chain.picker.end()

    def _summarize(self, key: str, chain: _Chain) -> None:
        summary = chain.timeline.stats.summary()
        if summary is not None and summary != chain.summary:
            chain.summary = summary
            self._report(f"{key}: {summary}")

    def _skip(self, key: str, error: ValueError) -> None:
        line = f"{key}: not picked: {error}"
        if line not in self._told:
            self._told.add(line)
            self._report(line)

    def _queue(self, chain: _Chain, blocks: list[Block]) -> None:
        for block in blocks:
            if not chain.introduced:
                chain.introduced = True
                self._introduce(block.stream)
            for line in chain.flat.feed(block):
                self._report(line)
            chain.picker.feed(block, chain.scale, chain.unit)
        while chain.timeline.stats.events:
            self._report(f"{chain.key}: {chain.timeline.stats.events.popleft()}")

    def _introduce(self, stream: Stream) -> None:
        present = [code for code in stream.channels if code]
        if len(present) < 3:
            self._report(
                f"{stream.station_id}: only {', '.join(present)}; the other components count as zero, expect "
                "fewer picks, of S above all"
            )
        vertical = stream.channels[0]
        if len(present) == 3 and not vertical.endswith("Z"):
            self._report(
                f"{stream.station_id}: no Z among {', '.join(present)}: {vertical} is taken for the vertical"
            )
        if vertical and self._polariser and self._polariser.turns(stream.station_id, vertical):
            self._report(f"{stream.station_id}.{vertical}: reversed, polarities are turned")


def _shown(waiting: Sequence[Packet]) -> bool:
    """Whether these packets show which channels an instrument has. Some decoders deliver many of one channel
    before the first of the next."""
    seconds: dict[str, float] = {}
    again = False
    for packet in waiting:
        again = again or not seconds.keys().isdisjoint(packet.stream.channels)
        for code in packet.stream.channels:
            seconds[code] = seconds.get(code, 0.0) + len(packet.samples) / (packet.rate or 1.0)
    return again and (len(seconds) >= 3 or max(seconds.values()) >= LIVE_LAG_S)


def _in_order(codes: Collection[str]) -> tuple[str, ...]:
    return tuple(code for code in component_slots(tuple(codes)) if code)


def _scale(packet: Packet) -> tuple[float, str]:
    """Counts per unit of a packet's samples, and the unit: as it says, if it does for all of its channels."""
    unit, sensitivity = packet.meta.get("unit"), packet.meta.get("sensitivity")
    if unit is None:
        return 1.0, "count"
    if sensitivity is None:
        return 1.0, unit
    if None in sensitivity or max(sensitivity) > ALIKE * min(sensitivity):
        return 1.0, "count"
    return median(sensitivity), unit
