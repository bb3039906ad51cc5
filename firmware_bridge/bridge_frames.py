"""Frames of the edge-pick bridge protocol, version 1, both ways; docs/bridge-protocol.md specifies it.

A frame on the wire is COBS(payload + CRC-32 of the payload), then 0x00. Every payload begins with version
and type in one byte and the sequence number in two; all integers are little-endian. The `encode_`
functions return a complete frame with its delimiter, the `decode_` ones take a payload, whole.
"""

import re
import struct
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firmware_bridge import cobs
from firmware_bridge.differences import bits_needed, pack_differences, packed_bytes, unpack_differences

VERSION = 1
HELLO, DATA, TIME, STATUS = range(4)
"""Frame types."""
FROM_MESSAGES, PPS = 1, 2
"""Qualities of a time that can be used; 0 is no fix."""
UNITS = ("", "m/s", "m/s²", "m", "Pa", "V")
"""Units of ground motion (or pressure, or voltage) by their number on the wire; "" is unknown."""
MOST_BODY_BYTES = 2048
"""Payload and CRC together, before COBS."""
MOST_FRAME_BYTES = cobs.longest(MOST_BODY_BYTES) + 1
"""Longest frame on the wire, delimiter included."""

_HEAD = struct.Struct("<BH")
_CRC = struct.Struct("<I")
_HELLO = struct.Struct("<BIII8s8s8sB")
_CHANNEL = struct.Struct("<3sBibB")
_DATA = struct.Struct("<BIB")
_FIRST = struct.Struct("<Bi")
_TIME = struct.Struct("<IIBB")
_STATUS = struct.Struct("<hHiii")
_MOST_CHANNELS = 8
_MOST_PER_INSTRUMENT = 3
_NO_TEMPERATURE = -(1 << 15)
_NO_POSITION = -(1 << 31)


@dataclass(frozen=True, slots=True)
class Channel:
    """One channel of a hello.

    `code`: three letters or digits, such as EHZ. `unit`: one of `UNITS`, else ValueError. The sensitivity is
    mantissa × 10^exponent counts per unit, everything between the ground and the counts included: 0 where
    unknown, below 0 where the counts fall when the ground moves up, north or east. `gain` of the amplifier:
    0 where unknown.
    """

    code: str
    unit: str = ""
    mantissa: int = 0
    exponent: int = 0
    gain: int = 0

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            raise ValueError(f"unit {self.unit!r}: give one of {', '.join(UNITS[1:])}, or none")

    @property
    def sensitivity(self) -> float | None:
        """Counts per unit, without the sign; None where unknown."""
        return float(f"{abs(self.mantissa)}e{self.exponent}") if self.mantissa else None


@dataclass(frozen=True, slots=True)
class Hello:
    """What a device says of itself.

    `config`: 0 … 255, another number after every change of the rest. `tick_hz`: ticks per second of the
    device clock, 1,000 or more. `rate_mhz`: sample rate in millihertz. `channels`: one to eight, in the order
    of the data. Raises ValueError, in one line, for what the protocol does not allow.
    """

    config: int
    device_id: int
    tick_hz: int
    rate_mhz: int
    network: str
    station: str
    location: str
    channels: tuple[Channel, ...]

    def __post_init__(self) -> None:
        if not 1000 <= self.tick_hz < 1 << 32:
            raise ValueError(f"tick_hz {self.tick_hz}: give 1,000 … 4,294,967,295 ticks per second")
        if not 1 <= self.rate_mhz < 1 << 32:
            raise ValueError(f"rate_mhz {self.rate_mhz}: give a sample rate of 1 … 4,294,967,295 millihertz")
        for name, code, least in (
            ("network", self.network, 1), ("station", self.station, 1), ("location", self.location, 0)
        ):  # fmt: skip
            if not re.fullmatch(f"[A-Z0-9]{{{least},8}}", code):
                raise ValueError(f"{name} {code!r}: give {least} to 8 letters A-Z or digits")
        if not 1 <= len(self.channels) <= _MOST_CHANNELS:
            raise ValueError(f"{len(self.channels)} channels: give 1 to {_MOST_CHANNELS}")
        codes = [channel.code for channel in self.channels]
        for code in codes:
            if not re.fullmatch("[A-Z0-9]{3}", code):
                raise ValueError(f"channel {code!r}: give three letters A-Z or digits, such as EHZ")
            if codes.count(code) > 1:
                raise ValueError(f"channel {code} is there twice: give each its own code")
            if sum(other[:2] == code[:2] for other in codes) > _MOST_PER_INSTRUMENT:
                raise ValueError(f"instrument {code[:2]} has more than {_MOST_PER_INSTRUMENT} channels")


@dataclass(frozen=True, slots=True)
class Time:
    """One instant on the device clock and in UTC.

    `tick`: device clock, modulo 2**32. `utc_s`: POSIX seconds. `quality`: 0 no fix, 1 from messages (good to
    0.1 s), 2 PPS with fix. `satellites`: in use.
    """

    tick: int
    utc_s: int
    quality: int
    satellites: int


@dataclass(frozen=True, slots=True)
class Status:
    """State of health; None for what the device does not know.

    `temperature` in °C, `voltage` of the supply in V, `latitude` and `longitude` in degrees, `elevation`
    in m.
    """

    temperature: float | None = None
    voltage: float | None = None
    latitude: float | None = None
    longitude: float | None = None
    elevation: float | None = None


def encode_frame(kind: int, sequence: int, content: bytes) -> bytes:
    """A frame of type `kind` around `content`; ValueError if it is longer than the protocol allows."""
    payload = _packed(_HEAD, VERSION << 4 | kind, sequence) + content
    body = payload + _CRC.pack(zlib.crc32(payload))
    if len(body) > MOST_BODY_BYTES:
        raise ValueError(
            f"a frame of {len(body)} bytes is over {MOST_BODY_BYTES}: send fewer samples at a time"
        )
    return cobs.encode(body) + b"\x00"


def encode_hello(sequence: int, hello: Hello) -> bytes:
    """A hello frame; ValueError for numbers that do not fit their fields."""
    content = _packed(
        _HELLO,
        hello.config,
        hello.device_id,
        hello.tick_hz,
        hello.rate_mhz,
        hello.network.encode(),
        hello.station.encode(),
        hello.location.encode(),
        len(hello.channels),
    )
    for channel in hello.channels:
        unit = UNITS.index(channel.unit)
        content += _packed(
            _CHANNEL, channel.code.encode(), unit, channel.mantissa, channel.exponent, channel.gain
        )
    return encode_frame(HELLO, sequence, content)


def encode_data(sequence: int, config: int, tick: int, samples: NDArray[np.int32]) -> bytes:
    """A data frame. `tick`: device clock of the first sample, modulo 2**32. `samples`: int32 counts of shape
    (n, channels), 1 … 255 by 1 … 8, in the order of the hello; ValueError for more than a frame can hold.
    """
    if samples.dtype != np.int32 or samples.ndim != 2 or not samples.size:
        raise ValueError(
            f"a frame takes int32 of shape (n, channels), got {samples.dtype} of {samples.shape}"
        )
    content = _packed(_DATA, config, tick, len(samples))
    for column in samples.T:
        differences = np.diff(column)  # of int32: modulo 2**32
        bits = bits_needed(differences)
        content += _FIRST.pack(bits, column[0]) + pack_differences(differences, bits)
    return encode_frame(DATA, sequence, content)


def encode_time(sequence: int, time: Time) -> bytes:
    """A time frame; ValueError for numbers that do not fit their fields."""
    content = _packed(_TIME, time.tick, time.utc_s, time.quality, time.satellites)
    return encode_frame(TIME, sequence, content)


def encode_status(sequence: int, status: Status) -> bytes:
    """A status frame, values rounded to the steps of the wire; ValueError for those out of range."""

    def steps(value: float | None, per_unit: float, none: int) -> int:
        return none if value is None else round(value * per_unit)

    content = _packed(
        _STATUS,
        steps(status.temperature, 100, _NO_TEMPERATURE),
        steps(status.voltage, 1000, 0),
        steps(status.latitude, 1e7, _NO_POSITION),
        steps(status.longitude, 1e7, _NO_POSITION),
        steps(status.elevation, 100, _NO_POSITION),
    )
    return encode_frame(STATUS, sequence, content)


def checked_payload(body: bytes) -> bytes | None:
    """The payload of a decoded frame, or None where the CRC is wrong; ValueError for an impossible length."""
    if not _HEAD.size + _CRC.size <= len(body) <= MOST_BODY_BYTES:
        raise ValueError(f"a frame of {len(body)} bytes")
    payload = body[: -_CRC.size]
    return payload if _CRC.pack(zlib.crc32(payload)) == body[-_CRC.size :] else None


def decode_head(payload: bytes) -> tuple[int, int, int]:
    """Version, type and sequence number."""
    first, sequence = _HEAD.unpack_from(payload)
    return first >> 4, first & 15, sequence


def decode_hello(payload: bytes) -> Hello:
    """The hello of a payload, with units this version does not know as unknown; ValueError if invalid."""
    config, device_id, tick_hz, rate_mhz, *names, count = _unpacked(_HELLO, payload, _HEAD.size)
    network, station, location = (name.rstrip(b"\x00").decode("ascii") for name in names)
    channels = []
    for k in range(count):
        code, unit, mantissa, exponent, gain = _unpacked(
            _CHANNEL, payload, _HEAD.size + _HELLO.size + k * _CHANNEL.size
        )
        name = UNITS[unit] if unit < len(UNITS) else ""
        channels.append(Channel(code.decode("ascii"), name, mantissa, exponent, gain))
    return Hello(config, device_id, tick_hz, rate_mhz, network, station, location, tuple(channels))


def decode_config(payload: bytes) -> int:
    """The config number of a data payload; ValueError if it ends before."""
    config, _, _ = _unpacked(_DATA, payload, _HEAD.size)
    return int(config)


def decode_data(payload: bytes, channels: int) -> tuple[int, NDArray[np.int32]]:
    """Tick of the first sample and int32 counts of shape (n, channels); ValueError if invalid."""
    _, tick, n = _unpacked(_DATA, payload, _HEAD.size)
    if n == 0:
        raise ValueError("a data frame without samples")
    samples = np.empty((n, channels), np.int32)
    place = _HEAD.size + _DATA.size
    for k in range(channels):
        bits, samples[0, k] = _unpacked(_FIRST, payload, place)
        place += _FIRST.size
        end = place + packed_bytes(n - 1, bits)
        if bits > 32 or end > len(payload):
            raise ValueError("a data frame with differences missing")
        samples[1:, k] = unpack_differences(payload[place:end], n - 1, bits)
        place = end
    if place != len(payload):
        raise ValueError("a data frame with bytes left over")
    return tick, np.cumsum(samples, axis=0, dtype=np.int32)  # modulo 2**32, as the differences are


def decode_time(payload: bytes) -> Time:
    """The content of a time payload; ValueError if it is too short."""
    return Time(*_unpacked(_TIME, payload, _HEAD.size))


def decode_status(payload: bytes) -> Status:
    """The content of a status payload; ValueError if it is too short."""
    temperature, voltage, *position = _unpacked(_STATUS, payload, _HEAD.size)
    latitude, longitude, elevation = (None if value == _NO_POSITION else value for value in position)
    return Status(
        temperature=None if temperature == _NO_TEMPERATURE else temperature / 100,
        voltage=voltage / 1000 if voltage else None,
        latitude=None if latitude is None else latitude / 1e7,
        longitude=None if longitude is None else longitude / 1e7,
        elevation=None if elevation is None else elevation / 100,
    )


def most_samples(channels: int) -> int:
    """Samples per channel that a data frame can hold, whatever they are: with differences of 32 bits."""
    fixed = _HEAD.size + _DATA.size + channels * _FIRST.size + _CRC.size
    return min((MOST_BODY_BYTES - fixed) // (4 * channels) + 1, 255)


def _packed(layout: struct.Struct, *values: object) -> bytes:
    try:
        return layout.pack(*values)
    except struct.error as error:
        raise ValueError(f"{values}: a number does not fit its field ({error})") from error


def _unpacked(layout: struct.Struct, payload: bytes, offset: int) -> tuple[Any, ...]:
    if len(payload) < offset + layout.size:
        raise ValueError("a frame that ends too early")
    return layout.unpack_from(payload, offset)
