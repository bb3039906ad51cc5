"""One S for each P: a weaker S in the coda of another is not told, and nothing else is kept back."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from spikes import RATE, START_NS, SpikeNetwork, blocks_of, run

from edge.cells import Onset
from edge.coda import SURE_P, Coda
from edge.model import due, moved_on
from edge.pick import NS, Pick
from edge.picker import Found

PICK = Pick("", "XX.A.", ("HHZ",), "S", 0, 0.8, 0.1, 12.0, 1.0, "gnss", 0.7, "m@0")


def found(number, seconds, phase, prob):
    return Found(Onset(phase, 100.0 * seconds, prob, 0), replace(PICK, phase=phase, id=str(number)), 0)


def told(*onsets, coda=None):
    """Of onsets (second, phase, probability) those that are told."""
    kept = (coda or Coda(100.0)).kept([found(k, *one) for k, one in enumerate(onsets)])
    return [onsets[int(one.pick.id)] for one in kept]


def test_a_weaker_s_in_the_coda_of_another_is_not_told():
    p, s = (10, "P", 0.9), (14, "S", 0.8)
    assert told(p, s, (20, "S", 0.6)) == [p, s]


def test_a_stronger_s_is_told_whatever_was_before_it():
    weak, strong = (14, "S", 0.6), (20, "S", 0.8)
    assert told(weak, strong, (22, "S", 0.7)) == [weak, strong]


def test_an_s_with_a_p_of_its_own_is_told():
    onsets = [(14, "S", 0.9), (15, "P", 0.8), (16, "S", 0.6)]
    assert told(*onsets) == onsets


def test_an_unsure_p_does_not_vouch_for_an_s():
    s, p = (14, "S", 0.9), (15, "P", 0.3)
    assert told(s, p, (16, "S", 0.6)) == [s, p]


def test_after_a_quarter_of_a_minute_an_s_stands_for_itself():
    s, late, later = (14, "S", 0.9), (28.9, "S", 0.6), (29, "S", 0.6)
    assert told(s, late) == [s]
    assert told(s, later) == [s, later]


onset = st.tuples(st.floats(0.1, 20), st.sampled_from("PS"), st.floats(0.05, 0.999))


@given(steps=st.lists(onset, max_size=30), threshold=st.floats(0.05, 0.999), cut=st.integers(0, 30))
def test_thresholds_choose_among_the_same_picks_however_they_come(steps, threshold, cut):
    at = np.cumsum([step for step, _, _ in steps])
    onsets = [(float(t), phase, prob) for t, (_, phase, prob) in zip(at, steps, strict=True)]
    # Of P those that tell where a coda ends are always among the onsets.
    passing = [one for one in onsets if one[2] >= (threshold if one[1] == "S" else min(threshold, SURE_P))]
    assert told(*passing, coda=Coda(100.0, threshold)) == [
        one for one in told(*onsets) if one[2] >= threshold
    ]
    coda = Coda(100.0)
    assert told(*onsets[:cut], coda=coda) + told(*onsets[cut:], coda=coda) == told(*onsets)


class Shaking(SpikeNetwork):
    """S for every cell in which the vertical exceeds a half, the likelier the larger it is there; where it is
    below minus a half a P of 0.7."""

    def step(self, samples, memory):
        cells = moved_on(memory, samples)[..., 0].reshape(len(samples), 1, -1, self.card.cells.stride)
        words = np.tile(np.float32([0.0, -60.0, -60.0, 0.0]), (*cells.shape[:-1], 1))
        words[..., 2] = np.where(cells.max(axis=-1) > 0.5, 10 * cells.max(axis=-1), -60.0)
        words[..., 1] = np.where(cells.min(axis=-1) < -0.5, np.log(0.7 / 0.3), -60.0)
        return due(words, self.card)


def test_a_sure_p_vouches_for_an_s_also_where_only_surer_ones_are_told():
    samples = np.zeros((1500, 3))
    samples[400], samples[600], samples[800] = 1.0, -1.0, 0.7
    for least, phases in ((0.6, "SPS"), (0.9, "SS")):
        picks = run(Shaking(), blocks_of(samples), {"P": least, "S": 0.5})
        assert "".join(pick.phase for pick in picks) == phases


def test_what_follows_a_gap_is_not_the_coda_of_what_was_before_it():
    before, after = np.zeros((2, 1000, 3))
    before[400] = 1.0
    after[96], after[592] = 1.0, 0.7
    blocks = [*blocks_of(before), *blocks_of(after, start_ns=START_NS + 11 * NS)]
    picks = run(Shaking(), blocks)
    assert [round((pick.time_ns - START_NS) * RATE / NS) for pick in picks] == [400, 1196]
