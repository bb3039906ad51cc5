"""Training windows of first motions: real onsets and synthetic ones, on real noise, as a picker would cut
them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from edge.polarity import PolarityInput, normalised
from zoo.data.filters import lowpass
from zoo.data.first_motions import REACH, PolarityExample
from zoo.data.synthetic_motions import onsets

Floats = NDArray[np.float32]
Generator = np.random.Generator

LEAD = 50
"""Samples before a window, for filters to run in."""
FARTHEST = 30
"""Samples: how far from the onset a window may be cut."""
NEAR = 3.0
"""Samples: standard deviation of most pickers' residuals, the shipped one's on its training data among
them."""
CORNERS_HZ = (3.0, 5.0, 8.0, 12.0, 18.0)


@dataclass(frozen=True, slots=True)
class Batch:
    """`windows` (n, window), normalised; `up` (n,): the probability that the first motion is up; `unknown`
    (n,): 1 where an analyst could not tell, else 0; `onset` (n,): its sample in the window."""

    windows: Floats
    up: Floats
    unknown: Floats
    onset: Floats

    def __len__(self) -> int:
        return len(self.windows)


@dataclass(frozen=True, slots=True)
class Group:
    """Onsets that are drawn alike. `traces` (n, 2·REACH), the onset at sample REACH; `up`, `unknown` (n,) as
    in `Batch`; `share` of the group in the real part of a batch."""

    traces: NDArray[np.float16]
    up: Floats
    unknown: Floats
    share: float


def group_of(examples: Sequence[PolarityExample], share: float) -> Group:
    """Examples with a direction, or, of those without, the ones that an analyst could not tell."""
    return Group(
        np.stack([example.vertical for example in examples]),
        np.array([0.5 if example.up is None else example.up for example in examples], np.float32),
        np.array([float(example.up is None) for example in examples], np.float32),
        share,
    )


def offsets(rng: Generator, n: int) -> NDArray[np.float64]:
    """How far from the onset, in samples at 100 Hz, a picker has it: four in five within a few hundredths of
    a second, one anywhere within ± 0.3 s."""
    return np.where(rng.random(n) < 0.8, rng.normal(0.0, NEAR, n), rng.uniform(-FARTHEST, FARTHEST, n))


def taken(
    traces: NDArray[np.floating], at: int, offset: NDArray[np.float64], speed: NDArray[np.float64],
    spec: PolarityInput,
) -> Floats:  # fmt: skip
    """Windows (n, LEAD + window) of `traces` (n, …), cut `offset` samples after their onsets, which are at
    sample `at`, and played at another speed."""
    relative = np.arange(spec.window + LEAD) - LEAD - spec.before + offset[:, None]
    place = np.clip(at + relative * speed[:, None], 0, traces.shape[1] - 1.001)
    index: NDArray[np.intp] = place.astype(np.intp)
    part = (place - index).astype(np.float32)
    rows = np.arange(len(traces))[:, None]
    windows: Floats = traces[rows, index] * (1 - part) + traces[rows, index + 1] * part
    return windows


def with_noise(
    rng: Generator, windows: Floats, first: Floats, noise: Floats, snr_db: tuple[float, float]
) -> Floats:
    """Real noise (m, long) under windows, its standard deviation so far below the first motions (n,)."""
    n, length = windows.shape
    rows: NDArray[np.intp] = np.asarray(rng.integers(len(noise), size=n))
    start: NDArray[np.intp] = np.asarray(rng.integers(noise.shape[1] - length + 1, size=n))
    pieces = noise[rows[:, None], start[:, None] + np.arange(length)]
    level = pieces.std(axis=1)
    wanted: NDArray[np.float64] = first * 10 ** (-rng.uniform(*snr_db, n) / 20) * rng.choice((-1.0, 1.0), n)
    scale = np.divide(wanted, level, out=np.zeros(n), where=level > 0)
    under: Floats = pieces * scale[:, None].astype(np.float32)
    return windows + under


class Batches:
    """Batches of windows, the same for the same generator."""

    def __init__(
        self, groups: Mapping[str, Group], noise: Floats, spec: PolarityInput, synthetic: float
    ) -> None:
        """`noise` (m, long): real noise at 100 Hz behind the station's high-pass; `synthetic`: the share of
        synthetic onsets, 0..1."""
        self._groups, self._noise, self._spec = list(groups.values()), noise, spec
        self._synthetic = synthetic if self._groups else 1.0

    def batch(self, rng: Generator, n: int) -> Batch:
        """So many windows, half of them turned upside down."""
        made = round(n * self._synthetic)
        parts = [self._made(rng, made)] if made else []
        shares = np.array([group.share for group in self._groups])
        counts = rng.multinomial(n - made, shares / shares.sum()) if made < n else ()
        parts += [self._real(rng, group, count) for group, count in zip(self._groups, counts, strict=False)]
        up, unknown, onset = (
            np.concatenate([getattr(part, name) for part in parts], dtype=np.float32)
            for name in ("up", "unknown", "onset")
        )
        windows = dulled(rng, np.concatenate([part.windows for part in parts]))[:, LEAD:]
        sign = rng.choice(np.array([-1.0, 1.0], np.float32), n)
        return Batch(normalised(windows * sign[:, None]), np.where(sign > 0, up, 1 - up), unknown, onset)

    def _made(self, rng: Generator, n: int) -> Batch:
        """As in `Batch`, but LEAD samples longer and not normalised."""
        at = LEAD + self._spec.before + FARTHEST
        traces, first = onsets(rng, n, at + self._spec.after + FARTHEST, at)
        offset = offsets(rng, n)
        windows = taken(traces, at, offset, np.ones(n), self._spec)
        windows = with_noise(rng, windows, first, self._noise, (0.0, 40.0))
        windows = swaying(rng, windows, first)
        return Batch(windows, np.ones(n, np.float32), np.zeros(n, np.float32), self._onset(offset))

    def _real(self, rng: Generator, group: Group, n: int) -> Batch:
        """As `_made`."""
        rows: NDArray[np.intp] = rng.integers(len(group.traces), size=n)
        traces = group.traces[rows].astype(np.float32)
        offset, speed = offsets(rng, n), np.exp(rng.uniform(np.log(0.7), np.log(1.4), n))
        windows = taken(traces, REACH, offset, speed, self._spec)
        first = np.abs(traces[:, REACH : REACH + 10]).max(axis=1)
        noisy = rng.random(n) < 0.6
        windows[noisy] = with_noise(rng, windows[noisy], first[noisy], self._noise, (6.0, 40.0))
        windows = swaying(rng, windows, first)
        return Batch(windows, group.up[rows], group.unknown[rows], self._onset(offset))

    def _onset(self, offset: NDArray[np.float64]) -> Floats:
        return np.asarray(self._spec.before - offset, np.float32)


def swaying(rng: Generator, windows: Floats, first: Floats) -> Floats:
    """A quarter of the windows on a slow wave of 0.2 to 1.5 Hz, a third to ten times the first motions (n,):
    microseism, or the coda of a distant earthquake."""
    n, length = windows.shape
    t = np.arange(length) / 100
    frequency, phase = rng.uniform(0.2, 1.5, (n, 1)), rng.uniform(0, 2 * np.pi, (n, 1))
    size = (
        first[:, None] * np.exp(rng.uniform(np.log(0.3), np.log(10.0), (n, 1))) * (rng.random((n, 1)) < 0.25)
    )
    return windows + (size * np.sin(2 * np.pi * frequency * t + phase)).astype(np.float32)


def dulled(rng: Generator, windows: Floats) -> Floats:
    """A third of the windows through a causal low-pass, one for all of them."""
    some = rng.random(len(windows)) < 0.33
    b, a = lowpass(int(rng.integers(1, 4)), CORNERS_HZ[rng.integers(len(CORNERS_HZ))])
    windows[some] = lfilter(b, a, windows[some], axis=1)
    return windows


def fixed(examples: Sequence[PolarityExample], spec: PolarityInput, offset: Sequence[int]) -> Batch:
    """Windows of examples as they are, each cut at every offset (samples) from its onset."""
    traces = np.stack([example.vertical for example in examples]).astype(np.float32)
    one, n = np.ones(len(traces)), len(traces)
    windows = [taken(traces, REACH, at * one, one, spec)[:, LEAD:] for at in offset]
    group = group_of(examples, 1.0)
    return Batch(
        normalised(np.concatenate(windows)),
        np.tile(group.up, len(offset)),
        np.tile(group.unknown, len(offset)),
        np.repeat(spec.before - np.asarray(offset, np.float32), n),
    )
