"""A P pick tells its first motion: with the pick where the samples are there, else in an update, once."""

from dataclasses import replace
from itertools import groupby

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spikes import CARD, RATE, START_NS, SpikeNetwork, blocks_of, run

from edge.bank import Bank
from edge.block import Block
from edge.first_motion import Polariser
from edge.pick import NS
from edge.polarity import PolarityCard, PolarityInput
from firmware_bridge.packet import Stream
from firmware_bridge.synthetic import synthetic_earthquake

POLARITY = PolarityCard(
    name="sign",
    task="polarity",
    licence="MIT",
    input=PolarityInput(100.0, 240, 80, 1.0, {"name": "max-abs"}),
    temperature=1.0,
    threshold=0.7,
)
SHORT = replace(CARD, stream=replace(CARD.stream, delays=[0], separation_s=0.2))
"""Final words come before the window of the first motion is whole."""


class SignReader:
    """Reads the first motion off the onset's own sample: right wherever the window is cut at the onset."""

    card = POLARITY

    def logits(self, windows):
        return np.float32(4.0) * np.sign(windows[:, self.card.input.before])


SIGNS = Polariser(SignReader())


def spikes(length, at):
    """(n, 3) with ± 1 on the vertical, and where: {sample: "up" or "down"}, 1.6 s apart at least."""
    samples, words = np.zeros((length, 3)), {}
    for place, up in sorted(at.items()):
        if not words or place - max(words) > 160:
            samples[place, 0] = 1.0 if up else -1.0
            words[place] = "up" if up else "down"
    return samples, words


def place_of(pick):
    return round((pick.time_ns - START_NS) * RATE / NS)


SIGNED = st.dictionaries(st.floats(0, 1, exclude_max=True), st.booleans(), min_size=1, max_size=6)
CUTS = st.lists(st.integers(0, 5000), max_size=20)


@given(length=st.integers(200, 9000), at=SIGNED, cuts=CUTS, at_once=st.booleans())
@settings(max_examples=100, deadline=None)
def test_every_p_tells_the_motion_at_its_onset_if_its_window_is_there(length, at, cuts, at_once):
    samples, words = spikes(length, {int(f * length): up for f, up in at.items()})
    picks = run(SpikeNetwork(), blocks_of(samples, cuts), at_once=at_once, polariser=SIGNS)
    there = range(80, length - 160 + 1)
    assert {place_of(pick): pick.polarity for pick in picks} == {
        place: word if place in there else None for place, word in words.items()
    }
    assert {pick.update for pick in picks} == {0}  # these final words come late enough
    assert all((pick.polarity_prob is None) == (pick.polarity is None) for pick in picks)


@given(length=st.integers(200, 9000), at=SIGNED, cuts=CUTS)
@settings(max_examples=100, deadline=None)
def test_a_pick_before_its_window_is_told_at_once_and_again_as_soon_as_that_is_there(length, at, cuts):
    samples, words = spikes(length, {int(f * length): up for f, up in at.items()})
    blocks = blocks_of(samples, [cut for cut in cuts if cut < length])
    alone = run(SpikeNetwork(SHORT), blocks)
    picks = run(SpikeNetwork(SHORT), blocks, polariser=SIGNS)
    assert run(SpikeNetwork(SHORT), blocks_of(samples), at_once=True, polariser=SIGNS) == picks
    # The first words are those that come without polarities, not one of them later.
    first = [pick for pick in picks if pick.update == 0]
    assert [replace(pick, polarity=None, polarity_prob=None) for pick in first] == alone
    again = {pick.id: pick for pick in picks if pick.update == 1}
    assert len(first) + len(again) == len(picks)
    for pick in first:
        place = place_of(pick)
        last = again.get(pick.id, pick)
        assert last.polarity == (words[place] if 80 <= place <= length - 160 else None)
        if pick.id in again:
            assert pick.polarity is None
            same = {"update": 0, "polarity": None, "polarity_prob": None, "latency_s": pick.latency_s}
            assert replace(last, **same) == pick
            assert 1.6 <= last.latency_s < 1.6 + CARD.stream.hop / RATE


def told(network, polariser, samples, early, cuts=()):
    picks = run(network, blocks_of(samples, cuts), {"P": 0.3, "S": 0.3}, early=early, polariser=polariser)
    ordered = sorted(picks, key=lambda pick: pick.id)
    return picks, {name: list(some) for name, some in groupby(ordered, key=lambda pick: pick.id)}


@given(cuts=st.lists(st.integers(0, 12_000), max_size=20))
@settings(max_examples=8, deadline=None)
def test_an_early_pick_is_told_its_motion_before_it_is_final(network, cuts):
    samples = np.concatenate([synthetic_earthquake(seed).samples for seed in (1, 4)]).astype(np.float64)
    early = {"P": 0.5, "S": 0.5}
    final, _ = told(network, SIGNS, samples, None)
    picks, by_id = told(network, SIGNS, samples, early, cuts)
    ends = [pick for pick in picks if pick.status == "final"]
    assert [replace(pick, id="", update=0) for pick in ends] == [replace(pick, id="") for pick in final]
    updated = 0
    for words in by_id.values():
        assert [pick.update for pick in words] == list(range(len(words)))
        assert [pick.status for pick in words[:-1]] == ["preliminary"] * (len(words) - 1)
        if words[0].phase == "S":
            assert {pick.polarity for pick in words} == {None}
        elif len(words) == 3:
            updated += 1
            assert [pick.polarity is None for pick in words[:2]] == [True, False]
            assert words[1].latency_s < 1.6 + 0.64
            assert words[1].time_ns == words[0].time_ns
    assert updated


def test_a_reversed_channel_turns_the_polarity_and_nothing_else(network):
    samples = synthetic_earthquake(1).samples.astype(np.float64)
    upright, _ = told(network, SIGNS, samples, None)
    for names in ({"EHZ"}, {"XX.TEST.00.EHZ"}):
        turned, _ = told(network, Polariser(SignReader(), frozenset(names)), samples, None)
        assert [replace(pick, polarity=None) for pick in turned] == [
            replace(pick, polarity=None) for pick in upright
        ]
        opposite = {"up": "down", "down": "up", None: None}
        assert [opposite[pick.polarity] for pick in turned] == [pick.polarity for pick in upright]
        assert {"up", "down"} & {pick.polarity for pick in turned}
    for names in ({"EHN"}, {"XX.OTHER.00.EHZ"}):
        same, _ = told(network, Polariser(SignReader(), frozenset(names)), samples, None)
        assert same == upright


@pytest.mark.parametrize("channels", [("", "EHN", "EHE"), ("EHZ", "EHN", "EHE")])
def test_without_motion_on_the_vertical_there_is_no_polarity(network, channels):
    """No vertical, or a dead one: the others are picked without."""
    samples = synthetic_earthquake(1).samples.astype(np.float64)
    samples[:, 0] = 0.0
    bank = Bank(network, {"P": 0.1, "S": 0.1}, polariser=SIGNS)
    picker = bank.open()
    picker.feed(Block(Stream("XX", "TEST", "00", channels), START_NS, samples, 100.0, "gnss", True))
    picker.end()
    picks = bank.run()
    assert "P" in {pick.phase for pick in picks}
    assert {(pick.polarity, pick.polarity_prob, pick.update) for pick in picks} == {(None, None, 0)}


def test_a_gap_ends_the_wait():
    """The pick stands as it was told; the segment after the gap knows nothing of it."""
    first, second = np.zeros((700, 3)), np.zeros((900, 3))
    first[600, 0], second[300, 0] = 1.0, -1.0
    later = START_NS + 60 * NS
    blocks = [*blocks_of(first), *blocks_of(second, start_ns=later)]
    picks = run(SpikeNetwork(SHORT), blocks, polariser=SIGNS)
    assert [(pick.polarity, pick.update) for pick in picks] == [(None, 0), (None, 0), ("down", 1)]
