"""OpenEEW sensors: JSON messages of one second of acceleration, as they are published over MQTT.

    {"traces": {"x": [...], "y": [...], "z": [...]}, "sr": 31.24, "device_id": "...", "user": "...",
     "network": "...", "station": "...", "device_t": 1700000001.024}

Samples are in gal (cm/s²), `sr` is the sample rate as measured, `device_t` the epoch seconds (from NTP) at
which the data end: taken as the time of the last sample. The older form has no rate and no time:

    {"d": {"device_id": "...", "traces": [{"x": ..., "y": ..., "z": ...}, ...]}}

Its samples are numbers or lists, and the parts follow one another. There is no checksum.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.json_objects import JsonObjects
from firmware_bridge.ndjson import epoch_seconds, seed_name
from firmware_bridge.packet import Packet, Stream, channel_codes
from firmware_bridge.samples import check_shape, snap_rate, stretch, to_ns
from firmware_bridge.stats import DecoderStats
from firmware_bridge.wire import NO_IDENTITY, Declared

RATES = (31.25, 125.0)
"""Sample rates of the sensors, in Hz."""
GAL_PER_COUNT = 1e-3
"""What the encoder makes of a count."""

_COMPONENTS = "ZXY"
_SAMPLES = {31.25: 32, 125.0: 125}
_RATE_LIMITS = (1.0, 10_000.0)
_LAST_S = 4e9
_NS = 1_000_000_000
_JITTER_NS = _NS // 10
_SMOOTHING = 8
_MOST_DEVICES = 256


class Decoder:
    """OpenEEW messages, one a line, end to end, or in other text, to packets; does no I/O.

    Channels are an accelerometer's Z, X, Y (SNZ, SNX, SNY at 31.25 Hz), samples float64, `meta["unit"]`
    "gal", `meta["device_id"]` what was sent, the clock "ntp". The first sample is placed (n - 1) / rate
    before `device_t`, which jitters, as the device reads it when it has made the message: an eighth of what
    a message is off the one before (up to 0.1 s) counts. The measured rate is one of `RATES` where it lies
    within 1 % of it. Without one, as in the older form, it is `declared.rate`.

    Names: `declared.identity`, else the message's network and station, else XX and the device id's first
    five letters and digits. What is no such message is skipped.
    """

    def __init__(self, declared: Declared = Declared()) -> None:
        self.stats = DecoderStats()
        self._declared = declared
        self._objects = JsonObjects()
        self._next_ns: dict[Stream, int] = {}

    def feed(self, data: bytes) -> list[Packet]:
        """Take the next bytes, cut anywhere, and return the packets they complete.

        Samples are float64 of shape (n, 3) in Z, X, Y order.
        """
        packets = []
        for found, size in self._objects.feed(data):
            try:
                packets.append(self._packet(found or {}, size))
            except ValueError:
                self.stats.skipped_bytes += size
        return packets

    def _packet(self, found: Mapping[str, Any], size: int) -> Packet:
        """ValueError where the object is damaged or something else."""
        inner = found.get("d")
        message = inner if isinstance(inner, dict) else found
        traces = message.get("traces")
        parts = traces if isinstance(traces, list) else [traces]
        samples = stretch([_joined(parts, letter.lower()) for letter in _COMPONENTS]).astype(np.float64)
        rate = self._rate(message)
        start_ns = _start_ns(message, len(samples), rate)
        stream = Stream(*self._identity(message), channel_codes(rate, "N", _COMPONENTS))
        if start_ns is not None and rate:
            start_ns = self._steady(stream, start_ns, len(samples), rate)
        self.stats.good_packets += 1
        device = message.get("device_id")
        return Packet(
            stream=stream,
            start_ns=start_ns,
            rate=rate,
            samples=samples,
            clock="unknown" if start_ns is None else "ntp",
            meta={"unit": "gal"} | ({"device_id": device} if isinstance(device, str) else {}),
            wire_bytes=size,
        )

    def _rate(self, message: Mapping[str, Any]) -> float | None:
        measured = message.get("sr")
        if measured is None:
            return self._declared.rate
        if type(measured) not in (int, float) or not _RATE_LIMITS[0] <= measured <= _RATE_LIMITS[1]:
            raise ValueError("no sample rate")
        return self._declared.rate or snap_rate(measured, RATES)

    def _steady(self, stream: Stream, start_ns: int, n: int, rate: float) -> int:
        """The start without most of its jitter: messages that follow one another are not torn apart by it."""
        due_ns = self._next_ns.get(stream, start_ns)
        off_ns = start_ns - due_ns
        if abs(off_ns) > _JITTER_NS:
            self.stats.time_jumps += 1
        else:
            start_ns = due_ns + off_ns // _SMOOTHING
        if len(self._next_ns) > _MOST_DEVICES:
            self._next_ns.clear()
        self._next_ns[stream] = start_ns + round(n * _NS / rate)
        return start_ns

    def _identity(self, message: Mapping[str, Any]) -> tuple[str, str, str]:
        if self._declared.identity:
            return self._declared.identity
        network, station, location = NO_IDENTITY
        device = message.get("device_id")
        letters = "".join(c for c in device if c.isascii() and c.isalnum()) if isinstance(device, str) else ""
        return (
            seed_name(message.get("network")) or network,
            seed_name(message.get("station")) or letters[:5].upper() or station,
            location,
        )


class Encoder:
    """Samples to messages of the newer form, one a second, each on its own line.

    `rate`: one of `RATES`, else ValueError. At 31.25 Hz a message has 32 samples (1.024 s). One count is
    0.001 gal; north goes out as x, east as y.
    """

    def __init__(self, rate: float) -> None:
        if rate not in RATES:
            raise ValueError(f"OpenEEW has no {rate:g} Hz: use 31.25 or 125")
        self.samples_per_packet = _SAMPLES[rate]
        self._rate = rate

    def encode(self, start_ns: int, samples: NDArray[np.int32]) -> bytes:
        """One message, as `firmware_bridge.wire.Encoder` says."""
        check_shape(samples, self.samples_per_packet)
        last_ns = start_ns + round((len(samples) - 1) * _NS / self._rate)
        lists = (
            ",".join(f"{value * GAL_PER_COUNT:.3f}" for value in column) for column in samples.T.tolist()
        )
        traces = ",".join(f'"{key}":[{values}]' for key, values in zip("zxy", lists, strict=True))
        message = (
            f'{{"traces":{{{traces}}},"sr":{self._rate:g},"device_id":"000000000000",'
            f'"device_t":{epoch_seconds(last_ns)}}}\n'
        )
        return message.encode()


def _joined(parts: list[Any], key: str) -> list[Any]:
    """One component of all parts, end to end; ValueError where there is none."""
    values: list[Any] = []
    for part in parts:
        if not isinstance(part, dict) or key not in part:
            raise ValueError("no traces x, y, z")
        values += part[key] if isinstance(part[key], list) else [part[key]]
    return values


def _start_ns(message: Mapping[str, Any], n: int, rate: float | None) -> int | None:
    """Time of the first sample, None where the message or its rate does not tell."""
    end_s = message.get("device_t")
    if end_s is None or rate is None:
        return None
    if type(end_s) not in (int, float) or not 0 < end_s < _LAST_S:
        raise ValueError("no time")
    return to_ns(end_s, _NS) - round((n - 1) * _NS / rate)
