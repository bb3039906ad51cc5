"""The streaming picker: every onset once, at the right time, however the data are cut."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.card import Card, CellSpec, InputSpec, StreamSpec
from edge.model import load_model, model_path
from edge.pick import NS
from edge.picker import Picker
from edge.timeline import Block
from firmware_bridge.packet import Stream
from firmware_bridge.synthetic import synthetic_earthquake

STREAM = Stream("XX", "TEST", "00", ("EHZ", "EHN", "EHE"))
START_NS = 1_700_000_000 * NS
RATE = 100
CARD = Card(
    name="spikes",
    task="picking",
    licence="MIT",
    input=InputSpec(100.0, 1024, None, {"name": "max-abs"}),
    cells=CellSpec(16, "linear"),
    stream=StreamSpec(hop=128, lookahead=256, separation_s=1.0),
    thresholds={"P": 0.5, "S": 0.5},
    sigma_s={"P": 0.01, "S": 0.01},
    bias_s={"P": 0.0, "S": 0.0},
    sha256="0" * 64,
)


class SpikeNetwork:
    """Says P for every cell in which the vertical exceeds a tenth of the window's maximum, with the exact
    offset: a picker on top of it must find every spike once, wherever windows begin and end."""

    def __init__(self, card: Card = CARD) -> None:
        self.card = card
        self.windows = 0

    def infer(self, window):
        self.windows += 1
        cells = np.abs(window[:, 0]).reshape(-1, self.card.cells.stride)
        logits = np.tile(np.float32([30.0, 0.0, 0.0]), (len(cells), 1))
        logits[:, 1] = np.where(cells.max(axis=1) > 0.1, 60.0, 0.0)
        return logits, (cells.argmax(axis=1) / self.card.cells.stride).astype(np.float32)


def blocks_of(samples, cuts=(), starts=True, start_ns=START_NS):
    edges = [0, *sorted(cuts), len(samples)]
    blocks = []
    for a, b in pairwise(edges):
        if b > a:
            begin = start_ns + a * NS // RATE
            blocks.append(Block(STREAM, begin, samples[a:b], "gnss", starts and not blocks))
    return blocks


def run(picker, blocks):
    return [pick for block in blocks for pick in picker.feed(block)] + picker.flush()


@given(
    length=st.integers(200, 5000),
    at=st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=6),
    cuts=st.lists(st.integers(0, 5000), max_size=20),
)
@settings(max_examples=150, deadline=None)
def test_every_onset_is_picked_once_at_its_time_wherever_it_lies(length, at, cuts):
    spikes = sorted({int(f * length) for f in at})
    spikes = [s for i, s in enumerate(spikes) if i == 0 or s - spikes[i - 1] > 150]
    samples = np.zeros((length, 3))
    samples[spikes] = 1.0
    picks = run(Picker(SpikeNetwork()), blocks_of(samples, [c for c in cuts if c < length]))
    found = [round((p.time_ns - START_NS) * RATE / NS) for p in picks]
    kept = [s for i, s in enumerate(spikes) if i == 0 or s - spikes[i - 1] > 150]
    assert found == kept
    assert len({p.id for p in picks}) == len(picks)


@pytest.fixture(scope="module")
def network():
    return load_model()


@given(cuts=st.lists(st.integers(0, 6000), max_size=40))
@settings(max_examples=15, deadline=None)
def test_picks_do_not_depend_on_how_the_samples_were_cut(network, cuts):
    samples = synthetic_earthquake(1).samples.astype(np.float64)
    low = {"P": 0.05, "S": 0.05}
    whole = run(Picker(network, low), blocks_of(samples))
    assert whole
    assert run(Picker(network, low), blocks_of(samples, cuts)) == whole


@pytest.mark.parametrize("name", ["lppn-tiny", "lppn", "lppn-large"])
def test_a_shipped_model_picks_p_of_an_earthquake(name):
    made = synthetic_earthquake()
    picks = run(Picker(load_model(model_path(name))), blocks_of(made.samples.astype(np.float64)))
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
    picker = Picker(SpikeNetwork())
    later = START_NS + 60 * NS
    picks = run(picker, [*blocks_of(first), *blocks_of(second, start_ns=later)])
    assert [p.time_ns for p in picks] == [START_NS + 695 * NS // RATE, later + 4 * NS // RATE]


def test_times_follow_the_blocks_own_times():
    """A digitizer's oscillator is 100 ppm slow: the last block is 6 ms later than its sample count says."""
    samples = np.zeros((6000, 3))
    samples[5950] = 1.0
    blocks = [
        replace(block, start_ns=block.start_ns + i * 100_000)
        for i, block in enumerate(blocks_of(samples, range(100, 6000, 100)))
    ]
    (pick,) = run(Picker(SpikeNetwork()), blocks)
    assert pick.time_ns == START_NS + 5950 * NS // RATE + 59 * 100_000


def test_thresholds_override_the_cards(network):
    samples = synthetic_earthquake().samples.astype(np.float64)
    low = run(Picker(network, {"P": 0.02, "S": 0.02}), blocks_of(samples))
    high = run(Picker(network, {"P": 0.02, "S": 0.3}), blocks_of(samples))
    assert [p for p in low if p.phase == "P"] == [p for p in high if p.phase == "P"]
    assert [p for p in low if p.phase == "S" and p.prob >= 0.3] == [p for p in high if p.phase == "S"]


def test_a_pick_is_made_as_soon_as_its_look_ahead_has_passed():
    samples = np.zeros((3000, 3))
    samples[1500] = 1.0
    picker = Picker(SpikeNetwork())
    made_at = None
    for i, block in enumerate(blocks_of(samples, range(10, 3000, 10))):
        if picker.feed(block):
            made_at = (i + 1) * 10
            break
    assert made_at is not None
    late = (made_at - 1500) / RATE
    stream = CARD.stream
    assert late <= (stream.lookahead + stream.hop + 10) / RATE + stream.separation_s + 0.16
