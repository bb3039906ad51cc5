"""Replay of a digitizer's bytes from a file, as they were captured."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from pathlib import Path

from firmware_bridge.detect import Detector
from firmware_bridge.packet import Packet
from firmware_bridge.protocols import Protocol
from firmware_bridge.wire import Declared, Decoder

_CHUNK_BYTES = 1 << 16
_LISTEN_BYTES = 1 << 20
"""A protocol that does not show in so much is not there."""


@dataclass(frozen=True, slots=True)
class Capture:
    """A file that holds packets of `protocol`, the first at `start_ns` (UTC; 0 if it does not say)."""

    path: Path
    protocol: Protocol
    start_ns: int = 0

    def packets(self, decoder: Decoder) -> Iterator[Packet]:
        """All of them, in the file's order, by a decoder of its protocol."""
        for chunk in _chunks(self.path):
            yield from decoder.feed(chunk)


def find_capture(path: Path, declared: Declared, protocol: str | None = None) -> Capture | None:
    """What a file holds, of any protocol or of the one named; None if there is no packet of it.

    OSError if it cannot be read.
    """
    detector = Detector(declared, protocol, serial=False)
    heard = 0
    start_ns = 0
    for chunk in _chunks(path):
        for _, packet in detector.feed(0, chunk)[:1]:
            start_ns = packet.start_ns or 0
        heard += len(chunk)
        if (detector.protocol and detector.stats.good_packets) or heard > _LISTEN_BYTES:
            break
    if not (detector.protocol and detector.stats.good_packets):
        return None
    return Capture(path, detector.protocol, start_ns)


def by_record(captures: Sequence[Capture]) -> list[list[Capture]]:
    """The files of each record: one, or, of a protocol whose files hold a channel each, all there are."""
    records: dict[object, list[Capture]] = {}
    for capture in captures:
        key = capture.protocol.name if capture.protocol.one_channel_a_file else capture.path
        records.setdefault(key, []).append(capture)
    return list(records.values())


def side_by_side(captures: Sequence[Capture], decoder: Decoder) -> Iterator[Packet]:
    """The packets of files that were filled side by side, such as one a component, in order of time: each
    file is read when its time has come, and the one decoder tells their streams apart. A single file keeps
    its order."""
    if len(captures) == 1:
        yield from captures[0].packets(decoder)
        return
    waiting: list[tuple[int, int, Packet]] = []
    number = count()
    for capture in sorted(captures, key=lambda capture: capture.start_ns):
        while waiting and waiting[0][0] < capture.start_ns:
            yield heappop(waiting)[2]
        for packet in capture.packets(decoder):
            heappush(waiting, (packet.start_ns or 0, next(number), packet))
    while waiting:
        yield heappop(waiting)[2]


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk
