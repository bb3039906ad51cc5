"""The resampler keeps what is below the Nyquist frequency, in time and size, and lets nothing fold."""

from itertools import pairwise
from math import floor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edge.resample import Resampler, resample

RATES = [20.0, 31.25, 40.0, 50.0, 62.5, 80.0, 99.0, 120.0, 125.0, 128.0, 200.0, 250.0, 500.0, 512.0, 1000.0]


def tone(frequency: float, rate: float, seconds: float = 20.0) -> NDArray[np.float64]:
    """A complex tone as two channels, real and imaginary part: shape (n, 2)."""
    t = np.arange(round(rate * seconds)) / rate
    return np.stack([np.cos(2 * np.pi * frequency * t), np.sin(2 * np.pi * frequency * t)], axis=1)


def interior(y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Without the second at either end where the held edge samples show."""
    return y[100:-100]


@pytest.mark.parametrize(
    ("rate", "frequency"), [(rate, f) for rate in RATES for f in (1.0, 8.0, 10.0, 40.0) if f <= 0.4 * rate]
)
def test_a_tone_keeps_its_amplitude_and_phase(rate: float, frequency: float) -> None:
    y = resample(tone(frequency, rate), rate)
    t = np.arange(len(y)) / 100.0
    ratio = interior((y[:, 0] + 1j * y[:, 1]) * np.exp(-2j * np.pi * frequency * t))
    assert np.abs(np.abs(ratio) - 1).max() < 1e-3
    assert np.abs(np.angle(ratio)).max() < 1e-3


@pytest.mark.parametrize(
    ("rate", "frequency"),
    [
        (125.0, 60.0),
        (200.0, 51.0),
        (250.0, 90.0),
        (500.0, 70.0),
        (500.0, 110.0),
        (500.0, 240.0),
        (1000.0, 450.0),
    ],
)
def test_what_would_fold_is_60_db_down(rate: float, frequency: float) -> None:
    y = resample(tone(frequency, rate), rate)
    assert np.abs(interior(y)).max() < 1e-3


@pytest.mark.parametrize("rate", [31.25, 40.0, 50.0])
def test_upsampling_adds_no_images(rate: float) -> None:
    frequency = 0.6 * rate / 2
    y = interior(resample(tone(frequency, rate), rate))
    spectrum = np.abs(np.fft.rfft(y[:, 0] * np.blackman(len(y))))
    frequencies = np.fft.rfftfreq(len(y), 0.01)
    assert spectrum[frequencies > rate / 2].max() < 1e-3 * spectrum.max()


@settings(deadline=None, max_examples=60)
@given(
    rate=st.sampled_from([*RATES, 100.0]),
    n=st.integers(1, 2000),
    cuts=st.lists(st.integers(0, 2000), max_size=12),
    offset=st.sampled_from([0.0, 1e7]),
)
def test_the_way_the_input_is_cut_does_not_show(rate: float, n: int, cuts: list[int], offset: float) -> None:
    x = np.random.default_rng(n).standard_normal((n, 3)) * 1000 + offset
    resampler = Resampler(rate)
    edges = [0, *sorted(min(cut, n) for cut in cuts), n]
    parts = [resampler.feed(x[a:b]) for a, b in pairwise(edges)]
    np.testing.assert_array_equal(np.concatenate([*parts, resampler.flush()]), resample(x, rate))


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("n", [1, 2, 999, 1000])
def test_every_output_instant_within_the_input_is_there(rate: float, n: int) -> None:
    assert len(resample(np.zeros((n, 3)), rate)) == int((n - 1) / rate * 100 + 1e-9) + 1


@pytest.mark.parametrize("rate", RATES)
def test_an_output_comes_as_soon_as_its_look_ahead_has(rate: float) -> None:
    resampler = Resampler(rate)
    out = 0
    for received in range(1, 500):
        out += len(resampler.feed(np.zeros((1, 3))))
        assert out >= floor((received - 1 - resampler.look_ahead) * resampler.ratio) + 1
    assert resampler.look_ahead <= 0.23 * max(rate, 100.0)


@pytest.mark.parametrize("rate", RATES)
def test_a_large_offset_neither_rings_nor_ripples(rate: float) -> None:
    np.testing.assert_array_equal(resample(np.full((300, 3), 8_388_607.0), rate), 8_388_607.0)
    x = tone(2.0, rate, 5.0)
    np.testing.assert_allclose(resample(x + 1e7, rate), resample(x, rate) + 1e7, atol=1e-6)


@pytest.mark.parametrize("rate", [100.0, 99.998, 100.04])
def test_the_models_own_rate_passes_untouched_and_at_once(rate: float) -> None:
    x = np.random.default_rng(1).integers(-(2**31), 2**31, (500, 3)).astype(np.float64)
    resampler = Resampler(rate)
    np.testing.assert_array_equal(resampler.feed(x), x)
    assert len(resampler.flush()) == 0


def test_after_a_flush_a_new_segment_begins() -> None:
    x = np.random.default_rng(2).standard_normal((400, 3))
    resampler = Resampler(250.0)
    resampler.feed(x + 1e6)
    resampler.flush()
    again = np.concatenate([resampler.feed(x), resampler.flush()])
    np.testing.assert_array_equal(again, resample(x, 250.0))


@pytest.mark.parametrize("rate", [0.0, 1.0, 19.9, 1000.5, float("nan")])
def test_a_rate_out_of_range_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="outside 20…1000 Hz"):
        Resampler(rate)


def test_samples_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(n, 3\)"):
        Resampler(250.0).feed(np.zeros((10, 2)))
