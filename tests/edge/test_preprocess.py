"""What the network is shown: offsets gone, weak onsets kept, nothing that is not a number."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edge.preprocess import NORMALISATIONS, HighPass, normaliser

RATE = 100.0
PARAMETERS = {
    "running-asinh": {"gain": 0.5, "clip": 8.0, "block": 64, "memory": 32, "rise": 1.4},
    "max-abs": {},
}
LIMIT = {"running-asinh": 8.0, "max-abs": 1.0}
EVERY_RULE = pytest.mark.parametrize("name", sorted(NORMALISATIONS))


def rule(name: str):
    return normaliser({"name": name, **PARAMETERS[name]})


def show(name: str, samples):
    """A whole segment that fits one window, as the network sees it."""
    whole = rule(name)
    return whole.window(whole.feed(samples[None])[0])


def counts(n: int, seed: int = 0):
    return np.rint(np.random.default_rng(seed).normal(0, 100, (n, 3)))


def highpass(samples, cuts=()):
    filter_ = HighPass(1.0, RATE)
    return np.concatenate([filter_.feed(piece[None])[0] for piece in np.split(samples, sorted(cuts))])


@given(st.lists(st.integers(0, 30), max_size=30), st.integers(-(2**23), 2**23))
def test_the_high_pass_does_not_see_how_the_stream_was_cut_into_blocks(cuts, offset):
    samples = counts(2000) + offset
    np.testing.assert_array_equal(highpass(samples, [64 * cut for cut in cuts]), highpass(samples))


@given(st.lists(st.integers(0, 1000), max_size=30), st.integers(-(2**23), 2**23))
def test_cut_anywhere_the_high_pass_differs_by_rounding_alone(cuts, offset):
    samples = counts(1000) + offset
    rounding = 1e-12 * (abs(offset) + 1000)
    np.testing.assert_allclose(highpass(samples, cuts), highpass(samples), rtol=0, atol=rounding)


def test_the_high_pass_is_the_butterworth_filter():
    signal = pytest.importorskip("scipy.signal", reason="the reference needs SciPy")
    samples = counts(5000)
    sections = signal.butter(2, 1.0, "highpass", fs=RATE, output="sos")
    at_rest = signal.sosfilt_zi(sections)[..., None] * samples[:1]
    expected, _ = signal.sosfilt(sections, samples, axis=0, zi=at_rest)
    np.testing.assert_allclose(highpass(samples), expected, rtol=0, atol=1e-8)


@given(st.floats(-1e9, 1e9))
def test_an_offset_of_the_digitizer_becomes_exactly_nothing(offset):
    assert not highpass(np.full((5000, 3), offset)).any()


def test_a_component_that_comes_to_stand_still_becomes_exactly_nothing():
    samples = counts(20_000) + 1000
    samples[5000:, 1] = 123_456
    samples[5000:, 2] = 0
    tail = highpass(samples)[-5000:]
    assert tail[:, 0].std() == pytest.approx(100, rel=0.1)
    assert not tail[:, 1:].any()


@pytest.mark.parametrize(("hz", "least", "most"), [(0.05, 0.0, 0.01), (5.0, 0.99, 1.01), (30.0, 0.99, 1.01)])
def test_the_high_pass_removes_microseism_and_keeps_local_earthquakes(hz, least, most):
    t = np.arange(60_000) / RATE
    tone = np.repeat(np.sin(2 * np.pi * hz * t)[:, None], 3, axis=1)
    amplitude = highpass(tone)[30_000:].std() * np.sqrt(2)
    assert least <= amplitude <= most


def test_nothing_runs_ahead_of_an_onset():
    samples = np.zeros((1000, 3))
    samples[500:] = 1e6
    filtered = highpass(samples)
    assert not filtered[:500].any()
    assert filtered[500].min() > 9e5


def test_after_a_reset_a_new_segment_begins_with_its_own_offset():
    filter_ = HighPass(1.0, RATE)
    filter_.feed(counts(1000)[None])
    filter_.reset()
    assert not filter_.feed(np.full((1, 1000, 3), 5e5)).any()


def weak_p_before_strong_s():
    """Noise of 1, a P of 30 at 15 s and, 3 s later, an S of 10,000 that decays."""
    rng = np.random.default_rng(3)
    t = np.arange(3072)
    tone = np.sin(2 * np.pi * 8 * t / RATE)
    p = 30 * np.exp(-(t - 1500) / 100) * (t >= 1500)
    s = 10_000 * np.exp(-(t - 1800) / 150) * (t >= 1800)
    return rng.normal(0, 1, (3072, 3)) + ((p + s) * tone)[:, None]


@pytest.mark.parametrize(("name", "least", "most"), [("running-asinh", 30, 127), ("max-abs", 0, 0.5)])
def test_a_weak_p_before_a_strong_s_is_steps_high_in_int8_where_the_maximum_erases_it(name, least, most):
    shown = show(name, weak_p_before_strong_s())
    step = LIMIT[name] / 127
    assert least <= np.abs(shown[1500:1600]).max() / step <= most


def test_noise_is_steps_high_in_int8_and_well_below_the_limit():
    shown = show("running-asinh", weak_p_before_strong_s())[:1500]
    step = LIMIT["running-asinh"] / 127
    assert 2 * step < np.std(shown) < LIMIT["running-asinh"] / 8


def test_after_a_strong_event_noise_is_soon_as_high_as_before():
    stream = np.concatenate([weak_p_before_strong_s(), counts(3000, 9) / 100])
    shown = show("running-asinh", stream)
    assert np.std(shown[-1000:]) > 0.4 * np.std(shown[500:1500])


@pytest.mark.parametrize("lost", [np.zeros((1000, 3)), np.full((1000, 3), 77.0)])
def test_ten_seconds_lost_or_held_do_not_make_noise_look_like_an_event(lost):
    stream = np.concatenate([counts(6000), lost, counts(6000, 2)])
    shown = show("running-asinh", highpass(stream))
    assert np.std(shown[7100:8000]) < 1.6 * np.std(shown[4000:6000])


def test_the_level_follows_a_change_of_gain():
    for factor in (0.05, 30.0):
        shown = show("running-asinh", np.concatenate([counts(6000), factor * counts(16_000, 1)]))
        assert np.std(shown[-2000:]) == pytest.approx(np.std(shown[3000:6000]), rel=0.15)


def test_nothing_of_the_future_is_in_the_scale():
    """Beyond the block that holds a sample."""
    stream = counts(2000)
    later = stream.copy()
    later[1280:] *= 1000
    np.testing.assert_array_equal(show("running-asinh", stream)[:1280], show("running-asinh", later)[:1280])


@given(st.lists(st.integers(1, 30), max_size=6))
def test_the_scale_does_not_see_how_the_stream_was_cut_into_blocks(cuts):
    stream = counts(2000)
    running = rule("running-asinh")
    pieces = np.split(stream, sorted({64 * cut for cut in cuts}))
    np.testing.assert_array_equal(
        np.concatenate([running.feed(piece[None])[0] for piece in pieces]),
        show("running-asinh", stream),
    )


def test_streams_side_by_side_do_not_see_each_other():
    one, other = counts(1000), 50 * counts(1000, 1)
    together = normaliser({"name": "running-asinh", **PARAMETERS["running-asinh"]}, 2)
    both = together.feed(np.stack([one, other]))
    np.testing.assert_array_equal(both[0], show("running-asinh", one))
    np.testing.assert_array_equal(both[1], show("running-asinh", other))


def test_after_a_reset_the_level_is_that_of_the_new_segment():
    running = rule("running-asinh")
    running.feed(1e6 * counts(1024)[None])
    running.reset()
    again = running.feed(counts(640)[None])[0]
    np.testing.assert_array_equal(again, show("running-asinh", counts(640)))


@EVERY_RULE
def test_training_in_single_precision_shows_what_the_station_shows(name):
    samples = counts(700)
    with np.errstate(all="raise"):
        single = show(name, samples.astype(np.float32))
    np.testing.assert_allclose(single, show(name, samples), atol=1e-5)


@EVERY_RULE
@given(exponent=st.integers(-20, 40))
def test_counts_or_metres_a_second_make_no_difference(name, exponent):
    if name == "max-abs":
        exponent = abs(exponent)  # as published it adds 1e-6, which is for counts
    stream = counts(600) + 0.5
    np.testing.assert_allclose(show(name, stream * 2.0**exponent), show(name, stream), atol=1e-4)


@EVERY_RULE
@pytest.mark.parametrize("dead", range(3))
def test_a_dead_component_is_zero_and_leaves_the_others_as_they_are(name, dead):
    stream = counts(600)
    alive = show(name, stream)
    stream[:, dead] = 0
    shown = show(name, stream)
    assert not shown[:, dead].any()
    np.testing.assert_array_equal(np.delete(shown, dead, axis=1), np.delete(alive, dead, axis=1))


@pytest.mark.filterwarnings("ignore:overflow")
@EVERY_RULE
@settings(max_examples=200)
@given(arrays(np.float64, (140, 3), elements=st.floats(-1e38, 1e38)))
def test_any_finite_stream_gives_finite_numbers_within_the_limit(name, stream):
    shown = show(name, stream)
    assert shown.dtype == np.float32
    assert np.isfinite(shown).all()
    assert np.abs(shown).max() <= LIMIT[name]


def test_a_lone_spike_in_a_still_component_stays_within_the_limit():
    stream = np.zeros((600, 3))
    stream[300] = 1e6
    for name, limit in LIMIT.items():
        shown = show(name, stream)
        assert 0 < shown[300].min() <= shown[300].max() <= limit
        assert not np.delete(shown, 300, axis=0).any()


def test_an_unknown_rule_is_refused_with_those_that_are_known():
    with pytest.raises(ValueError, match=r"'z-score' is not known.*max-abs, running-asinh"):
        normaliser({"name": "z-score"})
    with pytest.raises(ValueError, match="None is not known"):
        normaliser({})
    with pytest.raises(ValueError, match="above 0"):
        normaliser({**PARAMETERS["running-asinh"], "name": "running-asinh", "gain": 0})


@EVERY_RULE
def test_the_unit_of_the_samples_makes_no_difference(name):
    np.testing.assert_allclose(show(name, 1e-9 * counts(512)), show(name, counts(512)), rtol=1e-4)
