"""The serial line: how long bytes take on it, and what is read at the wrong speed."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.uart import Line, Receiver, on_the_line

NS = 1_000_000_000
NOISE = np.random.default_rng(0).bytes(2000)
LONG_SILENCE = 100_000
"""In bits of the sender: longer than any frame of the receivers here."""

bauds = st.sampled_from([9600, 19_200, 38_400, 57_600, 115_200, 230_400, 460_800])


def test_a_line_takes_ten_bits_a_byte_and_one_packet_after_the_other() -> None:
    packets = [(0, bytes(960)), (NS // 2, bytes(96)), (3 * NS, b""), (4 * NS, None), (5 * NS, bytes(96))]
    carried = list(on_the_line(iter(packets), 9600))
    assert [end_ns / NS for end_ns, _ in carried] == [1.0, 1.1, 3.0, 4.0, 5.1]
    assert [data for _, data in carried] == [data for _, data in packets]


@pytest.mark.parametrize("percent", [-4.5, -1.0, 0.0, 1.0, 4.5])
def test_a_receiver_that_is_a_little_off_reads_every_byte(percent: float) -> None:
    read_baud = round(115_200 * (1 + percent / 100))
    assert Receiver(115_200, read_baud).feed(NOISE) == NOISE


@pytest.mark.parametrize("percent", [-6.5, 6.5])
def test_a_receiver_that_is_too_far_off_does_not(percent: float) -> None:
    read_baud = round(115_200 * (1 + percent / 100))
    assert Receiver(115_200, read_baud).feed(NOISE) != NOISE


@pytest.mark.parametrize(
    ("sent", "ratio", "read"),
    [
        # At twice the speed each bit of the sender is seen twice. 0 00000000 1: a start bit, zeros, a
        # framing error, and high again.
        (b"\x00", 2.0, b"\x00"),
        # 0 11111111 1: a start bit, one zero, ones.
        (b"\xff", 2.0, b"\xfe"),
        # 0 10101010 1: a start bit, 0 1 1 0 0 1 1 0 and a framing error; after the next high once more,
        # with the stop bit and the idle line as last bits.
        (b"\x55", 2.0, b"\x66\xe6"),
        # At a third of the speed every third bit is seen. 0 00000000 1: a start bit, two zeros, ones.
        (b"\x00", 1 / 3, b"\xfc"),
        # A start bit that is over before half of ours is a glitch.
        (b"\xff", 1 / 3, b""),
    ],
)
def test_the_wrong_speed_reads_as_the_levels_say(sent: bytes, ratio: float, read: bytes) -> None:
    receiver = Receiver(9600, round(9600 * ratio))
    assert receiver.feed(sent) + receiver.feed(b"", LONG_SILENCE) == read


@given(bauds, bauds, st.binary(max_size=300), st.lists(st.integers(0, 300)))
def test_the_same_is_read_however_the_bytes_are_cut(
    sent_baud: int, read_baud: int, data: bytes, cuts: list[int]
) -> None:
    def read(*chunks: bytes) -> bytes:
        receiver = Receiver(sent_baud, read_baud)
        return b"".join(map(receiver.feed, chunks)) + receiver.feed(b"", LONG_SILENCE)

    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    assert read(*(data[a:b] for a, b in pairwise(edges))) == read(data)
    assert sent_baud != read_baud or read(data) == data


@given(bauds, bauds, st.binary(max_size=100), st.binary(min_size=1, max_size=100))
def test_silence_ends_every_frame(sent_baud: int, read_baud: int, before: bytes, data: bytes) -> None:
    fresh, busy = Receiver(sent_baud, read_baud), Receiver(sent_baud, read_baud)
    busy.feed(before)
    busy.feed(b"", LONG_SILENCE)
    assert busy.feed(data) == fresh.feed(data)


def test_a_reader_that_finds_the_speed_reads_on_from_the_next_packet() -> None:
    line = Line(9600)
    packets = [(k * NS, NOISE[k * 50 : k * 50 + 50]) for k in range(4)]
    speeds = [115_200, 4800, 9600, 9600]
    read = [
        line.as_read(end_ns, data or b"", speed)
        for (end_ns, data), speed in zip(on_the_line(iter(packets), 9600), speeds, strict=True)
    ]
    assert len(read[0]) > 50 > len(read[1])
    assert read[2:] == [NOISE[100:150], NOISE[150:200]]
