"""Cell labels say what the station's decoder reads: no onset is lost, none is moved."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.cells import PHASES, SILENCE, Peaks, softmax, within_cell
from zoo.data.labels import Arrival, label_cells

T = 2048
STRIDES = st.sampled_from([8, 16, 32, 64, 128])
WHOLE = slice(0, T)


@st.composite
def onsets(draw, count=1):
    """Stride and `count` onset samples of different cells, anywhere in the window."""
    S = draw(STRIDES)
    cells = draw(st.lists(st.integers(0, T // S - 1), min_size=count, max_size=count, unique=True))
    fractions = draw(st.lists(st.floats(0, 1, exclude_max=True, width=32), min_size=count, max_size=count))
    return S, [(cell + fraction) * S for cell, fraction in zip(cells, fractions, strict=True)]


@given(onsets(), st.sampled_from(PHASES))
def test_an_onset_lands_in_its_cell_with_its_fraction_and_all_else_is_noise(drawn, phase):
    S, [sample] = drawn
    labels = label_cells([Arrival(phase, sample)], [], WHOLE, T, S)
    cell = int(sample // S)
    (positive,) = np.flatnonzero(labels.cls[:, 1:].any(axis=1))
    assert positive == cell
    assert labels.cls[cell].argmax() == 1 + PHASES.index(phase)
    assert np.count_nonzero(labels.cls[cell]) == 1
    assert labels.ofs[cell, 0] == pytest.approx(sample / S - cell, abs=1e-6)
    np.testing.assert_array_equal(np.flatnonzero(labels.ofs[:, 1]), [cell])
    np.testing.assert_array_equal(np.flatnonzero(labels.cls[:, 0] == 0), [cell])


@given(onsets())
def test_a_rough_label_teaches_its_class_by_its_weight_no_offset_and_nothing_beside_it(drawn):
    S, [sample] = drawn
    rough = label_cells([Arrival("P", sample, timed=False, weight=0.5)], [], WHOLE, T, S)
    sure = label_cells([Arrival("P", sample)], [], WHOLE, T, S)
    cell = int(sample // S)
    assert rough.cls[cell, 1] == 0.5 * sure.cls[cell, 1] > 0
    assert not rough.ofs[:, 1].any()
    beside = {c for c in (cell - 1, cell + 1) if 0 <= c < T // S}
    assert set(np.flatnonzero(~rough.cls.any(axis=1))) == beside


@given(onsets(count=2), st.booleans())
def test_two_phases_both_survive_however_close_their_cells(drawn, timed):
    S, samples = drawn
    p, s = sorted(samples)
    labels = label_cells([Arrival("P", p, timed), Arrival("S", s, timed)], [], WHOLE, T, S)
    assert labels.cls[int(p // S), 1] > 0
    assert labels.cls[int(s // S), 2] > 0
    assert np.count_nonzero(labels.cls[:, 1:]) == 2
    assert np.count_nonzero(labels.ofs[:, 1]) == (2 if timed else 0)


@given(onsets(count=2), st.sampled_from(["sigmoid", "linear"]))
def test_the_decoder_reads_a_perfect_answer_back_as_the_labelled_onsets(drawn, kind):
    S, samples = drawn
    p, s = sorted(samples)
    labels = label_cells([Arrival("P", p), Arrival("S", s)], [], WHOLE, T, S)
    logits = np.where(labels.cls > 0, 20.0, 0.0).astype(np.float32)
    fraction = np.clip(labels.ofs[:, 0], 1e-6, 1 - 1e-6).astype(np.float32)
    raw = np.log(fraction / (1 - fraction)) if kind == "sigmoid" else labels.ofs[:, 0]
    words = np.concatenate([[SILENCE], np.column_stack([logits, raw]), [SILENCE]])
    prob, within = softmax(words[:, :3])[:, 1:], within_cell(words[:, 3], kind)
    found = Peaks(S, {"P": 0.5, "S": 0.5}, 1).of(-1, prob, within)
    assert [onset.phase for onset in found] == ["P", "S"]
    assert found[0].sample == pytest.approx(p, abs=0.01)
    assert found[1].sample == pytest.approx(s, abs=0.01)


@given(onsets(), st.floats(-300, T + 300), st.floats(0, 600))
def test_unknown_spans_are_not_asked_but_a_labelled_onset_in_them_is(drawn, begin, length):
    S, [sample] = drawn
    labels = label_cells([Arrival("P", sample)], [(begin, begin + length)], WHOLE, T, S)
    touched = {c for c in range(T // S) if c * S <= begin + length and begin < (c + 1) * S}
    cell = int(sample // S)
    assert set(np.flatnonzero(~labels.cls.any(axis=1))) == touched - {cell}
    assert labels.cls[cell, 1] > 0


@given(STRIDES, st.integers(0, T), st.integers(0, T), st.floats(0, T, exclude_max=True))
def test_samples_that_are_not_there_teach_nothing(S, a, b, sample):
    valid = slice(min(a, b), max(a, b))
    labels = label_cells([Arrival("S", sample)], [], valid, T, S)
    for cell in range(T // S):
        if valid.stop <= cell * S or (cell + 1) * S <= valid.start:
            assert not labels.cls[cell].any()
            assert not labels.ofs[cell, 1]
    assert bool(labels.cls[:, 2].any()) == (valid.start <= sample < valid.stop)
