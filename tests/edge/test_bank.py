"""Streams through the bank: every onset once, at its time, however the data are cut and whoever is beside."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spikes import CARD, RATE, START_NS, STREAM, SpikeNetwork, blocks_of, run

from edge.bank import Bank
from edge.first_motion import Polariser
from edge.model import load_model, model_path
from edge.pick import NS
from edge.polarity import load_polarity
from firmware_bridge.synthetic import synthetic_earthquake


@given(
    length=st.one_of(st.integers(200, 5000), st.integers(16_000, 40_000)),
    at=st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=6),
    cuts=st.lists(st.integers(0, 5000), max_size=20),
    at_once=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_every_onset_is_picked_once_at_its_time_wherever_it_lies(length, at, cuts, at_once):
    spikes = sorted({int(f * length) for f in at})
    spikes = [s for i, s in enumerate(spikes) if i == 0 or s - spikes[i - 1] > 150]
    samples = np.zeros((length, 3))
    samples[spikes] = 1.0
    picks = run(SpikeNetwork(), blocks_of(samples, [c for c in cuts if c < length]), at_once=at_once)
    found = [round((p.time_ns - START_NS) * RATE / NS) for p in picks]
    kept = [s for i, s in enumerate(spikes) if i == 0 or s - spikes[i - 1] > 150]
    assert found == kept
    assert len({p.id for p in picks}) == len(picks)


@pytest.fixture(scope="module")
def network():
    return load_model()


@pytest.fixture(scope="module")
def polariser():
    return Polariser(load_polarity())


@given(cuts=st.lists(st.integers(0, 6000), max_size=40))
@settings(max_examples=15, deadline=None)
def test_picks_do_not_depend_on_how_the_samples_were_cut(network, polariser, cuts):
    samples = synthetic_earthquake(1).samples.astype(np.float64)
    low = {"P": 0.05, "S": 0.05}
    whole = run(network, blocks_of(samples), low, polariser=polariser)
    assert any(pick.polarity for pick in whole)
    assert run(network, blocks_of(samples, cuts), low, polariser=polariser) == whole


@pytest.mark.parametrize(
    ("name", "minutes"), [("lppn-tiny", 6), ("lppn", 6), ("lppn", 45), ("lppn-large", 6)]
)
def test_a_backlog_is_picked_as_it_would_have_been_live(polariser, name, minutes):
    """Cut into pieces that are answered side by side: the same picks, to the last bit."""
    network = load_model(model_path(name))
    rng = np.random.default_rng(minutes)
    samples = np.concatenate([synthetic_earthquake(seed % 7).samples for seed in range(minutes)])
    samples = samples + rng.normal(0, 5, samples.shape)
    low = {"P": 0.05, "S": 0.05}
    blocks = blocks_of(samples, range(150, len(samples), 150))
    live = run(network, blocks, low, polariser=polariser)
    assert len(live) > minutes
    assert any(pick.polarity for pick in live)
    assert run(network, blocks, low, at_once=True, polariser=polariser) == live


def test_one_that_floods_changes_no_pick_of_the_others(network, polariser):
    """Six minutes come at once, in pieces, between two seconds of another."""
    flood = np.concatenate([synthetic_earthquake(seed).samples for seed in range(6)]).astype(np.float64)
    steady = synthetic_earthquake(3).samples.astype(np.float64)
    low = {"P": 0.05, "S": 0.05}
    bank = Bank(network, low, polariser=polariser)
    one, other = bank.open(), bank.open()
    picks = []
    for second, block in enumerate(blocks_of(steady, range(100, len(steady), 100))):
        other.feed(block)
        for piece in blocks_of(flood) if second == 22 else ():
            one.feed(piece)
        picks += bank.run()
    one.end()
    other.end()
    picks += bank.run()
    alone = [pick for samples in (flood, steady)
             for pick in run(network, blocks_of(samples), low, polariser=polariser)]  # fmt: skip
    assert sorted(map(repr, picks)) == sorted(map(repr, alone))


@given(cuts=st.lists(st.integers(0, 12_000), max_size=20), at_once=st.booleans())
@settings(max_examples=8, deadline=None)
def test_early_picks_come_sooner_and_change_no_final_one(network, cuts, at_once):
    samples = np.concatenate([synthetic_earthquake(seed).samples for seed in (1, 4)]).astype(np.float64)
    low = {"P": 0.3, "S": 0.3}
    final = run(network, blocks_of(samples), low)
    told = run(network, blocks_of(samples, cuts), low, at_once, early={"P": 0.5, "S": 0.5})
    last = {pick.id: pick for pick in told}
    ends = [pick for pick in told if pick.status != "preliminary"]
    assert sorted(last) == sorted(pick.id for pick in ends)  # one end each
    assert [replace(pick, id="", update=0) for pick in ends if pick.status == "final"] == [
        replace(pick, id="") for pick in final
    ]
    early = [pick for pick in told if pick.status == "preliminary"]
    assert early
    for pick in early:
        assert pick.update == 0
        assert last[pick.id].update == 1
        if last[pick.id].status == "final":
            assert pick.latency_s < last[pick.id].latency_s
            assert abs(pick.time_ns - last[pick.id].time_ns) < NS


@given(
    offsets=st.lists(st.integers(0, 3000), min_size=1, max_size=70),
    order=st.randoms(use_true_random=False),
)
@settings(max_examples=8, deadline=None)
def test_a_stream_is_picked_as_if_it_were_alone(network, polariser, offsets, order):
    """Beside any number of others, each at its own point, some of which end, and however they take turns."""
    samples = synthetic_earthquake(1).samples.astype(np.float64)
    low = {"P": 0.05, "S": 0.05}
    bank = Bank(network, low, polariser=polariser)
    streams = [(bank.open(), blocks_of(samples[k:], range(200, 6000, 400))) for k in offsets]
    waiting = [picker for picker, blocks in streams for _ in blocks]
    order.shuffle(waiting)
    left = {picker: iter(blocks) for picker, blocks in streams}
    picks = []
    for turn, picker in enumerate(waiting):
        picker.feed(next(left[picker]))
        picks += bank.run() if turn % 7 == 0 else []
    for picker, _ in streams:
        picker.end()
    picks += bank.run()
    alone = {k: run(network, blocks_of(samples[k:]), low, polariser=polariser) for k in set(offsets)}
    expected = [pick for k in offsets for pick in alone[k]]
    assert sorted(map(repr, picks)) == sorted(map(repr, expected))


@pytest.mark.parametrize("name", ["lppn-tiny", "lppn", "lppn-large"])
def test_a_shipped_model_picks_p_of_an_earthquake(name):
    made = synthetic_earthquake()
    picks = run(load_model(model_path(name)), blocks_of(made.samples.astype(np.float64)))
    p = [pick for pick in picks if pick.phase == "P"]
    assert any(abs(pick.time_ns - START_NS - (made.p_ns - made.start_ns)) < 0.3 * NS for pick in p)
    best = max(p, key=lambda pick: pick.prob)
    assert best.snr_db > 10
    assert best.amp > 200
    assert best.clock == "gnss"
    assert best.channels == STREAM.channels


def test_a_gap_ends_the_segment_and_loses_no_onset_before_or_after_it():
    first, second = np.zeros((700, 3)), np.zeros((900, 3))
    first[695] = 1.0  # five samples before the gap
    second[4] = 1.0  # four samples after it
    later = START_NS + 60 * NS
    picks = run(SpikeNetwork(), [*blocks_of(first), *blocks_of(second, start_ns=later)])
    assert [p.time_ns for p in picks] == [START_NS + 695 * NS // RATE, later + 4 * NS // RATE]


def test_times_follow_the_blocks_own_times():
    """A digitizer's oscillator is 100 ppm slow: the last block is 6 ms later than its sample count says."""
    samples = np.zeros((6000, 3))
    samples[5950] = 1.0
    blocks = [
        replace(block, start_ns=block.start_ns + i * 100_000)
        for i, block in enumerate(blocks_of(samples, range(100, 6000, 100)))
    ]
    (pick,) = run(SpikeNetwork(), blocks)
    assert pick.time_ns == START_NS + 5950 * NS // RATE + 59 * 100_000


def test_thresholds_override_the_cards(network):
    samples = synthetic_earthquake().samples.astype(np.float64)
    low = run(network, blocks_of(samples), {"P": 0.02, "S": 0.02})
    high = run(network, blocks_of(samples), {"P": 0.02, "S": 0.3})
    assert [p for p in low if p.phase == "P"] == [p for p in high if p.phase == "P"]
    assert [p for p in low if p.phase == "S" and p.prob >= 0.3] == [p for p in high if p.phase == "S"]


def test_a_pick_is_made_as_soon_as_its_look_ahead_has_passed():
    samples = np.zeros((3000, 3))
    samples[1500] = 1.0
    bank = Bank(SpikeNetwork())
    picker = bank.open()
    made_at = None
    for i, block in enumerate(blocks_of(samples, range(10, 3000, 10))):
        picker.feed(block)
        if bank.run():
            made_at = (i + 1) * 10
            break
    assert made_at is not None
    late = (made_at - 1500) / RATE
    stream = CARD.stream
    ahead = stream.delays[-1] * CARD.cells.stride
    assert late <= (ahead + stream.hop + 10) / RATE + stream.separation_s + 0.16
