"""What the network is shown: the same code on the station and in training, so that there is no skew.

Two steps, both causal and with their state kept: a high-pass, and the scaling that the model's card names.
Both take any number of streams side by side, each with a state of its own: what a stream becomes does not
depend on its neighbours, nor on how it is cut, to the last bit.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

BLOCK = 64
"""Samples: every hop is a multiple of it."""

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

    The recursion is unrolled over blocks of `BLOCK` samples into products of small matrices, which numpy
    takes for all streams at once. Streams cut at multiples of it come out the same to the last bit.
    """

    def __init__(self, corner_hz: float, rate: float) -> None:
        b, a = butterworth(corner_hz, rate)
        # Transposed direct form II: y = b0 x + z0, and this is how x and z move z on.
        step = np.array([[-a[1], 1.0], [-a[2], 0.0]])
        driven = np.array([b[1] - a[1] * b[0], b[2] - a[2] * b[0]])
        self._power = [np.eye(2)]  # of `step`
        for _ in range(BLOCK):
            self._power.append(step @ self._power[-1])
        self._ringing = np.stack([power[0] for power in self._power[:-1]])  # of the state, in y
        # of x, in the state
        self._drive = np.stack([power @ driven for power in self._power[-2::-1]], axis=1)
        impulse = np.concatenate([b[:1], self._ringing[:-1] @ driven])
        lag = np.subtract.outer(np.arange(BLOCK), np.arange(BLOCK))
        self._response = np.where(lag >= 0, impulse[np.maximum(lag, 0)], 0.0)  # of x, in y
        self._state = np.zeros((1, 2, 3))
        self._first = np.zeros((1, 3))  # the segment's first sample, of which nothing would come out
        self._new = np.ones(1, bool)

    def widen(self, streams: int) -> None:
        """More streams, the new ones at their beginning."""
        more = streams - len(self._new)
        self._state = np.pad(self._state, ((0, more), (0, 0), (0, 0)))
        self._first = np.pad(self._first, ((0, more), (0, 0)))
        self._new = np.pad(self._new, (0, more), constant_values=True)

    def reset(self, streams: Streams = ALL) -> None:
        """Forgets these streams: their next samples begin new segments."""
        self._new[streams] = True

    def feed(self, samples: Samples, streams: Streams = ALL) -> Samples:
        """Filters the next samples (streams, n, 3) of these streams."""
        count, n, _ = samples.shape
        if not n:
            return samples
        state, first, new = self._state[streams], self._first[streams], self._new[streams]
        if new.any():
            state = np.where(new[:, None, None], 0.0, state)
            first = np.where(new[:, None], samples[:, 0], first)
        moved = samples - first[:, None]
        filtered = np.empty_like(moved)
        whole = n // BLOCK * BLOCK
        for part, length in ((slice(0, whole), BLOCK), (slice(whole, n), n - whole)):
            if part.stop > part.start:
                blocks = moved[:, part].reshape(count, -1, length, 3)
                out, state = self._run(blocks, state)
                filtered[:, part] = out.reshape(count, -1, 3)
        self._state[streams], self._first[streams], self._new[streams] = state, first, False
        size = np.abs(filtered)
        # As a rule nothing is so small, and no more need be looked at.
        if size.min() <= ROUNDING * 2 * max(samples.max(), -samples.min(), np.abs(first).max()):
            filtered[size <= ROUNDING * (np.abs(first)[:, None] + np.abs(samples))] = 0.0
        return filtered

    def _run(self, blocks: Samples, state: Samples) -> tuple[Samples, Samples]:
        """Consecutive blocks (streams, blocks, n, 3) of at most `BLOCK` samples, and the state (streams, 2,
        3) before them, to what comes out and the state after."""
        n = blocks.shape[2]
        driven = self._drive[:, BLOCK - n :] @ blocks
        before = np.empty_like(driven)
        for k in range(blocks.shape[1]):
            before[:, k] = state
            state = self._power[n] @ state + driven[:, k]
        return self._response[:n, :n] @ blocks + self._ringing[:n] @ before, state


def butterworth(corner_hz: float, rate: float) -> tuple[Samples, Samples]:
    """Numerator and denominator of the second-order high-pass, by the bilinear transform."""
    k = np.tan(np.pi * corner_hz / rate)
    scale = 1 / (1 + np.sqrt(2) * k + k * k)
    b = scale * np.array([1.0, -2.0, 1.0])
    return b, np.array([1.0, 2 * (k * k - 1) * scale, (1 - np.sqrt(2) * k + k * k) * scale])


def highpassed(samples: Samples, corner_hz: float, rate: float) -> Samples:
    """A whole segment (n, 3) as `HighPass` turns it out."""
    filtered: Samples = HighPass(corner_hz, rate).feed(samples[None])[0]
    return filtered


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
        """The next samples (streams, n, 3) of these streams to the same in float32. A component that is
        exactly zero in a block is so in the result, and its level stays."""
        out = np.empty(samples.shape, np.float32)
        level, seen = self._level[streams], self._seen[streams]
        count, n, _ = samples.shape
        whole = n // self.block * self.block
        for part, length in ((slice(0, whole), self.block), (slice(whole, n), n - whole)):
            if part.stop > part.start:
                blocks = samples[:, part].reshape(count, -1, length, 3)
                out[:, part] = self._scaled(blocks, level, seen).reshape(count, -1, 3)
        self._level[streams], self._seen[streams] = level, seen
        np.arcsinh(out, out=out)
        return np.clip(out, -self._clip, self._clip, out=out)

    def _scaled(self, blocks: Samples, level: Samples, seen: NDArray[np.int64]) -> Samples:
        """Consecutive blocks (streams, blocks, n, 3) in units of the level in each, times the gain."""
        mean = np.add.reduce(np.abs(blocks), axis=2, dtype=np.float64) / blocks.shape[2]
        scale = self._gain / self._follow(mean, level, seen)
        scaled: Samples = blocks * scale[:, :, None]
        return scaled

    def _follow(self, mean: Samples, level: Samples, seen: NDArray[np.int64]) -> Samples:
        """The level after each of consecutive blocks of these means (streams, blocks, 3). The logarithm
        `level` and `seen` are changed in place."""
        live = mean > 0
        height = np.log(np.minimum(np.maximum(mean, REPRESENTABLE[0]), REPRESENTABLE[1]))
        alive = bool(live.all())
        settled = False
        after = np.empty_like(mean)
        for k in range(mean.shape[1]):
            settled = settled or (alive and bool((seen >= self._memory).all()))
            if settled:
                change = np.minimum(np.maximum(height[:, k] - level, -self._rise), self._rise)
                level += change / self._memory
            else:
                self._begin(height[:, k], live[:, k], level, seen)
            after[:, k] = level
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
        largest[largest == 0] = 1
        scaled: Window = windows / largest
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
