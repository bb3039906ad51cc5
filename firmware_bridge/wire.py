"""What every protocol has: a decoder, an encoder, and what an operator may have to say about the wire."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.packet import Packet
from firmware_bridge.stats import DecoderStats

NO_IDENTITY = ("XX", "EDGE", "00")
"""Network, station and location of data when neither the wire nor the operator names them."""


@dataclass(frozen=True, slots=True)
class Declared:
    """What the operator says of a wire: the station's name goes before what the wire says, the rest is
    for wires that are silent on it.

    `identity`: network, station, location. `rate`: samples per second. `columns`: names of the columns of
    plain lines, in order. `unit`: of the samples, such as "count" or "m/s".
    """

    identity: tuple[str, str, str] | None = None
    rate: float | None = None
    columns: tuple[str, ...] | None = None
    unit: str | None = None


class Decoder(Protocol):
    """Bytes to packets, without I/O.

    `feed` takes the next bytes, cut anywhere, and returns the packets that they complete, the same
    however the bytes were cut. It never raises: what is no packet is skipped, byte by byte until the
    next good one, and counted in `stats`. No more than a few packets are ever held back.
    """

    stats: DecoderStats

    def feed(self, data: bytes) -> list[Packet]: ...


class Encoder(Protocol):
    """Samples to bytes, as the firmware sends them.

    `encode` takes exactly `samples_per_packet` samples of Z, N, E, int32 of shape (n, 3), with the UTC
    nanoseconds of the first. Raises ValueError, in one line, for what the protocol cannot carry.
    """

    samples_per_packet: int

    def encode(self, start_ns: int, samples: NDArray[np.int32]) -> bytes: ...
