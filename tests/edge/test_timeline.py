"""The time line joins packets without losing, doubling or misplacing samples, and says what it dropped."""

from collections.abc import Iterable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.block import Block
from edge.components import component_slots
from edge.resample import resample
from edge.timeline import Timeline
from firmware_bridge.packet import Clock, Packet, Stream

S = 1_000_000_000
T0 = 1_750_000_000 * S
ZNE = ("EHZ", "EHN", "EHE")


def counts(n: int, channels: int = 3, seed: int = 0) -> NDArray[np.int32]:
    return np.random.default_rng(seed).integers(-(10**6), 10**6, (n, channels)).astype(np.int32)


def packet(
    samples: NDArray[np.int32] | NDArray[np.float64],
    at: float | None = 0.0,
    channels: tuple[str, ...] = ZNE,
    rate: float = 100.0,
    clock: Clock = "gnss",
) -> Packet:
    """`at`: seconds after T0."""
    start_ns = None if at is None else T0 + round(at * S)
    return Packet(Stream("XX", "AAA", "00", channels), start_ns, rate, samples, clock)


def play(timeline: Timeline, packets: Iterable[Packet]) -> list[Block]:
    return [block for one in packets for block in timeline.feed(one)] + timeline.flush()


def segments(blocks: list[Block]) -> list[tuple[float, NDArray[np.float64], tuple[str, ...]]]:
    """Start (seconds after T0), samples and channels of each segment, its blocks joined."""
    starts = [i for i, block in enumerate(blocks) if block.starts_segment]
    parts = [blocks[a:b] for a, b in pairwise([*starts, len(blocks)])]
    return [
        (
            (part[0].start_ns - T0) / S,
            np.concatenate([block.samples for block in part]),
            part[0].stream.channels,
        )
        for part in parts
    ]


def seconds(x: NDArray[np.int32], first: int, last: int) -> NDArray[np.int32]:
    return x[100 * first : 100 * last]


# --- what goes in comes out -----------------------------------------------------------------------


def test_counts_at_the_models_rate_pass_untouched() -> None:
    x = counts(1000)
    timeline = Timeline(ZNE)
    blocks = play(timeline, [packet(x[i : i + 100], i / 100) for i in range(0, 1000, 100)])
    [(start, samples, channels)] = segments(blocks)
    assert start == 0.0
    assert channels == ZNE
    assert samples.dtype == np.float64
    np.testing.assert_array_equal(samples, x)
    assert [block.start_ns for block in blocks] == [T0 + i * S for i in range(10)]
    assert blocks[0].clock == "gnss"
    assert blocks[0].stream.station_id == "XX.AAA.00"


def test_components_find_their_places_whatever_order_the_packet_has() -> None:
    x = counts(100)
    for order in (("EHE", "EHZ", "EHN"), ("EHN", "EHE", "EHZ")):
        columns = [ZNE.index(code) for code in order]
        [(_, samples, channels)] = segments(play(Timeline(order), [packet(x[:, columns], channels=order)]))
        assert channels == ZNE
        np.testing.assert_array_equal(samples, x)


@pytest.mark.parametrize(
    ("channels", "slots"),
    [
        (("HHE", "HHN", "HHZ"), ("HHZ", "HHN", "HHE")),
        (("EH2", "EH1", "EHZ"), ("EHZ", "EH1", "EH2")),
        (("BH3", "BH2", "BHZ"), ("BHZ", "BH2", "BH3")),
        (("DP3", "DP2", "DP1"), ("DP1", "DP2", "DP3")),
        (("EHZ",), ("EHZ", "", "")),
        (("EHE", "EHZ"), ("EHZ", "", "EHE")),
        (("EHE", "EHN"), ("", "EHN", "EHE")),
        (("EH2",), ("", "", "EH2")),
        (("EHN",), ("", "EHN", "")),
        (("EDH",), ("EDH", "", "")),
    ],
)
def test_component_slots(channels: tuple[str, ...], slots: tuple[str, str, str]) -> None:
    assert component_slots(channels) == slots


@pytest.mark.parametrize("channels", [(), ("HHZ", "HHZ"), ("HHZ", "HHN", "HHE", "HH1")])
def test_an_impossible_set_of_channels_is_refused(channels: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="one to three different channels"):
        Timeline(channels)


def test_absent_components_are_zeros() -> None:
    x = counts(300, 1)
    [(_, samples, channels)] = segments(play(Timeline(("SHZ",)), [packet(x, channels=("SHZ",))]))
    assert channels == ("SHZ", "", "")
    np.testing.assert_array_equal(samples[:, 0], x[:, 0])
    assert not samples[:, 1:].any()


def test_another_rate_is_resampled_and_keeps_its_times() -> None:
    x = counts(5000)
    packets = [packet(x[i : i + 250], i / 250, rate=250.0) for i in range(0, 5000, 250)]
    blocks = play(Timeline(ZNE), packets)
    [(start, samples, _)] = segments(blocks)
    assert start == 0.0
    np.testing.assert_array_equal(samples, resample(x.astype(np.float64), 250.0))
    index = 0
    for block in blocks:
        assert abs(block.start_ns - T0 - index * S // 100) <= 1
        index += len(block.samples)


# --- however it is cut ----------------------------------------------------------------------------


@st.composite
def cut_streams(draw: st.DrawFn) -> list[list[Packet]]:
    """The same samples, with gaps and NaNs, as packets of one second and as packets cut at random.

    Either all channels share a packet, or each comes alone, in order of start time as from a file.
    """
    rate = draw(st.sampled_from([40.0, 62.5, 100.0, 250.0]))
    separate = draw(st.booleans())
    x = counts(draw(st.integers(1, 1500)), seed=draw(st.integers(0, 9))).astype(np.float64)
    for _ in range(draw(st.integers(0, 4))):
        row = draw(st.integers(0, len(x) - 1))
        length = draw(st.one_of(st.integers(1, 30), st.integers(200, 900)))
        x[row : row + length, draw(st.integers(0, 2))] = np.nan
    stretches = []
    at = 0.0
    edges = [0, *sorted(draw(st.lists(st.integers(0, len(x)), max_size=3))), len(x)]
    for a, b in pairwise(edges):
        stretches.append((at, x[a:b]))
        at += (b - a) / rate + draw(st.sampled_from([0.7, 1.0, 3.0, 500.0])) / rate

    def cut(sizes: list[int]) -> list[Packet]:
        packets = []
        for channels in [(code,) for code in ZNE] if separate else [ZNE]:
            columns = [ZNE.index(code) for code in channels]
            step = 0
            for start, stretch in stretches:
                first = 0
                while first < len(stretch):
                    size = sizes[step % len(sizes)]
                    step += 1
                    part = stretch[first : first + size, columns]
                    packets.append(packet(part, start + first / rate, channels, rate))
                    first += size
        return sorted(packets, key=lambda one: one.start_ns or 0)

    sizes = draw(st.lists(st.integers(1, 400), min_size=1, max_size=8))
    return [cut([100]), cut(sizes)]


@settings(deadline=None, max_examples=150)
@given(cut_streams())
def test_the_way_packets_are_cut_does_not_show(cuts: list[list[Packet]]) -> None:
    first, second = (Timeline(ZNE), Timeline(ZNE))
    one, other = (play(timeline, packets) for timeline, packets in zip((first, second), cuts, strict=True))
    for (start_a, samples_a, codes_a), (start_b, samples_b, codes_b) in zip(
        segments(one), segments(other), strict=True
    ):
        assert codes_a == codes_b
        assert abs(start_a - start_b) <= 1e-6
        np.testing.assert_array_equal(samples_a, samples_b)
    for blocks in (one, other):
        index = 0
        for block in blocks:
            if block.starts_segment:
                index, origin = 0, block.start_ns
            assert abs(block.start_ns - origin - index * S / 100) <= 1000
            index += len(block.samples)
    assert first.stats.gaps == second.stats.gaps
    assert first.stats.gap_s == pytest.approx(second.stats.gap_s, abs=1e-6)
    assert first.stats.invalid_samples == second.stats.invalid_samples
    assert first.stats.partial_samples == second.stats.partial_samples


@settings(deadline=None, max_examples=150)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([ZNE, ("EHZ",), ("EHN",), ("EHE",), ("EHN", "EHZ")]),
            st.integers(1, 300),
            st.sampled_from([0.0, 0.0, 0.0, 0.003, 0.4, 2.5, 40.0, 5000.0, -0.3, -3.0, -5000.0]),
            st.booleans(),
        ),
        max_size=60,
    )
)
def test_whatever_comes_every_sample_is_used_or_counted(
    plan: list[tuple[tuple[str, ...], int, float, bool]],
) -> None:
    timeline = Timeline(ZNE, max_lag_s=10.0)
    blocks = []
    fed = 0
    at = 0.0
    for channels, n, jump, damaged in plan:
        x = counts(n, len(channels)).astype(np.float64)
        if damaged:
            x[n // 2] = np.nan
        at += jump
        blocks += timeline.feed(packet(x, at, channels))
        fed += x.size
        if channels[-1] != "EHZ":
            at += n / 100
    blocks += timeline.flush()
    used = sum(len(block.samples) * (3 - block.stream.channels.count("")) for block in blocks)
    stats = timeline.stats
    counted = (
        stats.overlap_samples + stats.out_of_order_samples + stats.invalid_samples + stats.partial_samples
    )
    assert used + counted == fed
    assert all(np.isfinite(block.samples).all() for block in blocks)


# --- gaps, overlap, drift -------------------------------------------------------------------------


def test_a_gap_is_counted_and_starts_a_segment() -> None:
    x = counts(1000)
    timeline = Timeline(ZNE)
    blocks = play(timeline, [packet(seconds(x, 0, 4), 0), packet(seconds(x, 4, 10), 7.5)])
    (start_a, samples_a, _), (start_b, samples_b, _) = segments(blocks)
    assert (start_a, start_b) == (0.0, 7.5)
    np.testing.assert_array_equal(samples_a, seconds(x, 0, 4))
    np.testing.assert_array_equal(samples_b, seconds(x, 4, 10))
    assert timeline.stats.gaps == 1
    assert timeline.stats.gap_s == pytest.approx(3.5)
    assert timeline.stats.events == type(timeline.stats.events)(
        ["gap of 3.500 s before 2025-06-15T15:06:47Z"]
    )


def test_the_resamplers_tail_comes_before_the_gap() -> None:
    x = counts(2000).astype(np.float64)
    blocks = play(Timeline(ZNE), [packet(x[:1000], 0, rate=200.0), packet(x[1000:], 60, rate=200.0)])
    (_, samples_a, _), (start_b, samples_b, _) = segments(blocks)
    np.testing.assert_array_equal(samples_a, resample(x[:1000], 200.0))
    np.testing.assert_array_equal(samples_b, resample(x[1000:], 200.0))
    assert start_b == 60.0


@pytest.mark.parametrize(("jump", "gaps"), [(0.0049, 0), (-0.0049, 0), (0.0051, 1)])
def test_half_a_sample_decides_what_is_a_gap(jump: float, gaps: int) -> None:
    x = counts(200)
    timeline = Timeline(ZNE)
    blocks = play(timeline, [packet(x[:100], 0), packet(x[100:], 1 + jump)])
    assert timeline.stats.gaps == gaps
    assert sum(len(block.samples) for block in blocks) == 200
    assert blocks[1].start_ns == T0 + S + round(jump * S)


def test_a_drifting_clock_makes_no_gap_and_its_times_are_followed() -> None:
    x = counts(100)
    timeline = Timeline(ZNE)
    period = 1.0 + 200e-6  # each packet of a second is 0.2 ms late: 0.4 s in the end
    blocks = play(timeline, [packet(x, i * period) for i in range(2000)])
    assert timeline.stats.gaps == 0
    assert len(segments(blocks)) == 1
    assert blocks[-1].start_ns == pytest.approx(T0 + 1999 * period * S, abs=1000)


def test_overlap_is_dropped_and_the_news_kept() -> None:
    x = counts(1000)
    timeline = Timeline(ZNE)
    packets = [packet(seconds(x, 0, 5), 0), packet(seconds(x, 3, 8), 3), packet(seconds(x, 7, 10), 7)]
    [(_, samples, _)] = segments(play(timeline, packets))
    np.testing.assert_array_equal(samples, x)
    assert timeline.stats.overlap_samples == 300 * 3
    assert timeline.stats.gaps == 0


def test_repeats_and_stragglers_are_dropped() -> None:
    x = counts(1000)
    cut = [packet(seconds(x, i, i + 1), i) for i in range(10)]
    timeline = Timeline(ZNE)
    [(_, samples, _)] = segments(play(timeline, [*cut[:5], cut[4], cut[0], *cut[5:]]))
    np.testing.assert_array_equal(samples, x)
    assert timeline.stats.out_of_order_packets == 2
    assert timeline.stats.out_of_order_samples == 600


def test_a_long_repeat_is_not_taken_for_a_clock_set_back() -> None:
    x = counts(100_000)
    timeline = Timeline(ZNE)
    [(_, samples, _)] = segments(play(timeline, [packet(x), packet(x), packet(x[:50_000])]))
    np.testing.assert_array_equal(samples, x)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_invalid_samples_are_a_gap_at_their_place(bad: float) -> None:
    x = counts(300).astype(np.float64)
    x[150:153, 1] = bad
    timeline = Timeline(ZNE)
    (_, samples_a, _), (start_b, samples_b, _) = segments(play(timeline, [packet(x, 0)]))
    np.testing.assert_array_equal(samples_a, x[:150])
    np.testing.assert_array_equal(samples_b, x[153:])
    assert start_b == pytest.approx(1.53)
    assert timeline.stats.invalid_samples == 3
    assert timeline.stats.gaps == 1


def test_a_packet_of_nothing_valid_is_a_gap() -> None:
    x = counts(300).astype(np.float64)
    x[100:200] = np.nan
    timeline = Timeline(ZNE)
    starts = [
        start
        for start, _, _ in segments(play(timeline, [packet(x[i : i + 100], i / 100) for i in (0, 100, 200)]))
    ]
    assert starts == [0.0, 2.0]
    assert timeline.stats.gap_s == pytest.approx(1.0)
    assert list(timeline.stats.events) == [
        "gap of 1.000 s before 2025-06-15T15:06:42Z: NaN, infinite or huge samples in EHZ,EHN,EHE"
    ]


def test_the_event_names_the_channel_of_invalid_samples_and_no_other_gap_does() -> None:
    x = counts(2000).astype(np.float64)
    x[500:600, 1] = np.nan
    timeline = Timeline(ZNE)
    play(timeline, [packet(x[:1000], 0), packet(x[1000:], 13)])
    assert list(timeline.stats.events) == [
        "gap of 1.000 s before 2025-06-15T15:06:46Z: NaN, infinite or huge samples in EHN",
        "gap of 3.000 s before 2025-06-15T15:06:53Z",
    ]


def test_another_rate_starts_a_segment_without_a_gap() -> None:
    x = counts(1000)
    timeline = Timeline(ZNE)
    packets = [packet(seconds(x, 0, 5), 0, rate=100.0), packet(x[500:], 5, rate=200.0)]
    (_, samples_a, _), (start_b, samples_b, _) = segments(play(timeline, packets))
    np.testing.assert_array_equal(samples_a, seconds(x, 0, 5))
    np.testing.assert_array_equal(samples_b, resample(x[500:].astype(np.float64), 200.0))
    assert start_b == 5.0
    assert timeline.stats.gaps == 0


# --- one channel a packet -------------------------------------------------------------------------


def single(x: NDArray[np.int32], code: str, first: int, last: int, late: float = 0.0) -> Packet:
    """One channel of x from second `first` to `last`."""
    return packet(seconds(x, first, last)[:, [ZNE.index(code)]], first + late, (code,))


def test_single_channels_are_joined_to_the_nearest_sample() -> None:
    x = counts(600)
    timeline = Timeline(ZNE)
    late = {"EHZ": 0.0, "EHN": 0.004, "EHE": -0.003}
    packets = [single(x, code, i, i + 1, late[code]) for i in range(6) for code in ("EHE", "EHN", "EHZ")]
    [(start, samples, _)] = segments(play(timeline, packets))
    np.testing.assert_array_equal(samples, x)
    assert start == 0.0  # the vertical tells the time
    assert timeline.stats.partial_samples == 0


def test_channels_start_together_where_the_last_one_does() -> None:
    x = counts(600)
    timeline = Timeline(ZNE)
    packets = [single(x, "EHZ", 0, 6), single(x, "EHN", 1, 6), single(x, "EHE", 2, 6)]
    [(start, samples, _)] = segments(play(timeline, packets))
    assert start == 2.0
    np.testing.assert_array_equal(samples, seconds(x, 2, 6))
    assert timeline.stats.partial_samples == 300


def test_a_gap_of_one_channel_is_a_gap_of_the_instrument() -> None:
    x = counts(1000)
    timeline = Timeline(ZNE)
    packets = [
        single(x, code, i, i + 1) for i in range(10) for code in ZNE if not (code == "EHN" and i in (4, 5))
    ]
    (_, samples_a, channels_a), (start_b, samples_b, channels_b) = segments(play(timeline, packets))
    np.testing.assert_array_equal(samples_a, seconds(x, 0, 4))
    np.testing.assert_array_equal(samples_b, seconds(x, 6, 10))
    assert start_b == 6.0
    assert channels_a == channels_b == ZNE
    assert timeline.stats.gap_s == pytest.approx(2.0)
    assert timeline.stats.partial_samples == 400


def test_a_long_hole_in_one_channel_leaves_the_others_whole() -> None:
    x = counts(6000)
    timeline = Timeline(ZNE)
    packets = [
        single(x, code, i, i + 1) for i in range(60) for code in ZNE if not (code == "EHE" and 15 <= i < 45)
    ]
    three, two, again = segments([block for one in packets for block in timeline.feed(one)])
    assert [part[0] for part in (three, two, again)] == [0.0, 15.0, 45.0]
    assert [part[2] for part in (three, two, again)] == [ZNE, ("EHZ", "EHN", ""), ZNE]
    np.testing.assert_array_equal(three[1], seconds(x, 0, 15))
    np.testing.assert_array_equal(two[1][:, :2], seconds(x, 15, 45)[:, :2])
    np.testing.assert_array_equal(again[1], seconds(x, 45, 60))
    assert timeline.stats.gaps == timeline.stats.partial_samples == 0


def test_a_channel_that_ends_early_takes_nothing_from_the_others() -> None:
    x = counts(6000)
    timeline = Timeline(ZNE)
    packets = [
        single(x, code, i, i + 1) for i in range(60) for code in ZNE if not (code == "EHE" and i >= 18)
    ]
    three, two = segments(play(timeline, packets))
    np.testing.assert_array_equal(three[1], seconds(x, 0, 18))
    assert (two[0], two[2]) == (18.0, ("EHZ", "EHN", ""))
    np.testing.assert_array_equal(two[1][:, :2], seconds(x, 18, 60)[:, :2])
    assert timeline.stats.partial_samples == 0


def test_a_channel_that_begins_late_takes_nothing_from_the_others() -> None:
    x = counts(6000)
    timeline = Timeline(ZNE)
    packets = [single(x, code, i, i + 1) for i in range(60) for code in ZNE if not (code == "EHE" and i < 40)]
    two, three = segments(play(timeline, packets))
    assert (two[0], two[2]) == (0.0, ("EHZ", "EHN", ""))
    np.testing.assert_array_equal(two[1][:, :2], seconds(x, 0, 40)[:, :2])
    assert (three[0], three[2]) == (40.0, ZNE)
    np.testing.assert_array_equal(three[1], seconds(x, 40, 60))


def test_a_channel_of_nothing_valid_takes_nothing_from_the_others() -> None:
    x = counts(6000)
    nan = np.full((100, 1), np.nan)
    timeline = Timeline(ZNE)
    packets = [
        packet(nan, i, ("EHZ",)) if code == "EHZ" else single(x, code, i, i + 1)
        for i in range(60)
        for code in ZNE
    ]
    [(start, samples, channels)] = segments(play(timeline, packets))
    assert (start, channels) == (0.0, ("", "EHN", "EHE"))
    np.testing.assert_array_equal(samples[:, 1:], x[:, 1:])
    assert list(timeline.stats.events) == [
        "from 2025-06-15T15:06:40Z on with EHN,EHE: NaN, infinite or huge samples in EHZ"
    ]


def test_channels_that_take_turns_are_all_used_while_they_come() -> None:
    x = counts(20_000)
    timeline = Timeline(ZNE, max_lag_s=10.0)
    packets = [single(x, "EHZ", i, i + 1) for i in range(60)]
    packets += [single(x, code, i, i + 1) for i in range(100, 200) for code in ("EHN", "EHE")]
    first, second = segments([block for one in packets for block in timeline.feed(one)])
    assert first[2] == ("EHZ", "", "")
    np.testing.assert_array_equal(first[1][:, 0], seconds(x, 0, 60)[:, 0])
    assert (second[0], second[2]) == (100.0, ("", "EHN", "EHE"))
    np.testing.assert_array_equal(second[1][:, 1:], seconds(x, 100, 200)[:, 1:])


def test_a_dead_channel_is_left_out_and_taken_in_again() -> None:
    x = counts(40_000)
    timeline = Timeline(ZNE, max_lag_s=30.0)
    packets = [
        single(x, code, i, i + 1)
        for i in range(400)
        for code in ZNE
        if not (code == "EHN" and 100 <= i < 300)
    ]
    three, two, again = segments(play(timeline, packets))
    np.testing.assert_array_equal(three[1], seconds(x, 0, 100))
    assert two[0] == 100.0
    assert two[2] == ("EHZ", "", "EHE")
    np.testing.assert_array_equal(two[1][:, [0, 2]], seconds(x, 100, 300)[:, [0, 2]])
    assert not two[1][:, 1].any()
    assert again[0] == 300.0
    assert again[2] == ZNE
    np.testing.assert_array_equal(again[1], seconds(x, 300, 400))
    assert timeline.stats.gaps == 0
    assert list(timeline.stats.events) == [
        "from 2025-06-15T15:08:20Z on with EHZ,EHE",
        "from 2025-06-15T15:11:40Z on with EHZ,EHN,EHE",
    ]


@pytest.mark.parametrize("length", [1, 2, 5])
def test_a_channel_whose_packets_come_after_the_others_is_taken_in_again(length: int) -> None:
    x = counts(40_000)
    timeline = Timeline(ZNE, max_lag_s=30.0)
    packets = [
        single(x, code, i, i + length)
        for i in range(0, 400, length)
        for code in ZNE
        if not (code == "EHE" and 100 <= i < 300)
    ]
    three, two, again = segments(play(timeline, packets))
    assert (three[0], two[0], again[0]) == (0.0, 100.0, 300.0 + length)
    assert two[2] == ("EHZ", "EHN", "")
    np.testing.assert_array_equal(two[1][:, :2], seconds(x, 100, 300 + length)[:, :2])
    assert again[2] == ZNE
    np.testing.assert_array_equal(again[1], seconds(x, 300 + length, 400))
    assert timeline.stats.partial_samples == 100 * length
    assert timeline.stats.gaps == 0


def test_no_block_goes_back_where_only_the_late_channel_goes_on() -> None:
    x = counts(40_000)
    timeline = Timeline(ZNE, max_lag_s=30.0)
    packets = [
        single(x, code, i, i + 1)
        for i in range(400)
        for code in ZNE
        if (not 100 <= i < 200 if code == "EHE" else i < 201)
    ]
    blocks = play(timeline, packets)
    times = [block.start_ns for block in blocks]
    assert times == sorted(times)
    assert blocks[-1].stream.channels == ("", "", "EHE")


def test_a_channel_that_returns_amid_the_others_packets_is_taken_in_behind_them() -> None:
    x = counts(40_000)
    timeline = Timeline(ZNE, max_lag_s=30.0)
    packets = [single(x, code, i, i + 10) for i in range(0, 400, 10) for code in ("EHZ", "EHN")]
    packets += [single(x, "EHE", i, i + 10) for i in range(204, 394, 10)]
    packets.sort(key=lambda one: one.start_ns or 0)
    two, three, rest = segments(play(timeline, packets))
    assert (two[0], two[2]) == (0.0, ("EHZ", "EHN", ""))
    np.testing.assert_array_equal(two[1][:, :2], seconds(x, 0, 210)[:, :2])
    assert (three[0], three[2]) == (210.0, ZNE)
    np.testing.assert_array_equal(three[1], seconds(x, 210, 394))
    assert (rest[0], rest[2]) == (394.0, ("EHZ", "EHN", ""))
    assert timeline.stats.partial_samples == 600


@settings(deadline=None, max_examples=100)
@given(
    st.lists(
        st.tuples(
            st.integers(20, 900), st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 1500)), max_size=2)
        ),
        min_size=3,
        max_size=3,
    )
)
def test_no_time_comes_twice_however_the_records_of_each_channel_are_cut(
    plan: list[tuple[int, list[tuple[int, int]]]],
) -> None:
    x = counts(4000)
    packets = []
    for code, (length, holes) in zip(ZNE, plan, strict=True):
        there = np.ones(len(x), bool)
        for first, n in holes:
            there[first : first + n] = False
        edges = np.flatnonzero(np.diff(there, prepend=False, append=False)).tolist()
        for first, last in zip(edges[::2], edges[1::2], strict=True):
            for i in range(first, last, length):
                part = x[i : min(i + length, last), [ZNE.index(code)]]
                packets.append(packet(part, i / 100, (code,)))
    blocks = play(Timeline(ZNE, max_lag_s=2.0), sorted(packets, key=lambda one: one.start_ns or 0))
    for before, block in pairwise(blocks):
        assert block.start_ns >= before.start_ns + len(before.samples) * S // 100


def test_a_channel_that_never_comes_is_not_waited_for_beyond_the_lag() -> None:
    x = counts(6000)
    timeline = Timeline(ZNE, max_lag_s=20.0)
    out = 0
    for i in range(60):
        for code in ("EHZ", "EHE"):
            out += sum(len(block.samples) for block in timeline.feed(single(x, code, i, i + 1)))
        assert out == (0 if i <= 20 else (i + 1) * 100)


def test_the_vertical_may_die_too() -> None:
    x = counts(6000)
    timeline = Timeline(ZNE, max_lag_s=10.0)
    packets = [
        single(x, code, i, i + 1) for i in range(60) for code in ZNE if not (code == "EHZ" and i >= 20)
    ]
    three, two = segments(play(timeline, packets))
    assert len(three[1]) == 2000
    assert two[2] == ("", "EHN", "EHE")
    np.testing.assert_array_equal(two[1][:, 1:], seconds(x, 20, 60)[:, 1:])


def test_long_packets_are_no_lag_while_they_come_in_order() -> None:
    x = counts(60_000)
    timeline = Timeline(ZNE, max_lag_s=120.0)
    packets = [single(x, code, i, i + 300) for i in (0, 300) for code in ZNE]
    [(_, samples, _)] = segments(play(timeline, packets))
    np.testing.assert_array_equal(samples, x)


def test_a_whole_outage_longer_than_the_lag_kills_no_channel() -> None:
    x = counts(2000)
    timeline = Timeline(ZNE, max_lag_s=5.0)
    packets = [
        single(x, code, i, i + 1, late) for i, late in [(0, 0), (1, 0), (2, 90), (3, 90)] for code in ZNE
    ]
    (_, samples_a, _), (start_b, samples_b, channels) = segments(play(timeline, packets))
    np.testing.assert_array_equal(samples_a, seconds(x, 0, 2))
    np.testing.assert_array_equal(samples_b, seconds(x, 2, 4))
    assert (start_b, channels) == (92.0, ZNE)


def test_a_channel_that_stays_hopelessly_behind_does_not_break_the_others() -> None:
    x = counts(20_000)
    timeline = Timeline(ZNE, max_lag_s=10.0)
    packets = [
        one
        for i in range(200)
        for one in (
            single(x, "EHZ", i, i + 1),
            single(x, "EHE", i, i + 1),
            *([single(x, "EHN", i - 50, i - 49)] if i >= 50 else []),
        )
    ]
    [(_, samples, channels)] = segments(play(timeline, packets))
    assert channels == ("EHZ", "", "EHE")
    np.testing.assert_array_equal(samples[:, [0, 2]], x[:, [0, 2]])
    assert timeline.stats.partial_samples == 15_000


def test_a_channel_of_another_rate_is_left_out() -> None:
    x = counts(2000)
    timeline = Timeline(ZNE)
    packets = []
    for i in range(20):
        packets += [single(x, "EHZ", i, i + 1), single(x, "EHE", i, i + 1)]
        packets.append(packet(x[50 * i : 50 * i + 50, :1], i, ("EHN",), rate=50.0))
    blocks = play(timeline, packets)
    assert {block.stream.channels for block in blocks} == {("EHZ", "", "EHE")}
    np.testing.assert_array_equal(
        np.concatenate([block.samples for block in blocks])[:, [0, 2]], x[:, [0, 2]]
    )
    assert timeline.stats.partial_samples == 1000


# --- clocks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("at", "clock"), [(0.0, "device"), (None, "unknown")])
def test_what_has_no_utc_is_refused(at: float | None, clock: Clock) -> None:
    with pytest.raises(ValueError, match="without UTC"):
        Timeline(ZNE).feed(packet(counts(10), at, clock=clock))


def test_blocks_say_which_clock_vouches_for_them() -> None:
    x = counts(200)
    clocks: list[Clock] = ["gnss", "ntp"]
    blocks = play(Timeline(ZNE), [packet(x[:100], i, clock=clock) for i, clock in enumerate(clocks)])
    assert [block.clock for block in blocks] == clocks


@pytest.mark.parametrize("back", [30, 86_400])
def test_a_clock_set_back_for_good_deafens_for_five_seconds(back: int) -> None:
    x = counts(100)
    timeline = Timeline(ZNE)
    blocks = play(timeline, [packet(x, i) for i in range(40)] + [packet(x, i - back) for i in range(40, 90)])
    (_, before, _), (start, after, _) = segments(blocks)
    assert len(before) == 4000
    assert start == 45 - back
    assert len(after) == 4500
    assert timeline.stats.clock_steps == 1
    assert list(timeline.stats.events) == ["clock of EHZ,EHN,EHE was set anew: starting over"]


@pytest.mark.parametrize("ahead", [300, 86_400, 10**8])
def test_one_time_in_the_future_deafens_for_five_seconds(ahead: int) -> None:
    x = counts(10)
    timeline = Timeline(ZNE)
    times = [i / 10 for i in range(1000)]
    times[100] += ahead
    blocks = play(timeline, [packet(x, at) for at in times])
    start, samples, _ = segments(blocks)[-1]
    assert start == 15.1
    assert len(samples) == 10_000 - 1510
    assert timeline.stats.out_of_order_packets == 50
    assert timeline.stats.clock_steps == 1


def test_old_packets_between_current_ones_are_no_clock_set_back() -> None:
    x = counts(6000)
    timeline = Timeline(ZNE)
    cut = [packet(seconds(x, i, i + 1), i) for i in range(60)]
    resent = [one for i in range(30) for one in (cut[i], cut[30 + i])]
    [(_, samples, _)] = segments(play(timeline, [*cut[:30], *resent]))
    np.testing.assert_array_equal(samples, x)
    assert timeline.stats.clock_steps == 0


def test_data_given_twice_in_order_of_time_are_used_once_however_they_are_cut() -> None:
    x = counts(6000)
    timeline = Timeline(ZNE)
    twice = [single(x, code, i, i + size) for size in (30, 2) for i in range(0, 60, size) for code in ZNE]
    [(_, samples, _)] = segments(play(timeline, sorted(twice, key=lambda one: one.start_ns or 0)))
    np.testing.assert_array_equal(samples, x)
    assert timeline.stats.clock_steps == 0


# --- the rest -------------------------------------------------------------------------------------


def test_flush_uses_what_waits_and_the_time_line_can_go_on() -> None:
    x = counts(1000)
    timeline = Timeline(ZNE)
    timeline.feed(single(x, "EHZ", 0, 5))
    [(start, samples, channels)] = segments(timeline.flush())
    assert (start, channels) == (0.0, ("EHZ", "", ""))
    np.testing.assert_array_equal(samples[:, 0], seconds(x, 0, 5)[:, 0])
    [(start, samples, channels)] = segments(play(timeline, [packet(seconds(x, 6, 9), 6)]))
    assert (start, channels) == (6.0, ZNE)
    np.testing.assert_array_equal(samples, seconds(x, 6, 9))


def test_the_summary_says_what_is_not_zero() -> None:
    x = counts(1000).astype(np.float64)
    timeline = Timeline(ZNE)
    timeline.feed(packet(x[:500], 0))
    assert timeline.stats.summary() is None
    x[600, 0] = np.nan
    play(timeline, [packet(x[400:], 4), packet(x[:500], 0), packet(x[:500], 12.5)])
    assert timeline.stats.summary() == (
        "gaps: 2 (2.510 s missing); overlapping samples: 300; packets out of order: 1 (1500 samples); "
        "NaN, infinite or huge samples: 1; samples dropped without the other channels: 2"
    )


def test_a_channel_that_was_not_announced_is_refused() -> None:
    with pytest.raises(ValueError, match="HHZ where EHZ were announced"):
        Timeline(("EHZ",)).feed(packet(counts(10, 1), channels=("HHZ",)))


def test_a_rate_the_model_cannot_use_is_refused() -> None:
    with pytest.raises(ValueError, match="outside 20…1000 Hz"):
        Timeline(("LHZ",)).feed(packet(counts(10, 1), channels=("LHZ",), rate=1.0))


def test_an_empty_packet_is_nothing() -> None:
    assert Timeline(ZNE).feed(packet(counts(0))) == []


# --- packets that are joined before they go on ----------------------------------------------------


@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=40),
    broken_at=st.integers(0, 39),
    rate=st.sampled_from([50.0, 100.0, 200.0]),
    block=st.sampled_from([16, 64]),
)
def test_joined_packets_hold_the_same_samples_and_times(
    lengths: list[int], broken_at: int, rate: float, block: int
) -> None:
    x = counts(sum(lengths))
    packets, at, gap_s = [], 0, 0.0
    for k, n in enumerate(lengths):
        gap_s += 3.0 * (k == broken_at > 0)
        packets.append(packet(x[at : at + n], at / rate + gap_s, rate=rate))
        at += n
    joined, single = Timeline(ZNE, block=block), Timeline(ZNE)
    together, apart = play(joined, packets), play(single, packets)
    for (start, samples, _), (expected_start, expected, _) in zip(
        segments(together), segments(apart), strict=True
    ):
        assert start == expected_start
        np.testing.assert_array_equal(samples, expected)
    assert joined.stats.gaps == single.stats.gaps
    assert len(together) <= len(apart)


def test_no_more_than_a_block_is_ever_held_back() -> None:
    x = counts(1000)
    timeline = Timeline(ZNE, block=64)
    heard = given = 0
    for i in range(0, 1000, 10):
        heard += 10
        given += sum(len(block.samples) for block in timeline.feed(packet(x[i : i + 10], i / 100)))
        assert heard // 64 == given // 64


def test_a_packet_that_is_refused_costs_those_that_wait_nothing() -> None:
    x = counts(90)
    timeline = Timeline(ZNE, block=64)
    blocks = [block for i in range(0, 60, 20) for block in timeline.feed(packet(x[i : i + 20], i / 100))]
    with pytest.raises(ValueError, match="announced"):
        timeline.feed(packet(x[:20], 0.6, channels=("HHZ", "HHN", "HHE")))
    blocks += timeline.feed(packet(x[60:], 0.6)) + timeline.flush()
    [(_, samples, _)] = segments(blocks)
    np.testing.assert_array_equal(samples, x)
