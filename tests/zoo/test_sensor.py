"""Other instruments: what passes, what does not, and that nothing runs ahead of an onset."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("h5py", reason="the zoo needs the [host] extra")

from zoo.data import path, sensor
from zoo.data.augment import Draft
from zoo.data.labels import Arrival

T = 2048
SEEDS = st.integers(0, 2**32 - 1)


def draft(samples, *arrivals):
    samples = np.ascontiguousarray(samples, np.float32)
    samples.flags.writeable = False
    return Draft(samples, slice(0, len(samples)), arrivals, ())


def impulse(at=800):
    samples = np.zeros((T, 3))
    samples[at] = 1.0, -0.5, 2.0
    return draft(samples, Arrival("P", float(at)))


def response(step, seed):
    """Amplitude by frequency (Hz, T / 2 + 1 of them) of what becomes of an impulse."""
    after = step(np.random.default_rng(seed), impulse())
    return np.fft.rfftfreq(T, 0.01), np.abs(np.fft.rfft(after.samples[:, 0].astype(np.float64)))


@pytest.mark.parametrize("step", [sensor.geophone, sensor.band_limit, path.attenuate])
@given(SEEDS, st.integers(0, T - 100))
def test_energy_begins_at_the_onset_and_not_before(step, seed, at):
    after = step(np.random.default_rng(seed), impulse(at))
    assert not after.samples[:at].any()
    assert after.samples[at].all()
    assert after.arrivals == (Arrival("P", float(at)),)


@given(SEEDS)
def test_a_geophone_passes_high_frequencies_and_loses_low_ones_by_the_square(seed):
    hz, amplitude = response(sensor.geophone, seed)
    assert amplitude[hz > 35].min() > 0.95
    half, one = np.interp([0.5, 1.0], hz, amplitude)
    assert one < 0.3
    assert half / one == pytest.approx(0.25, rel=0.1)


@given(SEEDS)
def test_a_band_limit_passes_low_frequencies_and_loses_high_ones(seed):
    hz, amplitude = response(sensor.band_limit, seed)
    assert amplitude[hz < 4].min() > 0.95
    assert amplitude[hz > 49].max() < 0.05
    corner = hz[amplitude < np.sqrt(0.5)].min()
    assert 7.9 < corner < 40.2


@given(SEEDS)
def test_a_slower_digitizer_leaves_nothing_above_its_band_and_rings_alike_before_and_after(seed):
    hz, amplitude = response(sensor.resample_jitter, seed)
    assert amplitude[hz < 2].min() > 0.9
    corner = hz[amplitude < 0.5].min()
    assert 0.4 * 20 - 1 < corner < 0.4 * 80 + 1
    assert amplitude[hz > 1.5 * corner].max() < 0.03
    after = sensor.resample_jitter(np.random.default_rng(seed), impulse()).samples
    assert not after[: 800 - 20].any()  # four samples at 20 Hz
    assert np.abs(after[:790]).max() < 0.1 * np.abs(after).max()
    np.testing.assert_allclose(after[780:801], after[820:799:-1], atol=1e-6)


def test_slower_digitizers_of_all_kinds_are_drawn():
    kinds = {response(sensor.resample_jitter, seed)[1].tobytes() for seed in range(60)}
    assert len(kinds) == 5


@given(SEEDS)
def test_a_clipped_record_is_the_record_up_to_full_scale(seed):
    before = draft(np.random.default_rng(1).normal(size=(T, 3)))
    after = sensor.clip_digitizer(np.random.default_rng(seed), before).samples
    full_scale = np.abs(after).max()
    assert 0.099 < full_scale / np.abs(before.samples).max() < 0.901
    below = np.abs(before.samples) < full_scale
    np.testing.assert_array_equal(after[below], before.samples[below])
    np.testing.assert_array_equal(np.abs(after[~below]), full_scale)


def test_an_onset_that_saturation_hides_is_not_asked_for():
    """A P of one and an S of two units: of a full scale near one unit, S is no louder than P."""
    wave = np.tile([1.0, -1.0], T // 2)
    wave[:500] *= 0.01
    wave[1000:] *= 2
    before = draft(np.tile(wave[:, None], (1, 3)), Arrival("P", 500.0), Arrival("S", 1000.0))
    asked = []
    for seed in range(60):
        after = sensor.clip_digitizer(np.random.default_rng(seed), before)
        asked.append({a.phase for a in after.arrivals})
        audible = np.abs(after.samples).max() >= np.sqrt(2)
        assert asked[-1] == ({"P", "S"} if audible else {"P"})
    assert {"P"} in asked
    assert {"P", "S"} in asked


def test_swapped_components_come_in_every_order_but_the_right_one():
    samples = np.random.default_rng(0).normal(size=(T, 3)).astype(np.float32)
    before = draft(samples, Arrival("P", 100.0))
    orders = set()
    for seed in range(80):
        after = sensor.swap(np.random.default_rng(seed), before)
        assert after.arrivals == before.arrivals
        columns = [int(np.abs(samples - after.samples[:, [k]]).sum(axis=0).argmin()) for k in range(3)]
        np.testing.assert_array_equal(after.samples, samples[:, columns])
        orders.add(tuple(columns))
    assert len(orders) == 5
    assert (0, 1, 2) not in orders


def test_an_accelerometers_floor_is_white_in_acceleration_and_falls_with_frequency_in_velocity():
    """The record is all at 50 Hz, where its derivative is twice as large; the rest is the floor."""
    wave = np.tile([1.0, -1.0], T // 2)
    before = draft(np.tile(wave[:, None], (1, 3)))
    hz = np.fft.rfftfreq(T, 0.01)
    levels, kinds = [], set()
    for seed in range(60):
        after = sensor.accelerometer(np.random.default_rng(seed), before).samples.astype(np.float64)
        spectrum = np.abs(np.fft.rfft(after, axis=0)).mean(axis=1)
        low, high = (np.median(spectrum[(hz > a) & (hz < b)]) for a, b in ((3, 4), (30, 40)))
        derivative = spectrum[-1] > 1.5 * T
        assert low / high == pytest.approx(1.0 if derivative else 10.0, rel=0.6)
        kinds.add(derivative)
        signal = wave[:, None] * spectrum[-1] / T
        levels.append(np.abs(after - signal).mean() / (2.0 if derivative else 1.0))
    assert kinds == {True, False}
    assert 0.2 < min(levels) < 0.6
    assert 5.0 < max(levels) < 13.0
