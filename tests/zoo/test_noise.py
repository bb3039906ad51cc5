"""Ground that moves without a local earthquake: nothing in it is an onset, and what it hides is not asked."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("h5py", reason="the zoo needs the [host] extra")

from zoo.data import noise
from zoo.data.augment import Draft, noise_level
from zoo.data.labels import Arrival

T = 3072
SEEDS = st.integers(0, 2**32 - 1)


def draft(*arrivals, loud=1.0):
    """Noise, from sample 1500 on `loud` times louder; not to be written to."""
    samples = np.random.default_rng(7).normal(size=(T, 3)).astype(np.float32)
    samples[1500:] *= np.float32(loud)
    samples.flags.writeable = False
    return Draft(samples, slice(0, T), arrivals, ())


def added(step, seed):
    """What comes on top, in multiples of the noise level (T, 3)."""
    before = draft()
    after = step(np.random.default_rng(seed), before)
    assert (after.arrivals, after.unknown) == ((), ())
    return (after.samples.astype(np.float64) - before.samples) / noise_level(before)


def share_of_power(motion, lowest_hz, highest_hz):
    hz = np.fft.rfftfreq(T, 0.01)
    power = np.square(np.abs(np.fft.rfft(motion * np.hanning(T)[:, None], axis=0))).sum(axis=1)
    return power[(hz >= lowest_hz) & (hz <= highest_hz)].sum() / power.sum()


@given(SEEDS)
def test_a_teleseism_is_all_below_3_hz_and_swells_slowly(seed):
    motion = added(noise.teleseism, seed)
    assert share_of_power(motion, 0.4, 3.1) > 0.97
    assert 0 < np.abs(motion).max() < 30.01
    swell = np.abs(motion).reshape(-1, 256, 3).max(axis=(1, 2))  # over 2.56 s, a period and more
    assert np.abs(np.diff(swell)).max() < 0.75 * swell.max()


@given(SEEDS)
def test_a_hum_is_one_frequency_on_all_components(seed):
    motion = added(noise.hum, seed)
    hz = np.fft.rfftfreq(T, 0.01)
    top = hz[np.square(np.abs(np.fft.rfft(motion, axis=0))).sum(axis=1).argmax()]
    assert 7.0 < top < 50.0
    assert share_of_power(motion, top - 1.2, top + 1.2) > 0.99
    assert 0.5 < np.abs(motion).max() < 30.01


@given(SEEDS)
def test_bursts_are_short_and_grow_as_slowly_as_they_fade(seed):
    motion = np.abs(added(noise.bursts, seed)).max(axis=1)
    loud = motion > 1e-3
    edges = np.flatnonzero(np.diff(np.concatenate([[0], loud.astype(int), [0]])))
    silences = [b - a for a, b in zip(edges[1:-1:2], edges[2::2], strict=True)]
    assert sum(gap > 20 for gap in silences) <= 5  # six bursts at most
    assert loud.sum() <= 6 * 150
    assert motion.max() < 6 * 30
    for begin in edges[::2]:
        if begin > 0:
            assert motion[begin] < 0.5 * motion.max() + 1e-3


@given(SEEDS)
def test_bursts_have_no_low_frequencies(seed):
    assert share_of_power(added(noise.bursts, seed), 0.0, 1.0) < 0.1


@pytest.mark.parametrize("step", [noise.teleseism, noise.bursts, noise.hum])
def test_an_onset_that_drowns_is_not_asked_for_and_one_that_stands_out_is(step):
    asked = {
        loud: [
            bool(step(np.random.default_rng(seed), draft(Arrival("P", 1500.0), loud=loud)).arrivals)
            for seed in range(80)
        ]
        for loud in (2.0, 1000.0)
    }
    assert not all(asked[2.0])
    assert np.mean(asked[1000.0]) > np.mean(asked[2.0])


def test_a_burst_elsewhere_leaves_a_weak_onset_alone():
    before = draft(Arrival("P", 1000.0))  # no louder than the noise before it
    kept = 0
    for seed in range(60):
        after = noise.bursts(np.random.default_rng(seed), before)
        touched = np.abs(after.samples - before.samples)[900:1100].any()
        assert bool(after.arrivals) or touched
        kept += bool(after.arrivals)
    assert kept > 20
