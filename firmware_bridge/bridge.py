"""The edge-pick bridge protocol, version 1: for firmware of one's own; both ways.

One direction, nothing acknowledged. A hello says what the device is, data frames carry samples on the
device's free-running clock, time frames tie that clock to UTC, status frames carry its health.
docs/bridge-protocol.md is the specification, `bridge_frames` has the frames themselves.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firmware_bridge import cobs
from firmware_bridge.bridge_frames import (
    DATA,
    FROM_MESSAGES,
    HELLO,
    MOST_FRAME_BYTES,
    PPS,
    STATUS,
    TIME,
    VERSION,
    Channel,
    Hello,
    Status,
    Time,
    checked_payload,
    decode_config,
    decode_data,
    decode_head,
    decode_hello,
    decode_status,
    decode_time,
    encode_data,
    encode_hello,
    encode_status,
    encode_time,
    most_samples,
)
from firmware_bridge.packet import Packet, Stream, TimeMark, channel_codes, component_rank
from firmware_bridge.stats import DecoderStats
from firmware_bridge.wire import NO_IDENTITY, Declared

_NS = 1_000_000_000
_SEQUENCES = 65_535  # 1 … 65,535; 0 is the first frame after power-on alone
_STRAGGLERS = 16
_WRAP = 1 << 32  # of the device clock
_LARGEST = (1 << 31) - 1
_SIGMA_S = {FROM_MESSAGES: 0.1, PPS: 1e-6}  # by quality; a PPS edge is also no finer than a tick
_HELLO_EVERY_NS = 2 * _NS
_STATUS_EVERY_NS = 10 * _NS
_TICK_HZ = 1_000_000
_SATELLITES = 8


@dataclass(frozen=True, slots=True)
class _Instrument:
    """What every packet of one instrument has in common; `columns`: its channels among those of the hello."""

    stream: Stream
    columns: list[int]
    meta: dict[str, Any]


class Decoder:
    """Bytes of the bridge protocol to packets (`wire.Decoder`).

    One packet per data frame and instrument (the first two letters of the channel code), channels in Z, N, E
    order, int32 counts that grow when the ground moves up, north or east. `declared.identity` goes before
    the names in the hello; the rest of `declared` is not needed.

    `start_ns` is the device clock in nanoseconds, unwrapped from its 32 bits, from an arbitrary origin;
    `clock` is "device". `mark` is the newest time frame with a fix since the data frame before. `meta` holds
    the newest known of device_id, temperature (°C), voltage (V), latitude and longitude (degrees),
    elevation (m), satellites, gnss_quality, and of the instrument: sensitivity (counts per unit) and gain,
    tuples with one value per channel, None where unknown, and the sensitivities' unit where they agree.
    `wire_bytes` is the length of the whole data frame.

    In `stats`, `skipped_bytes` are those of damaged and empty frames, of data without its hello (which count
    as good packets all the same) and of types and versions not known here. A sequence number that steps back
    (a repeated or late datagram, or a restart whose first hello was lost) tells of no lost frames.
    No more than one frame of the longest size (2,058 bytes) is ever held back.
    """

    def __init__(self, declared: Declared = Declared()) -> None:
        self.stats = DecoderStats()
        self._identity = declared.identity
        self._held = b""
        self._overlong = False  # within a run without a delimiter that is longer than any frame
        self._sequence: int | None = None
        self._missing: set[int] = set()  # the frames counted as lost last, which may only be late
        self._hello: Hello | None = None
        self._instruments: list[_Instrument] = []
        self._falling: list[int] = []  # columns whose counts fall when the ground moves up
        self._ticks: int | None = None  # unwrapped, of the last data frame or usable time frame
        self._next_ns: int | None = None
        self._time: tuple[int, Time] | None = None  # unwrapped tick; newest usable since the last data frame
        self._health: dict[str, Any] = {}

    def feed(self, data: bytes) -> list[Packet]:
        """Take the next bytes, cut anywhere, and return the packets that they complete, in wire order."""
        packets: list[Packet] = []
        *ends, rest = data.split(b"\x00")
        for end in ends:
            frame = self._held + end
            self._held = b""
            if self._overlong or len(frame) >= MOST_FRAME_BYTES:
                self._overlong = False
                self.stats.skipped_bytes += len(frame) + 1
                continue
            try:
                packets += self._take(frame)
                self.stats.good_packets += 1
            except ValueError:
                self.stats.skipped_bytes += len(frame) + 1
        self._held += rest
        if self._overlong or len(self._held) >= MOST_FRAME_BYTES:
            self._overlong = True
            self.stats.skipped_bytes += len(self._held)
            self._held = b""
        return packets

    def _take(self, frame: bytes) -> list[Packet]:
        """The packets of one frame, given without its delimiter; ValueError if it is of no use."""
        payload = checked_payload(cobs.decode(frame))
        if payload is None:
            self.stats.bad_checksums += 1
            raise ValueError("wrong CRC")
        version, kind, sequence = decode_head(payload)
        if version != VERSION:
            raise ValueError(f"version {version}")
        self._count_lost(sequence)
        if kind == HELLO:
            self._take_hello(decode_hello(payload), restarted=sequence == 0)
        elif kind == DATA:
            return self._packets(payload, len(frame) + 1)
        elif kind == TIME:
            self._take_time(decode_time(payload))
        elif kind == STATUS:
            self._take_status(decode_status(payload))
        else:
            raise ValueError(f"type {kind}")
        return []

    def _count_lost(self, sequence: int) -> None:
        before, self._sequence = self._sequence, sequence
        if before is None or sequence == 0:
            return
        missing = (sequence - before % _SEQUENCES - 1) % _SEQUENCES
        if missing >= _SEQUENCES - _STRAGGLERS:  # it comes late, or twice
            self._sequence = before
            self.stats.lost_packets -= sequence in self._missing
            self._missing.discard(sequence)
        elif 0 < missing <= _SEQUENCES // 2:
            self.stats.lost_packets += missing
            self._missing = {
                (before + k) % _SEQUENCES or _SEQUENCES for k in range(1, min(missing, _STRAGGLERS) + 1)
            }

    def _take_hello(self, hello: Hello, *, restarted: bool) -> None:
        if restarted or hello != self._hello:
            self._time = self._ticks = None  # they told of a clock that may be another now
        if hello == self._hello:
            return
        self._hello = hello
        self._falling = [k for k, channel in enumerate(hello.channels) if channel.mantissa < 0]
        identity = self._identity or (hello.network, hello.station, hello.location)
        by_code: dict[str, list[int]] = {}
        for k, channel in enumerate(hello.channels):
            by_code.setdefault(channel.code[:2], []).append(k)
        self._instruments = [_instrument(identity, hello, columns) for columns in by_code.values()]

    def _take_time(self, time: Time) -> None:
        self._health |= {"satellites": time.satellites, "gnss_quality": time.quality}
        if time.quality in _SIGMA_S:
            self._time = self._unwrap(time.tick), time

    def _take_status(self, status: Status) -> None:
        self._health |= {name: value for name, value in asdict(status).items() if value is not None}

    def _packets(self, payload: bytes, wire_bytes: int) -> list[Packet]:
        hello = self._hello
        if hello is None or decode_config(payload) != hello.config:
            self.stats.skipped_bytes += wire_bytes
            return []
        tick, samples = decode_data(payload, len(hello.channels))
        start_ns = self._unwrap(tick) * _NS // hello.tick_hz
        self._count_jump(start_ns, len(samples), hello.rate_mhz)
        # -2**31 has no opposite: it becomes the largest there is.
        samples[:, self._falling] = -np.maximum(samples[:, self._falling], -_LARGEST)
        mark = self._mark(hello.tick_hz)
        return [
            Packet(
                stream=instrument.stream,
                start_ns=start_ns,
                rate=hello.rate_mhz / 1000,
                samples=samples[:, instrument.columns],
                clock="device",
                meta=self._health | instrument.meta,
                mark=mark,
                wire_bytes=wire_bytes,
            )
            for instrument in self._instruments
        ]

    def _unwrap(self, tick: int) -> int:
        if self._ticks is None:
            self._ticks = tick
        self._ticks += (tick - self._ticks + _WRAP // 2) % _WRAP - _WRAP // 2
        return self._ticks

    def _count_jump(self, start_ns: int, n: int, rate_mhz: int) -> None:
        if self._next_ns is not None and abs(start_ns - self._next_ns) * 2 * rate_mhz > 1000 * _NS:
            self.stats.time_jumps += 1
        self._next_ns = start_ns + n * 1000 * _NS // rate_mhz

    def _mark(self, tick_hz: int) -> TimeMark | None:
        """The newest time frame as a mark, once."""
        if self._time is None:
            return None
        ticks, time = self._time
        self._time = None
        sigma_s = _SIGMA_S[time.quality] + (1 / tick_hz if time.quality == PPS else 0.0)
        return TimeMark(ticks * _NS // tick_hz, time.utc_s * _NS, sigma_s)


class Encoder:
    """Samples to bytes of the bridge protocol, as a firmware sends them (`wire.Encoder`).

    `hello`: the device. `samples_per_packet`: per channel and data frame. `status`: its health, if it knows
    it. The device is switched on with the first sample, and a PPS edge comes with every full second.
    Raises ValueError where a frame could not hold the samples if their differences took all 32 bits.
    """

    def __init__(self, hello: Hello, samples_per_packet: int, status: Status | None = None) -> None:
        most = most_samples(len(hello.channels))
        if not 1 <= samples_per_packet <= most:
            raise ValueError(f"{samples_per_packet} samples per packet: give 1 to {most}")
        self.samples_per_packet = samples_per_packet
        self._hello = hello
        self._status = status
        self._sequence = 0
        self._origin_ns: int | None = None
        self._hello_ns: int | None = None
        self._status_ns: int | None = None

    def encode(self, start_ns: int, samples: NDArray[np.int32]) -> bytes:
        """The frames that are due with one packet: hello, time, status, then the data.

        `start_ns`: UTC of the first sample. `samples`: int32 of shape (samples_per_packet, channels), in the
        order of the hello. A hello goes first of all and then every 2 s, a status every 10 s, the time of
        every PPS edge from the first sample on and before the next packet's. Raises ValueError for samples
        of another shape or type.
        """
        expected = (self.samples_per_packet, len(self._hello.channels))
        if samples.shape != expected:
            raise ValueError(f"one packet takes samples of shape {expected}, got {samples.shape}")
        if self._origin_ns is None:
            self._origin_ns = start_ns
        end_ns = start_ns + self.samples_per_packet * 1000 * _NS // self._hello.rate_mhz
        frames = []
        if _due(start_ns, self._hello_ns, _HELLO_EVERY_NS):
            self._hello_ns = start_ns
            frames.append(encode_hello(self._next_sequence(), self._hello))
        for second in range(-(-start_ns // _NS), -(-end_ns // _NS)):
            time = Time(self._tick(second * _NS - self._origin_ns), second, PPS, _SATELLITES)
            frames.append(encode_time(self._next_sequence(), time))
        if self._status is not None and _due(start_ns, self._status_ns, _STATUS_EVERY_NS):
            self._status_ns = start_ns
            frames.append(encode_status(self._next_sequence(), self._status))
        tick = self._tick(start_ns - self._origin_ns)
        frames.append(encode_data(self._next_sequence(), self._hello.config, tick, samples))
        return b"".join(frames)

    def _tick(self, since_start_ns: int) -> int:
        return since_start_ns * self._hello.tick_hz // _NS % _WRAP

    def _next_sequence(self) -> int:
        sequence = self._sequence
        self._sequence = sequence % _SEQUENCES + 1
        return sequence


def encoder_at(rate: float) -> Encoder:
    """A nameless three-component digitizer with a 1 MHz clock that sends ten data frames a second, or as
    many as it must. `rate`: samples per second, whole millihertz; ValueError for others.
    """
    rate_mhz = round(rate * 1000)
    if rate_mhz / 1000 != rate:
        raise ValueError(f"the bridge protocol has rates in whole millihertz: {rate:g} Hz is none")
    channels = tuple(Channel(code) for code in channel_codes(rate, "H", "ZNE"))
    samples = min(max(round(rate / 10), 1), most_samples(len(channels)))
    return Encoder(Hello(0, 0, _TICK_HZ, rate_mhz, *NO_IDENTITY, channels), samples)


def _due(now_ns: int, last_ns: int | None, every_ns: int) -> bool:
    return last_ns is None or not 0 <= now_ns - last_ns < every_ns


def _instrument(identity: tuple[str, str, str], hello: Hello, columns: list[int]) -> _Instrument:
    columns = sorted(columns, key=lambda k: component_rank(hello.channels[k].code))
    channels = [hello.channels[k] for k in columns]
    meta: dict[str, Any] = {"device_id": hello.device_id}
    units = {channel.unit for channel in channels}
    sensitivity = tuple(channel.sensitivity for channel in channels)
    if any(sensitivity):
        meta["sensitivity"] = sensitivity
        if len(units) == 1 and units != {""}:
            (meta["unit"],) = units
    gain = tuple(channel.gain or None for channel in channels)
    if any(gain):
        meta["gain"] = gain
    return _Instrument(Stream(*identity, tuple(channel.code for channel in channels)), columns, meta)
