"""Attenuation, emergence and distance: the onsets stay under their labels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("h5py", reason="the zoo needs the [host] extra")

from zoo.data import path
from zoo.data.augment import Draft
from zoo.data.labels import Arrival
from zoo.data.records import Record

T = 2048
SEEDS = st.integers(0, 2**32 - 1)
GAPS = st.floats(50, 2000)


def quake(p=600.0, s=900.0, n=T, noise=0.01, p_wave=1.0, s_wave=100.0):
    """Noise, and from P and S on a hundred times louder each (n, 3); not to be written to."""
    samples = np.random.default_rng(5).normal(size=(n, 3)).astype(np.float32)
    p_at, s_at = int(np.ceil(p)), int(np.ceil(s))
    samples[:p_at] *= noise
    samples[p_at:s_at] *= p_wave
    samples[s_at:] *= s_wave
    samples.flags.writeable = False
    return samples


def draft(samples, *arrivals):
    return Draft(samples, slice(0, len(samples)), arrivals, ())


def record(p, s, unknown=()):
    n = int(s) + 800
    return Record("r", "test", quake(p, s, n), (Arrival("P", p), Arrival("S", s, False, 0.5)), unknown)


def onsets(source):
    return {a.phase: a.sample for a in source.arrivals}


def test_a_window_without_onsets_is_not_attenuated():
    before = draft(quake())
    assert path.attenuate(np.random.default_rng(0), before) is before


def test_an_onset_that_attenuation_hides_in_slower_noise_is_not_asked_for():
    t = np.arange(T)
    samples = np.sin(2 * np.pi * 0.01 * t) + np.where(t >= 600, 4 * np.sin(2 * np.pi * 0.1 * t), 0.0)
    before = draft(np.tile(samples[:, None], (1, 3)).astype(np.float32), Arrival("P", 600.0))
    asked = [bool(path.attenuate(np.random.default_rng(seed), before).arrivals) for seed in range(40)]
    assert 0.3 < np.mean(asked) < 0.9


@given(SEEDS, st.floats(10, 1500), st.floats(5, 400))
def test_an_emergent_onset_grows_from_a_third_at_most_to_all_of_it_before_s(seed, p, gap):
    samples = quake(p, p + gap)
    before = draft(samples, Arrival("P", p), Arrival("S", p + gap))
    after = path.emerge(np.random.default_rng(seed), before)
    factor = after.samples / samples
    begin = int(np.ceil(p))
    end = min(int(p + gap), begin + 150)
    np.testing.assert_array_equal(after.samples[:begin], samples[:begin])
    np.testing.assert_array_equal(after.samples[end:], samples[end:])
    assert np.all((factor[begin] >= 0.049) & (factor[begin] <= 0.301))
    assert np.all(np.diff(factor[begin:end], axis=0) > -1e-5)
    assert factor[begin:end].max(initial=0) < 1.0001
    assert after.arrivals == before.arrivals


@given(SEEDS)
def test_no_component_of_an_emergent_onset_sinks_below_its_noise(seed):
    samples = np.random.default_rng(5).normal(size=(T, 3)).astype(np.float32)
    samples[600:] *= np.float32([20.0, 3.0, 1.0])
    after = path.emerge(np.random.default_rng(seed), draft(samples, Arrival("P", 600.0)))
    foot = np.sqrt(np.mean(np.square(after.samples[600:630]), axis=0))
    assert np.all(foot > 0.6)


@pytest.mark.parametrize(
    "arrivals",
    [(), (Arrival("S", 600.0),), (Arrival("P", 600.0), Arrival("P", 1000.0)), (Arrival("P", 300.0),)],
    ids=["nothing", "no P", "two P", "a P that is not clear"],
)
def test_only_a_single_and_clear_p_is_made_emergent(arrivals):
    before = draft(quake(), *arrivals)
    assert path.emerge(np.random.default_rng(0), before) is before


@given(SEEDS, st.floats(300, 400), GAPS)
def test_respaced_onsets_are_under_their_labels_and_s_does_not_leak_ahead(seed, p, gap):
    before = record(p, p + gap)
    after = path.respace(np.random.default_rng(seed), before)
    at = onsets(after)
    assert at["P"] == p
    by = at["S"] - (p + gap)
    assert len(after.samples) - len(before.samples) == pytest.approx(by)
    assert at["S"] - p >= max(0.35 * gap, 30) - 1e-6
    assert at["S"] - p <= min(3 * gap, gap + 1500) + 1e-6
    s = int(np.ceil(at["S"]))
    assert np.abs(after.samples[:s]).max() < 10  # P coda is of size 1, S of size 100
    np.testing.assert_array_equal(after.samples[s - 14 :], before.samples[int(np.ceil(p + gap)) - 14 :])
    first = int(np.ceil(p)) + 5
    np.testing.assert_array_equal(after.samples[:first], before.samples[:first])
    coda = np.abs(after.samples[first:s]).reshape(-1)
    assert 0.5 < coda.mean() / np.abs(before.samples[first : int(p + gap)]).mean() < 1.6
    assert [(a.phase, a.timed, a.weight) for a in after.arrivals] == [("P", True, 1.0), ("S", False, 0.5)]
    assert after.samples.dtype == np.float32


def test_respacing_goes_both_ways_and_to_its_bounds():
    before = record(300.0, 800.0)
    new = [onsets(path.respace(np.random.default_rng(seed), before))["S"] - 300 for seed in range(400)]
    assert 175 <= min(new) < 200
    assert 1400 < max(new) <= 1500
    assert 0.4 < np.mean(np.array(new) > 500) < 0.6


@given(SEEDS)
def test_respacing_leaves_no_jump_in_the_coda(seed):
    t = np.arange(3000)
    wave = np.where(t < 1500, 1.0, 50.0) * np.sin(2 * np.pi * 0.02 * t)
    before = Record(
        "r",
        "test",
        np.tile(wave[:, None], (1, 3)).astype(np.float32),
        (Arrival("P", 500.0), Arrival("S", 1500.0)),
        (),
    )
    after = path.respace(np.random.default_rng(seed), before)
    coda = after.samples[500 : int(onsets(after)["S"])]
    assert np.abs(np.diff(coda, axis=0)).max() < 0.4  # a bare seam would jump by up to 2
    assert np.abs(coda).max() < 1.5


@given(SEEDS)
def test_respacing_takes_unknown_spans_along(seed):
    before = record(300.0, 800.0, ((10.0, 20.0), (305.0, 1500.0), (900.0, 950.0)))
    after = path.respace(np.random.default_rng(seed), before)
    by = onsets(after)["S"] - 800
    assert after.unknown == ((10.0, 20.0), (305.0, 1500.0 + by), (900.0 + by, 950.0 + by))


@pytest.mark.parametrize(
    "arrivals",
    [
        (),
        (Arrival("P", 300.0),),
        (Arrival("P", 300.0), Arrival("S", 349.0)),
        (Arrival("S", 300.0), Arrival("P", 800.0)),
        (Arrival("P", 300.0), Arrival("S", 800.0), Arrival("P", 1000.0)),
    ],
)
def test_a_record_without_one_p_and_one_s_well_apart_is_not_respaced(arrivals):
    before = Record("r", "test", quake(), arrivals, ())
    assert path.respace(np.random.default_rng(0), before) is before
