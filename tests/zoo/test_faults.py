"""Spikes, steps and lost telemetry as the picker sees them, behind the station's high-pass."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("h5py", reason="the zoo needs the [host] extra")

from scipy.signal import butter

from edge.preprocess import highpassed
from zoo.data import faults
from zoo.data.augment import Draft, noise_level
from zoo.data.labels import Arrival

T = 2048
SEEDS = st.integers(0, 2**32 - 1)


def draft(*arrivals, scale=1.0):
    samples = np.random.default_rng(3).normal(size=(T, 3)).astype(np.float32) * np.float32(scale)
    samples.flags.writeable = False
    return Draft(samples, slice(0, T), arrivals, ())


def runs(changed):
    """Length of each run of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], changed.astype(int), [0]])))
    return edges[1::2] - edges[::2]


@given(SEEDS)
def test_spikes_are_few_short_and_at_most_thirty_times_the_noise(seed):
    before = draft(Arrival("P", 300.0))
    after = faults.spikes(np.random.default_rng(seed), before)
    added = after.samples - before.samples
    lengths = runs(added.any(axis=1))
    assert 1 <= len(lengths) <= 5
    assert lengths.sum() <= 15
    heights = np.abs(added[added != 0]) / noise_level(before).mean()
    assert 1.5 < heights.max() < 5 * 33
    assert (after.arrivals, after.unknown) == (before.arrivals, before.unknown)


def test_spikes_hit_one_component_or_all():
    hit = set()
    for seed in range(40):
        added = faults.spikes(np.random.default_rng(seed), draft()).samples - draft().samples
        hit |= {int((row != 0).sum()) for row in added if row.any()}
    assert hit == {1, 3}


@given(SEEDS)
def test_a_step_is_one_or_two_of_what_the_stations_high_pass_makes_of_a_step(seed):
    before = draft(scale=1e-3)
    added = faults.steps(np.random.default_rng(seed), before).samples.astype(np.float64) - before.samples
    component = np.abs(added).max(axis=0).argmax()
    left = added[:, component]
    tolerance = 1e-3 * np.abs(left).max()
    jumps = []
    for _ in range(2):
        begin = int(np.argmax(np.abs(left) > tolerance))
        if abs(left[begin]) <= tolerance:
            break
        step = np.zeros((T + 1, 3))
        step[begin + 1 :] = 1.0
        shape = highpassed(step, 1.0, 100.0)[1:, 0]
        jumps.append(left[begin] / shape[begin])
        left = left - jumps[-1] * shape
    assert np.abs(left).max() <= 2 * tolerance
    assert 1 <= len(jumps) <= 2
    if len(jumps) == 2:  # a pulse comes back to where it was
        assert jumps[1] == pytest.approx(-jumps[0], rel=0.01)


def test_an_onset_after_a_large_step_is_not_asked_for_and_one_before_it_is():
    rng = np.random.default_rng(0)
    samples = rng.normal(size=(T, 3)).astype(np.float32)
    samples[1000:1100] *= 3
    asked = set()
    for seed in range(200):
        after = faults.steps(
            np.random.default_rng(seed), Draft(samples, slice(0, T), (Arrival("P", 1000.0),), ())
        )
        added = np.abs(after.samples - samples)
        begin = int(np.argmax(added.any(axis=1)))
        if begin >= 1000:
            assert after.arrivals
        elif begin > 920 and added.max(axis=0).min() > 30:
            assert not after.arrivals
        asked.add(bool(after.arrivals))
    assert asked == {True, False}


@given(SEEDS)
def test_in_a_hole_the_high_pass_only_rings_down_and_the_rest_is_as_it_was(seed):
    before = draft()
    after = faults.dropout(np.random.default_rng(seed), before).samples.astype(np.float64)
    touched = np.flatnonzero(np.abs(after - before.samples).max(axis=0) > 1e-3)
    assert len(touched) in (1, 3)
    _, a = butter(2, 1.0, "highpass", fs=100.0)
    signal = after[:, touched[0]]
    forced = np.abs(np.convolve(signal, a)[:T])  # zero where the filter's input stands still
    still = forced < 1e-4 * max(1.0, np.abs(signal).max())
    longest = runs(still).max(initial=0)
    changed = np.flatnonzero(np.abs(after - before.samples).max(axis=1) > 1e-3)
    assert longest <= 200
    assert longest >= 1 or changed.min() > T - 5  # a hole cut off by the window's end has no room to ring
    assert changed.max() - changed.min() <= 200 + 400


@given(SEEDS)
def test_an_onset_in_a_hole_or_just_after_it_is_not_asked_for(seed):
    every = tuple(Arrival("P", float(at)) for at in range(5, T, 20))
    before = draft(*every)
    after = faults.dropout(np.random.default_rng(seed), before)
    lost = [a.sample for a in every if a not in after.arrivals]
    changed = np.flatnonzero(np.abs(after.samples - before.samples).max(axis=1) > 1e-2)
    hole = [span for span in after.unknown if span[1] - span[0] > 60]
    assert len(hole) == 1
    [(begin, end)] = hole
    assert 60 <= end - begin <= 260
    assert begin + 5 <= changed.min() <= begin + 20
    assert {a.sample for a in every if begin <= a.sample < end} <= set(lost)


def test_holes_of_zeros_show_the_digitizers_offset_and_held_ones_do_not():
    heights = []
    for seed in range(60):
        after = faults.dropout(np.random.default_rng(seed), draft()).samples
        heights.append(np.abs(after).max() / np.abs(draft().samples).max())
    assert np.mean(np.array(heights) < 1.5) > 0.3
    assert max(heights) > 5
