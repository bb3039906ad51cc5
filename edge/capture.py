"""Replay of a digitizer's bytes from a file, as they were captured."""

from collections.abc import Iterator
from dataclasses import dataclass
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
    """A file that holds packets of `protocol`."""

    path: Path
    protocol: Protocol

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
    for chunk in _chunks(path):
        detector.feed(0, chunk)
        heard += len(chunk)
        if (detector.protocol and detector.stats.good_packets) or heard > _LISTEN_BYTES:
            break
    return Capture(path, detector.protocol) if detector.protocol and detector.stats.good_packets else None


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk
