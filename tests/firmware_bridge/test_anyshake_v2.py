"""AnyShake v2: the published layout both ways, the rate from the spacing, the clock, and damage."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from firmware_bridge.anyshake_v2 import Decoder, Encoder
from firmware_bridge.packet import Packet
from firmware_bridge.wire import Declared

VECTOR = bytes.fromhex(
    "fadee86be5cf8b0100000000bc4101000000feffffff03000000fcffffff050000000a000000140000001e00000028000000"
    "320000009cffffff38ffffffd4feffff70feffff0cfeffff33"
)
VECTOR_NS = 1_700_000_001_000_000_000
VECTOR_SAMPLES = np.array(
    [[1, -2, 3, -4, 5], [-100, -200, -300, -400, -500], [10, 20, 30, 40, 50]], np.int32
).T
MS = 1_000_000
START_NS = 1_700_000_000_000_000_000  # a second that tells the device id


def line(rate: float, count: int, start_ns: int = START_NS, encoder: Encoder | None = None) -> list[bytes]:
    """Packets in a row, each with its number as all its samples."""
    encoder = encoder or Encoder(rate)
    step_ns = round(5e9 / rate)
    return [encoder.encode(start_ns + k * step_ns, np.full((5, 3), k, np.int32)) for k in range(count)]


def numbers(packets: list[Packet]) -> list[int]:
    return [int(packet.samples[0, 0]) for packet in packets]


def test_vector_decodes_to_the_published_values() -> None:
    (packet,) = Decoder(Declared(rate=50.0)).feed(VECTOR)
    assert packet.stream.instrument == "XX.EDGE.00.SH"
    assert packet.stream.channels == ("SHZ", "SHN", "SHE")
    assert packet.start_ns == VECTOR_NS
    assert packet.rate == 50.0
    assert packet.clock == "device"
    assert packet.meta == {"latitude": 23.5}
    assert packet.samples.dtype == np.int32
    assert np.array_equal(packet.samples, VECTOR_SAMPLES)
    assert packet.wire_bytes == 75


def test_encoder_makes_the_published_vector() -> None:
    assert Encoder(50, latitude=23.5).encode(VECTOR_NS, VECTOR_SAMPLES) == VECTOR


@pytest.mark.parametrize(
    ("rate", "channel"), [(50.0, "SHZ"), (62.5, "SHZ"), (100.0, "EHZ"), (200.0, "EHZ"), (250.0, "DHZ")]
)
def test_the_rate_is_found_and_no_packet_is_lost_to_it(rate: float, channel: str) -> None:
    decoder = Decoder()
    wires = line(rate, 20)
    assert decoder.feed(b"".join(wires[:5])) == []
    packets = decoder.feed(b"".join(wires[5:]))
    assert numbers(packets) == list(range(20))
    assert {packet.rate for packet in packets} == {rate}
    assert {packet.stream.channels[0] for packet in packets} == {channel}
    assert decoder.stats.time_jumps == 0


@pytest.mark.parametrize("lost", [{1}, {2, 4, 6}, {1, 2, 3}, {5, 6, 7, 8}])
def test_lost_packets_do_not_change_the_rate(lost: set[int]) -> None:
    decoder = Decoder()
    packets = decoder.feed(b"".join(wire for k, wire in enumerate(line(100, 20)) if k not in lost))
    assert numbers(packets) == [k for k in range(20) if k not in lost]
    assert {packet.rate for packet in packets} == {100.0}
    assert decoder.stats.time_jumps == sum(k not in lost and k - 1 in lost for k in range(20))


def test_every_other_packet_damaged_does_not_look_like_half_the_rate() -> None:
    wires = line(100, 40)
    for k in range(1, 16, 2):
        wires[k] = wires[k][:30] + b"\x55" + wires[k][31:]
    packets = Decoder().feed(b"".join(wires))
    assert numbers(packets) == [k for k in range(40) if k % 2 == 0 or k > 16]
    assert {packet.rate for packet in packets} == {100.0}


def test_times_that_jitter_by_a_millisecond_do_not_change_the_rate() -> None:
    encoder = Encoder(250)
    jitter = [0, 1, -1, 1, 0, -1, 0, 1, 1, -1]
    wires = [
        encoder.encode(START_NS + (20 * k + late) * MS, VECTOR_SAMPLES) for k, late in enumerate(jitter * 3)
    ]
    packets = Decoder().feed(b"".join(wires))
    assert len(packets) == 30
    assert {packet.rate for packet in packets} == {250.0}


def test_a_declared_rate_goes_before_the_spacing() -> None:
    decoder = Decoder(Declared(rate=128.0))
    packets = [packet for wire in line(125, 20) for packet in decoder.feed(wire)]
    assert {packet.rate for packet in packets} == {128.0}
    assert len(packets) == 20


def test_a_digitizer_set_up_anew_is_followed() -> None:
    packets = Decoder().feed(b"".join(line(100, 20) + line(250, 20, START_NS + 1000 * MS)))
    assert numbers(packets) == [*range(20), *range(20)]
    assert [packet.rate for packet in packets[:20]] == [100.0] * 20
    assert [packet.rate for packet in packets[26:]] == [250.0] * 14


def test_packets_whose_times_fit_no_rate_come_out_without_one() -> None:
    encoder = Encoder(100)
    decoder = Decoder()
    starts = np.random.default_rng(0).integers(0, 2**40, 60)
    packets = decoder.feed(b"".join(encoder.encode(int(s) * MS, VECTOR_SAMPLES) for s in starts))
    assert [packet.start_ns for packet in packets] == [s * MS for s in starts[:44].tolist()]
    assert {packet.rate for packet in packets} == {None}


def test_the_clock_is_gnss_only_once_the_flag_is_seen() -> None:
    start_ns = START_NS + 2_500 * MS  # half a second, then longitude, elevation, device id
    packets = Decoder().feed(b"".join(line(50, 80, start_ns)))
    clocks = [(packet.start_ns or 0) >= START_NS + 4_000 * MS for packet in packets]
    assert [packet.clock == "gnss" for packet in packets] == clocks
    assert {packet.clock for packet in packets} == {"gnss", "device"}


def test_the_clock_is_the_device_s_without_gnss() -> None:
    packets = Decoder().feed(b"".join(line(50, 80, 0, Encoder(50, gnss=False))))
    assert {packet.clock for packet in packets} == {"device"}


def test_after_a_restart_the_old_flag_does_not_vouch_for_the_new_times() -> None:
    decoder = Decoder()
    assert decoder.feed(b"".join(line(50, 10)))[-1].clock == "gnss"
    restarted = decoder.feed(b"".join(line(50, 40, 1_000 * MS, Encoder(50, gnss=False))))
    assert {packet.clock for packet in restarted} == {"device"}


def test_variable_slots_rotate_by_the_second() -> None:
    encoder = Encoder(50, device_id=7, latitude=-12.5, longitude=170.25, elevation=0.0)
    packets = Decoder().feed(b"".join(line(50, 50, START_NS, encoder)))
    assert [packet.meta for packet in packets[::10]] == [
        {"device_id": 7}, {"latitude": -12.5}, {"longitude": 170.25}, {"elevation": 0.0}, {"device_id": 7}
    ]  # fmt: skip


@pytest.mark.parametrize("second", [0, 1])
def test_values_that_say_nothing_are_left_out(second: int) -> None:
    encoder = Encoder(50, device_id=None, latitude=float("nan"))
    (packet,) = Decoder(Declared(rate=50.0)).feed(encoder.encode(second * 1000 * MS, VECTOR_SAMPLES))
    assert packet.meta == {}


@given(st.integers(0, 74), st.integers(1, 255), st.lists(st.integers(0, 2000), max_size=9))
def test_one_changed_byte_loses_that_packet_and_no_other(place: int, change: int, cuts: list[int]) -> None:
    wires = line(100, 12)
    hit = bytearray(wires[8])
    hit[place] ^= change
    wire = b"".join([*wires[:8], bytes(hit), *wires[9:]])
    decoder = Decoder()
    edges = [0, *sorted(min(cut, len(wire)) for cut in cuts), len(wire)]
    packets = [packet for a, b in pairwise(edges) for packet in decoder.feed(wire[a:b])]
    assert numbers(packets) == [0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11]
    assert decoder.stats.skipped_bytes == 75
    assert decoder.stats.time_jumps == 1


def test_a_good_packet_between_two_damaged_ones_counts_if_its_time_fits() -> None:
    wires = line(100, 12)
    wires[8] = wires[10] = bytes(75)
    assert numbers(Decoder().feed(b"".join(wires))) == [0, 1, 2, 3, 4, 5, 6, 7, 9, 11]


def test_after_skipped_bytes_the_xor_alone_is_not_believed() -> None:
    wires = line(100, 12)
    stray = Encoder(100).encode(START_NS + 7 * MS, np.full((5, 3), 99, np.int32))
    decoder = Decoder()
    packets = decoder.feed(b"".join(wires[:8]) + b"noise" + stray + b"noise" + b"".join(wires[8:]))
    assert numbers(packets) == list(range(12))
    assert decoder.stats.skipped_bytes == 2 * len(b"noise") + len(stray)
    assert decoder.stats.bad_checksums == 1


def test_reading_from_the_middle_of_a_packet() -> None:
    packets = Decoder().feed(b"".join(line(100, 12))[30:])
    assert numbers(packets) == list(range(1, 12))


@pytest.mark.parametrize(
    ("start_ms", "samples", "words"),
    [
        (0, np.zeros((5, 2), np.int32), "shape"),
        (0, np.zeros((5, 3)), "float64"),
        (-1, np.zeros((5, 3), np.int32), "start time"),
        (1 << 42, np.zeros((5, 3), np.int32), "start time"),
    ],
)
def test_encoder_refuses_samples(start_ms: int, samples: NDArray[np.int32], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Encoder(50).encode(start_ms * MS, samples)


def test_encoder_refuses_what_the_protocol_cannot_say() -> None:
    with pytest.raises(ValueError, match="128 Hz"):
        Encoder(128)
    with pytest.raises(ValueError, match="device_id"):
        Encoder(50, device_id=0x7FFFFFFF)
