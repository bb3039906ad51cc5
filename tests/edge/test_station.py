"""The chain of each instrument: what an operator is told, and that no instrument disturbs another."""

from dataclasses import replace
from functools import partial
from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.block import Block
from edge.flat import FLAT_S, FlatWatch
from edge.pick import NS, Pick
from edge.station import Station
from edge.timekeeper import Timekeeper
from firmware_bridge.packet import Packet, Stream, TimeMark
from firmware_bridge.synthetic import synthetic_earthquake

QUAKE = synthetic_earthquake()
START_NS = QUAKE.start_ns
ZNE = ("HHZ", "HHN", "HHE")


def packets(samples, station="TEST", channels=ZNE, rate=100.0, clock="gnss", size=100):
    """A record in packets of `size` samples."""
    stream = Stream("XX", station, "00", channels)
    return [
        Packet(stream, START_NS + round(i * NS / rate), rate, samples[i : i + size], clock)
        for i in range(0, len(samples), size)
    ]


@pytest.fixture
def run(network):
    """Feeds packets to a fresh station: the picks, and the lines for the operator."""

    def feed(stream_of_packets, channels=None):
        lines = []
        station = Station(network, network.card.thresholds, lines.append, channels)
        picks = [pick for packet in stream_of_packets for pick in station.feed(packet)]
        picks += station.flush()
        assert station.flush() == []
        return picks, lines

    return feed


def p_after_s(picks):
    """Seconds after the start of every P."""
    return [(pick.time_ns - START_NS) / NS for pick in picks if pick.phase == "P"]


def test_an_earthquake_is_picked_and_nothing_is_reported(run, network):
    picks, lines = run(packets(QUAKE.samples))
    assert lines == []
    assert p_after_s(picks)[0] == pytest.approx(20.0, abs=0.2)
    assert {(pick.station, pick.channels, pick.clock) for pick in picks} == {("XX.TEST.00", ZNE, "gnss")}
    assert {pick.model for pick in picks} == {network.card.identity}
    for pick in picks:
        assert network.card.thresholds[pick.phase] <= pick.prob <= 1
        assert 0 < pick.latency_s <= 60


@pytest.mark.parametrize("rate", [99.96, 100.04, 333.333])
def test_how_long_packets_are_does_not_move_picks_where_the_oscillator_is_off(run, rate):
    short, _ = run(packets(QUAKE.samples, rate=rate, size=20))
    whole, _ = run(packets(QUAKE.samples, rate=rate, size=len(QUAKE.samples)))
    assert len(short) > 1
    for one, other in zip(short, whole, strict=True):
        assert abs(one.time_ns - other.time_ns) < 1e-4 * NS


@pytest.mark.parametrize("rate", [10.0, 2000.0])
def test_an_instrument_at_an_impossible_rate_is_reported_once_and_the_others_go_on(run, rate):
    good, bad = packets(QUAKE.samples), packets(QUAKE.samples, "ODD", rate=rate)
    picks, lines = run([packet for both in zip(bad, good, strict=True) for packet in both])
    (line,) = lines
    assert line.startswith(f"XX.ODD.00.HH: not picked: sample rate {rate:g} Hz is outside 20…1000 Hz")
    assert picks == run(good)[0]


def test_an_instrument_that_changes_to_an_impossible_rate_gives_its_last_picks_at_once(run, network):
    good = packets(QUAKE.samples[:2400])
    lines = []
    station = Station(network, network.card.thresholds, lines.append)
    picks = [pick for packet in good for pick in station.feed(packet)]
    picks += station.feed(packets(QUAKE.samples[2400:], rate=5.0)[0])
    assert picks == run(good)[0]
    assert p_after_s(picks)[0] == pytest.approx(20.0, abs=0.2)
    assert len(lines) == 1
    assert station.flush() == []


@pytest.mark.parametrize(
    ("ahead_s", "said"),
    [(3600.0, "+3599.9"), (-18_000.0, "-18000.1"), (1.0, "+0.9"), (0.2, None), (-30, None)],
)
def test_a_clock_that_cannot_be_true_is_told_and_when_it_is_right_again(network, monkeypatch, ahead_s, said):
    """Local time for UTC, or marks of the wrong second."""
    monkeypatch.setattr("edge.station.Timekeeper", partial(Timekeeper, lambda: "ntp"))
    lines = []
    station = Station(network, network.card.thresholds, lines.append)
    for second in range(120):
        off_ns = round(ahead_s * NS) if second < 60 else 0
        at_ns = START_NS + second * NS
        packet = packets(QUAKE.samples[second * 100 % 6000 :][:100])[0]
        station.take(replace(packet, start_ns=at_ns + off_ns), at_ns + round(1.05 * NS))
        station.rest(at_ns + round(1.05 * NS))
    told = [line for line in lines if "digitizer's clock" in line]
    if said is None:
        assert told == []
    else:
        was_off, is_right = told
        assert was_off.startswith(f"XX.TEST.00.HH: the digitizer's clock is off by {said} s, or NTP is")
        assert is_right == "XX.TEST.00.HH: the digitizer's clock is right again"


def test_data_that_were_held_up_are_no_clock_that_is_off(network, monkeypatch):
    monkeypatch.setattr("edge.station.Timekeeper", partial(Timekeeper, lambda: "ntp"))
    lines = []
    station = Station(network, network.card.thresholds, lines.append)
    for second in range(120):  # what waited for ten minutes comes at five times the speed
        at_ns = START_NS + second * NS // 5 + 600 * NS
        (packet,) = packets(QUAKE.samples[second * 100 % 6000 :][:100])
        station.take(replace(packet, start_ns=START_NS + second * NS), at_ns)
        station.rest(at_ns)
    assert [line for line in lines if "clock" in line] == []


def test_an_instrument_that_sends_other_channels_is_picked_on_and_told_once(run):
    both = packets(QUAKE.samples[:, :1], channels=("HHZ",))[:5] + packets(QUAKE.samples)[5:]
    picks, lines = run(both)
    assert [line for line in lines if "starting over" in line] == [
        "XX.TEST.00.HH: sends HHZ,HHN,HHE instead of HHZ now, starting over"
    ]
    assert any(t == pytest.approx(20.0, abs=0.2) for t in p_after_s(picks))


def test_one_packet_of_an_unusable_rate_does_not_end_an_instrument(network):
    lines = []
    station = Station(network, network.card.thresholds, lines.append)
    good = packets(QUAKE.samples)
    picks = []
    for packet in [*good[:4], packets(QUAKE.samples, rate=5.0)[0], *good[4:]]:
        picks += station.feed(packet)
    picks += station.flush()
    assert any(t == pytest.approx(20.0, abs=0.2) for t in p_after_s(picks))
    assert sum("5 Hz" in line for line in lines) == 1


def test_a_one_component_station_is_told_so_once_and_picked(run):
    picks, lines = run(packets(QUAKE.samples[:, :1], channels=("EHZ",)))
    (line,) = lines
    assert line.startswith("XX.TEST.00: only EHZ; the other components count as zero")
    assert picks
    assert {pick.channels for pick in picks} == {("EHZ",)}
    assert min(p_after_s(picks)) == pytest.approx(20.0, abs=0.2)


@pytest.mark.parametrize("channels", [("HH1", "HH2", "HH3"), ("HHU", "HHV", "HHW")])
def test_which_of_three_channels_without_a_z_counts_as_the_vertical_is_told(run, channels):
    picks, lines = run(packets(QUAKE.samples, channels=channels))
    named = ", ".join(channels)
    assert lines == [f"XX.TEST.00: no Z among {named}: {channels[0]} is taken for the vertical"]
    assert min(p_after_s(picks)) == pytest.approx(20.0, abs=0.2)


def test_records_of_single_channels_are_joined_where_the_channels_are_known(run):
    singles = [packets(QUAKE.samples[:, k : k + 1], channels=(ZNE[k],)) for k in (2, 0, 1)]
    mixed = [packet for three in zip(*singles, strict=True) for packet in three]
    picks, lines = run(mixed, channels={"XX.TEST.00.HH": ZNE})
    assert lines == []
    assert picks == run(packets(QUAKE.samples))[0]


def singles(samples, order=(0, 1, 2), **kwargs):
    """The packets of each channel on its own."""
    return [packets(samples[:, k : k + 1], channels=(ZNE[k],), **kwargs) for k in order]


def in_turn(records):
    return [packet for together in zip(*records, strict=True) for packet in together]


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_single_channels_that_nobody_announced_give_the_same_picks_in_any_order(run, order):
    picks, lines = run(in_turn(singles(QUAKE.samples, order)))
    assert lines == []
    assert picks == run(packets(QUAKE.samples))[0]


def test_channels_that_come_several_packets_at_a_time_are_one_instrument(run):
    """As of a Raspberry Shake, whose packets wait until their rate is known."""
    z, n, e = singles(QUAKE.samples, size=25)
    picks, lines = run([*z[:6], *n[:6], *e[:6], *in_turn([z[6:], n[6:], e[6:]])])
    assert lines == []
    assert picks == run(packets(QUAKE.samples))[0]


def test_a_channel_that_turns_up_late_joins_the_others(run):
    z, n, e = singles(QUAKE.samples)
    late = in_turn([z[:12], n[:12]]) + in_turn([z[12:], n[12:], e[12:]])
    picks, lines = run(late)
    assert [line for line in lines if "starting over" in line] == [
        "XX.TEST.00.HH: sends HHZ,HHN,HHE instead of HHZ,HHN now, starting over"
    ]
    assert p_after_s(picks)[0] == pytest.approx(20.0, abs=0.2)
    assert {pick.channels for pick in picks if pick.time_ns > START_NS + 15 * NS} == {ZNE}


def test_a_channel_that_was_away_is_picked_with_the_others_again(network):
    lines = []
    station = Station(network, network.card.thresholds, lines.append)
    z, n, e = singles(np.tile(QUAKE.samples, (2, 1)))
    picks = []
    for k in range(120):
        for packet in (z[k], n[k], *([] if 30 <= k < 50 else [e[k]])):
            picks += station.feed(packet)
    assert {pick.channels for pick in picks if pick.time_ns > START_NS + 60 * NS} == {ZNE}
    assert [line.rpartition(" ")[2] for line in lines if " on with " in line] == ["HHZ,HHN", "HHZ,HHN,HHE"]


@pytest.mark.parametrize("announced", [None, {"XX.TEST.00.HH": ZNE}])
def test_a_channel_of_another_rate_than_the_others_is_told_once_with_both_rates(run, announced):
    z, _, e = singles(QUAKE.samples)
    slow = packets(QUAKE.samples[::2, 1:2], channels=("HHN",), rate=50.0, size=50)
    picks, lines = run(in_turn([z, slow, e]), announced)
    said = "XX.TEST.00.HH: HHN is left out: 50 Hz, beside HHZ,HHE at 100 Hz"
    assert [line for line in lines if " Hz" in line] == [said]
    assert {pick.channels for pick in picks} == {("HHZ", "HHE")}


def test_a_channel_that_changes_its_rate_is_told_again_after_it_was_back(run):
    z, n, e = singles(QUAKE.samples)
    slow = packets(QUAKE.samples[::2, :1], channels=("HHZ",), rate=50.0, size=50)
    changing = [slow[k] if k // 10 in (1, 4) else z[k] for k in range(60)]
    _, lines = run(in_turn([e, n, changing]))
    said = [line for line in lines if " Hz" in line]
    assert said == 2 * [
        "XX.TEST.00.HH: HHN is left out: 100 Hz, beside HHZ at 50 Hz",
        "XX.TEST.00.HH: HHE is left out: 100 Hz, beside HHZ at 50 Hz",
    ]


def test_a_channel_that_falls_silent_is_given_up_and_the_rest_goes_on(network):
    lines, picks = [], []
    station = Station(network, network.card.thresholds, lines.append)
    z, n, e = singles(QUAKE.samples)
    began = in_turn([z[:12], n[:12], e[:12]])
    alone = in_turn([z[12:], e[12:]])
    for packet in began + alone[:12]:
        picks += station.feed(packet)
    assert not [
        line for line in lines if "HHZ,HHE" in line
    ]  # with 5 s and the newest packet it may still come
    for packet in alone[12:14]:
        picks += station.feed(packet)
    (line,) = [line for line in lines if "HHZ,HHE" in line]
    assert line == "XX.TEST.00.HH: from 2023-11-14T22:13:32Z on with HHZ,HHE"
    for packet in alone[14:]:
        picks += station.feed(packet)
    assert p_after_s(picks)[0] == pytest.approx(20.0, abs=0.2)  # live, without waiting for the end
    assert {pick.channels for pick in picks if pick.phase == "P"} == {("HHZ", "HHE")}


@pytest.mark.parametrize("stuck_at", [0, 4321])
@pytest.mark.parametrize("rate", [50.0, 100.0, 250.0])
def test_a_constant_channel_is_reported_once_and_again_when_it_moves(run, rate, stuck_at):
    n = round(rate * 60)
    ground = np.random.default_rng(1).integers(900, 1100, (n + n // 2, 3)).astype(np.int32)
    ground[n // 4 : n, 1] = stuck_at
    _, lines = run(packets(ground, rate=rate, size=round(rate)))
    assert lines == [
        f"XX.TEST.00.HHN: constant for {FLAT_S:.0f} s, is the sensor connected?",
        "XX.TEST.00.HHN: moves again",
    ]


def test_a_channel_that_never_moved_is_reported_and_one_that_is_absent_is_not(run):
    ground = np.random.default_rng(1).integers(-100, 100, (4000, 2)).astype(np.int32)
    ground[:, 0] = 77
    _, lines = run(packets(ground, channels=("EHZ", "EHN")))
    assert [line for line in lines if "constant" in line] == [
        "XX.TEST.00.EHZ: constant for 30 s, is the sensor connected?"
    ]
    assert len(lines) == 2  # and that there is no east


@given(st.lists(st.integers(1, 999), max_size=20), st.integers(0, 300).map(lambda n: 10 * n))
@settings(max_examples=60)
def test_smaller_packets_do_not_change_what_is_said(cuts, flat_for):
    samples = np.random.default_rng(2).normal(size=(1000, 3))
    samples[200 : 200 + flat_for, 2] = samples[200, 2]
    stream = Stream("XX", "TEST", "00", ZNE)

    def said(edges):
        watch = FlatWatch(rate=10.0)
        blocks = [Block(stream, START_NS, samples[a:b], 100.0, "gnss", a == 0) for a, b in pairwise(edges)]
        return [line for block in blocks for line in watch.feed(block)]

    lines = said(range(0, 1001, 10))
    assert said(sorted({*cuts, *range(0, 1001, 10)})) == lines
    assert len(lines) == (flat_for > 300) + (301 < flat_for < 800)


def test_samples_that_are_no_numbers_make_a_gap_that_is_reported_and_nothing_else(run):
    ground = QUAKE.samples.astype(np.float64)
    ground[500:503, 1] = np.nan
    ground[5000] = np.inf
    picks, lines = run(packets(ground))
    gaps = [line.partition(" before")[0] for line in lines]
    assert gaps[:2] == ["XX.TEST.00.HH: gap of 0.030 s", "XX.TEST.00.HH: gap of 0.010 s"]
    assert "NaN, infinite or huge samples: 6" in lines[2]
    assert any(t == pytest.approx(20.0, abs=0.2) for t in p_after_s(picks))


def test_huge_samples_are_a_gap_and_every_pick_can_be_read_again(run):
    ground = QUAKE.samples.astype(np.float64)
    ground[1000:1200] = 1e300
    picks, lines = run(packets(ground))
    assert any("NaN, infinite or huge samples: 600" in line for line in lines)
    assert any(t == pytest.approx(20.0, abs=0.2) for t in p_after_s(picks))
    for pick in picks:
        Pick.from_json(pick.to_json())


def test_a_stream_of_nothing_but_nan_gives_no_picks_and_no_error(run):
    assert run(packets(np.full((3000, 3), np.nan)))[0] == []


# --- clocks


def told(clock_marks, ppm=0.0):
    """The record of a digitizer with its own clock, which runs fast by `ppm`; with a PPS mark every second or
    without."""
    for k, packet in enumerate(packets(QUAKE.samples, clock="device")):
        device_ns = 5_000 * NS + round(k * NS * (1 + ppm * 1e-6))
        mark = TimeMark(device_ns, START_NS + k * NS, 2e-6) if clock_marks else None
        yield replace(packet, start_ns=device_ns, mark=mark), START_NS + (k + 1) * NS


@pytest.fixture
def live(network):
    """Feeds packets with their arrival times to a fresh station: it, its picks and its lines."""

    def feed(arriving):
        lines = []
        station = Station(network, network.card.thresholds, lines.append)
        picks = [pick for packet, arrival_ns in arriving for pick in station.feed(packet, arrival_ns)]
        return station, picks + station.flush(), lines

    return feed


def test_without_time_on_the_wire_the_time_of_arrival_counts(live):
    arriving = [
        (replace(packet, start_ns=None, clock="unknown"), arrival_ns) for packet, arrival_ns in told(False)
    ]
    _, picks, lines = live(arriving)
    assert lines == []
    assert {pick.clock for pick in picks} <= {"host", "ntp"}
    assert p_after_s(picks)[0] == pytest.approx(20.0, abs=0.2)


def test_a_device_clock_without_marks_is_as_good_as_its_link(live):
    _, picks, lines = live(told(False))
    assert lines == []
    assert {pick.clock for pick in picks} <= {"host", "ntp"}
    for pick in picks:  # nobody knows how wrong a clock is that is not synchronised
        assert pick.clock_sigma == (pytest.approx(0.005, abs=0.001) if pick.clock == "ntp" else None)
    assert p_after_s(picks)[0] == pytest.approx(20.0, abs=0.2)


def test_a_device_clock_with_pps_marks_is_as_good_as_gnss(live):
    _, picks, lines = live(told(True))
    assert lines == []
    assert {pick.clock for pick in picks} == {"gnss"}
    assert all(pick.clock_sigma is not None and pick.clock_sigma < 1e-3 for pick in picks)
    by_utc = [pick.time_ns for pick in live((packet, None) for packet in packets(QUAKE.samples))[1]]
    assert [pick.time_ns for pick in picks] == pytest.approx(by_utc, abs=100_000)


@pytest.mark.parametrize("ppm", [0.0, 20.0, -35.0])
def test_how_fast_a_digitizer_samples_is_known_by_its_marks(live, ppm):
    station, picks, _ = live(told(True, ppm))
    assert picks
    (line,) = station.clocks()
    assert line.startswith("XX.TEST.00.HH: samples ")
    assert line.endswith(" ppm off its nominal rate")
    assert float(line.split()[2]) == pytest.approx(ppm, abs=1.0)


def test_a_digitizer_that_sends_utc_has_no_clock_to_compare(live):
    station, picks, _ = live((packet, None) for packet in packets(QUAKE.samples))
    assert picks
    assert {pick.clock_sigma for pick in picks} == {None}
    assert station.clocks() == []


def test_a_capture_without_utc_is_told_once_and_gives_no_picks(run):
    picks, lines = run(packets(QUAKE.samples, clock="device"))
    assert (picks, len(lines)) == ([], 1)
    assert lines[0].startswith("XX.TEST.00.HH: not picked: it has sent no UTC")


# --- units


def with_meta(**meta):
    return [replace(packet, meta=meta) for packet in packets(QUAKE.samples)]


def test_amplitudes_are_in_the_unit_that_the_wire_names(run):
    counts, _ = run(packets(QUAKE.samples))
    assert {pick.amp_unit for pick in counts} == {"count"}
    picks, _ = run(with_meta(unit="m/s", sensitivity=(4e8, 4e8, 4.2e8)))
    assert {pick.amp_unit for pick in picks} == {"m/s"}
    assert [pick.amp for pick in picks] == pytest.approx([pick.amp / 4e8 for pick in counts])
    assert [replace(pick, amp=0.0, amp_unit="") for pick in picks] == [
        replace(pick, amp=0.0, amp_unit="") for pick in counts
    ]


def test_samples_that_come_in_a_unit_need_no_sensitivity(run):
    counts, _ = run(packets(QUAKE.samples))
    picks, _ = run(with_meta(unit="gal"))
    assert [(pick.amp, pick.amp_unit) for pick in picks] == [(pick.amp, "gal") for pick in counts]


@pytest.mark.parametrize(
    "meta",
    [
        {"unit": "m/s", "sensitivity": (4e8, 4e8, 4.5e8)},  # differ by more than 10 %
        {"unit": "m/s", "sensitivity": (4e8, None, 4e8)},
        {"sensitivity": (4e8, 4e8, 4e8)},
    ],
)
def test_without_one_sensitivity_and_a_unit_amplitudes_stay_counts(run, meta):
    assert run(with_meta(**meta))[0] == run(packets(QUAKE.samples))[0]


# --- several instruments


def test_interleaved_instruments_are_picked_as_each_alone(run):
    records = [
        packets(synthetic_earthquake(seed).samples, f"ST{seed}", size=size)
        for seed, size in ((0, 100), (1, 37), (2, 500))
    ]
    order = np.random.default_rng(4).permutation(np.repeat([0, 1, 2], [len(r) for r in records]))
    queues = [iter(record) for record in records]
    together, lines = run(next(queues[k]) for k in order)
    assert lines == []
    alone = [pick for record in records for pick in run(record)[0]]
    assert len(alone) >= 3
    assert sorted(together, key=lambda pick: (pick.station, pick.time_ns, pick.phase)) == sorted(
        alone, key=lambda pick: (pick.station, pick.time_ns, pick.phase)
    )


# --- several instruments, and time that passes


def test_one_instrument_that_falls_silent_is_picked_to_its_end_while_others_go_on(network):
    station = Station(network, network.card.thresholds, lambda line: None)
    silent, other = packets(QUAKE.samples[:2300], "AAA"), packets(QUAKE.samples[:4000] // 100, "BBB")
    picked_s = None
    for k, packet in enumerate(other):
        now_ns = START_NS + (k + 1) * NS
        picks = station.feed(packet, now_ns)
        if k < len(silent):
            picks += station.feed(silent[k], now_ns)
        picks += station.rest(now_ns)
        if picked_s is None and any(pick.station == "XX.AAA.00" for pick in picks):
            picked_s = k + 1
    assert picked_s == 34  # 10 s after its last packet


def test_a_fourth_channel_is_told_once_and_disturbs_nothing(run):
    odd = packets(QUAKE.samples[:, :1], channels=("HH1",))
    mixed = [one for k, packet in enumerate(packets(QUAKE.samples)) for one in (packet, *odd[k : k + 1])]
    picks, lines = run(mixed)
    assert lines == ["XX.TEST.00.HH: not picked: HH1 beside HHZ, HHN, HHE"]
    assert picks == run(packets(QUAKE.samples))[0]


def test_a_pick_says_the_clock_of_its_onset_and_not_of_what_came_later(run):
    mixed = [
        replace(packet, clock="ntp", sigma_s=0.01) if k < 22 else packet
        for k, packet in enumerate(packets(QUAKE.samples))
    ]
    picks, _ = run(mixed)
    assert [(pick.clock, pick.clock_sigma) for pick in picks] == [
        ("ntp", 0.01) if pick.time_ns < START_NS + 22 * NS else ("gnss", None) for pick in picks
    ]
    assert {pick.clock for pick in picks} == {"ntp", "gnss"}
