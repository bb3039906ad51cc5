"""Packets of an archive in the lists that a station takes: many at a time, the small ones joined."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from edge.pick import NS
from firmware_bridge.packet import Packet, Stream

PORTION = 2_000_000
"""Samples: two hours of a station."""

JOINED_S, JOINED_NS = 30.0, 10_000
"""Records that follow one another to 10 µs, which is as well as they tell their times, become one packet of
up to 30 s and the last of them."""


def portions(packets: Iterable[Packet]) -> Iterator[list[Packet]]:
    """Packets in order of start time, in lists of so many samples that picking them at once pays, and memory
    does not mind; in each list the small ones are joined."""
    portion: list[Packet] = []
    samples = 0
    for packet in packets:
        portion.append(packet)
        samples += packet.samples.size
        if samples >= PORTION:
            yield joined(portion)
            portion, samples = [], 0
    yield joined(portion)


def joined(packets: Iterable[Packet]) -> list[Packet]:
    """Of packets in order of start time those of a stream that follow one another as one: fewer, longer ones
    with the same samples, in order of start time again."""
    runs: dict[Stream, _Run] = {}
    out: list[_Run] = []
    for packet in packets:
        run = runs.get(packet.stream)
        if run is None or not run.takes(packet):
            run = runs[packet.stream] = _Run(packet)
            out.append(run)
    return [run.packet() for run in out]


class _Run:
    """A packet and those that follow it."""

    def __init__(self, first: Packet) -> None:
        self._first = first
        self._parts: list[Any] = [first.samples]
        self._samples = len(first.samples)

    def takes(self, packet: Packet) -> bool:
        """Whether it follows, in which case it is taken in."""
        first, rate = self._first, self._first.rate or 1.0
        due_ns = (first.start_ns or 0) + round(self._samples * NS / rate)
        if (
            self._samples > JOINED_S * rate
            or packet.rate != first.rate
            or packet.samples.dtype != first.samples.dtype
            or abs((packet.start_ns or 0) - due_ns) > JOINED_NS
        ):
            return False
        self._parts.append(packet.samples)
        self._samples += len(packet.samples)
        return True

    def packet(self) -> Packet:
        """All of them as one."""
        return (
            self._first
            if len(self._parts) == 1
            else replace(self._first, samples=np.concatenate(self._parts))
        )
