"""The chain of each instrument: what an operator is told, and that no instrument disturbs another."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.pick import NS
from edge.station import FLAT_S, FlatWatch, Station
from edge.timeline import Block
from firmware_bridge.packet import Packet, Stream
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


def test_records_of_single_channels_are_joined_where_the_channels_are_known(run):
    singles = [packets(QUAKE.samples[:, k : k + 1], channels=(ZNE[k],)) for k in (2, 0, 1)]
    mixed = [packet for three in zip(*singles, strict=True) for packet in three]
    picks, lines = run(mixed, channels={"XX.TEST.00.HH": ZNE})
    assert lines == []
    assert picks == run(packets(QUAKE.samples))[0]


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
        blocks = [Block(stream, START_NS, samples[a:b], "gnss", a == 0) for a, b in pairwise(edges)]
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
    assert gaps[:2] == ["gap of 0.030 s", "gap of 0.010 s"]
    assert "NaN or infinite samples: 6" in lines[2]
    assert any(t == pytest.approx(20.0, abs=0.2) for t in p_after_s(picks))


def test_a_stream_of_nothing_but_nan_gives_no_picks_and_no_error(run):
    assert run(packets(np.full((3000, 3), np.nan)))[0] == []


def test_without_utc_on_the_wire_the_time_of_arrival_counts(network):
    stream = Stream("XX", "TEST", "00", ZNE)
    lines = []
    station = Station(network, network.card.thresholds, lines.append)
    picks = []
    for i in range(0, 6000, 100):
        packet = Packet(stream, None, 100.0, QUAKE.samples[i : i + 100], "device")
        picks += station.feed(packet, START_NS + (i + 100) * NS // 100)
    picks += station.flush()
    assert lines == []
    assert {pick.clock for pick in picks} == {"host"}
    assert p_after_s(picks)[0] == pytest.approx(20.0, abs=0.2)


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
