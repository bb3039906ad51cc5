"""What every augmentation of a station's life keeps, whatever it does."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("h5py", reason="the zoo needs the [host] extra")

from zoo.data import faults, noise, path, sensor
from zoo.data.augment import Draft
from zoo.data.labels import Arrival

T = 1024
STEPS = [
    *(sensor.clip_digitizer, sensor.swap, sensor.geophone, sensor.accelerometer, sensor.band_limit),
    *(sensor.resample_jitter, faults.spikes, faults.steps, faults.dropout, path.attenuate, path.emerge),
    *(noise.teleseism, noise.bursts, noise.hum),
]
SEEDS = st.integers(0, 2**32 - 1)
every_step = pytest.mark.parametrize("step", STEPS, ids=lambda step: step.__name__)


def event(valid=slice(0, T), dead=()):
    """Noise, a P ten times louder at 400 and an S again five times louder at 700; not to be written to."""
    samples = np.random.default_rng(0).normal(size=(T, 3)).astype(np.float32)
    samples[400:] *= 10
    samples[700:] *= 5
    samples[: valid.start] = samples[valid.stop :] = 0.0
    samples[:, list(dead)] = 0.0
    samples.flags.writeable = False
    return Draft(samples, valid, (Arrival("P", 400.0), Arrival("S", 700.0)), ((900.0, 950.0),))


@every_step
@given(SEEDS, st.integers(0, T - 1), st.integers(1, T))
def test_the_window_keeps_its_shape_and_stays_empty_where_there_is_no_signal(step, seed, start, n):
    valid = slice(start, min(start + n, T))
    after = step(np.random.default_rng(seed), event(valid))
    assert after.samples.shape == (T, 3)
    assert after.samples.dtype == np.float32
    assert np.isfinite(after.samples).all()
    assert after.valid == valid
    assert not after.samples[: valid.start].any()
    assert not after.samples[valid.stop :].any()


@every_step
@given(SEEDS)
def test_an_onset_stays_where_it_is_or_is_no_longer_asked_for(step, seed):
    before = event()
    after = step(np.random.default_rng(seed), before)
    assert set(after.arrivals) <= set(before.arrivals)
    assert set(before.unknown) <= set(after.unknown)
    for lost in set(before.arrivals) - set(after.arrivals):
        assert any(begin <= lost.sample <= end for begin, end in after.unknown)


@every_step
@given(SEEDS)
def test_a_seed_draws_the_same_again(step, seed):
    one, two = (step(np.random.default_rng(seed), event()) for _ in range(2))
    np.testing.assert_array_equal(one.samples, two.samples)
    assert replace(one, samples=two.samples) == two


@every_step
def test_draws_differ_and_differ_from_the_record(step):
    before = event()
    drawn = {step(np.random.default_rng(seed), before).samples.tobytes() for seed in range(20)}
    assert len(drawn - {before.samples.tobytes()}) >= 3


@pytest.mark.parametrize("step", [s for s in STEPS if s is not sensor.swap], ids=lambda step: step.__name__)
@given(SEEDS)
def test_a_dead_component_stays_dead(step, seed):
    after = step(np.random.default_rng(seed), event(dead=(1, 2)))
    assert not after.samples[:, 1:].any()
    assert after.samples[:, 0].any()


@every_step
def test_a_window_without_anything_in_it_stays_so(step):
    nothing = Draft(np.zeros((T, 3), np.float32), slice(0, T), (), ())
    for seed in range(5):
        after = step(np.random.default_rng(seed), nothing)
        assert not after.samples.any()
        assert (after.arrivals, after.unknown) == ((), ())


def test_the_picture_and_its_page_show_every_augmentation(tmp_path):
    pytest.importorskip("matplotlib", reason="the picture needs the [host] extra")
    from zoo.data import show

    names = [name for name, *_ in show.rows()]
    assert {step.__name__ for step in [*STEPS, path.respace]} < set(names)
    page = (Path(__file__).parents[2] / "docs" / "augmentations.md").read_text()
    assert [name for name in names if f"`{name}`" not in page] == []
    show.draw(tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
