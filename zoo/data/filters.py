"""Causal filters of a draft: nothing runs ahead of an onset."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, lfilter

from zoo.data.augment import HIGHPASS_HZ, RATE_HZ, Draft, Samples, altered

Coefficients = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Numerator and denominator. Up to the fourth order and from 1 Hz on they are exact enough in float64."""


@lru_cache(maxsize=128)
def lowpass(order: int, corner_hz: float) -> Coefficients:
    """A Butterworth low-pass, minimum-phase."""
    b, a = butter(order, corner_hz, "lowpass", fs=RATE_HZ)
    return b, a


@lru_cache(maxsize=128)
def highpass(corner_hz: float) -> Coefficients:
    """A second-order Butterworth high-pass: a geophone of 0.7 damping; at 1 Hz the station's own."""
    b, a = butter(2, corner_hz, "highpass", fs=RATE_HZ)
    return b, a


@lru_cache(maxsize=1)
def integrator() -> Coefficients:
    """From acceleration to velocity and through the station's high-pass."""
    b, a = highpass(HIGHPASS_HZ)
    return np.array([b[0], -b[0]]), a


def filtered(draft: Draft, coefficients: Coefficients) -> Draft:
    """The draft through a filter that is at rest where it begins."""
    samples: Samples = np.zeros_like(draft.samples)
    samples[draft.valid] = lfilter(*coefficients, draft.samples[draft.valid], axis=0)
    return altered(draft, samples)
