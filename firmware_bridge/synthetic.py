"""A local earthquake made of noise: for demos and tests where no record is at hand."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_RATE = 100
_SECONDS = 60
_P_SECOND = 20
_S_SECOND = 26
_START_NS = 1_700_000_000 * 1_000_000_000
_NOISE_COUNTS = 50.0


@dataclass(frozen=True, slots=True)
class SyntheticRecord:
    """Three components with known onsets.

    `samples`: int32 counts of shape (n, 3) in Z, N, E order. `rate`: Hz. `start_ns`, `p_ns`, `s_ns`:
    int64 UTC nanoseconds of the first sample, the P and the S onset.
    """

    samples: NDArray[np.int32]
    rate: int
    start_ns: int
    p_ns: int
    s_ns: int


def synthetic_earthquake(seed: int = 0) -> SyntheticRecord:
    """60 s at 100 Hz: coloured noise of 50 counts rms, P at 20 s and S at 26 s.

    P (4-15 Hz, about 1,500 counts) is strongest on Z and moves up first; S (2-10 Hz, about 5,000
    counts) is strongest on N and E. Both decay exponentially. The same seed gives the same record.
    """
    rng = np.random.default_rng(seed)
    ground = (
        _noise(rng)
        + _phase(rng, _P_SECOND, band_hz=(4, 15), decay_s=2.5, counts=(1500, 450, 500))
        + _phase(rng, _S_SECOND, band_hz=(2, 10), decay_s=5.0, counts=(1800, 5000, 4500))
    )
    return SyntheticRecord(
        samples=np.rint(ground).astype(np.int32),
        rate=_RATE,
        start_ns=_START_NS,
        p_ns=_START_NS + _P_SECOND * 1_000_000_000,
        s_ns=_START_NS + _S_SECOND * 1_000_000_000,
    )


def _noise(rng: np.random.Generator) -> NDArray[np.float64]:
    """Microseism and culture: white noise shaped to fall with frequency as 1/f, shape (n, 3)."""
    n = _SECONDS * _RATE
    spectrum = np.fft.rfft(rng.standard_normal((n, 3)), axis=0)
    frequency = np.fft.rfftfreq(n, 1 / _RATE)
    spectrum /= np.maximum(frequency, 0.2)[:, None]
    noise = np.fft.irfft(spectrum, n, axis=0)
    return np.asarray(_NOISE_COUNTS * noise / noise.std(axis=0))


def _phase(
    rng: np.random.Generator,
    second: int,
    band_hz: tuple[float, float],
    decay_s: float,
    counts: tuple[float, float, float],
) -> NDArray[np.float64]:
    """A wave train from `second` on with peak amplitudes `counts` (Z, N, E), shape (n, 3)."""
    n = (_SECONDS - second) * _RATE
    burst = rng.standard_normal((n, 3)) * np.exp(-np.arange(n) / (decay_s * _RATE))[:, None]
    # One strong first swing makes the onset sharp and its direction known.
    burst[0] = 4.0
    train = _bandpassed(burst, band_hz)
    train *= np.asarray(counts) / np.abs(train).max(axis=0)
    return np.concatenate([np.zeros((second * _RATE, 3)), train])


def _bandpassed(burst: NDArray[np.float64], band_hz: tuple[float, float]) -> NDArray[np.float64]:
    """Through a second-order Butterworth band-pass, which is causal: nothing moves before the onset."""
    n = 4 * len(burst)  # what rings on after the end must not come round to the beginning
    warped = np.tan(np.pi * np.fft.rfftfreq(n, 1.0)[1:])
    low, high = np.tan(np.pi * np.array(band_hz) / _RATE)
    p = 1j * (warped**2 - low * high) / ((high - low) * warped)
    response = np.concatenate([[0.0], 1 / (p * p + np.sqrt(2) * p + 1)])
    spectrum = np.fft.rfft(burst, n, axis=0) * response[:, None]
    return np.asarray(np.fft.irfft(spectrum, n, axis=0)[: len(burst)])
