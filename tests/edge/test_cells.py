"""From cells to onsets: every peak once, and the same however the stream was cut."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.cells import Cells, OnsetFinder, decode

STRIDE = 16
THRESHOLD = {"P": 0.5, "S": 0.3}
QUARTERS = st.integers(0, 4).map(lambda n: n / 4)  # so that equals are common
PROB = st.lists(st.tuples(QUARTERS, QUARTERS), max_size=40)


def cells(p, s=None, first=0, onset=0.25) -> Cells:
    prob = np.stack([p, np.zeros(len(p)) if s is None else s], axis=1).astype(np.float32)
    return Cells(first, prob, np.full(len(p), onset, np.float32))


def find(p, s=None, separation=3, cuts=()):
    """The onsets in a segment that comes in pieces."""
    finder = OnsetFinder(STRIDE, THRESHOLD, separation)
    whole = cells(p, s)
    onsets = []
    for a, b in pairwise([0, *sorted(cuts), len(p)]):
        onsets += finder.feed(Cells(a, whole.prob[a:b], whole.onset[a:b]))
    return onsets + finder.flush()


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
    return sorted(onsets, key=lambda found: found[1])


@given(PROB, st.integers(1, 6), st.data())
def test_onsets_are_those_of_the_definition_however_the_cells_were_cut(prob, separation, data):
    cuts = data.draw(st.lists(st.integers(0, len(prob)), max_size=10))
    p, s = np.array(prob).reshape(-1, 2).T
    onsets = find(p, s, separation)
    expected = defined(prob, separation)
    assert [onset.phase for onset in onsets] == [phase for phase, _, _ in expected]
    assert [onset.sample / STRIDE for onset in onsets] == pytest.approx([mean for _, mean, _ in expected])
    assert [onset.prob for onset in onsets] == pytest.approx([total for _, _, total in expected])
    assert sorted(find(p, s, separation, cuts), key=repr) == sorted(onsets, key=repr)


def test_two_close_peaks_are_one_onset_the_higher_and_of_equals_the_earlier():
    assert where(find([0, 0.6, 0, 0.9, 0, 0])) == [("P", 3)]
    assert where(find([0, 0.9, 0, 0.9, 0, 0])) == [("P", 1)]
    assert where(find([0, 0.9, 0, 0, 0, 0.9])) == [("P", 1), ("P", 5)]
    assert len(find([0.9] * 3)) == 1


def test_an_onset_at_the_border_of_two_cells_is_one_onset_at_the_border():
    finder = OnsetFinder(STRIDE, {"P": 0.7, "S": 0.7}, 3)
    shared = Cells(0, cells([0, 0.46, 0.46, 0]).prob, np.array([0.5, 1.0, 0.0, 0.5], np.float32))
    (onset,) = [*finder.feed(shared), *finder.flush()]
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
    finder = OnsetFinder(STRIDE, THRESHOLD, 1)
    (onset,) = finder.feed(cells([0, 0, 0.9, 0], onset=0.75))
    assert onset.sample == (2 + 0.75) * STRIDE
    assert onset.prob == pytest.approx(0.9)


def test_an_onset_comes_as_soon_as_it_is_certain():
    finder = OnsetFinder(STRIDE, THRESHOLD, 3)
    assert finder.feed(cells([0, 0.9, 0, 0])) == []
    assert where(finder.feed(cells([0], first=4))) == [("P", 1)]
    assert finder.flush() == []


@pytest.mark.parametrize("first", [0, 3, 5])
def test_a_skipped_or_repeated_cell_is_an_error(first):
    finder = OnsetFinder(STRIDE, THRESHOLD, 3)
    finder.feed(cells([0] * 4))
    with pytest.raises(ValueError, match=f"cell 4 expected, not {first}"):
        finder.feed(cells([0] * 4, first=first))


def test_after_a_reset_nothing_is_left_of_the_segment_before():
    finder = OnsetFinder(STRIDE, THRESHOLD, 3)
    finder.feed(cells([0, 0, 0.9]))
    finder.reset()
    assert where([*finder.feed(cells([0.6])), *finder.flush()]) == [("P", 0)]


LOGITS = np.array([[9, 0, 0], [0, 9, 0], [0, 0, 9], [1, 1, 1]], np.float32)


def test_decoding_gives_the_probabilities_of_p_and_s():
    decoded = decode(7, LOGITS, np.zeros(4, np.float32), "sigmoid")
    assert decoded.first == 7
    np.testing.assert_allclose(decoded.prob, [[0, 0], [1, 0], [0, 1], [1 / 3, 1 / 3]], atol=1e-3)


@pytest.mark.parametrize(
    ("kind", "inside"), [("sigmoid", [0.0, 0.5, 0.7310586, 1.0]), ("linear", [0.0, 0.0, 1.0, 1.0])]
)
def test_decoding_puts_every_onset_within_its_cell(kind, inside):
    decoded = decode(0, LOGITS, np.array([-80, 0, 1, 80], np.float32), kind)
    np.testing.assert_allclose(decoded.onset, inside, atol=1e-6)
    assert decoded.onset.dtype == decoded.prob.dtype == np.float32


@given(st.lists(st.floats(-1e4, 1e4, width=32), min_size=3, max_size=3))
def test_probabilities_of_any_logits_are_probabilities(logits):
    decoded = decode(0, np.array([logits], np.float32), np.zeros(1, np.float32), "sigmoid")
    assert np.isfinite(decoded.prob).all()
    assert decoded.prob.min() >= 0
    assert decoded.prob.sum() <= 1 + 1e-6
