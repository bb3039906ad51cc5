"""AnyShake v1: the published layout both ways, its third-party variant, and damage."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from firmware_bridge.anyshake_v1 import Decoder, Encoder
from firmware_bridge.wire import Declared

VECTOR = bytes.fromhex(
    "fc1b01000000feffffff03000000fcffffff050000000a000000140000001e00000028000000320000009cffffff38ffffff"
    "d4feffff70feffff0cfeffff051af200"
)
VECTOR_SAMPLES = np.array(
    [[1, -2, 3, -4, 5], [-100, -200, -300, -400, -500], [10, 20, 30, 40, 50]], np.int32
).T


def test_vector_decodes_to_the_published_values() -> None:
    (packet,) = Decoder().feed(VECTOR)
    assert packet.stream.instrument == "XX.EDGE.00.EH"
    assert packet.stream.channels == ("EHZ", "EHN", "EHE")
    assert (packet.start_ns, packet.rate, packet.clock) == (None, None, "unknown")
    assert packet.samples.dtype == np.int32
    assert np.array_equal(packet.samples, VECTOR_SAMPLES)
    assert packet.wire_bytes == 66


def test_the_operator_names_rate_and_station() -> None:
    (packet,) = Decoder(Declared(identity=("AM", "R24FA", "10"), rate=50.0)).feed(VECTOR)
    assert packet.stream.instrument == "AM.R24FA.10.SH"
    assert packet.rate == 50.0


def test_encoder_makes_the_published_vector() -> None:
    assert Encoder(50).encode(0, VECTOR_SAMPLES) == VECTOR


def test_senders_with_a_header_of_16_bit_words_are_understood_too() -> None:
    wide = b"\xfc\x00\x1b\x00" + VECTOR[2:]
    decoder = Decoder()
    wire = VECTOR + wide + wide + VECTOR
    packets = [packet for byte in wire for packet in decoder.feed(bytes([byte]))]
    assert [packet.wire_bytes for packet in packets] == [66, 68, 68, 66]
    assert all(np.array_equal(packet.samples, VECTOR_SAMPLES) for packet in packets)
    assert decoder.stats.skipped_bytes == 0


@given(
    st.integers(0, 65),
    st.integers(1, 255),
    st.lists(st.integers(-(2**31), 2**31 - 1), min_size=15, max_size=15),
)
def test_one_changed_byte_loses_that_packet_and_no_other(place: int, change: int, counts: list[int]) -> None:
    hit = bytearray(Encoder(50).encode(0, np.array(counts, np.int32).reshape(5, 3)))
    hit[place] ^= change
    decoder = Decoder()
    packets = decoder.feed(VECTOR + hit + VECTOR + bytes(68))
    assert len(packets) == 2
    assert all(np.array_equal(packet.samples, VECTOR_SAMPLES) for packet in packets)
    assert decoder.stats.skipped_bytes == 66 + 68


@pytest.mark.parametrize(
    "samples", [np.zeros((5, 2), np.int32), np.zeros((4, 3), np.int32), np.zeros((5, 3))]
)
def test_encoder_refuses_samples(samples: NDArray[np.int32]) -> None:
    with pytest.raises(ValueError, match=r"int32 of shape \(5, 3\)"):
        Encoder(50).encode(0, samples)


@pytest.mark.parametrize("rate", [0.0, -50.0, float("nan")])
def test_encoder_refuses_a_rate_that_is_none(rate: float) -> None:
    with pytest.raises(ValueError, match="sample rate"):
        Encoder(rate)
