"""AnyShake Explorer protocol v3, both ways.

One wire packet, all fields little-endian:

| offset | bytes | field                                                                  |
|--------|-------|------------------------------------------------------------------------|
| 0      | 2     | header 01 FE                                                           |
| 2      | 8     | int64 time of the first sample, ms: UTC with GNSS, else since MCU start |
| 10     | 4     | uint32 device_config: interval, rate, GNSS, sample widths, valid bits   |
| 14     | 4     | variable slot: number (time // 1000) % 10 of a rotating set             |
| 18     | N     | samples, one block per enabled channel                                 |
| 18 + N | 1     | XOR of bytes 2 … 17 + N                                                |
| 19 + N | 2     | trailer EF 10                                                          |

device_config, from bit 31 down: 2 bits interval, 3 bits rate, 1 bit GNSS, 2 bits for each of eight
channels (off, int16, int24, int32), 10 bits "variable slot k is valid" (bit k).
"""

import struct
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.packet import Packet, Stream, channel_codes
from firmware_bridge.stats import DecoderStats
from firmware_bridge.wire import NO_IDENTITY, Declared

RATES = (10, 20, 50, 100, 200, 250, 500, 1000)
"""Sample rates the protocol can name, in Hz."""
INTERVALS_MS = (100, 200, 500, 1000)
"""Packet intervals the protocol can name, in milliseconds."""

_HEADER = b"\x01\xfe"
_TRAILER = b"\xef\x10"
_HEAD = struct.Struct("<2sqI4s")
_TAIL = struct.Struct("<B2s")
_SLOTS = ("device_id", "latitude", "longitude", "elevation", "temperature")
_NO_DEVICE_ID = 0x7FFFFFFF
_CHANNELS = 8
_CHANNEL_BITS = 0x03FFFC00
# Year 2109. Random bytes almost never pass as a time below it, so that a header found inside
# samples seldom makes the decoder wait for a long packet that is none.
_TIME_LIMIT_MS = 1 << 42
# Geophone and accelerometer as places of Z, N, E among the wire channels, which hold Z, E, N.
_INSTRUMENTS = (("H", (0, 2, 1)), ("N", (3, 5, 4)))
_COLUMN_ORDER = (0, 2, 1, 3, 5, 4, 6, 7)


@dataclass(frozen=True)
class _DeviceConfig:
    """device_config in words; `widths`: bytes per sample of the eight channels, 0 where off."""

    interval_ms: int
    rate: int
    gnss: bool
    widths: tuple[int, ...]
    valid: int

    @classmethod
    @lru_cache(maxsize=16)  # a digitizer sends the same word all day
    def from_word(cls, word: int) -> "_DeviceConfig":
        codes = ((word >> 24 - 2 * k) & 3 for k in range(_CHANNELS))
        return cls(
            interval_ms=INTERVALS_MS[word >> 30],
            rate=RATES[(word >> 27) & 7],
            gnss=bool(word >> 26 & 1),
            widths=tuple(code + 1 if code else 0 for code in codes),
            valid=word & 0x3FF,
        )

    @property
    def word(self) -> int:
        word = INTERVALS_MS.index(self.interval_ms) << 30 | RATES.index(self.rate) << 27 | self.gnss << 26
        for k, width in enumerate(self.widths):
            word |= (width - 1 if width else 0) << 24 - 2 * k
        return word | self.valid

    @property
    def layout(self) -> tuple[int, int, tuple[int, ...]]:
        """What stays the same until the digitizer is set up anew."""
        return self.interval_ms, self.rate, self.widths

    @cached_property
    def samples(self) -> int:
        """Samples per channel and packet."""
        return self.interval_ms // (1000 // self.rate)

    @cached_property
    def packet_bytes(self) -> int:
        return _HEAD.size + self.samples * sum(self.widths) + _TAIL.size

    @cached_property
    def instruments(self) -> list[tuple[tuple[str, ...], list[int]]]:
        """Channel codes in Z, N, E order, and the places of their blocks among those of the packet."""
        places = {k: place for place, k in enumerate(k for k in range(_CHANNELS) if self.widths[k])}
        found = []
        for instrument, channels in _INSTRUMENTS:
            enabled = [k for k in channels if k in places]
            if enabled:
                components = "".join("ZEN"[k % 3] for k in enabled)
                codes = channel_codes(self.rate, instrument, components)
                found.append((codes, [places[k] for k in enabled]))
        return found

    def blocks(self, body: bytes) -> NDArray[np.int32]:
        """The samples of a packet (channels that are on, n)."""
        widths = [width for width in self.widths if width]
        if min(widths) == max(widths):
            return _read_samples(body, widths[0]).reshape(len(widths), -1)
        ends = list(accumulate(self.samples * width for width in widths))
        return np.stack(
            [
                _read_samples(body[end - self.samples * width : end], width)
                for end, width in zip(ends, widths, strict=True)
            ]
        )


class Decoder:
    """Bytes of an AnyShake Explorer (protocol v3) to packets (`wire.Decoder`).

    The wire names no station: only `declared.identity` does. The geophone (wire channels 1-3) becomes
    one packet with instrument code H, the accelerometer (4-6) a second one with N, both with the wire
    packet's whole length as `wire_bytes`; disabled channels are left out, channels 7 and 8 are ignored.

    A packet counts only if rate, interval, channels and time are plausible and trailer and XOR
    match; else the search goes on one byte further, so no good packet is lost to a false header.
    Where interval, rate or channels differ from the last good packet's, or none was good yet, it also
    must not enclose a good packet: then it was one with a damaged device_config, which shows as soon as the
    packet behind it is complete and need not wait for the length it pretends. Both rules look only at
    the candidate's own bytes, so the packets do not depend on how the bytes were cut.
    Never more than one packet (32,021 bytes) is held back between calls.
    """

    def __init__(self, declared: Declared = Declared()) -> None:
        self.stats = DecoderStats()
        self._identity = declared.identity or NO_IDENTITY
        self._buffer = bytearray()
        self._next_ms: int | None = None
        self._last: _DeviceConfig | None = None  # of the last good packet
        self._streams: dict[tuple[str, ...], Stream] = {}

    def feed(self, data: bytes) -> list[Packet]:
        """Take the next bytes, cut anywhere, and return the packets they complete, in wire order.

        Samples are int32 of shape (n, channels) in Z, N, E order. `clock` is "gnss" when the GNSS bit
        is set, else "device": time then counts from the start of the digitizer. `meta` holds the one
        of device_id, latitude and longitude (degrees), elevation (m) and temperature (°C) that
        the packet carried, if any. Bad bytes are counted in `stats`; nothing is raised.
        """
        self._buffer += data
        packets: list[Packet] = []
        position = 0
        while True:
            start = self._buffer.find(_HEADER, position)
            if start < 0:
                start = len(self._buffer)
                if position < start and self._buffer[-1] == _HEADER[0]:
                    start -= 1  # perhaps the first half of a header
            self.stats.skipped_bytes += start - position
            position = start
            if len(self._buffer) - position < _HEAD.size:
                break
            _, time_ms, word, variable = _HEAD.unpack_from(self._buffer, position)
            if not _plausible(time_ms, word):
                position += 1
                self.stats.skipped_bytes += 1
                continue
            config = _DeviceConfig.from_word(word)
            end = position + config.packet_bytes
            encloses = self._encloses_packet(position, end, config)
            if not encloses and len(self._buffer) < end:
                break
            if encloses or not self._intact(position, end):
                position += 1
                self.stats.skipped_bytes += 1
                self.stats.bad_checksums += 1
                continue
            self.stats.good_packets += 1
            self._count_jump(time_ms, config)
            body = bytes(self._buffer[position + _HEAD.size : end - _TAIL.size])
            packets += self._packets(time_ms, config, variable, body)
            self._last = config
            position = end
        del self._buffer[:position]
        return packets

    def _intact(self, start: int, end: int) -> bool:
        trailer = end - len(_TRAILER)  # looked at before up to 32 kB are copied
        if self._buffer[trailer:end] != _TRAILER:
            return False
        return not _xor(self._buffer[start + len(_HEADER) : trailer])

    def _encloses_packet(self, start: int, end: int, config: _DeviceConfig) -> bool:
        """Whether a candidate of a new layout holds a good packet, as far as it is here."""
        if self._last is not None and config.layout == self._last.layout:
            return False
        if self._buffer.find(_TRAILER, start, end - len(_TRAILER)) < 0:
            return False
        inner = start
        while (inner := self._buffer.find(_HEADER, inner + 1, end - _HEAD.size)) >= 0:
            if len(self._buffer) - inner < _HEAD.size:
                return False
            _, time_ms, word, _ = _HEAD.unpack_from(self._buffer, inner)
            if _plausible(time_ms, word):
                inner_end = inner + _DeviceConfig.from_word(word).packet_bytes
                if inner_end <= min(end, len(self._buffer)) and self._intact(inner, inner_end):
                    return True
        return False

    def _count_jump(self, time_ms: int, config: _DeviceConfig) -> None:
        tolerance_ms = max(500 / config.rate, 1)
        if self._next_ms is not None and abs(time_ms - self._next_ms) > tolerance_ms:
            self.stats.time_jumps += 1
        self._next_ms = time_ms + config.interval_ms

    def _packets(self, time_ms: int, config: _DeviceConfig, variable: bytes, body: bytes) -> list[Packet]:
        meta = _meta(time_ms, config, variable)
        blocks = config.blocks(body)
        return [
            Packet(
                stream=self._stream(codes),
                start_ns=time_ms * 1_000_000,
                rate=float(config.rate),
                samples=blocks[places].T,
                clock="gnss" if config.gnss else "device",
                meta=meta,
                wire_bytes=config.packet_bytes,
            )
            for codes, places in config.instruments
        ]

    def _stream(self, codes: tuple[str, ...]) -> Stream:
        """The same object all day, as long as the digitizer's set-up stays."""
        if codes not in self._streams:
            self._streams[codes] = Stream(*self._identity, codes)
        return self._streams[codes]


class Encoder:
    """Samples to AnyShake Explorer (protocol v3) bytes, as the firmware sends them (`wire.Encoder`).

    `rate`: one of `RATES`. `widths`: bytes per sample of wire channels 1, 2, … (Z, E, N of the
    geophone, then of the accelerometer), each 2, 3 or 4, or 0 for a disabled channel; up to eight.
    `gnss`: times are UTC. `interval_ms`: one of `INTERVALS_MS`. The rest fills the variable slots:
    `device_id` (0 … 0xFFFFFFFF), `latitude` and `longitude` (degrees), `elevation` (m), `temperature`
    (°C); slots without a value repeat device_config and are not marked valid.

    Raises ValueError for values the protocol cannot express.
    """

    def __init__(
        self,
        rate: float,
        widths: tuple[int, ...] = (4, 4, 4),
        gnss: bool = True,
        interval_ms: int = 100,
        *,
        device_id: int | None = None,
        latitude: float | None = None,
        longitude: float | None = None,
        elevation: float | None = None,
        temperature: float | None = None,
    ) -> None:
        if rate not in RATES:
            raise ValueError(f"AnyShake v3 has no {rate:g} Hz: use one of {', '.join(map(str, RATES))}")
        if interval_ms not in INTERVALS_MS:
            known = ", ".join(map(str, INTERVALS_MS))
            raise ValueError(f"AnyShake v3 has no packet interval of {interval_ms} ms: use one of {known}")
        if len(widths) > _CHANNELS or not any(widths) or not set(widths) <= {0, 2, 3, 4}:
            raise ValueError(f"widths {widths}: give one to eight of 2, 3, 4 (bytes) or 0 (channel off)")
        if device_id is not None and not (0 <= device_id <= 0xFFFFFFFF and device_id != _NO_DEVICE_ID):
            raise ValueError(f"device_id {device_id}: give 0 … 0xFFFFFFFF, but not 0x7FFFFFFF (means none)")
        position = (latitude, longitude, elevation, temperature)
        self._slots = {
            0: None if device_id is None else struct.pack("<I", device_id),
            **{k: None if v is None else struct.pack("<f", v) for k, v in enumerate(position, start=1)},
        }
        self._config = _DeviceConfig(
            interval_ms=interval_ms,
            rate=int(rate),
            gnss=gnss,
            widths=widths + (0,) * (_CHANNELS - len(widths)),
            valid=sum(1 << k for k, value in self._slots.items() if value is not None),
        )
        self._enabled = tuple(k for k in _COLUMN_ORDER if self._config.widths[k])
        self.samples_per_packet = self._config.samples

    def encode(self, start_ns: int, samples: NDArray[np.int32]) -> bytes:
        """One wire packet.

        `start_ns`: time of the first sample, from 1970 or the start of the device; the wire has it
        in whole milliseconds, 0 … 2**42 - 1. `samples`: integer counts of shape (samples_per_packet,
        enabled channels), the columns in the decoder's order: geophone Z, N, E, accelerometer Z, N, E,
        channels 7 and 8.
        Raises ValueError for another shape, a time out of range or a value too large for its width.
        """
        expected = (self.samples_per_packet, len(self._enabled))
        if samples.shape != expected or not np.issubdtype(samples.dtype, np.integer):
            raise ValueError(
                f"one packet takes integers of shape {expected}, got {samples.dtype} of {samples.shape}"
            )
        start_ms = (start_ns + 500_000) // 1_000_000
        if not 0 <= start_ms < _TIME_LIMIT_MS:
            raise ValueError(f"start time {start_ms} ms is outside 0 … {_TIME_LIMIT_MS - 1} (1970 … 2109)")
        word = self._config.word
        # The firmware leaves device_config in slots it does not fill, and so do we.
        variable = self._slots.get(start_ms // 1000 % 10) or struct.pack("<I", word)
        columns = dict(zip(self._enabled, samples.T, strict=True))
        body = b"".join(_write_samples(columns[k], self._config.widths[k]) for k in sorted(columns))
        wire = _HEAD.pack(_HEADER, start_ms, word, variable) + body
        return wire + _TAIL.pack(_xor(wire[len(_HEADER) :]), _TRAILER)


def _plausible(time_ms: int, word: int) -> bool:
    return 0 <= time_ms < _TIME_LIMIT_MS and bool(word & _CHANNEL_BITS)


def _xor(data: bytes | bytearray) -> int:
    return int(np.bitwise_xor.reduce(np.frombuffer(data, np.uint8)))


def _meta(time_ms: int, config: _DeviceConfig, variable: bytes) -> dict[str, Any]:
    slot = time_ms // 1000 % 10
    # Slots 5-9 have no meaning: the firmware leaves a copy of device_config there.
    if slot >= len(_SLOTS) or not config.valid >> slot & 1:
        return {}
    (value,) = struct.unpack("<I" if slot == 0 else "<f", variable)
    if value == _NO_DEVICE_ID if slot == 0 else not np.isfinite(value):
        return {}
    return {_SLOTS[slot]: value}


def _read_samples(raw: bytes, width: int) -> NDArray[np.int32]:
    if width != 3:
        return np.frombuffer(raw, f"<i{width}").astype(np.int32)
    # The three bytes go to the top of an int32; shifting back down extends the sign.
    wide = np.zeros((len(raw) // 3, 4), np.uint8)
    wide[:, 1:] = np.frombuffer(raw, np.uint8).reshape(-1, 3)
    return (wide.view("<i4")[:, 0] >> 8).astype(np.int32)


def _write_samples(column: NDArray[np.int32], width: int) -> bytes:
    limit = 1 << 8 * width - 1
    low, high = int(column.min()), int(column.max())
    if low < -limit or high >= limit:
        raise ValueError(f"counts {low} … {high} do not fit {8 * width} bits: use a wider channel")
    wide = np.ascontiguousarray(column, "<i4")
    return wide.view(np.uint8).reshape(-1, 4)[:, :width].tobytes()
