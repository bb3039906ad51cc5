"""What the network is shown: the same code on the station and in training, so that there is no skew.

Two steps. A causal high-pass runs over the stream once and keeps its state; then each window is
normalised on its own by the rule that the model's card names.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt, sosfilt_zi

ROUNDING = 1e-12
"""What the filter leaves of a constant, as a fraction of it, is less; what ground motion leaves is more."""

Samples = NDArray[np.float64]
Window = NDArray[np.float32]


class HighPass:
    """Second-order Butterworth high-pass over a stream of shape (n, channels), state kept between calls.

    It is causal, so no energy runs ahead of an onset, and it starts as if the first sample had lasted
    forever, so that an offset of the digitizer makes no step. A component that stands still becomes
    exactly zero: normalisation would blow the filter's rounding up to a signal.
    """

    def __init__(self, corner_hz: float, rate: float) -> None:
        self._sos = butter(2, corner_hz, "highpass", fs=rate, output="sos")
        self._steady = sosfilt_zi(self._sos)
        self._state: NDArray[np.float64] | None = None

    def reset(self) -> None:
        """Forgets the stream: the next call begins a new segment."""
        self._state = None

    def feed(self, samples: Samples) -> Samples:
        """Filters the next samples. Any chunking of a stream gives the same output bit for bit."""
        if not len(samples):
            return samples
        if self._state is None:
            self._state = self._steady[:, :, None] * samples[0]
            self._floor = ROUNDING * np.abs(samples[0])
        filtered, self._state = sosfilt(self._sos, samples, axis=0, zi=self._state)
        filtered[np.abs(filtered) <= self._floor + ROUNDING * np.abs(samples)] = 0.0
        # One memory layout whatever the chunk, or sums over it would differ in their last bit.
        return np.ascontiguousarray(filtered, dtype=np.float64)


def noise_asinh(window: Samples, valid: slice, gain: float, clip: float) -> Window:
    """asinh of `gain` times each component over its own noise level, clipped to ± `clip`.

    The noise level is the median absolute value of the valid part, which an event that fills less than
    half of the window does not move. With a gain of 0.3 noise stays in asinh's linear part and what rises
    above it is compressed, so in eight bits noise and a weak P before a strong S are steps high where
    division by the maximum erases them.
    """
    part = np.abs(window[valid])
    level = np.median(part, axis=0)
    # A component that stood still for most of the window has next to no median.
    level = np.maximum(level, 1e-3 * np.sqrt(np.mean(np.square(part), axis=0)))
    out = np.zeros(window.shape, np.float32)
    live = level > 0
    out[valid, live] = np.clip(np.arcsinh(gain * window[valid][:, live] / level[live]), -clip, clip)
    return out


def max_abs(window: Samples, valid: slice) -> Window:
    """Each component over its own largest absolute value, as LPPN was published."""
    out = np.zeros(window.shape, np.float32)
    out[valid] = window[valid] / (np.max(np.abs(window[valid]), axis=0) + 1e-6)
    return out


NORMALISATIONS: Mapping[str, Callable[..., Window]] = {"noise-asinh": noise_asinh, "max-abs": max_abs}
"""By the name that a card gives."""


def normaliser(spec: Mapping[str, Any]) -> Callable[[Samples, slice], Window]:
    """The rule a card's `input.normalisation` describes: {"name": …, further parameters}.

    The result maps a window of shape (T, 3) and the slice of it that holds signal to float32 (T, 3),
    zero outside that slice. ValueError for a name this version does not know.
    """
    parameters = dict(spec)
    name = parameters.pop("name", None)
    if name not in NORMALISATIONS:
        known = ", ".join(sorted(NORMALISATIONS))
        raise ValueError(f"normalisation {name!r} is not known to this version (known: {known})")
    rule = NORMALISATIONS[name]
    return lambda window, valid: rule(window, valid, **parameters)
