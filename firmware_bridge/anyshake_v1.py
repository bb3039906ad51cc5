"""AnyShake Explorer protocol v1 ("legacy"), both ways.

One wire packet, all fields little-endian:

| offset | bytes | field                                        |
|--------|-------|----------------------------------------------|
| 0      | 2     | header FC 1B                                 |
| 2      | 60    | 5 int32 samples of Z, 5 of E, 5 of N         |
| 62     | 3     | XOR of the bytes of Z, of E and of N         |
| 65     | 1     | 00                                           |

Some third-party senders declare the header as 16-bit words and so send FC 00 1B 00: 68 bytes.
The wire tells neither time nor rate.
"""

import re
from functools import reduce
from operator import xor

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.packet import Packet, Stream, channel_codes
from firmware_bridge.stats import DecoderStats
from firmware_bridge.wire import NO_IDENTITY, Declared

SAMPLES_PER_PACKET = 5

_HEADER = b"\xfc\x1b"
_HEADERS = re.compile(rb"\xfc(?:\x1b|\x00\x1b\x00)")
_BEGUN_HEADER = re.compile(rb"\xfc(?:\x00\x1b?)?\Z")
_BLOCK = 4 * SAMPLES_PER_PACKET
_BODY = 3 * _BLOCK
_TAIL = 4


class Decoder:
    """Bytes of an AnyShake Explorer (protocol v1) or of one alike to packets (`wire.Decoder`).

    One packet is 5 samples of Z, N, E with no time (`start_ns` None, clock "unknown") and `declared.rate`,
    None where that is not declared: both are for the host to find out.
    Header, three XOR bytes and the closing zero make 48 bits that random bytes must hit. Damage in two
    or more places of one channel's samples passes that channel's XOR once in 256.
    Less than one packet is held back between calls.
    """

    def __init__(self, declared: Declared = Declared()) -> None:
        self.stats = DecoderStats()
        codes = channel_codes(declared.rate, "H", "ZNE")
        self._stream = Stream(*(declared.identity or NO_IDENTITY), codes)
        self._rate = declared.rate
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Packet]:
        """Take the next bytes, cut anywhere, and return the packets they complete, in wire order."""
        self._buffer += data
        packets: list[Packet] = []
        position = 0
        while True:
            header = _HEADERS.search(self._buffer, position) or _BEGUN_HEADER.search(self._buffer, position)
            start = header.start() if header else len(self._buffer)
            self.stats.skipped_bytes += start - position
            position = start
            if header is None or len(self._buffer) < header.end() + _BODY + _TAIL:
                break
            body = bytes(self._buffer[header.end() : header.end() + _BODY])
            end = header.end() + _BODY + _TAIL
            if self._buffer[end - _TAIL : end] != _tail(body):
                position += 1
                self.stats.skipped_bytes += 1
                self.stats.bad_checksums += 1
                continue
            self.stats.good_packets += 1
            packets.append(
                Packet(
                    stream=self._stream,
                    start_ns=None,
                    rate=self._rate,
                    samples=read_body(body),
                    clock="unknown",
                    wire_bytes=end - position,
                )
            )
            position = end
        del self._buffer[:position]
        return packets


class Encoder:
    """Samples to AnyShake Explorer (protocol v1) bytes, as the firmware sends them (`wire.Encoder`).

    `rate`: samples per second, which the wire does not tell. Raises ValueError where it is not positive.
    """

    def __init__(self, rate: float) -> None:
        if not rate > 0:
            raise ValueError(f"sample rate {rate:g} Hz: give a positive one")
        self.samples_per_packet = SAMPLES_PER_PACKET

    def encode(self, start_ns: int, samples: NDArray[np.int32]) -> bytes:
        """One wire packet of int32 counts of shape (5, 3), columns Z, N, E; it does not tell `start_ns`.

        Raises ValueError for other samples.
        """
        body = write_body(samples)
        return _HEADER + body + _tail(body)


def read_body(body: bytes) -> NDArray[np.int32]:
    """Samples of shape (5, 3), columns Z, N, E, from the 60 bytes of v1 and v2 (Z, then E, then N)."""
    return np.frombuffer(body, "<i4").reshape(3, SAMPLES_PER_PACKET)[[0, 2, 1]].T.astype(np.int32)


def write_body(samples: NDArray[np.int32]) -> bytes:
    """The inverse of `read_body`. Raises ValueError for another shape or type."""
    if samples.shape != (SAMPLES_PER_PACKET, 3) or samples.dtype != np.int32:
        raise ValueError(f"one packet takes int32 of shape (5, 3), got {samples.dtype} of {samples.shape}")
    return samples.T[[0, 2, 1]].astype("<i4").tobytes()


def _tail(body: bytes) -> bytes:
    return bytes(reduce(xor, body[k : k + _BLOCK]) for k in range(0, _BODY, _BLOCK)) + b"\0"
