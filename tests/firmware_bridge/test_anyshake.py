"""AnyShake v3: the published layout both ways, and what damage on the line may and may not do."""

import struct
from functools import reduce
from operator import xor
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from firmware_bridge.anyshake import INTERVALS_MS, RATES, Decoder, Encoder
from firmware_bridge.packet import Packet
from firmware_bridge.wire import Declared

VECTOR = bytes.fromhex(
    "01fe6468e5cf8b0100001f00f0170403020101000000feffffff03000000fcffffff050000000a00000014000000"
    "1e00000028000000320000009cffffff38ffffffd4feffff70feffff0cfeffffbdef10"
)
VECTOR_NS = 1_700_000_000_100_000_000
MS = 1_000_000
VECTOR_SAMPLES = np.array(
    [[1, -2, 3, -4, 5], [-100, -200, -300, -400, -500], [10, 20, 30, 40, 50]], np.int32
).T
LONGEST_PACKET = 2 + 8 + 4 + 4 + 8 * 4 * 1000 + 1 + 2
FILLER = bytes(LONGEST_PACKET)
"""Enough bytes for a decoder to see that a header it waits on was none."""


def decode(*chunks: bytes) -> list[Packet]:
    decoder = Decoder()
    return [packet for chunk in chunks for packet in decoder.feed(chunk)]


def counts(rng: np.random.Generator, widths: tuple[int, ...], n: int) -> NDArray[np.int32]:
    """Samples over the whole range of each enabled channel, its two ends included."""
    columns = []
    order = (k for k in (0, 2, 1, 3, 5, 4, 6, 7) if k < len(widths) and widths[k])
    for width in (widths[k] for k in order):
        limit = 1 << 8 * width - 1
        column = rng.integers(-limit, limit, n)
        column[rng.integers(n)] = rng.choice([-limit, -1, limit - 1])
        columns.append(column)
    return np.stack(columns, axis=1).astype(np.int32)


def test_vector_decodes_to_the_published_values() -> None:
    (packet,) = decode(VECTOR)
    assert packet.stream.station_id == "XX.EDGE.00"
    assert packet.stream.channels == ("SHZ", "SHN", "SHE")
    assert packet.start_ns == VECTOR_NS
    assert packet.rate == 50.0
    assert packet.clock == "gnss"
    assert packet.meta == {"device_id": 0x01020304}
    assert packet.samples.dtype == np.int32
    assert np.array_equal(packet.samples, VECTOR_SAMPLES)
    assert packet.wire_bytes == len(VECTOR)


def test_encoder_makes_the_published_vector() -> None:
    encoder = Encoder(50, device_id=0x01020304, latitude=23.5, longitude=1.0, elevation=2.0, temperature=3.0)
    assert encoder.encode(VECTOR_NS, VECTOR_SAMPLES) == VECTOR


@pytest.mark.parametrize(
    ("rate", "widths", "channels"),
    [
        (100, (4, 4, 4), [("EHZ", "EHN", "EHE")]),
        (250, (3, 3, 3), [("DHZ", "DHN", "DHE")]),
        (50, (4, 4, 4, 2, 2, 2), [("SHZ", "SHN", "SHE"), ("SNZ", "SNN", "SNE")]),
        (100, (4,), [("EHZ",)]),
        (100, (0, 4, 4), [("EHN", "EHE")]),
        (100, (0, 0, 0, 2, 0, 3), [("ENZ", "ENN")]),
        (100, (4, 4, 4, 0, 0, 0, 4, 4), [("EHZ", "EHN", "EHE")]),
        (100, (0, 0, 0, 0, 0, 0, 4, 4), []),
    ],
)
def test_channel_codes(rate: int, widths: tuple[int, ...], channels: list[tuple[str, ...]]) -> None:
    encoder = Encoder(rate, widths)
    enabled = sum(width > 0 for width in widths)
    wire = encoder.encode(0, np.zeros((encoder.samples_per_packet, enabled), np.int32))
    assert [packet.stream.channels for packet in decode(wire)] == channels


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("interval_ms", INTERVALS_MS)
def test_every_rate_and_interval(rate: int, interval_ms: int) -> None:
    encoder = Encoder(rate, interval_ms=interval_ms)
    samples = counts(np.random.default_rng(rate), (4, 4, 4), rate * interval_ms // 1000)
    (packet,) = decode(encoder.encode(VECTOR_NS, samples))
    assert packet.rate == rate
    assert np.array_equal(packet.samples, samples)


def test_columns_go_in_as_they_come_out() -> None:
    encoder = Encoder(50, (4, 3, 2, 2, 2, 4, 4, 2))
    samples = np.arange(5 * 8, dtype=np.int32).reshape(5, 8)
    geophone, accelerometer = decode(encoder.encode(0, samples))
    assert geophone.stream.channels == ("SHZ", "SHN", "SHE")
    assert accelerometer.stream.channels == ("SNZ", "SNN", "SNE")
    assert np.array_equal(np.hstack([geophone.samples, accelerometer.samples]), samples[:, :6])


def test_wire_time_is_rounded_to_the_millisecond() -> None:
    encoder = Encoder(50)
    assert decode(encoder.encode(1_499_999, VECTOR_SAMPLES))[0].start_ns == 1 * MS
    assert decode(encoder.encode(1_500_000, VECTOR_SAMPLES))[0].start_ns == 2 * MS


def test_the_operator_names_the_station() -> None:
    (packet,) = Decoder(Declared(identity=("AM", "R24FA", "10"))).feed(VECTOR)
    assert packet.stream.instrument == "AM.R24FA.10.SH"


def test_int24_keeps_its_sign() -> None:
    column = np.array([-1, -(1 << 23), (1 << 23) - 1, 0, 1])
    (packet,) = decode(Encoder(50, (3,)).encode(0, column[:, None]))
    assert packet.samples[:, 0].tolist() == column.tolist()


def test_without_gnss_time_counts_from_the_start_of_the_device() -> None:
    (packet,) = decode(Encoder(50, gnss=False).encode(12_345 * MS, VECTOR_SAMPLES))
    assert packet.clock == "device"
    assert packet.start_ns == 12_345_000_000


def test_variable_slots_rotate_by_the_second() -> None:
    encoder = Encoder(50, device_id=7, latitude=-12.5, longitude=170.25, elevation=0.0)
    metas = [decode(encoder.encode(second * 1000 * MS, VECTOR_SAMPLES))[0].meta for second in range(10)]
    assert metas == [
        {"device_id": 7}, {"latitude": -12.5}, {"longitude": 170.25}, {"elevation": 0.0}, *[{}] * 6
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("slot", "word"), [(0, b"\xff\xff\xff\x7f"), (1, b"\x00\x00\xc0\x7f"), (4, b"\x00\x00\x80\xff")]
)
def test_values_that_say_nothing_are_left_out(slot: int, word: bytes) -> None:
    encoder = Encoder(50, device_id=0, latitude=0.0, temperature=0.0)
    wire = bytearray(encoder.encode(slot * 1000 * MS, VECTOR_SAMPLES))
    wire[14:18] = word  # over four zeros, so the checksum changes by the word's own XOR
    wire[-3] ^= word[0] ^ word[1] ^ word[2] ^ word[3]
    (packet,) = decode(bytes(wire))
    assert packet.meta == {}


def test_a_packet_without_channels_is_none() -> None:
    decoder = Decoder()
    assert decoder.feed(b"\x01\xfe" + bytes(17) + b"\xef\x10") == []
    assert decoder.stats.good_packets == 0


def test_time_jump_is_counted_and_delivered() -> None:
    encoder = Encoder(50)
    decoder = Decoder()
    # In order, 10 ms late (half a sample), 11 ms late, a lost packet, backwards.
    starts = [0, 100, 210, 321, 521, 500]
    packets = [p for start in starts for p in decoder.feed(encoder.encode(start * MS, VECTOR_SAMPLES))]
    assert [p.start_ns for p in packets] == [start * MS for start in starts]
    assert decoder.stats.time_jumps == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"rate": 125}, "125 Hz"),
        ({"rate": 100, "interval_ms": 250}, "250 ms"),
        ({"rate": 100, "widths": (1, 4)}, "widths"),
        ({"rate": 100, "widths": (0, 0)}, "widths"),
        ({"rate": 100, "widths": (2,) * 9}, "widths"),
        ({"rate": 100, "device_id": 0x7FFFFFFF}, "device_id"),
    ],
)
def test_encoder_refuses_what_the_protocol_cannot_say(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Encoder(**arguments)


@pytest.mark.parametrize(
    ("start_ms", "samples", "words"),
    [
        (0, np.zeros((5, 2), np.int32), "shape"),
        (0, np.zeros((4, 3), np.int32), "shape"),
        (0, np.zeros((5, 3)), "float64"),
        (-1, np.zeros((5, 3), np.int32), "start time"),
        (1 << 42, np.zeros((5, 3), np.int32), "start time"),
        (0, np.full((5, 3), 1 << 15, np.int32), "16 bits"),
        (0, np.full((5, 3), -(1 << 15) - 1, np.int32), "16 bits"),
        (0, np.full((5, 3), 1 << 40), "16 bits"),
    ],
)
def test_encoder_refuses_samples(start_ms: int, samples: NDArray[np.int32], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Encoder(50, (2, 2, 2)).encode(start_ms * MS, samples)


@given(
    st.lists(st.sampled_from([0, 2, 3, 4]), max_size=7).map(tuple),
    st.integers(0, 2**32),
    st.integers(0),
    st.integers(1, 255),
)
def test_one_changed_byte_loses_that_packet_and_no_other(
    widths: tuple[int, ...], seed: int, place: int, change: int
) -> None:
    rng = np.random.default_rng(seed)
    encoder = Encoder(100, (4, *widths), device_id=1)
    first, hit, last = (
        bytearray(encoder.encode(VECTOR_NS + 100 * MS * k, counts(rng, (4, *widths), 10))) for k in range(3)
    )
    hit[place % len(hit)] ^= change
    decoder = Decoder()
    packets = decoder.feed(bytes(first + hit + last) + FILLER)
    times = {packet.start_ns for packet in packets}
    assert times == {VECTOR_NS, VECTOR_NS + 200 * MS}
    assert decoder.stats.good_packets == 2
    assert decoder.stats.skipped_bytes == len(hit) + len(FILLER)
    assert decoder.stats.time_jumps == 1


@pytest.mark.parametrize("chunk", [1, 100, 100_000])
@pytest.mark.parametrize("packets_before", [0, 1])
def test_a_damaged_device_config_neither_holds_good_packets_back_nor_swallows_them(
    packets_before: int, chunk: int
) -> None:
    encoder = Encoder(50)
    first, hit, second, third = (encoder.encode(VECTOR_NS + 100 * MS * k, VECTOR_SAMPLES) for k in range(4))
    first *= packets_before
    # One second of 1000 Hz, eight channels: a packet of 32,021 bytes whose trailer and XOR would fit.
    pretended = bytearray(hit[:10] + struct.pack("<I", 3 << 30 | 7 << 27 | 0xFFFF << 10) + hit[14:])
    pretended += second + bytes(LONGEST_PACKET - len(hit) - len(second) - 3)
    pretended += bytes([reduce(xor, pretended[2:])]) + b"\xef\x10"
    # Without the good packet inside it would count; the bytes of a whole packet are zero in XOR.
    assert len(decode(bytes(pretended).replace(second, bytes(len(second))))) == 2

    decoder = Decoder()
    wire = first + bytes(pretended) + third
    got = [
        (packet.start_ns, place + chunk)
        for place in range(0, len(wire), chunk)
        for packet in decoder.feed(wire[place : place + chunk])
    ]
    sent = [0, 2, 3] if first else [2, 3]
    assert [start_ns for start_ns, _ in got] == [VECTOR_NS + 100 * MS * k for k in sent]
    _, bytes_read = got[-2]
    assert bytes_read < len(first + hit + second) + chunk
    assert decoder.stats.skipped_bytes == len(pretended) - len(second)
    assert decoder.stats.bad_checksums == 1


def test_a_digitizer_set_up_anew_is_followed() -> None:
    slow = Encoder(50).encode(VECTOR_NS, VECTOR_SAMPLES)
    fast = Encoder(250, (4, 4, 4, 2, 2, 2)).encode(VECTOR_NS + 100 * MS, np.ones((25, 6), np.int32))
    assert [packet.rate for packet in decode(slow, fast, slow)] == [50, 250, 250, 50]
