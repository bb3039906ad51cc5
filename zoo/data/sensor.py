"""Augmentations of the instrument: other sensors, other digitizers, other wiring."""

from dataclasses import replace
from functools import lru_cache
from itertools import permutations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import correlate1d
from scipy.signal import firwin, lfilter

from zoo.data.augment import RATE_HZ, Draft, Generator, Samples, add, altered, noise_level
from zoo.data.filters import filtered, highpass, integrator, lowpass

GEOPHONES_HZ = (2.0, 4.5, 8.0, 10.0, 14.0)
LOWPASSES_HZ = (8.0, 10.0, 12.0, 15.0, 18.0, 22.0, 26.0, 30.0, 35.0, 40.0)
SOURCE_RATES_HZ = (20, 25, 40, 50, 80)
ORDERS = [list(order) for order in permutations(range(3))][1:]


def clip_digitizer(rng: Generator, draft: Draft) -> Draft:
    """A digitizer that saturates between a tenth and nine tenths of the record's peak: a strong event on
    too high a gain. A real one clips before the high-pass, which here comes first: the flat tops are
    flatter than on a station."""
    full_scale = np.float32(rng.uniform(0.1, 0.9) * np.abs(draft.samples).max(initial=0.0))
    return altered(draft, np.clip(draft.samples, -full_scale, full_scale))


def swap(rng: Generator, draft: Draft) -> Draft:
    """Components mis-wired or declared in another order: the vertical may be where a horizontal should."""
    return replace(draft, samples=draft.samples[:, ORDERS[rng.integers(len(ORDERS))]])


def geophone(rng: Generator, draft: Draft) -> Draft:
    """A geophone of 2, 4.5, 8, 10 or 14 Hz, not corrected for its response."""
    return filtered(draft, highpass(GEOPHONES_HZ[rng.integers(len(GEOPHONES_HZ))]))


def accelerometer(rng: Generator, draft: Draft) -> Draft:
    """A MEMS accelerometer: a floor that is white in acceleration, at 0.3 to 10 times the noise. Its
    stream is either acceleration, the derivative of the velocity given, or integrated to velocity, with
    a floor that falls as 1/f."""
    floor: Samples = rng.random(draft.samples.T.shape, dtype=np.float32) - np.float32(0.5)
    if rng.random() < 0.5:
        acceleration: Samples = np.zeros_like(draft.samples)
        acceleration[draft.valid][1:] = np.diff(draft.samples[draft.valid], axis=0)
        draft = altered(draft, acceleration)
    else:
        floor = lfilter(*integrator(), floor).astype(np.float32)
    scale = np.float32(np.exp(rng.uniform(np.log(0.3), np.log(10.0)))) / np.abs(floor[:, ::8]).mean()
    floor *= (scale * noise_level(draft))[:, None]
    return add(draft, Draft(floor.T, draft.valid, (), ()))


def band_limit(rng: Generator, draft: Draft) -> Draft:
    """A sensor or source of few high frequencies: a causal low-pass of order 2 to 4 at 8 to 40 Hz."""
    return filtered(draft, lowpass(int(rng.integers(2, 5)), LOWPASSES_HZ[rng.integers(len(LOWPASSES_HZ))]))


def resample_jitter(rng: Generator, draft: Draft) -> Draft:
    """A digitizer of 20, 25, 40, 50 or 80 Hz, brought to the model's rate: little above 0.4 of its rate
    is left, and its linear-phase filter, as digitizers have, runs four of its samples ahead of an onset."""
    taps = _antialias(SOURCE_RATES_HZ[rng.integers(len(SOURCE_RATES_HZ))])
    samples: Samples = np.zeros_like(draft.samples)
    samples[draft.valid] = correlate1d(draft.samples[draft.valid], taps, axis=0, mode="nearest")
    return altered(draft, samples)


@lru_cache(maxsize=len(SOURCE_RATES_HZ))
def _antialias(rate_hz: int) -> NDArray[np.float64]:
    half = round(4 * RATE_HZ / rate_hz)
    taps: NDArray[np.float64] = firwin(2 * half + 1, 0.4 * rate_hz, fs=RATE_HZ)
    return taps
