"""The bridge protocol: its layout, what comes back from the wire, and what damage costs."""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from firmware_bridge import cobs
from firmware_bridge.bridge import Decoder, Encoder, encoder_at
from firmware_bridge.bridge_frames import (
    MOST_BODY_BYTES,
    MOST_FRAME_BYTES,
    TIME,
    UNITS,
    Channel,
    Hello,
    Status,
    Time,
    decode_data,
    decode_head,
    decode_hello,
    decode_status,
    decode_time,
    encode_data,
    encode_frame,
    encode_hello,
    encode_status,
    encode_time,
    most_samples,
)
from firmware_bridge.packet import Packet, TimeMark
from firmware_bridge.record import read_record
from firmware_bridge.stats import DecoderStats
from firmware_bridge.wire import Declared

Samples = NDArray[np.int32]

NS = 1_000_000_000
LOWEST, HIGHEST = -(1 << 31), (1 << 31) - 1
START_NS = 1_700_000_000 * NS
GEOPHONE = tuple(Channel(code, "m/s", 309_237_645, 1, 64) for code in ("EHZ", "EHN", "EHE"))
HELLO = Hello(7, 0x1A2B3C4D, 1_000_000, 100_000, "AM", "SHED", "00", GEOPHONE)
SAMPLES = np.array([[1, -2, 3], [10, 20, 30], [-100, 0, 7]], np.int32)
RECORD = Path(__file__).parents[3] / "shared/data/continuous/oklahoma_wilz/O2.WILZ.EH.20240203.mseed"


def payload_of(wire: bytes) -> bytes:
    """The payload of one frame, its delimiter and CRC checked here."""
    assert wire.count(0) == 1
    assert wire[-1] == 0
    body = cobs.decode(wire[:-1])
    assert struct.pack("<I", zlib.crc32(body[:-4])) == body[-4:]
    return body[:-4]


def frames(wire: bytes) -> list[bytes]:
    *parts, rest = wire.split(b"\x00")
    assert rest == b""
    return [part + b"\x00" for part in parts]


def frame_of(payload: bytes) -> bytes:
    return cobs.encode(payload + struct.pack("<I", zlib.crc32(payload))) + b"\x00"


def counts(seed: int, n: int, channels: int) -> Samples:
    """Samples from quiet to the whole int32 range, differently for each channel, its ends included."""
    rng = np.random.default_rng(seed)
    columns = []
    for _ in range(channels):
        limit = 1 << int(rng.integers(0, 32))
        column = rng.integers(-limit, limit, n)
        column[rng.integers(n)] = rng.choice([-limit, 0, limit - 1])
        columns.append(column)
    return np.stack(columns, axis=1).astype(np.int32)


def decode(*wires: bytes) -> tuple[list[Packet], DecoderStats]:
    decoder = Decoder()
    return [packet for wire in wires for packet in decoder.feed(wire)], decoder.stats


# Layout.


def test_hello_layout() -> None:
    hello = replace(HELLO, location="", channels=(Channel("HHZ", "m/s²", -5, -3, 2), Channel("HHN")))
    assert payload_of(encode_hello(513, hello)) == (
        b"\x10\x01\x02"
        b"\x07\x4d\x3c\x2b\x1a\x40\x42\x0f\x00\xa0\x86\x01\x00"
        b"AM\0\0\0\0\0\0SHED\0\0\0\0\0\0\0\0\0\0\0\0\x02"
        b"HHZ\x02\xfb\xff\xff\xff\xfd\x02"
        b"HHN\x00\x00\x00\x00\x00\x00\x00"
    )


def test_data_layout() -> None:
    z, n, e = [100, 103, 101, 101, 98], [-7] * 5, [0, -1, -1, -2, -2]
    assert payload_of(encode_data(1, 7, 0xFFFFFFFE, np.array([z, n, e], np.int32).T)) == (
        b"\x11\x01\x00"
        b"\x07\xfe\xff\xff\xff\x05"
        b"\x03\x64\x00\x00\x00\x33\x0a"  # 3, -2, 0, -3 as 110 011 000 101 from the low end
        b"\x00\xf9\xff\xff\xff"
        b"\x01\x00\x00\x00\x00\x05"  # -1, 0, -1, 0: a bit is enough
    )


def test_time_layout() -> None:
    wire = encode_time(65_535, Time(0x01020304, 1_700_000_000, 2, 9))
    assert payload_of(wire) == b"\x12\xff\xff\x04\x03\x02\x01\x00\xf1\x53\x65\x02\x09"


def test_status_layout() -> None:
    wire = encode_status(2, Status(-5.25, 12.3, 47.1234567, -122.5, 1500.25))
    assert payload_of(wire) == struct.pack("<BHhHiii", 0x13, 2, -525, 12300, 471234567, -1225000000, 150025)
    wire = encode_status(2, Status())
    assert payload_of(wire) == struct.pack("<BHhHiii", 0x13, 2, -32768, 0, LOWEST, LOWEST, LOWEST)


# Round trips.

letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
u8, u16, u32 = (st.integers(0, (1 << bits) - 1) for bits in (8, 16, 32))
i32 = st.integers(LOWEST, HIGHEST)
names = st.text(letters, min_size=1, max_size=8)


@st.composite
def hellos(draw: st.DrawFn) -> Hello:
    codes = draw(
        st.lists(st.text(letters, min_size=3, max_size=3), unique=True, min_size=1, max_size=8).filter(
            lambda codes: all(sum(b[:2] == a[:2] for b in codes) <= 3 for a in codes)
        )
    )
    channels = tuple(
        Channel(code, draw(st.sampled_from(UNITS)), draw(i32), draw(st.integers(-128, 127)), draw(u8))
        for code in codes
    )
    tick_hz, rate_mhz = draw(st.integers(1000, 0xFFFFFFFF)), draw(st.integers(1, 0xFFFFFFFF))
    location = draw(st.text(letters, max_size=8))
    return Hello(draw(u8), draw(u32), tick_hz, rate_mhz, draw(names), draw(names), location, channels)


@given(u16, hellos())
def test_hello_comes_back(sequence: int, hello: Hello) -> None:
    payload = payload_of(encode_hello(sequence, hello))
    assert decode_head(payload) == (1, 0, sequence)
    assert decode_hello(payload) == hello


@given(u16, u8, u32, st.integers(1, 8), st.integers(0), st.data())
def test_any_counts_come_back(
    sequence: int, config: int, tick: int, channels: int, seed: int, data: st.DataObject
) -> None:
    n = data.draw(st.integers(1, most_samples(channels)))
    samples = counts(seed, n, channels)
    payload = payload_of(encode_data(sequence, config, tick, samples))
    assert decode_head(payload) == (1, 1, sequence)
    assert payload[3] == config
    got_tick, got = decode_data(payload, channels)
    assert got_tick == tick
    assert got.dtype == np.int32
    assert np.array_equal(got, samples)


@given(st.lists(i32, min_size=1, max_size=60))
def test_differences_take_no_more_bits_than_they_must(values: list[int]) -> None:
    wire = payload_of(encode_data(1, 0, 0, np.array(values, np.int32)[:, None]))
    steps = [(b - a - LOWEST) % (1 << 32) + LOWEST for a, b in pairwise(values)]
    least = next(
        bits
        for bits in range(33)
        if all((-(1 << bits - 1) <= step < 1 << bits - 1) if bits else step == 0 for step in steps)
    )
    assert wire[9] == least
    assert len(wire) == 9 + 5 + (len(steps) * least + 7) // 8


@given(u16, u32, u32, u8, u8)
def test_time_comes_back(sequence: int, tick: int, utc_s: int, quality: int, satellites: int) -> None:
    time = Time(tick, utc_s, quality, satellites)
    assert decode_time(payload_of(encode_time(sequence, time))) == time


@given(
    st.none() | st.integers(-32767, 32767).map(lambda v: v / 100),
    st.none() | st.integers(1, 65535).map(lambda v: v / 1000),
    st.none() | st.integers(-900_000_000, 900_000_000).map(lambda v: v / 1e7),
    st.none() | st.integers(-1_800_000_000, 1_800_000_000).map(lambda v: v / 1e7),
    st.none() | st.integers(-1_100_000, 900_000).map(lambda v: v / 100),
)
def test_status_comes_back(
    temperature: float | None,
    voltage: float | None,
    latitude: float | None,
    longitude: float | None,
    elevation: float | None,
) -> None:
    status = Status(temperature, voltage, latitude, longitude, elevation)
    assert decode_status(payload_of(encode_status(9, status))) == status


@pytest.mark.parametrize("channels", range(1, 9))
def test_the_most_samples_of_a_frame_fit_whatever_they_are(channels: int) -> None:
    most = most_samples(channels)
    wild = np.where(np.arange(most) % 2, HIGHEST, 0).astype(np.int32)
    samples = np.repeat(wild[:, None], channels, axis=1)
    wire = encode_data(1, 0, 0, samples)
    assert len(wire) <= MOST_FRAME_BYTES
    assert np.array_equal(decode_data(payload_of(wire), channels)[1], samples)
    if most < 255:
        with pytest.raises(ValueError, match="fewer samples"):
            encode_data(1, 0, 0, np.vstack([samples, samples[-2:-1]]))


# What the protocol does not allow.


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"tick_hz": 999}, "tick_hz"),
        ({"rate_mhz": 0}, "rate_mhz"),
        ({"network": ""}, "network"),
        ({"station": "shed"}, "station"),
        ({"station": "LONGSTATION"}, "station"),
        ({"location": "0-"}, "location"),
        ({"channels": ()}, "0 channels"),
        ({"channels": tuple(Channel(f"H{k}Z") for k in range(9))}, "9 channels"),
        ({"channels": (Channel("EHZ"), Channel("EHZ"))}, "EHZ is there twice"),
        ({"channels": tuple(Channel(f"EH{k}") for k in range(4))}, "instrument EH"),
        ({"channels": (Channel("HZ"),)}, "channel 'HZ'"),
    ],
)
def test_a_hello_that_is_not_allowed_is_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        replace(HELLO, **change)


@pytest.mark.parametrize(
    ("place", "octets"),
    [
        (8, struct.pack("<I", 999)),  # tick_hz
        (12, bytes(4)),  # rate_mhz
        (16, bytes(8)),  # network
        (24, b"SH\0D\0\0\0\0"),  # station
        (32, b"\xff0\0\0\0\0\0\0"),  # location
        (40, b"\x00"),  # no channels
        (40, b"\x04"),  # more channels than there are
        (41, b"EHN"),  # the same channel again
    ],
)
def test_an_invalid_hello_is_skipped_and_the_one_before_stays(place: int, octets: bytes) -> None:
    payload = bytearray(payload_of(encode_hello(1, HELLO)))
    payload[place : place + len(octets)] = octets
    wrong = frame_of(bytes(payload))
    packets, stats = decode(encode_hello(0, HELLO), wrong, encode_data(2, 7, 0, SAMPLES))
    assert [packet.stream.channels for packet in packets] == [("EHZ", "EHN", "EHE")]
    assert stats == DecoderStats(good_packets=2, skipped_bytes=len(wrong))


@pytest.mark.parametrize(
    "encode",
    [
        lambda: encode_hello(65_536, HELLO),
        lambda: encode_hello(0, replace(HELLO, config=256)),
        lambda: encode_hello(0, replace(HELLO, channels=(Channel("EHZ", exponent=128),))),
        lambda: encode_data(0, 0, 1 << 32, SAMPLES),
        lambda: encode_data(0, 0, 0, np.zeros((256, 1), np.int32)),
        lambda: encode_data(0, 0, 0, np.zeros((0, 1), np.int32)),
        lambda: encode_data(0, 0, 0, SAMPLES.astype(np.int64)),
        lambda: encode_time(0, Time(0, -1, 2, 0)),
        lambda: encode_status(0, Status(temperature=400.0)),
        lambda: Channel("EHZ", "gal"),
    ],
)
def test_what_does_not_fit_is_refused(encode: Any) -> None:
    with pytest.raises(ValueError, match=r"fit|int32|unit"):
        encode()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda payload: payload[:-1],
        lambda payload: payload + b"\x00",
        lambda payload: payload[:8],
        lambda payload: payload[:8] + b"\x00",  # no samples
        lambda payload: payload[:8] + b"\x01" + b"\x21" + payload[10:14] * 3,  # 33 bits
    ],
)
def test_data_of_a_wrong_length_are_skipped(spoil: Any) -> None:
    wrong = frame_of(spoil(payload_of(encode_data(1, 7, 0, SAMPLES))))
    packets, stats = decode(encode_hello(0, HELLO), wrong, encode_data(2, 7, 0, SAMPLES))
    assert len(packets) == 1
    assert stats == DecoderStats(good_packets=2, skipped_bytes=len(wrong))


# Packets.


def test_a_packet_says_what_the_wire_said() -> None:
    wire = encode_data(3, 7, 2_500_000, SAMPLES)
    packets, stats = decode(
        encode_hello(0, HELLO),
        encode_status(1, Status(21.5, 12.0, 47.5, -122.25, 30.0)),
        encode_time(2, Time(2_000_000, 1_700_000_000, 2, 9)),
        wire,
    )
    (packet,) = packets
    assert packet.stream.station_id == "AM.SHED.00"
    assert packet.stream.channels == ("EHZ", "EHN", "EHE")
    assert packet.start_ns == 2_500_000_000
    assert packet.clock == "device"
    assert packet.rate == 100.0
    assert packet.samples.dtype == np.int32
    assert np.array_equal(packet.samples, SAMPLES)
    assert packet.wire_bytes == len(wire)
    assert packet.mark == TimeMark(2_000_000_000, START_NS, pytest.approx(2e-6))
    assert packet.meta == {
        "device_id": 0x1A2B3C4D,
        "unit": "m/s",
        "sensitivity": (3_092_376_450.0,) * 3,
        "gain": (64,) * 3,
        "temperature": 21.5,
        "voltage": 12.0,
        "latitude": 47.5,
        "longitude": -122.25,
        "elevation": 30.0,
        "satellites": 9,
        "gnss_quality": 2,
    }
    assert stats == DecoderStats(good_packets=4)


def test_what_is_unknown_is_not_told() -> None:
    channels = (Channel("EHZ"), Channel("HHZ", "m/s", 4, 2), Channel("HHN", "V", gain=3))
    hello = replace(HELLO, channels=channels)
    geophone, seismometer = decode(encode_hello(0, hello), encode_data(1, 7, 0, SAMPLES))[0]
    assert geophone.meta == {"device_id": 0x1A2B3C4D}
    assert seismometer.meta == {"device_id": 0x1A2B3C4D, "sensitivity": (400.0, None), "gain": (None, 3)}


def test_the_newest_known_value_stays() -> None:
    packets, _ = decode(
        encode_hello(0, HELLO),
        encode_status(1, Status(temperature=21.5, voltage=12.0)),
        encode_status(2, Status(temperature=22.0)),
        encode_data(3, 7, 0, SAMPLES),
    )
    assert packets[0].meta["temperature"] == 22.0
    assert packets[0].meta["voltage"] == 12.0


def test_the_operators_name_goes_first() -> None:
    decoder = Decoder(Declared(identity=("XX", "HERE", "")))
    (packet,) = decoder.feed(encode_hello(0, HELLO) + encode_data(1, 7, 0, SAMPLES))
    assert packet.stream.station_id == "XX.HERE."


def test_each_instrument_gets_its_packet_in_the_order_of_the_components() -> None:
    codes = ("ENE", "EH2", "ENZ", "EHU", "ENN", "EH1", "HDF")
    hello = replace(HELLO, channels=tuple(Channel(code) for code in codes))
    samples = np.arange(14, dtype=np.int32).reshape(2, 7)
    wire = encode_data(2, 7, 0, samples)
    packets, _ = decode(encode_hello(0, hello), encode_time(1, Time(0, 5, 2, 4)), wire)
    assert [packet.stream.channels for packet in packets] == [
        ("ENZ", "ENN", "ENE"), ("EH1", "EH2", "EHU"), ("HDF",)
    ]  # fmt: skip
    assert [packet.samples[0].tolist() for packet in packets] == [[2, 4, 0], [5, 1, 3], [6]]
    assert {packet.mark for packet in packets} == {TimeMark(0, 5 * NS, 2e-6)}
    assert {packet.wire_bytes for packet in packets} == {len(wire)}


def test_counts_that_fall_are_turned_over() -> None:
    channels = (Channel("EHZ", "m/s", -25, 3), Channel("EHN", "m/s", 25, 3), Channel("EHE", "m/s", -1, 0))
    samples = np.array([[LOWEST, LOWEST, 5], [HIGHEST, HIGHEST, -5], [1, 1, 0]], np.int32)
    hello = replace(HELLO, channels=channels)
    ((packet,), _) = decode(encode_hello(0, hello), encode_data(1, 7, 0, samples))
    assert packet.samples.tolist() == [[HIGHEST, LOWEST, -5], [-HIGHEST, HIGHEST, 5], [-1, 1, 0]]
    assert packet.meta["sensitivity"] == (25_000.0, 25_000.0, 1.0)


# Time.


@pytest.mark.parametrize("tick_hz", [1000, 32_768, 1_000_000, 84_000_000, 0xFFFFFFFF])
def test_ticks_wrap_unseen(tick_hz: int) -> None:
    first = (1 << 32) - tick_hz // 4
    wires = [encode_hello(0, replace(HELLO, tick_hz=tick_hz, rate_mhz=30_000))]
    for k in range(12):
        tick = first + k * tick_hz // 10
        wires.append(encode_time(2 * k + 1, Time((tick - 1) % (1 << 32), 100 + k, 2, 5)))
        wires.append(encode_data(2 * k + 2, 7, tick % (1 << 32), SAMPLES))
    packets, stats = decode(*wires)
    starts = [(first + k * tick_hz // 10) * NS // tick_hz for k in range(12)]
    assert [packet.start_ns for packet in packets] == starts
    assert [packet.mark for packet in packets] == [
        TimeMark((first + k * tick_hz // 10 - 1) * NS // tick_hz, (100 + k) * NS, 1e-6 + 1 / tick_hz)
        for k in range(12)
    ]
    assert stats.time_jumps == 0


@pytest.mark.parametrize(
    ("qualities", "mark"),
    [
        ((), None),
        ((0,), None),
        ((3,), None),
        ((1,), TimeMark(1_000_000, 50 * NS, 0.1)),
        ((2,), TimeMark(1_000_000, 50 * NS, 1e-6 + 1e-6)),
        ((2, 1, 0), TimeMark(2_000_000, 51 * NS, 0.1)),
        ((1, 2), TimeMark(2_000_000, 51 * NS, 1e-6 + 1e-6)),
    ],
)
def test_the_newest_usable_time_marks_one_packet(qualities: Sequence[int], mark: TimeMark | None) -> None:
    times = [
        encode_time(k, Time(1000 * k, 49 + k, quality, 3)) for k, quality in enumerate(qualities, start=1)
    ]
    data = [encode_data(4 + k, 7, 10_000 + 30_000 * k, SAMPLES) for k in range(2)]
    packets, _ = decode(encode_hello(0, HELLO), *times, *data)
    assert [packet.mark for packet in packets] == [mark, None]


def test_a_time_without_fix_does_not_disturb_the_clock() -> None:
    wires = [encode_hello(0, HELLO)]
    starts = [(1 << 31) - 45_000 + 30_000 * k for k in range(4)]
    for k, tick in enumerate(starts):
        wires += [encode_time(2 * k + 1, Time(0, 0, 0, 0)), encode_data(2 * k + 2, 7, tick, SAMPLES)]
    packets, stats = decode(*wires)
    assert [packet.start_ns for packet in packets] == [tick * 1000 for tick in starts]
    assert stats.time_jumps == 0


def test_a_restart_or_another_hello_ends_a_time_not_yet_used() -> None:
    time = encode_time(1, Time(0, 50, 2, 3))
    for hello in (encode_hello(0, HELLO), encode_hello(2, replace(HELLO, config=8, tick_hz=2_000_000))):
        config = decode_hello(payload_of(hello)).config
        packets, _ = decode(encode_hello(0, HELLO), time, hello, encode_data(3, config, 0, SAMPLES))
        assert packets[0].mark is None
    packets, _ = decode(encode_hello(0, HELLO), time, encode_hello(2, HELLO), encode_data(3, 7, 0, SAMPLES))
    assert packets[0].mark is not None


def test_a_jump_of_more_than_half_a_sample_is_counted_and_delivered() -> None:
    # Each packet is 30 ms long: in order, half a sample late, a microsecond later than that, back, lost one.
    starts = [0, 30_000, 65_000, 100_001, 60_000, 120_000]
    packets, stats = decode(
        encode_hello(0, HELLO), *(encode_data(k, 7, t, SAMPLES) for k, t in enumerate(starts, start=1))
    )
    assert [packet.start_ns for packet in packets] == [t * 1000 for t in starts]
    assert stats.time_jumps == 3


# Sequence and config.


@given(st.integers(1, 65_535), st.lists(st.booleans(), min_size=1, max_size=60))
def test_lost_frames_are_counted_exactly(first: int, kept: list[bool]) -> None:
    sequences = [(first + k - 1) % 65_535 + 1 for k in range(len(kept) + 2)]
    wires = [encode_time(sequence, Time(0, 0, 0, 0)) for sequence in sequences]
    received = [wires[0], *(wire for wire, keep in zip(wires[1:], kept, strict=False) if keep), wires[-1]]
    _, stats = decode(*received)
    assert stats.lost_packets == kept.count(False)
    assert stats.good_packets == len(received)


@pytest.mark.parametrize(
    ("sequences", "lost"),
    [
        ((0, 1, 2), 0),
        ((0, 2), 1),
        ((65_534, 65_535, 1, 2), 0),
        ((65_534, 2), 2),
        ((500, 0, 1), 0),  # switched on again
        ((500, 0, 3), 2),
        ((1, 32_769), 32_767),
        ((500, 500, 501), 0),  # a datagram twice
        ((500, 3, 4), 0),  # switched on again, first hello lost
    ],
)
def test_steps_of_the_sequence(sequences: tuple[int, ...], lost: int) -> None:
    _, stats = decode(*(encode_hello(sequence, HELLO) for sequence in sequences))
    assert stats.lost_packets == lost


def test_data_wait_for_the_hello_that_describes_them() -> None:
    one, other = HELLO, replace(HELLO, config=8, channels=HELLO.channels[:2])
    narrow = SAMPLES[:, :2]
    wires = [
        encode_data(1, 7, 0, SAMPLES),  # nothing known yet
        encode_hello(2, one),
        encode_data(3, 7, 0, SAMPLES),
        encode_data(4, 8, 0, narrow),  # its hello was lost
        encode_hello(6, other),
        encode_data(7, 8, 0, narrow),
        encode_data(8, 7, 0, SAMPLES),
    ]
    packets, stats = decode(*wires)
    assert [packet.samples.tolist() for packet in packets] == [SAMPLES.tolist(), narrow.tolist()]
    assert stats.skipped_bytes == sum(len(wires[k]) for k in (0, 3, 6))
    assert stats.good_packets == 7
    assert stats.lost_packets == 1


# What newer firmware may send.


def test_unknown_types_are_skipped_but_count_in_the_sequence() -> None:
    unknown = encode_frame(9, 2, b"something new")
    packets, stats = decode(encode_hello(1, HELLO), unknown, encode_data(3, 7, 0, SAMPLES))
    assert len(packets) == 1
    assert stats == DecoderStats(good_packets=2, skipped_bytes=len(unknown))


def test_other_versions_are_skipped() -> None:
    payload = payload_of(encode_data(40_000, 7, 0, SAMPLES))
    newer = frame_of(b"\x21" + payload[1:])
    packets, stats = decode(encode_hello(1, HELLO), newer, encode_data(2, 7, 0, SAMPLES))
    assert len(packets) == 1
    assert stats == DecoderStats(good_packets=2, skipped_bytes=len(newer))


def test_trailing_bytes_and_unknown_units_are_ignored() -> None:
    hello = bytearray(payload_of(encode_hello(0, HELLO)) + b"\x00more")
    hello[44] = 77  # the unit of EHZ
    time = payload_of(encode_time(1, Time(5, 50, 1, 3))) + b"more"
    status = payload_of(encode_status(2, Status(temperature=3.0))) + b"\xff"
    packets, stats = decode(
        frame_of(bytes(hello)), frame_of(time), frame_of(status), encode_data(3, 7, 0, SAMPLES)
    )
    assert packets[0].meta["temperature"] == 3.0
    assert "unit" not in packets[0].meta
    assert packets[0].mark == TimeMark(5000, 50 * NS, 0.1)
    assert stats == DecoderStats(good_packets=4)


# Damage.


@given(st.integers(0), st.integers(1, 255), st.integers(0))
def test_a_changed_byte_costs_one_frame(place: int, change: int, seed: int) -> None:
    first, hit, last = (encode_data(k, 7, 30_000 * k, counts(seed + k, 3, 3)) for k in (1, 2, 3))
    place %= len(hit) - 1  # not the delimiter
    damaged = bytearray(hit)
    damaged[place] ^= change
    packets, stats = decode(encode_hello(0, HELLO), first, bytes(damaged), last)
    assert [packet.start_ns for packet in packets] == [30_000_000, 90_000_000]
    assert stats.good_packets == 3
    assert stats.skipped_bytes == len(hit)
    assert stats.lost_packets == 1
    assert stats.time_jumps == 1


def test_a_lost_delimiter_costs_the_two_frames_beside_it() -> None:
    wires = [encode_data(k, 7, 30_000 * k, SAMPLES) for k in range(1, 5)]
    packets, stats = decode(encode_hello(0, HELLO), wires[0], wires[1][:-1], *wires[2:])
    assert [packet.start_ns for packet in packets] == [30_000_000, 120_000_000]
    assert stats.skipped_bytes == len(wires[1]) - 1 + len(wires[2])
    assert stats.lost_packets == 2


def test_a_wrong_checksum_is_told_from_other_damage() -> None:
    wire = bytearray(encode_time(1, Time(0x01010101, 0x01010101, 1, 1)))
    wire[-2] ^= 0x80  # within the CRC
    assert decode(bytes(wire))[1] == DecoderStats(bad_checksums=1, skipped_bytes=len(wire))
    assert decode(b"\x30cut\x00")[1] == DecoderStats(skipped_bytes=5)


def test_zeros_between_frames_do_no_harm() -> None:
    packets, stats = decode(b"\x00", encode_hello(0, HELLO), b"\x00\x00", encode_data(1, 7, 0, SAMPLES))
    assert len(packets) == 1
    assert stats == DecoderStats(good_packets=2, skipped_bytes=3)


@given(st.integers(MOST_FRAME_BYTES, 3 * MOST_FRAME_BYTES), st.integers(1, 3000))
def test_a_run_longer_than_any_frame_is_dropped(length: int, cut: int) -> None:
    run = b"\x55" * length
    decoder = Decoder()
    for start in range(0, length, cut):
        assert decoder.feed(run[start : start + cut]) == []
    assert decoder.stats.skipped_bytes == length
    # What follows up to the delimiter belongs to the run, however much it looks like a frame.
    decoder.feed(encode_hello(0, HELLO))
    assert decoder.stats.good_packets == 0
    (packet,) = decoder.feed(encode_hello(0, HELLO) + encode_data(1, 7, 0, SAMPLES))
    assert np.array_equal(packet.samples, SAMPLES)


def test_the_longest_frame_is_taken_and_no_longer_one() -> None:
    content = bytes(k % 255 + 1 for k in range(MOST_BODY_BYTES - 3 - 4))
    wire = encode_frame(TIME, 1, content)
    assert len(cobs.decode(wire[:-1])) == MOST_BODY_BYTES
    assert decode(wire)[1] == DecoderStats(good_packets=1)
    longer = frame_of(payload_of(wire) + b"\x01")
    assert decode(longer)[1] == DecoderStats(skipped_bytes=len(longer))
    with pytest.raises(ValueError, match="2049 bytes"):
        encode_frame(TIME, 1, content + b"\x01")


# Encoder.


def kinds(wire: bytes) -> list[int]:
    return [decode_head(payload_of(frame))[1] for frame in frames(wire)]


def test_the_encoder_sends_what_is_due() -> None:
    encoder = Encoder(HELLO, 25, Status(temperature=20.0))
    zeros = np.zeros((25, 3), np.int32)
    sent = [encoder.encode(START_NS + 500_000_000 + k * NS // 4, zeros) for k in range(50)]
    assert {k for k, wire in enumerate(sent) if 0 in kinds(wire)} == {0, 8, 16, 24, 32, 40, 48}
    assert {k for k, wire in enumerate(sent) if 2 in kinds(wire)} == set(range(2, 50, 4))
    assert {k for k, wire in enumerate(sent) if 3 in kinds(wire)} == {0, 40}
    assert all(kinds(wire)[-1] == 1 for wire in sent)
    sequences = [decode_head(payload_of(frame))[2] for wire in sent for frame in frames(wire)]
    assert sequences == list(range(len(sequences)))


def test_marks_tie_the_encoders_clock_to_utc() -> None:
    encoder = Encoder(HELLO, 10)
    zeros = np.zeros((10, 3), np.int32)
    starts = [START_NS + 730_000_000 + k * NS // 10 for k in range(40)]
    packets, stats = decode(*(encoder.encode(start, zeros) for start in starts))
    marks = [packet.mark for packet in packets if packet.mark]
    assert len(marks) == 4
    for start, packet in zip(starts, packets, strict=True):
        assert packet.start_ns is not None
        for mark in marks:
            assert packet.start_ns - mark.device_ns + mark.utc_ns == start
    assert stats.time_jumps == 0


@given(hellos(), st.integers(0), st.data())
def test_what_is_encoded_is_decoded(hello: Hello, seed: int, data: st.DataObject) -> None:
    assume(hello.rate_mhz < hello.tick_hz)  # else ticks are too coarse to tell samples apart
    n = data.draw(st.integers(1, min(most_samples(len(hello.channels)), 40)))
    encoder = Encoder(hello, n)
    length_ns = n * 1000 * NS // hello.rate_mhz
    assume(length_ns < 20 * NS)  # an encoder sends a time frame for every second
    made = [counts(seed + k, n, len(hello.channels)) for k in range(5)]
    packets, stats = decode(
        *(encoder.encode(START_NS + k * length_ns, samples) for k, samples in enumerate(made))
    )
    assert stats.skipped_bytes == stats.lost_packets == stats.bad_checksums == 0
    place = {channel.code: k for k, channel in enumerate(hello.channels)}
    assert sorted(code for packet in packets[: len(packets) // 5] for code in packet.stream.channels) == (
        sorted(place)
    )
    for code, k in place.items():
        sign = -1 if hello.channels[k].mantissa < 0 else 1
        got = [
            packet.samples[:, packet.stream.channels.index(code)]
            for packet in packets
            if code in packet.stream.channels
        ]
        sent = np.concatenate(made)[:, k].astype(np.int64)
        assert np.array_equal(np.concatenate(got), np.minimum(sign * sent, HIGHEST))


def test_a_replay_set_back_goes_on() -> None:
    encoder = Encoder(HELLO, 3)
    wires = [encoder.encode(start, SAMPLES) for start in (START_NS, START_NS - 3600 * NS)]
    packets, stats = decode(*wires)
    assert len(packets) == 2
    assert stats.time_jumps == 1
    assert 0 in kinds(wires[1])


def test_the_sequence_goes_round_without_zero() -> None:
    slow = replace(HELLO, rate_mhz=1, channels=HELLO.channels[:1])
    wire = Encoder(slow, 66).encode(
        START_NS, np.zeros((66, 1), np.int32)
    )  # a time frame for each of 66,000 s
    sequences = [decode_head(payload_of(frame))[2] for frame in frames(wire)]
    assert sequences == [0, *range(1, 65_536), *range(1, len(sequences) - 65_535)]
    assert decode(wire)[1] == DecoderStats(good_packets=66_002)


@pytest.mark.parametrize("samples", [SAMPLES[:2], SAMPLES[:, :2], SAMPLES.astype(np.float64)])
def test_the_encoder_refuses_other_shapes_and_types(samples: Any) -> None:
    with pytest.raises(ValueError, match=r"shape|int32"):
        Encoder(HELLO, 3).encode(START_NS, samples)


@pytest.mark.parametrize("size", [0, 170])
def test_the_encoder_refuses_packets_no_frame_may_hold(size: int) -> None:
    with pytest.raises(ValueError, match="give 1 to 169"):
        Encoder(HELLO, size)


@pytest.mark.parametrize(
    ("rate", "size"), [(0.5, 1), (1.0, 1), (31.25, 3), (100.0, 10), (250.0, 25), (1000.0, 100), (4000.0, 169)]
)
def test_encoder_at_any_rate(rate: float, size: int) -> None:
    encoder = encoder_at(rate)
    assert encoder.samples_per_packet == size
    samples = counts(1, size, 3)
    ((packet,), _) = decode(encoder.encode(START_NS, samples))
    assert packet.rate == rate
    assert np.array_equal(packet.samples, samples)


@pytest.mark.parametrize("rate", [0.0, -100.0, 100 / 3, 5e6])
def test_encoder_at_refuses_rates_the_hello_cannot_say(rate: float) -> None:
    with pytest.raises(ValueError, match=r"millihertz"):
        encoder_at(rate)


@pytest.mark.skipif(not RECORD.exists(), reason="real records lie outside the project, in ../shared")
def test_ten_minutes_of_ground_motion_come_back() -> None:
    record = read_record([RECORD])
    samples = record.samples[:60_000]
    encoder = encoder_at(record.rate)
    size = encoder.samples_per_packet
    packets, stats = decode(
        *(
            encoder.encode(record.start_ns + k * NS // 10, samples[k * size : (k + 1) * size])
            for k in range(len(samples) // size)
        )
    )
    assert np.array_equal(np.concatenate([packet.samples for packet in packets]), samples)
    assert stats.time_jumps == stats.skipped_bytes == stats.lost_packets == 0
    assert sum(packet.wire_bytes for packet in packets) < 3 * samples.size  # 24 bits a sample, unpacked


def test_a_restart_late_in_a_turn_of_the_ticks_does_not_leap_ahead() -> None:
    """50 minutes after power-on a tick near 0 looks nearer ahead than behind."""
    late = 3_000_000_000
    wires = [encode_hello(0, HELLO), encode_data(1, 7, late, SAMPLES), encode_hello(0, HELLO)]
    first, second = decode(*wires, encode_data(1, 7, 5_000, SAMPLES))[0]
    assert first.start_ns is not None
    assert second.start_ns is not None
    assert second.start_ns < first.start_ns


def test_frames_that_overtook_one_another_are_not_lost() -> None:
    _, stats = decode(*(encode_hello(sequence, HELLO) for sequence in (0, 1, 3, 2, 4, 6, 7, 5, 5, 8)))
    assert stats.lost_packets == 0
