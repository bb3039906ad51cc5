"""Packets that overtook one another come out in order, and none is lost or held for long."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge.reorder import Reorder
from firmware_bridge.packet import Packet, Stream

S = 1_000_000_000
T0 = 1_750_000_000 * S


def packet(k: int, channel: str = "EHZ") -> Packet:
    """The k-th quarter of a second of one channel."""
    stream = Stream("AM", "R24FA", "00", (channel,))
    return Packet(stream, T0 + k * S // 4, 100.0, np.zeros((25, 1), np.int32), "ntp")


def arrived(reorder: Reorder, ks: list[int], channel: str = "EHZ") -> list[list[int]]:
    """What comes out, step by step, as packets come in the order `ks`, four a second."""
    return [
        [number(one) for _, one in reorder.feed(i * S // 4, [(i * S // 4, packet(k, channel))])]
        for i, k in enumerate(ks)
    ]


def number(one: Packet) -> int:
    assert one.start_ns is not None
    return (one.start_ns - T0) * 4 // S


def test_packets_in_order_pass_at_once() -> None:
    assert arrived(Reorder(), list(range(9))) == [[k] for k in range(9)]


def test_two_that_changed_places_change_back() -> None:
    assert arrived(Reorder(), [0, 1, 3, 2, 4]) == [[0], [1], [], [2, 3], [4]]


def test_a_packet_that_was_lost_is_waited_for_a_second() -> None:
    assert arrived(Reorder(), [0, 1, 3, 4, 5, 6, 7, 8]) == [[0], [1], [], [], [], [], [], [3, 4, 5, 6, 7, 8]]


def test_waiting_ends_though_nothing_comes() -> None:
    reorder = Reorder()
    assert arrived(reorder, [0, 2]) == [[0], []]
    assert reorder.feed(S, []) == []
    assert [number(one) for _, one in reorder.feed(2 * S, [])] == [2]


def test_repeats_and_a_clock_set_back_delay_nothing() -> None:
    assert arrived(Reorder(), [0, 1, 1, 0, 2]) == [[0], [1], [1], [0], [2]]
    back = [100, 101, 2, 3, 4]
    assert arrived(Reorder(), back) == [[k] for k in back]


def test_channels_do_not_wait_for_one_another() -> None:
    reorder = Reorder()
    arrived(reorder, [0, 2], "EHN")
    assert arrived(reorder, [0, 1, 2], "EHZ") == [[0], [1], [2]]


def test_packets_without_time_pass() -> None:
    one = Packet(packet(0).stream, None, 100.0, packet(0).samples, "unknown")
    assert Reorder().feed(0, [(0, one)]) == [(0, one)]


@given(st.permutations(range(8)), st.lists(st.integers(0, 60), max_size=40))
def test_whatever_the_order_nothing_is_lost(order: list[int], more: list[int]) -> None:
    reorder = Reorder()
    ks = [0, *(k + 1 for k in order), *more]
    out = [k for step in arrived(reorder, ks) for k in step] + [number(one) for _, one in reorder.flush()]
    assert sorted(out) == sorted(ks)
