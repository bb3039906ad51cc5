"""What the network is shown: the same code on the station and in training, so that there is no skew.

Two steps, both causal and with their state kept: a high-pass, and the scaling that the model's card names.
Windows are cut from the result.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt, sosfilt_zi

ROUNDING = 1e-12
"""What the filter leaves of a constant, as a fraction of it, is less; what ground motion leaves is more."""

REPRESENTABLE = (1e-200, 1e200)
"""Of levels: beyond them products of samples and levels would be infinite or nothing."""

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


class Normaliser(Protocol):
    """How ground motion is brought to the network's scale: by a rule of the stream, a rule of the window, or
    both; the other one leaves its input as it is."""

    block: int
    """Samples: `feed` takes whole blocks, the last call before a reset excepted."""

    def feed(self, samples: Samples) -> Window: ...

    def window(self, window: Window) -> Window: ...

    def reset(self) -> None: ...


class RunningAsinh:
    """asinh of `gain` times each component over its own running noise level, clipped to ± `clip`.

    The level is a running geometric mean of the mean absolute value of blocks of `block` samples, over the
    last `memory` of them. A block counts as at most e^`rise` times the level and, once so many have been
    seen, at least e^-`rise` of it, so that neither an event nor a stretch of lost samples makes the picker
    deaf or jumpy for what follows. It needs no sample after the block it scales: windows cut from the stream
    need no scaling of their own.

    asinh leaves noise linear and compresses what rises above it, so in eight bits noise and a weak P before
    a strong S are steps high where division by the maximum erases them.
    """

    def __init__(self, gain: float, clip: float, block: int, memory: int, rise: float) -> None:
        if not (isinstance(block, int) and isinstance(memory, int)):
            raise ValueError("block and memory must be whole numbers")
        if not all(0 < value < np.inf for value in (gain, clip, block, memory, rise)):
            raise ValueError("gain, clip, block, memory and rise must be above 0")
        self.block = block
        self._gain, self._clip, self._memory, self._rise = gain, clip, memory, rise
        self.reset()

    def reset(self) -> None:
        """A new segment: the level begins with its first block."""
        self._level: NDArray[np.float64] | None = None
        self._seen: NDArray[np.int64] = np.zeros(0, np.int64)

    def feed(self, samples: Samples) -> Window:
        """Samples (n, 3), or (n, streams, 3) of several streams side by side, to the same in float32. A
        component that is exactly zero in a block is so in the result, and its level stays."""
        out = np.empty(samples.shape, np.float32)
        for start in range(0, len(samples), self.block):
            piece = samples[start : start + self.block]
            scale = self._gain / self._follow(np.abs(piece).mean(axis=0, dtype=np.float64))
            out[start : start + self.block] = piece * scale
        np.arcsinh(out, out=out)
        return np.clip(out, -self._clip, self._clip, out=out)

    def _follow(self, mean: Samples) -> Samples:
        live = mean > 0
        if self._level is None:
            self._level, self._seen = np.zeros(mean.shape), np.zeros(mean.shape, np.int64)
        height = np.log(np.clip(mean, *REPRESENTABLE))
        first = live & (self._seen == 0)
        self._level[first] = height[first]
        self._seen += live
        settled = np.where(self._seen >= self._memory, -self._rise, -np.inf)
        change = np.clip(height - self._level, settled, self._rise)
        self._level += np.where(live, change / np.clip(self._seen, 1, self._memory), 0.0)
        return np.exp(self._level)

    def window(self, window: Window) -> Window:
        return window


class MaxAbs:
    """Each component of a window over its own largest absolute value, as LPPN was published."""

    block = 1

    def feed(self, samples: Samples) -> Window:
        return samples.astype(np.float32)

    def window(self, window: Window) -> Window:
        """Windows (T, 3), zero where there is no signal, to the same."""
        scaled: Window = window / (np.max(np.abs(window), axis=0) + np.float32(1e-6))
        return scaled

    def reset(self) -> None:
        """Nothing is kept."""


NORMALISATIONS: Mapping[str, Callable[..., Normaliser]] = {"running-asinh": RunningAsinh, "max-abs": MaxAbs}
"""By the name that a card gives."""


def normaliser(spec: Mapping[str, Any]) -> Normaliser:
    """The rule a card's `input.normalisation` describes: {"name": …, further parameters}.

    ValueError for a name this version does not know, TypeError for parameters that are not the rule's.
    """
    parameters = dict(spec)
    name = parameters.pop("name", None)
    if name not in NORMALISATIONS:
        known = ", ".join(sorted(NORMALISATIONS))
        raise ValueError(f"normalisation {name!r} is not known to this version (known: {known})")
    return NORMALISATIONS[name](**parameters)
