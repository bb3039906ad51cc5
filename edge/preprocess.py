"""What the network is shown: the same code on the station and in training, so that there is no skew.

Two steps, both causal and with their state kept: a high-pass, and the scaling that the model's card names.
Both take any number of streams side by side, each with a state of its own: what a stream becomes does not
depend on its neighbours, nor on how it is cut, to the last bit.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, lfilter, lfilter_zi

ROUNDING = 1e-12
"""What the filter leaves of a constant, as a fraction of it, is less; what ground motion leaves is more."""

REPRESENTABLE = (1e-200, 1e200)
"""Of levels: beyond them products of samples and levels would be infinite or nothing."""

Samples = NDArray[np.float64]
Window = NDArray[np.float32]
Streams = slice | NDArray[np.intp]
"""Which of the streams side by side."""
ALL = slice(None)


class HighPass:
    """Second-order Butterworth high-pass over streams of three components, state kept between calls.

    It is causal, so no energy runs ahead of an onset, and it starts as if the first sample had lasted
    forever, so that an offset of the digitizer makes no step. A component that stands still becomes
    exactly zero: normalisation would blow the filter's rounding up to a signal.
    """

    def __init__(self, corner_hz: float, rate: float, streams: int = 1) -> None:
        self._b, self._a = butter(2, corner_hz, "highpass", fs=rate)
        self._steady = lfilter_zi(self._b, self._a)
        self._state = np.zeros((2, streams, 3))
        self._floor = np.zeros((streams, 3))
        self._new = np.ones(streams, bool)

    def widen(self, streams: int) -> None:
        """More streams, the new ones at their beginning."""
        more = streams - len(self._new)
        self._state = np.pad(self._state, ((0, 0), (0, more), (0, 0)))
        self._floor = np.pad(self._floor, ((0, more), (0, 0)))
        self._new = np.pad(self._new, (0, more), constant_values=True)

    def reset(self, streams: Streams = ALL) -> None:
        """Forgets these streams: their next samples begin new segments."""
        self._new[streams] = True

    def feed(self, samples: Samples, streams: Streams = ALL) -> Samples:
        """Filters the next samples (n, streams, 3) of these streams."""
        if not len(samples):
            return samples
        state, floor, new = self._state[:, streams], self._floor[streams], self._new[streams]
        if new.any():
            state = np.where(new[:, None], self._steady[:, None, None] * samples[0], state)
            floor = np.where(new[:, None], ROUNDING * np.abs(samples[0]), floor)
        filtered, state = lfilter(self._b, self._a, samples, axis=0, zi=state)
        self._state[:, streams], self._floor[streams], self._new[streams] = state, floor, False
        still = np.abs(filtered) <= floor + ROUNDING * np.abs(samples)
        if still.any():
            filtered[still] = 0.0
        # One memory layout whatever the chunk, or sums over it would differ in their last bit.
        return np.ascontiguousarray(filtered, dtype=np.float64)


def highpassed(samples: Samples, corner_hz: float, rate: float) -> Samples:
    """A whole segment (n, 3) as `HighPass` turns it out."""
    return HighPass(corner_hz, rate).feed(samples[:, None])[:, 0]


class Normaliser(Protocol):
    """How ground motion is brought to the network's scale: by a rule of the stream, a rule of the window, or
    both; the other one leaves its input as it is."""

    block: int
    """Samples: `feed` takes whole blocks, the last call before a reset excepted."""

    def feed(self, samples: Samples, streams: Streams = ALL) -> Window: ...

    def window(self, windows: Window) -> Window: ...

    def reset(self, streams: Streams = ALL) -> None: ...

    def widen(self, streams: int) -> None: ...


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

    def __init__(self, streams: int, gain: float, clip: float, block: int, memory: int, rise: float) -> None:
        if not (isinstance(block, int) and isinstance(memory, int)):
            raise ValueError("block and memory must be whole numbers")
        if not all(0 < value < np.inf for value in (gain, clip, block, memory, rise)):
            raise ValueError("gain, clip, block, memory and rise must be above 0")
        self.block = block
        self._gain, self._clip, self._memory, self._rise = gain, clip, memory, rise
        self._level = np.zeros((streams, 3))
        self._seen = np.zeros((streams, 3), np.int64)

    def widen(self, streams: int) -> None:
        """More streams, the new ones at their beginning."""
        more = ((0, streams - len(self._seen)), (0, 0))
        self._level, self._seen = np.pad(self._level, more), np.pad(self._seen, more)

    def reset(self, streams: Streams = ALL) -> None:
        """New segments of these streams: their levels begin with their first blocks."""
        self._level[streams], self._seen[streams] = 0.0, 0

    def feed(self, samples: Samples, streams: Streams = ALL) -> Window:
        """The next samples (n, streams, 3) of these streams to the same in float32. A component that is
        exactly zero in a block is so in the result, and its level stays."""
        out = np.empty(samples.shape, np.float32)
        level, seen = self._level[streams], self._seen[streams]
        whole = len(samples) // self.block * self.block
        blocks = -1, self.block, *samples.shape[1:]
        if whole:
            self._scale(samples[:whole].reshape(blocks), out[:whole].reshape(blocks), level, seen)
        if whole < len(samples):
            self._scale(samples[None, whole:], out[None, whole:], level, seen)
        self._level[streams], self._seen[streams] = level, seen
        np.arcsinh(out, out=out)
        return np.clip(out, -self._clip, self._clip, out=out)

    def _scale(self, blocks: Samples, out: Window, level: Samples, seen: NDArray[np.int64]) -> None:
        """`out`: blocks (n, samples, streams, 3) in units of the level in each, times the gain."""
        mean = np.add.reduce(np.abs(blocks), axis=1, dtype=np.float64) / blocks.shape[1]
        scale = self._gain / self._follow(mean, level, seen)
        np.multiply(blocks, scale[:, None], out=out, casting="same_kind")

    def _follow(self, mean: Samples, level: Samples, seen: NDArray[np.int64]) -> Samples:
        """The level after each of consecutive blocks of these means (n, streams, 3). The logarithm `level`
        and `seen` are changed in place."""
        live = mean > 0
        height = np.log(np.minimum(np.maximum(mean, REPRESENTABLE[0]), REPRESENTABLE[1]))
        alive = bool(live.all())
        settled = False
        after = np.empty_like(mean)
        for k in range(len(mean)):
            settled = settled or (alive and bool((seen >= self._memory).all()))
            if settled:
                level += np.minimum(np.maximum(height[k] - level, -self._rise), self._rise) / self._memory
            else:
                self._begin(height[k], live[k], level, seen)
            after[k] = level
        return np.exp(after)

    def _begin(
        self, height: Samples, live: NDArray[np.bool_], level: Samples, seen: NDArray[np.int64]
    ) -> None:
        """Takes in a block while some components have seen few, or are dead."""
        first = live & (seen == 0)
        level[first] = height[first]
        seen += live
        least = np.where(seen >= self._memory, -self._rise, -np.inf)
        change = np.minimum(np.maximum(height - level, least), self._rise)
        level += np.where(live, change / np.minimum(np.maximum(seen, 1), self._memory), 0.0)

    def window(self, windows: Window) -> Window:
        return windows


class MaxAbs:
    """Each component of a window over its own largest absolute value, as LPPN was published."""

    block = 1

    def __init__(self, streams: int) -> None:
        """There is nothing to keep of any stream."""

    def widen(self, streams: int) -> None:
        """Nothing is kept."""

    def reset(self, streams: Streams = ALL) -> None:
        """Nothing is kept."""

    def feed(self, samples: Samples, streams: Streams = ALL) -> Window:
        return samples.astype(np.float32)

    def window(self, windows: Window) -> Window:
        """Windows (…, T, 3), zero where there is no signal, to the same."""
        largest = np.max(np.abs(windows), axis=-2, keepdims=True)
        scaled: Window = windows / (largest + np.float32(1e-6))
        return scaled


NORMALISATIONS: Mapping[str, Callable[..., Normaliser]] = {"running-asinh": RunningAsinh, "max-abs": MaxAbs}
"""By the name that a card gives."""


def normaliser(spec: Mapping[str, Any], streams: int = 1) -> Normaliser:
    """The rule a card's `input.normalisation` describes: {"name": …, further parameters}, for so many
    streams.

    ValueError for a name this version does not know, TypeError for parameters that are not the rule's.
    """
    parameters = dict(spec)
    name = parameters.pop("name", None)
    if name not in NORMALISATIONS:
        known = ", ".join(sorted(NORMALISATIONS))
        raise ValueError(f"normalisation {name!r} is not known to this version (known: {known})")
    return NORMALISATIONS[name](streams, **parameters)
