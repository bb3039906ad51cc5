"""From cells to onsets: every peak once."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.cells import SILENCE, Peaks, softmax, within_cell

STRIDE = 16
THRESHOLD = {"P": 0.5, "S": 0.3}
QUARTERS = st.integers(0, 4).map(lambda n: n / 4)  # so that equals are common
PROB = st.lists(st.tuples(QUARTERS, QUARTERS), max_size=40)


def find(p, s=None, separation=3, onset=0.25, thresholds=THRESHOLD):
    """The onsets in a segment of these cells."""
    prob = np.stack([p, np.zeros(len(p)) if s is None else s], axis=1).astype(np.float32)
    around = np.zeros((separation, 2), np.float32)
    within = np.pad(np.broadcast_to(np.float32(onset), len(p)), separation)
    peaks = Peaks(STRIDE, thresholds, separation)
    return peaks.of(-separation, np.concatenate([around, prob, around]), within)


def where(onsets):
    """Phase and cell of each onset."""
    return [(onset.phase, int(onset.sample // STRIDE)) for onset in onsets]


def defined(prob, separation, onset=0.25):
    """The definition, cell by cell: phase, cells from the start, probability."""
    onsets = []
    for c, both in enumerate(prob):
        for k, phase in enumerate("PS"):
            before = [prob[i][k] for i in range(max(0, c - separation), c)]
            after = [prob[i][k] for i in range(c + 1, min(len(prob), c + separation + 1))]
            peak = all(p < both[k] for p in before) and all(p <= both[k] for p in after)
            share = {i: prob[i][k] for i in (c - 1, c, c + 1) if 0 <= i < len(prob)}
            any_of_them = 1 - math.prod(1 - p for p in share.values())
            if peak and any_of_them >= THRESHOLD[phase]:
                mean = sum((i + onset) * p for i, p in share.items()) / sum(share.values())
                onsets.append((phase, mean, any_of_them))
    return onsets


@given(PROB, st.integers(1, 6))
def test_onsets_are_those_of_the_definition(prob, separation):
    p, s = np.array(prob).reshape(-1, 2).T
    onsets = find(p, s, separation)
    expected = defined(prob, separation)
    assert [onset.phase for onset in onsets] == [phase for phase, _, _ in expected]
    assert [onset.sample / STRIDE for onset in onsets] == pytest.approx([mean for _, mean, _ in expected])
    assert [onset.prob for onset in onsets] == pytest.approx([total for _, _, total in expected])


def test_two_close_peaks_are_one_onset_the_higher_and_of_equals_the_earlier():
    assert where(find([0, 0.6, 0, 0.9, 0, 0])) == [("P", 3)]
    assert where(find([0, 0.9, 0, 0.9, 0, 0])) == [("P", 1)]
    assert where(find([0, 0.9, 0, 0, 0, 0.9])) == [("P", 1), ("P", 5)]
    assert len(find([0.9] * 3)) == 1


def test_an_onset_at_the_border_of_two_cells_is_one_onset_at_the_border():
    (onset,) = find([0, 0.46, 0.46, 0], onset=[0.5, 1.0, 0.0, 0.5], thresholds={"P": 0.7, "S": 0.7})
    assert onset.sample == pytest.approx(2 * STRIDE)
    assert onset.prob == pytest.approx(1 - 0.54**2)


def test_the_first_and_the_last_cell_of_a_segment_can_be_onsets():
    assert where(find([0.9, 0, 0, 0, 0, 0.9])) == [("P", 0), ("P", 5)]
    assert where(find([0.9])) == [("P", 0)]
    assert find([]) == []


def test_each_phase_has_its_own_threshold_and_does_not_hide_the_other():
    assert where(find([0, 0.4, 0], [0, 0.4, 0])) == [("S", 1)]
    assert where(find([0, 0.9, 0, 0], [0, 0, 0.9, 0])) == [("P", 1), ("S", 2)]


def test_an_onset_lies_within_its_cell_where_the_offset_says():
    (onset,) = find([0, 0, 0.9, 0], separation=1, onset=0.75)
    assert onset.sample == (2 + 0.75) * STRIDE
    assert onset.prob == pytest.approx(0.9)


@given(st.lists(st.tuples(*[st.floats(-6, 6, width=32)] * 3), min_size=1, max_size=12))
def test_where_no_onset_is_likely_there_is_none(logits):
    words = np.pad(np.array(logits, np.float32), ((0, 0), (0, 1)))
    stretch = np.concatenate([np.tile(SILENCE, (3, 1)), words, np.tile(SILENCE, (3, 1))])
    peaks = Peaks(STRIDE, THRESHOLD, 3)
    onsets = peaks.of(-3, softmax(stretch[:, :3])[:, 1:], np.zeros(len(stretch), np.float32))
    assert peaks.likely(stretch[None])[0] or not onsets


def test_silence_is_unlikely():
    assert not Peaks(STRIDE, THRESHOLD, 3).likely(np.tile(SILENCE, (2, 9, 1))).any()


LOGITS = np.array([[9, 0, 0], [0, 9, 0], [0, 0, 9], [1, 1, 1]], np.float32)


def test_softmax_gives_the_probabilities_of_noise_p_and_s():
    np.testing.assert_allclose(softmax(LOGITS)[:, 1:], [[0, 0], [1, 0], [0, 1], [1 / 3, 1 / 3]], atol=1e-3)


@pytest.mark.parametrize(
    ("kind", "inside"), [("sigmoid", [0.0, 0.5, 0.7310586, 1.0]), ("linear", [0.0, 0.0, 1.0, 1.0])]
)
def test_every_onset_lies_within_its_cell(kind, inside):
    onset = within_cell(np.array([-80, 0, 1, 80], np.float32), kind)
    np.testing.assert_allclose(onset, inside, atol=1e-6)
    assert onset.dtype == softmax(LOGITS).dtype == np.float32


@given(st.lists(st.floats(-1e4, 1e4, width=32), min_size=3, max_size=3))
def test_probabilities_of_any_logits_are_probabilities(logits):
    prob = softmax(np.array([logits], np.float32))
    assert np.isfinite(prob).all()
    assert prob.min() >= 0
    assert prob.sum() <= 1 + 1e-6
