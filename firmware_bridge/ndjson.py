"""JSON objects, one a line or end to end: a sampling instant or a stretch of signal each.

    {"t": 1700000000.25, "z": 12, "n": -3, "e": 5}
    {"t": "2026-11-20T23:41:00.25Z", "rate": 100, "EHZ": [12, 13, 9], "EHN": [-3, -2, 0], "EHE": [5, 5, 4]}

| key                        | value                                                                   |
|----------------------------|-------------------------------------------------------------------------|
| z n e 1 2 3 x y, or a code | one number, or a list of them, the same length for each component       |
| t or time                  | of the (first) sample: epoch seconds or milliseconds, ISO 8601 (UTC      |
|                            | where it names no zone), or seconds below 1e9 of the device's own clock |
| millis, micros             | the same of the device's own clock; may wrap at 2**32                    |
| rate, sr or fs             | samples per second, 1 … 10,000                                          |
| network, station, location | names                                                                   |

Capitals do not matter, other keys mean nothing. Samples are int32, or within its range with a fraction.
No checksum guards the samples: a digit that turned into another is not seen.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.json_objects import JsonObjects
from firmware_bridge.packet import COMPONENT_ORDER, Clock, Packet
from firmware_bridge.samples import (
    INT32,
    Layout,
    Rows,
    WrappingCounter,
    check_shape,
    snap_rate,
    stretch,
    to_ns,
)
from firmware_bridge.stats import DecoderStats
from firmware_bridge.wire import NO_IDENTITY, Declared

_CHANNEL = re.compile(r"(?:([FGDCESHBML][HLGNP])?)([ZNE123XY])")
_NAME = re.compile(r"[A-Z0-9]{1,8}")
_DEVICE_UNITS = {"millis": 1_000_000, "micros": 1_000}  # in ns
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UTC_S = 10**9
_NS = 1_000_000_000
_RATE_LIMITS = (1.0, 10_000.0)
_SNAP_INSTANTS = 0.01
_SNAP_STRETCHES = 0.001  # 1 % of a long one would be whole samples
_END_NS = 1 << 62


class Decoder:
    """Such objects to packets; does no I/O.

    A stretch becomes one packet, single instants are joined as `firmware_bridge.samples.Rows` says, which
    also tells their rate from their times. `declared.rate` goes before the wire's, which may be a measured
    one: it is taken for a usual rate within 1 % of it, that of a stretch within 0.1 %. A stretch without
    either has rate None. `declared.unit` becomes `meta["unit"]`. Components named by one letter are those of
    a short-period seismometer (EHZ … at 100 Hz); with codes, one instrument an object. Names that are
    no SEED names are passed over.

    UTC is of unknown provenance (clock "unknown"), the rest counts from an origin of its own ("device");
    without a time `start_ns` is None. An object that has no samples, or a value that is not what the table
    says, is skipped, as is all that is no object.
    """

    def __init__(self, declared: Declared = Declared()) -> None:
        self.stats = DecoderStats()
        self._declared = declared
        self._objects = JsonObjects()
        self._meta = {"unit": declared.unit} if declared.unit else {}
        self._rows = Rows(self.stats, self._meta)
        self._counter = WrappingCounter()
        self._next_ns: int | None = None

    def feed(self, data: bytes) -> list[Packet]:
        """Take the next bytes, cut anywhere, and return the packets they complete.

        Samples are int32 of shape (n, channels) in Z, N, E order, or float64 where one has a fraction.
        """
        packets = []
        for found, size in self._objects.feed(data):
            try:
                packets += self._packets(found or {}, size)
            except ValueError:
                self.stats.skipped_bytes += size
                packets += self._rows.end()
        return packets

    def _packets(self, found: Mapping[str, Any], size: int) -> list[Packet]:
        """ValueError where the object is damaged or something else."""
        fields = {key.lower(): value for key, value in found.items()}
        channels = {match.groups(): fields[key] for key in fields if (match := _channel(key))}
        prefixes = {prefix for prefix, _ in channels}
        if len(prefixes) != 1:
            raise ValueError("no samples, or more than one instrument")
        columns = {letter: values for (_, letter), values in channels.items()}
        components = "".join(letter for letter in COMPONENT_ORDER if letter in columns)
        start_ns, clock = self._time(fields)
        instant = all(map(_is_sample, columns.values()))
        rate = _rate(fields, _SNAP_INSTANTS if instant else _SNAP_STRETCHES)
        layout = Layout(
            self._identity(fields), components, prefixes.pop() or "", self._declared.rate or rate, clock
        )
        if instant:
            samples = tuple(columns[letter] for letter in components)
            return self._rows.add(layout, (start_ns, samples, size))
        values = stretch([columns[letter] for letter in components])
        return [*self._rows.end(), self._stretch(layout, start_ns, values, size)]

    def _stretch(
        self,
        layout: Layout,
        start_ns: int | None,
        values: NDArray[np.int32] | NDArray[np.float64],
        size: int,
    ) -> Packet:
        self.stats.good_packets += 1
        if start_ns is not None and layout.rate:
            if self._next_ns is not None and abs(start_ns - self._next_ns) > _NS / layout.rate / 2:
                self.stats.time_jumps += 1
            self._next_ns = start_ns + round(len(values) * _NS / layout.rate)
        return Packet(
            stream=layout.stream(layout.rate),
            start_ns=start_ns,
            rate=layout.rate,
            samples=values,
            clock=layout.clock or "unknown",
            meta=self._meta,
            wire_bytes=size,
        )

    def _time(self, fields: Mapping[str, Any]) -> tuple[int | None, Clock | None]:
        """Nanoseconds and who tells them, None and None where the object carries no time."""
        for key, unit_ns in _DEVICE_UNITS.items():
            if key in fields:
                _nanoseconds(fields[key], unit_ns)
                return to_ns(self._counter.unwrap(fields[key]), unit_ns), "device"
        value = fields.get("t", fields.get("time"))
        if value is None:
            return None, None
        if isinstance(value, str):
            return _iso_8601(value), "unknown"
        if _is_number(value) and value >= 1000 * _UTC_S:
            return _nanoseconds(value, 1_000_000), "unknown"
        time_ns = _nanoseconds(value, _NS)
        return time_ns, "unknown" if time_ns >= _UTC_S * _NS else "device"

    def _identity(self, fields: Mapping[str, Any]) -> tuple[str, str, str]:
        if self._declared.identity:
            return self._declared.identity
        network, station, location = NO_IDENTITY
        return (
            seed_name(fields.get("network")) or network,
            seed_name(fields.get("station")) or station,
            seed_name(fields.get("location")) or location,
        )


class Encoder:
    """Samples to one object with lists, ten a second, each on its own line.

    `rate`: 1 … 1000 Hz, else ValueError. Times are epoch seconds with six decimals.
    """

    def __init__(self, rate: float) -> None:
        if not 1 <= rate <= 1000:
            raise ValueError(f"NDJSON is not sent at {rate:g} Hz: use 1 … 1000")
        self.samples_per_packet = max(1, round(rate / 10))
        self._rate = rate

    def encode(self, start_ns: int, samples: NDArray[np.int32]) -> bytes:
        """One packet, as `firmware_bridge.wire.Encoder` says."""
        check_shape(samples, self.samples_per_packet)
        lists = (",".join(map(str, column)) for column in samples.T.tolist())
        columns = ",".join(f'"{key}":[{values}]' for key, values in zip("zne", lists, strict=True))
        return f'{{"t":{epoch_seconds(start_ns)},"rate":{self._rate:g},{columns}}}\n'.encode()


def epoch_seconds(time_ns: int) -> str:
    """UTC nanoseconds as decimal seconds, rounded to microseconds."""
    seconds, micros = divmod((time_ns + 500) // 1000, 1_000_000)
    return f"{seconds}.{micros:06d}"


def seed_name(value: object) -> str | None:
    """The name in capitals if it is one, else None."""
    name = value.upper() if isinstance(value, str) else ""
    return name if _NAME.fullmatch(name) else None


@lru_cache(maxsize=64)  # the same few keys all day
def _channel(key: str) -> re.Match[str] | None:
    return _CHANNEL.fullmatch(key.upper())


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _rate(fields: Mapping[str, Any], within: float) -> float | None:
    sent = next((fields[key] for key in ("rate", "sr", "fs") if key in fields), None)
    if sent is None:
        return None
    if not _is_number(sent) or not _RATE_LIMITS[0] <= sent <= _RATE_LIMITS[1]:
        raise ValueError("no sample rate")
    return snap_rate(sent, within=within)


def _is_sample(value: Any) -> bool:
    return _is_number(value) and INT32.start <= value < INT32.stop


def _iso_8601(text: str) -> int:
    when = datetime.fromisoformat(text)
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    time_ns = (when - _EPOCH) // timedelta(microseconds=1) * 1000
    if not 0 <= time_ns < _END_NS:
        raise ValueError("a time before 1970 or after 2100")
    return time_ns


def _nanoseconds(value: Any, unit_ns: int) -> int:
    if not _is_number(value) or not 0 <= value < _END_NS // unit_ns:
        raise ValueError("no time")
    return to_ns(value, unit_ns)
