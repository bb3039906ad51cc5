"""OpenEEW sensors: JSON messages of one second of acceleration, as they are published over MQTT.

    {"traces": {"x": [...], "y": [...], "z": [...]}, "sr": 31.24, "device_id": "...", "user": "...",
     "network": "...", "station": "...", "device_t": 1700000001.024}

Samples are in gal (cm/s²), `sr` is the sample rate as measured, `device_t` the epoch seconds (from NTP) at
which the data end: taken as the time of the last sample. The older form has no rate and no time:

    {"d": {"device_id": "...", "traces": [{"x": ..., "y": ..., "z": ...}, ...]}}

Its samples are numbers or lists, and the parts follow one another. There is no checksum.
"""

from collections.abc import Mapping
from dataclasses import dataclass
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
_SNAP = 0.001
_SAME_RATE = 0.002  # a quarter of a sample in a message of 125: no gap
_ANOTHER_RATE = 0.02
_MOST_DEVICES = 256


@dataclass(slots=True)
class _Device:
    """What one device keeps from message to message.

    `rate`: of its packets, Hz. `measured`: what its messages say, smoothed. `next_ns`: when the next message
    is due to begin, None without times.
    """

    rate: float
    measured: float
    next_ns: int | None = None


class Decoder:
    """OpenEEW messages, one a line, end to end, or in other text, to packets; does no I/O.

    Channels are an accelerometer's Z, X, Y (SNZ, SNX, SNY at 31.25 Hz), samples float64, `meta["unit"]`
    "gal", `meta["device_id"]` what was sent, the clock "ntp". The first sample is placed (n - 1) / sr
    before `device_t`, which jitters, as the device reads it when it has made the message: an eighth of what
    a message is off the one before (up to 0.1 s) counts. So does an eighth of a change of `sr` (up to 2 %).
    The packets' rate is the one of `RATES` within 0.1 % of that, else that to 0.01 Hz, and stays the same
    while the two differ by less than 0.2 %. `declared.rate` goes before `sr`, and is all there is in the
    older form.

    Names: `declared.identity`, else the message's network and station, else XX and the device id's first
    five letters and digits. What is no such message is skipped.
    """

    def __init__(self, declared: Declared = Declared()) -> None:
        self.stats = DecoderStats()
        self._declared = declared
        self._objects = JsonObjects()
        self._devices: dict[Stream, _Device] = {}

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
        sent = _measured(message)
        measured = self._declared.rate or sent
        end_ns = _end_ns(message)
        stream = Stream(*self._identity(message), channel_codes(measured, "N", _COMPONENTS))
        rate, start_ns = None, None
        if measured is not None:
            rate, start_ns = self._follow(stream, measured, len(samples), end_ns)
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

    def _follow(
        self, stream: Stream, measured: float, n: int, end_ns: int | None
    ) -> tuple[float, int | None]:
        """Rate and start without most of their jitter: it shall not tear apart what follows one another."""
        if len(self._devices) > _MOST_DEVICES:
            self._devices.clear()
        device = self._devices.setdefault(stream, _Device(self._nominal(measured), measured))
        change = measured - device.measured
        set_up_anew = abs(change) > _ANOTHER_RATE * device.measured
        device.measured += change if set_up_anew else change / _SMOOTHING
        if abs(device.measured / device.rate - 1) > _SAME_RATE:
            device.rate = self._nominal(device.measured)
        if end_ns is None:
            return device.rate, None
        start_ns = end_ns - round((n - 1) * _NS / device.measured)
        off_ns = 0 if device.next_ns is None else start_ns - device.next_ns
        if abs(off_ns) > _JITTER_NS:
            self.stats.time_jumps += 1
        else:
            start_ns += off_ns // _SMOOTHING - off_ns
        device.next_ns = start_ns + round(n * _NS / device.measured)
        return device.rate, start_ns

    def _nominal(self, measured: float) -> float:
        return self._declared.rate or snap_rate(measured, RATES, _SNAP)

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


def _measured(message: Mapping[str, Any]) -> float | None:
    """The rate that the message tells, Hz; ValueError where that can be none."""
    sent = message.get("sr")
    if sent is None:
        return None
    if type(sent) not in (int, float) or not _RATE_LIMITS[0] <= sent <= _RATE_LIMITS[1]:
        raise ValueError("no sample rate")
    return float(sent)


def _end_ns(message: Mapping[str, Any]) -> int | None:
    """Time of the last sample, None where the message does not tell."""
    end_s = message.get("device_t")
    if end_s is None:
        return None
    if type(end_s) not in (int, float) or not 0 < end_s < _LAST_S:
        raise ValueError("no time")
    return to_ns(end_s, _NS)
