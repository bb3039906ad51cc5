"""The chain of each instrument: packets to the time line, to the picker, to picks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from edge.model import Network
from edge.pick import Phase, Pick
from edge.picker import Picker
from edge.resample import check_rate
from edge.timeline import Block, Timeline
from firmware_bridge.packet import Packet

Report = Callable[[str], None]
FLAT_S = 30.0
"""A component that has not moved for so long is reported as dead."""
ROUNDING = 1e-12
"""Steps below this fraction of the largest sample are the resampler's rounding, no movement."""


class FlatWatch:
    """Tells once when a component stops moving, and once when it moves again."""

    def __init__(self, rate: float) -> None:
        self._limit = round(FLAT_S * rate)
        self._run = np.zeros(3, np.int64)  # samples since the component last moved
        self._told = np.zeros(3, bool)
        self._last = np.full(3, np.inf)
        self._largest = np.zeros(3)

    def feed(self, block: Block) -> list[str]:
        """Lines for the operator, seldom any."""
        lines = []
        steps = np.abs(np.diff(block.samples, axis=0, prepend=self._last[None]))
        self._largest = np.maximum(self._largest, np.abs(block.samples).max(axis=0))
        self._last = block.samples[-1]
        for k, code in enumerate(block.stream.channels):
            moved = np.flatnonzero(steps[:, k] > ROUNDING * self._largest[k])
            self._run[k] = len(steps) - 1 - moved[-1] if len(moved) else self._run[k] + len(steps)
            flat = bool(self._run[k] >= self._limit)
            if code and flat != self._told[k]:
                self._told[k] = flat
                state = f"constant for {FLAT_S:.0f} s, is the sensor connected?" if flat else "moves again"
                lines.append(f"{block.stream.station_id}.{code}: {state}")
        return lines


@dataclass(slots=True)
class _Chain:
    channels: tuple[str, ...]
    timeline: Timeline
    picker: Picker
    flat: FlatWatch
    introduced: bool = False
    summary: str | None = None  # as last reported


class Station:
    """Everything between packets and picks, for any number of instruments.

    `channels`: what each instrument (key `Stream.instrument`) will deliver, where that is known
    beforehand, as in an archive of single-channel records; else each packet carries all of them, and
    the instrument's chain starts over when they change. `report` gets one line for whatever an operator
    should know.
    """

    def __init__(
        self,
        network: Network,
        thresholds: Mapping[Phase, float],
        report: Report,
        channels: Mapping[str, tuple[str, ...]] | None = None,
    ) -> None:
        self._network = network
        self._thresholds = thresholds
        self._report = report
        self._channels = channels or {}
        self._chains: dict[str, _Chain] = {}
        self._told: set[str] = set()

    def feed(self, packet: Packet, arrival_ns: int | None = None) -> list[Pick]:
        """The picks that this packet settles. `arrival_ns`: when its last byte came, UTC nanoseconds;
        needed where the wire carries no UTC time. Packets whose rate or channels cannot be picked are
        reported once and skipped; what else the instrument sends, and the others, go on."""
        key = packet.stream.instrument
        chain = self._chains.get(key)
        try:
            check_rate(packet.rate)
        except ValueError as error:
            self._skip(key, error)
            return self._end(chain) if chain else []  # good packets may never come again
        picks: list[Pick] = []
        if chain and key not in self._channels and chain.channels != packet.stream.channels:
            picks = self._end(self._chains.pop(key))
            self._summarize(key, chain)
            before, now = ",".join(chain.channels), ",".join(packet.stream.channels)
            self._report(f"{key}: sends {now} instead of {before} now, starting over")
        try:
            chain = self._chains.get(key) or self._begin(packet)
            blocks = chain.timeline.feed(packet, arrival_ns)
        except ValueError as error:
            self._skip(key, error)
            return picks
        return picks + self._pick(chain, blocks)

    def flush(self) -> list[Pick]:
        """Ends all segments: the picks among the last samples of each instrument. Reports what its time line
        had to break or drop, unless that is known already."""
        picks = []
        for key, chain in self._chains.items():
            picks += self._end(chain)
            self._summarize(key, chain)
        return picks

    def _begin(self, packet: Packet) -> _Chain:
        key = packet.stream.instrument
        rate = self._network.card.input.rate_hz
        channels = self._channels.get(key, packet.stream.channels)
        picker = Picker(self._network, self._thresholds)
        chain = _Chain(channels, Timeline(channels, rate), picker, FlatWatch(rate))
        self._chains[key] = chain
        return chain

    def _end(self, chain: _Chain) -> list[Pick]:
        return self._pick(chain, chain.timeline.flush()) + chain.picker.flush()

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

    def _pick(self, chain: _Chain, blocks: list[Block]) -> list[Pick]:
        picks = []
        for block in blocks:
            if not chain.introduced:
                chain.introduced = True
                present = [code for code in block.stream.channels if code]
                if len(present) < 3:
                    self._report(
                        f"{block.stream.station_id}: only {', '.join(present)}; the other components count "
                        "as zero, expect fewer picks, of S above all"
                    )
            for line in chain.flat.feed(block):
                self._report(line)
            picks += chain.picker.feed(block)
        while chain.timeline.stats.events:
            self._report(chain.timeline.stats.events.popleft())
        return picks
