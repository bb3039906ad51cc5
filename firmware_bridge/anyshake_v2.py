"""AnyShake Explorer protocol v2 ("mainline"), both ways.

One wire packet, all fields little-endian:

| offset | bytes | field                                                                   |
|--------|-------|-------------------------------------------------------------------------|
| 0      | 2     | header FA DE                                                            |
| 2      | 8     | int64 time of the first sample, ms: UTC with GNSS, else since MCU start |
| 10     | 4     | variable slot: number (time // 1000) % 4 of a rotating set              |
| 14     | 60    | 5 int32 samples of Z, 5 of E, 5 of N                                    |
| 74     | 1     | XOR of bytes 2 … 73                                                     |

Slot 0 holds the device id in bits 0-30 and "time is from GNSS" in bit 31; slots 1, 2, 3 hold latitude,
longitude and elevation as float32. The rate is not told: it follows from the spacing of the times.
"""

import struct
from dataclasses import replace
from functools import reduce
from operator import xor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.anyshake_v1 import SAMPLES_PER_PACKET, read_body, write_body
from firmware_bridge.packet import Packet, Stream, channel_codes
from firmware_bridge.spacing import RATES, RateFinder
from firmware_bridge.stats import DecoderStats
from firmware_bridge.wire import NO_IDENTITY, Declared

_HEADER = b"\xfa\xde"
_HEAD = struct.Struct("<2sq4s")
_PACKET_BYTES = 75
_SLOTS = ("device_id", "latitude", "longitude", "elevation")
_GNSS = 1 << 31
_NO_DEVICE_ID = 0x7FFFFFFF
_TIME_LIMIT_MS = 1 << 42  # year 2109, which random bytes almost never stay below
_FLAG_HOLDS_MS = 5000  # slot 0 comes again after 4 s
_LONGEST_BREAK = 600  # packets


class Decoder:
    """Bytes of an AnyShake Explorer (protocol v2) to packets (`wire.Decoder`).

    One packet is 5 samples of Z, N, E; `meta` holds the one of device_id, latitude and longitude
    (degrees) and elevation (m) that it carried, if any. Unless `declared.rate` tells it, the rate is found
    by `RateFinder`, and the first six packets or so wait for it.

    `clock` is "gnss" if the GNSS flag was set when last seen, less than 5 s of packet time before (it
    comes for one second in four). Else it is "device": also until the flag is first seen, and after a
    restart or a long break until it is seen again, for no packet waits that long.

    A header, a time before 2109 and the XOR byte: random bytes pass for a packet once in 2**46. After
    skipped bytes there must be more, for samples are not random: another header right behind, or a
    time that continues the last good packet's to the millisecond within 600 packets. A good packet without
    either, say the first after a restart when the one behind it is damaged too, is skipped.
    A packet damaged in two or more places passes the XOR once in 256 when its header is whole.
    Not more than 76 bytes are held back between calls, beside the packets that wait for their rate.
    """

    def __init__(self, declared: Declared = Declared()) -> None:
        self.stats = DecoderStats()
        self._identity = declared.identity or NO_IDENTITY
        self._finder = RateFinder(declared.rate, self.stats)
        self._buffer = bytearray()
        self._in_step = True  # nothing skipped since the start or the last good packet
        self._last_ms: int | None = None
        self._gnss_ms: int | None = None

    def feed(self, data: bytes) -> list[Packet]:
        """Take the next bytes, cut anywhere, and return the packets they settle, in wire order."""
        self._buffer += data
        packets: list[Packet] = []
        position = 0
        while True:
            start = self._buffer.find(_HEADER, position)
            if start < 0:
                start = len(self._buffer)
                if position < start and self._buffer[-1] == _HEADER[0]:
                    start -= 1  # perhaps the first half of a header
            self._skip(start - position)
            position = start
            end = position + _PACKET_BYTES
            if len(self._buffer) < end:
                break
            wire = bytes(self._buffer[position:end])
            _, time_ms, variable = _HEAD.unpack_from(wire)
            plausible = 0 <= time_ms < _TIME_LIMIT_MS
            good = plausible and not reduce(xor, wire[len(_HEADER) :])
            if good and not self._in_step and not self._continues(time_ms):
                behind = self._buffer[end : end + len(_HEADER)]
                if len(behind) < len(_HEADER):
                    break
                good = behind == _HEADER
            if not good:
                self._skip(1)
                position += 1
                self.stats.bad_checksums += plausible
                continue
            self.stats.good_packets += 1
            packets += self._packets(time_ms, variable, wire[_HEAD.size : -1])
            self._in_step = True
            self._last_ms = time_ms
            position = end
        del self._buffer[:position]
        return packets

    def _skip(self, count: int) -> None:
        self.stats.skipped_bytes += count
        self._in_step = self._in_step and not count

    def _continues(self, time_ms: int) -> bool:
        if self._finder.rate is None or self._last_ms is None:
            return False
        interval_ms = 1000 * SAMPLES_PER_PACKET / self._finder.rate
        steps = round((time_ms - self._last_ms) / interval_ms)
        return 0 < steps <= _LONGEST_BREAK and abs(time_ms - self._last_ms - steps * interval_ms) <= 1

    def _packets(self, time_ms: int, variable: bytes, body: bytes) -> list[Packet]:
        slot = time_ms // 1000 % len(_SLOTS)
        if slot == 0:
            self._gnss_ms = time_ms if int.from_bytes(variable, "little") & _GNSS else None
        gnss = self._gnss_ms is not None and 0 <= time_ms - self._gnss_ms < _FLAG_HOLDS_MS
        packet = Packet(
            stream=Stream(*self._identity, ()),
            start_ns=time_ms * 1_000_000,
            rate=None,
            samples=read_body(body),
            clock="gnss" if gnss else "device",
            meta=_meta(slot, variable),
            wire_bytes=_PACKET_BYTES,
        )
        return [
            replace(settled, stream=Stream(*self._identity, channel_codes(settled.rate, "H", "ZNE")))
            for settled in self._finder.feed(packet, adjacent=self._in_step)
        ]


class Encoder:
    """Samples to AnyShake Explorer (protocol v2) bytes, as the firmware sends them (`wire.Encoder`).

    `rate`: one of `spacing.RATES`. `gnss`: times are UTC. `device_id` (0 … 0x7FFFFFFE; None says
    none), `latitude` and `longitude` (degrees) and `elevation` (m) fill the variable slots.
    Raises ValueError for values that a decoder would not understand.
    """

    def __init__(
        self,
        rate: float,
        gnss: bool = True,
        *,
        device_id: int | None = None,
        latitude: float = 0.0,
        longitude: float = 0.0,
        elevation: float = 0.0,
    ) -> None:
        if rate not in RATES:
            known = ", ".join(f"{known:g}" for known in RATES)
            raise ValueError(f"AnyShake v2 cannot tell {rate:g} Hz: use one of {known}")
        if device_id is not None and not 0 <= device_id < _NO_DEVICE_ID:
            raise ValueError(f"device_id {device_id}: give 0 … 0x7FFFFFFE")
        self.samples_per_packet = SAMPLES_PER_PACKET
        word = (_NO_DEVICE_ID if device_id is None else device_id) | (_GNSS if gnss else 0)
        position = (latitude, longitude, elevation)
        self._slots = (struct.pack("<I", word), *(struct.pack("<f", value) for value in position))

    def encode(self, start_ns: int, samples: NDArray[np.int32]) -> bytes:
        """One wire packet of int32 counts of shape (5, 3), columns Z, N, E.

        `start_ns`: time of the first sample, from 1970 or the start of the device; the wire has it in
        whole milliseconds, 0 … 2**42 - 1. Raises ValueError for another time or other samples.
        """
        start_ms = (start_ns + 500_000) // 1_000_000
        if not 0 <= start_ms < _TIME_LIMIT_MS:
            raise ValueError(f"start time {start_ms} ms is outside 0 … {_TIME_LIMIT_MS - 1} (1970 … 2109)")
        variable = self._slots[start_ms // 1000 % len(_SLOTS)]
        wire = _HEAD.pack(_HEADER, start_ms, variable) + write_body(samples)
        return wire + bytes([reduce(xor, wire[len(_HEADER) :])])


def _meta(slot: int, variable: bytes) -> dict[str, Any]:
    if slot == 0:
        device_id = int.from_bytes(variable, "little") & ~_GNSS
        return {} if device_id == _NO_DEVICE_ID else {"device_id": device_id}
    (value,) = struct.unpack("<f", variable)
    return {_SLOTS[slot]: value} if np.isfinite(value) else {}
