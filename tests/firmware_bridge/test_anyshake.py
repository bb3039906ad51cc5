"""AnyShake v3: the published layout both ways, and what damage on the line may and may not do."""

import tracemalloc
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from firmware_bridge.anyshake import INTERVALS_MS, RATES, Decoder, Encoder
from firmware_bridge.packet import Packet

VECTOR = bytes.fromhex(
    "01fe6468e5cf8b0100001f00f0170403020101000000feffffff03000000fcffffff050000000a00000014000000"
    "1e00000028000000320000009cffffff38ffffffd4feffff70feffff0cfeffffbdef10"
)
VECTOR_MS = 1_700_000_000_100
VECTOR_WIRE = np.array([[1, -2, 3, -4, 5], [10, 20, 30, 40, 50], [-100, -200, -300, -400, -500]], np.int32).T
LONGEST_PACKET = 2 + 8 + 4 + 4 + 8 * 4 * 1000 + 1 + 2
FILLER = bytes(LONGEST_PACKET)
"""Enough bytes for a decoder to see that a header it waits on was none."""


def decode(*chunks: bytes) -> list[Packet]:
    decoder = Decoder("XX", "STA", "00")
    return [packet for chunk in chunks for packet in decoder.feed(chunk)]


def counts(rng: np.random.Generator, widths: tuple[int, ...], n: int) -> NDArray[np.int32]:
    """Wire samples over the whole range of each enabled channel, its two ends included."""
    columns = []
    for width in (w for w in widths if w):
        limit = 1 << 8 * width - 1
        column = rng.integers(-limit, limit, n)
        column[rng.integers(n)] = rng.choice([-limit, -1, limit - 1])
        columns.append(column)
    return np.stack(columns, axis=1).astype(np.int32)


def same(a: Packet, b: Packet) -> bool:
    return (
        (a.stream, a.start_ns, a.rate, a.clock, a.meta) == (b.stream, b.start_ns, b.rate, b.clock, b.meta)
        and a.samples.dtype == b.samples.dtype
        and np.array_equal(a.samples, b.samples)
    )


def test_vector_decodes_to_the_published_values() -> None:
    (packet,) = decode(VECTOR)
    assert packet.stream.station_id == "XX.STA.00"
    assert packet.stream.channels == ("SHZ", "SHN", "SHE")
    assert packet.start_ns == VECTOR_MS * 1_000_000
    assert packet.rate == 50.0
    assert packet.clock == "gnss"
    assert packet.meta == {"device_id": 0x01020304}
    assert packet.samples.dtype == np.int32
    assert np.array_equal(packet.samples, VECTOR_WIRE[:, [0, 2, 1]])


def test_encoder_makes_the_published_vector() -> None:
    encoder = Encoder(50, device_id=0x01020304, latitude=23.5, longitude=1.0, elevation=2.0, temperature=3.0)
    assert encoder.encode(VECTOR_MS, VECTOR_WIRE) == VECTOR


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
    (packet,) = decode(encoder.encode(VECTOR_MS, samples))
    assert packet.rate == rate
    assert np.array_equal(packet.samples, samples[:, [0, 2, 1]])


def test_int24_keeps_its_sign() -> None:
    column = np.array([-1, -(1 << 23), (1 << 23) - 1, 0, 1])
    (packet,) = decode(Encoder(50, (3,)).encode(0, column[:, None]))
    assert packet.samples[:, 0].tolist() == column.tolist()


def test_without_gnss_time_counts_from_the_start_of_the_device() -> None:
    (packet,) = decode(Encoder(50, gnss=False).encode(12_345, VECTOR_WIRE))
    assert packet.clock == "device"
    assert packet.start_ns == 12_345_000_000


def test_variable_slots_rotate_by_the_second() -> None:
    encoder = Encoder(50, device_id=7, latitude=-12.5, longitude=170.25, elevation=0.0)
    metas = [decode(encoder.encode(second * 1000, VECTOR_WIRE))[0].meta for second in range(10)]
    assert metas == [
        {"device_id": 7}, {"latitude": -12.5}, {"longitude": 170.25}, {"elevation": 0.0}, *[{}] * 6
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("slot", "word"), [(0, b"\xff\xff\xff\x7f"), (1, b"\x00\x00\xc0\x7f"), (4, b"\x00\x00\x80\xff")]
)
def test_values_that_say_nothing_are_left_out(slot: int, word: bytes) -> None:
    encoder = Encoder(50, device_id=0, latitude=0.0, temperature=0.0)
    wire = bytearray(encoder.encode(slot * 1000, VECTOR_WIRE))
    wire[14:18] = word  # over four zeros, so the checksum changes by the word's own XOR
    wire[-3] ^= word[0] ^ word[1] ^ word[2] ^ word[3]
    (packet,) = decode(bytes(wire))
    assert packet.meta == {}


def test_a_packet_without_channels_is_none() -> None:
    decoder = Decoder("XX", "STA", "00")
    assert decoder.feed(b"\x01\xfe" + bytes(17) + b"\xef\x10") == []
    assert decoder.stats.good_packets == 0


def test_time_jump_is_counted_and_delivered() -> None:
    encoder = Encoder(50)
    decoder = Decoder("XX", "STA", "00")
    # In order, 10 ms late (half a sample), 11 ms late, a lost packet, backwards.
    starts = [0, 100, 210, 321, 521, 500]
    packets = [p for start in starts for p in decoder.feed(encoder.encode(start, VECTOR_WIRE))]
    assert [p.start_ns for p in packets] == [start * 1_000_000 for start in starts]
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
        Encoder(50, (2, 2, 2)).encode(start_ms, samples)


widths_of_a_device = st.lists(st.sampled_from([0, 2, 3, 4]), min_size=1, max_size=8).filter(any).map(tuple)


@given(st.sampled_from(RATES[:5]), widths_of_a_device, st.integers(0, 2**32), st.lists(st.integers(0, 2000)))
def test_any_chunking_gives_the_same_packets(
    rate: int, widths: tuple[int, ...], seed: int, cuts: list[int]
) -> None:
    rng = np.random.default_rng(seed)
    encoder = Encoder(rate, widths, device_id=1)
    sent = [counts(rng, widths, encoder.samples_per_packet) for _ in range(4)]
    wire = b"".join(encoder.encode(VECTOR_MS + 100 * k, samples) for k, samples in enumerate(sent))
    whole = decode(wire)
    edges = [0, *sorted(min(cut, len(wire)) for cut in cuts), len(wire)]
    pieces = decode(*(wire[a:b] for a, b in pairwise(edges)))
    assert len(pieces) == len(whole)
    assert all(same(a, b) for a, b in zip(pieces, whole, strict=True))

    columns = {}  # what was sent, by component
    for place, channel in enumerate(k for k, width in enumerate(widths) if width):
        columns[channel] = np.concatenate([samples[:, place] for samples in sent])
    got: dict[int, list[int]] = {}
    for packet in pieces:
        for code, column in zip(packet.stream.channels, packet.samples.T, strict=True):
            channel = "ZEN".index(code[2]) + (3 if code[1] == "N" else 0)
            got.setdefault(channel, []).extend(column.tolist())
    assert got == {channel: column.tolist() for channel, column in columns.items() if channel < 6}


@given(widths_of_a_device, st.integers(0, 2**32), st.integers(0), st.integers(1, 255))
def test_one_changed_byte_loses_that_packet_and_no_other(
    widths: tuple[int, ...], seed: int, place: int, change: int
) -> None:
    rng = np.random.default_rng(seed)
    encoder = Encoder(100, (4, *widths[:7]), device_id=1)
    first, hit, last = (
        bytearray(encoder.encode(VECTOR_MS + 100 * k, counts(rng, (4, *widths[:7]), 10))) for k in range(3)
    )
    hit[place % len(hit)] ^= change
    decoder = Decoder("XX", "STA", "00")
    packets = decoder.feed(bytes(first + hit + last) + FILLER)
    times = {packet.start_ns for packet in packets}
    assert times == {VECTOR_MS * 1_000_000, (VECTOR_MS + 200) * 1_000_000}
    assert decoder.stats.good_packets == 2
    assert decoder.stats.skipped_bytes == len(hit) + len(FILLER)
    assert decoder.stats.time_jumps == 1


damages = st.lists(
    st.tuples(
        st.sampled_from(["flip", "delete", "insert", "truncate"]),
        st.integers(0, 600),
        st.one_of(
            st.binary(min_size=1, max_size=40), st.sampled_from([b"\x01\xfe", b"\xef\x10", VECTOR[:30]])
        ),
    ),
    max_size=8,
)


@given(damages, st.integers(0, 2**32))
def test_the_next_good_packet_survives_any_damage(damage: list[tuple[str, int, bytes]], seed: int) -> None:
    rng = np.random.default_rng(seed)
    encoder = Encoder(100, device_id=1)
    wires = [encoder.encode(VECTOR_MS + 100 * k, counts(rng, (4, 4, 4), 10)) for k in range(7)]
    line = bytearray(b"".join(wires[:4]))
    for kind, place, data in damage:
        if kind == "flip":
            for k, byte in enumerate(data[: max(len(line) - place, 0)]):
                line[place + k] ^= byte
        elif kind == "delete":
            del line[place : place + len(data)]
        elif kind == "insert":
            line[place:place] = data
        else:
            del line[place:]
    decoder = Decoder("XX", "STA", "00")
    packets = decoder.feed(bytes(line) + b"".join(wires[4:]) + FILLER)
    intact = decode(b"".join(wires[4:]))
    assert len(packets) >= 3
    assert all(same(a, b) for a, b in zip(packets[-3:], intact, strict=True))
    fed = len(line) + sum(map(len, wires[4:])) + len(FILLER)
    assert decoder.stats.skipped_bytes <= fed - 3 * len(wires[0])


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_garbage_is_counted_byte_by_byte(chunks: list[bytes]) -> None:
    decoder = Decoder("XX", "STA", "00")
    for chunk in chunks:
        assert decoder.feed(chunk) == []
    decoder.feed(FILLER)
    assert decoder.stats.good_packets == 0
    assert decoder.stats.skipped_bytes == sum(map(len, chunks)) + len(FILLER)


@pytest.mark.parametrize(
    "garbage",
    [
        np.random.default_rng(0).bytes(4096),
        b"\x01\xfe" * 2048,
        bytes(4096),
        # Headers that announce the longest packet there is.
        (b"\x01\xfe" + bytes(8) + b"\x00\xfc\xff\xff" + bytes(4)) * 227,
    ],
    ids=["noise", "headers", "zeros", "long packets"],
)
def test_memory_stays_bounded_under_endless_garbage(garbage: bytes) -> None:
    decoder = Decoder("XX", "STA", "00")
    decoder.feed(garbage)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for _ in range(24):
        decoder.feed(garbage)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 2 * LONGEST_PACKET
    assert decoder.stats.skipped_bytes >= 25 * len(garbage) - LONGEST_PACKET
