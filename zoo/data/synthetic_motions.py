"""Synthetic P onsets whose first motion is known: what few analysts' signs cannot teach.

A far-field displacement pulse after Brune (1970), one-sided, t·exp(−t/τ), goes through an attenuating path
and a seismometer; behind it comes a coda of scattered arrivals of either sign, which may be thirty times as
strong (an emergent onset). Every filter but the digitizer's is causal, so nothing runs ahead of the onset;
the digitizer's linear-phase anti-alias filter rings a little before it, as real ones do.
"""

import numpy as np
from numpy.typing import NDArray

from edge.preprocess import butterworth

RATE_HZ = 100.0
HIGHPASS_HZ = 1.0
Floats = NDArray[np.float32]
Real = NDArray[np.floating]
Complex = NDArray[np.complexfloating]


def onsets(rng: np.random.Generator, n: int, length: int, at: int) -> tuple[Floats, Floats]:
    """Vertical ground motion (n, length) at 100 Hz behind the station's high-pass, first motion up at sample
    `at`, still before; and the largest amplitude (n,) of the first arrival alone. Any scale."""
    period = 2 * length  # the transform is periodic: what outlasts the window must not come in at its front
    frequency = np.fft.rfftfreq(period, 1 / RATE_HZ)
    s = 2j * np.pi * frequency
    rise, path = (_log_uniform(rng, *limits, (n, 1)) for limits in ((0.003, 0.1), (0.001, 0.05)))
    pulse = s / ((1 + s * rise) ** 2 * (1 + s * path) ** rng.integers(1, 4, (n, 1)))
    pulse = pulse * _seismometer(rng, n, s) * _digitizer(rng, n, frequency)
    b, a = butterworth(HIGHPASS_HZ, RATE_HZ)
    z = np.exp(-s / RATE_HZ)
    station = (b[0] + b[1] * z + b[2] * z**2) / (a[0] + a[1] * z + a[2] * z**2)
    first = pulse * station * np.exp(-s * at / RATE_HZ)
    direct = np.fft.irfft(first, period)[:, :length]
    motion = np.fft.irfft(first * (1 + np.fft.rfft(_coda(rng, n, length), period)), period)[:, :length]
    size = np.abs(direct).max(axis=1)
    ahead = _precursor(rng, n, np.arange(length) - at) * size[:, None]
    return (motion + ahead).astype(np.float32), size.astype(np.float32)


def _precursor(rng: np.random.Generator, n: int, t: NDArray[np.integer]) -> Real:
    """A blip of either sign just ahead of one onset in five, up to 0.4 of it: noise, or what a filter that
    looks ahead has made of the onset. Analysts look past it. `t`: samples from the onset."""
    middle, width = -rng.uniform(1.0, 8.0, (n, 1)), rng.uniform(1.0, 3.0, (n, 1))
    height = rng.uniform(-0.4, 0.4, (n, 1)) * (rng.random((n, 1)) < 0.2)
    return np.asarray(height * np.exp(-0.5 * ((t - middle) / width) ** 2) * (t < 0))


def _log_uniform(rng: np.random.Generator, least: float, most: float, shape: tuple[int, ...]) -> Real:
    return np.exp(rng.uniform(np.log(least), np.log(most), shape))


def _seismometer(rng: np.random.Generator, n: int, s: Complex) -> Complex:
    """A geophone of 0.3 to 6 Hz and 0.7 damping; one in six is an accelerometer."""
    corner = 2 * np.pi * _log_uniform(rng, 0.3, 6.0, (n, 1))
    geophone = s**2 / (s**2 + 1.4 * corner * s + corner**2)
    return np.where(rng.random((n, 1)) < 1 / 6, geophone * s, geophone)


def _digitizer(rng: np.random.Generator, n: int, frequency: Real) -> Real:
    """A linear-phase low-pass below the Nyquist frequency of 50 Hz, or of 25 Hz for one trace in four."""
    nyquist = np.where(rng.random((n, 1)) < 0.25, 25.0, 50.0)
    end = nyquist * rng.uniform(0.85, 1.0, (n, 1))
    begin = end * rng.uniform(0.7, 0.97, (n, 1))
    return 0.5 + 0.5 * np.cos(np.pi * np.clip((frequency - begin) / (end - begin), 0.0, 1.0))


def _coda(rng: np.random.Generator, n: int, length: int) -> Real:
    """Scattered arrivals (n, length) behind a first one of size 1 at sample 0: they begin 0.02 to 0.5 s
    later, grow over 0.03 to 2 s, and fade."""
    t = np.arange(length) / RATE_HZ
    begin = _log_uniform(rng, 0.02, 0.5, (n, 1))
    grow = _log_uniform(rng, 0.03, 2.0, (n, 1))
    fade = _log_uniform(rng, 0.2, 4.0, (n, 1))
    since = np.maximum(t - begin, 0.0)
    size = _log_uniform(rng, 0.05, 6.0, (n, 1))
    envelope = size * (since > 0) * np.minimum(since / grow, 1.0) ** 0.5 * np.exp(-since / fade)
    there = rng.random((n, length)) < rng.uniform(0.05, 0.5, (n, 1))
    return np.where(there, rng.standard_normal((n, length)) * envelope, 0.0)
