"""Each augmentation keeps its promise, and no label ever leaves its onset."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("h5py", reason="the zoo needs the [host] extra")

from zoo.data import augment
from zoo.data.augment import Draft
from zoo.data.labels import Arrival
from zoo.data.records import Record

T = 512
SEEDS = st.integers(0, 2**32 - 1)


def pulse(n, at, width=5.0):
    """Three components with one bump each at sample `at`."""
    bump = np.exp(-0.5 * ((np.arange(n) - at) / width) ** 2)
    return np.stack([bump, 0.5 * bump, -0.7 * bump], axis=1).astype(np.float32)


def locked(samples):
    """The samples, not to be written to: records are shared between threads and epochs."""
    samples.flags.writeable = False
    return samples


def record(n=2000, at=700.0, phases="P"):
    arrivals = tuple(Arrival(phase, at + 300 * k) for k, phase in enumerate(phases))
    samples = sum((pulse(n, a.sample) for a in arrivals), np.zeros((n, 3), np.float32))
    return Record("r", "test", locked(samples), arrivals, ((at + 10, float(n)),))


def noise_record(n=2000, seed=0):
    samples = np.random.default_rng(seed).normal(size=(n, 3)).astype(np.float32)
    return Record("n", "test", locked(samples), (), ())


def onset_draft(at=200, seed=0, quiet=1e-3, phase="P"):
    """A window of quiet noise that is a thousand times louder from `at` on."""
    samples = np.random.default_rng(seed).normal(size=(T, 3)).astype(np.float32)
    samples[:at] *= quiet
    return Draft(locked(samples), slice(0, T), (Arrival(phase, at),), ())


@given(st.integers(-T + 1, 1999), st.integers(1, 2 * T))
def test_a_cut_is_the_record_where_there_is_one_and_zero_elsewhere(start, n):
    source = noise_record(n)
    start = min(start, n - 1)
    draft = augment.cut(source, start, T)
    assert draft.samples.shape == (T, 3)
    at = np.arange(T) + start
    there = (at >= 0) & (at < n)
    np.testing.assert_array_equal(np.arange(T)[draft.valid], np.flatnonzero(there))
    np.testing.assert_array_equal(draft.samples[there], source.samples[at[there]])
    assert not draft.samples[~there].any()


@given(st.integers(-T + 1, 1500))
def test_a_cut_takes_labels_and_unknown_spans_along(start):
    source = record(phases="PS")
    draft = augment.cut(source, start, T)
    assert [a.sample + start for a in draft.arrivals] == [a.sample for a in source.arrivals]
    assert [(a + start, b + start) for a, b in draft.unknown] == list(source.unknown)


def test_shift_puts_an_onset_anywhere_in_the_window_its_edges_included():
    rng = np.random.default_rng(0)
    source = record(at=700.4)
    drafts = [augment.shift(rng, source, T) for _ in range(4000)]
    at = np.array([draft.arrivals[0].sample for draft in drafts])
    assert at.min() == pytest.approx(0.4)
    assert at.max() == pytest.approx(T - 1 + 0.4)
    counts, _ = np.histogram(at, 8, (0, T))
    assert counts.min() > 0.7 * 4000 / 8
    for draft in drafts[:50]:
        top = np.abs(draft.samples[:, 0]).argmax()
        assert abs(top - draft.arrivals[0].sample) <= 1


def test_shift_asks_for_either_phase():
    rng = np.random.default_rng(0)
    source = record(at=400, phases="PS")
    source = Record("r", "t", source.samples, (source.arrivals[0], Arrival("S", 1700.0)), ())
    seen = {a.phase for _ in range(50) for a in augment.shift(rng, source, T).arrivals if 0 <= a.sample < T}
    assert seen == {"P", "S"}


@given(SEEDS, st.integers(1, 3 * T))
def test_shift_of_noise_leaves_at_most_a_quarter_of_the_window_empty_that_could_be_full(seed, n):
    draft = augment.shift(np.random.default_rng(seed), noise_record(n), T)
    assert draft.valid.stop - draft.valid.start >= min(n, T - T // 4)


def test_shift_of_noise_begins_before_the_record_at_times_and_within_it_mostly():
    rng = np.random.default_rng(0)
    starts = np.array([augment.shift(rng, noise_record(3 * T), T).valid.start for _ in range(300)])
    assert 0.02 < np.mean(starts > 0) < 0.4


@given(SEEDS, st.floats(100, 1900))
def test_stretch_moves_labels_with_the_waveform(seed, at):
    source = record(at=at)
    stretched = augment.stretch(np.random.default_rng(seed), source)
    factor = stretched.arrivals[0].sample / source.arrivals[0].sample
    assert 0.7 <= factor <= 1.5
    assert len(stretched.samples) == pytest.approx(factor * len(source.samples), abs=2)
    for k in range(3):
        top = np.abs(stretched.samples[:, k]).argmax()
        assert abs(top - stretched.arrivals[0].sample) <= 1
    [(begin, end)] = source.unknown
    assert stretched.unknown[0] == pytest.approx((begin * factor, end * factor))


@given(SEEDS)
def test_gain_is_one_factor_a_component_between_a_third_and_three(seed):
    draft = onset_draft()
    after = augment.gain(np.random.default_rng(seed), draft)
    factors = (after.samples / draft.samples).mean(axis=0)
    np.testing.assert_allclose(after.samples, draft.samples * factors, rtol=1e-5)
    assert np.all((factors > 0.33) & (factors < 3.01))
    assert np.ptp(factors) > 1e-4


def test_flip_turns_the_sign_of_all_and_exchanges_horizontals_only():
    draft = onset_draft()
    seen = set()
    for seed in range(40):
        after = augment.flip(np.random.default_rng(seed), draft).samples
        sign = 1 if np.array_equal(after[:, 0], draft.samples[:, 0]) else -1
        exchanged = np.array_equal(after, sign * draft.samples[:, [0, 2, 1]])
        assert exchanged or np.array_equal(after, sign * draft.samples)
        seen.add((sign, exchanged))
    assert len(seen) == 4


@given(SEEDS)
def test_rotate_keeps_the_vertical_and_the_horizontal_energy_of_every_sample(seed):
    draft = onset_draft()
    after = augment.rotate(np.random.default_rng(seed), draft).samples
    np.testing.assert_array_equal(after[:, 0], draft.samples[:, 0])
    energy = np.square(draft.samples[:, 1:]).sum(axis=1)
    np.testing.assert_allclose(np.square(after[:, 1:]).sum(axis=1), energy, rtol=1e-4)


def test_rotate_reaches_all_directions():
    north = Draft(np.tile(np.float32([0, 1, 0]), (T, 1)), slice(0, T), (), ())
    turned = [augment.rotate(np.random.default_rng(seed), north).samples[0, 1:] for seed in range(60)]
    quadrants = {(n > 0, e > 0) for n, e in turned}
    assert len(quadrants) == 4


def test_superpose_keeps_the_onsets_of_both():
    one, other = onset_draft(100, 1), onset_draft(400, 2, phase="S")
    both = augment.superpose(one, other, 30.0)  # the later one is loud enough to stand out of the first
    assert {(a.phase, a.sample) for a in both.arrivals} == {("P", 100), ("S", 400)}
    assert both.unknown == ()


def test_superpose_reaches_the_ratio_of_peaks():
    one, other = onset_draft(100, 1), onset_draft(400, 2)
    both = augment.superpose(one, other, 0.25)
    added = both.samples - one.samples
    assert np.abs(added).max() == pytest.approx(0.25 * np.abs(one.samples).max(), rel=1e-5)


@pytest.mark.parametrize(("first", "second", "drowned"), [(100, 400, 400), (400, 100, 400)])
def test_superpose_does_not_ask_for_an_onset_that_drowns(first, second, drowned):
    """Of two events, the later one disappears in the coda of a louder one before it."""
    ratio = 0.03 if first < second else 30.0
    both = augment.superpose(onset_draft(first, 1), onset_draft(second, 2), ratio)
    assert [a.sample for a in both.arrivals] == [100]
    [(begin, end)] = both.unknown
    assert begin < drowned < end


def test_superpose_fills_no_samples_that_the_window_lacks():
    one = augment.cut(noise_record(300), -100, T)
    both = augment.superpose(one, onset_draft(50), 1.0)
    assert both.valid == slice(100, 400)
    assert not both.samples[:100].any()
    assert not both.samples[400:].any()


def test_superpose_with_a_dead_window_changes_nothing():
    one, dead = onset_draft(), Draft(np.zeros((T, 3), np.float32), slice(0, T), (), ())
    assert augment.superpose(one, dead, 1.0) is one
    assert augment.superpose(dead, one, 1.0) is dead


@given(SEEDS)
def test_noise_moves_no_label_and_brings_none(seed):
    rng = np.random.default_rng(seed)
    draft, noise = onset_draft(), augment.cut(record(), 500, T)
    after = augment.add_noise(rng, draft, noise)
    level = np.abs(after.samples - draft.samples).max() / np.abs(draft.samples).max()
    assert 0.9e-3 < level < 0.32
    assert after.arrivals == draft.arrivals
    assert after.unknown == draft.unknown


def test_noise_can_drown_an_onset_which_is_then_not_asked_for():
    samples = np.random.default_rng(1).normal(size=(T, 3)).astype(np.float32) * np.float32(1e-4)
    samples[200:] *= 10
    samples[-20] = 1.0  # something else sets the peak
    draft = Draft(samples, slice(0, T), (Arrival("P", 200.0),), ())
    noise = augment.cut(noise_record(), 0, T)
    after = augment.add_noise(np.random.default_rng(0), draft, noise)
    assert after.arrivals == ()
    [(begin, end)] = after.unknown
    assert begin < 200 < end


def test_lost_channels_leave_the_vertical_or_two_components():
    draft = onset_draft()
    lost = set()
    for seed in range(60):
        after = augment.lose_channels(np.random.default_rng(seed), draft).samples
        dead = ~after.any(axis=0)
        np.testing.assert_array_equal(after[:, ~dead], draft.samples[:, ~dead])
        lost.add(tuple(np.flatnonzero(dead)))
    assert lost == {(1, 2), (0,), (1,), (2,)}


@given(SEEDS)
def test_a_seed_draws_the_same_again(seed):
    def draw():
        rng = np.random.default_rng(seed)
        draft = augment.shift(rng, augment.stretch(rng, record()), T)
        for step in (augment.gain, augment.flip, augment.rotate, augment.lose_channels):
            draft = step(rng, draft)
        return augment.add_noise(rng, draft, augment.shift(rng, noise_record(), T))

    one, two = draw(), draw()
    np.testing.assert_array_equal(one.samples, two.samples)
    assert (one.valid, one.arrivals, one.unknown) == (two.valid, two.arrivals, two.unknown)
