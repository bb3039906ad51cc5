"""Augmentations: each one small function of a random generator and a draft window."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from zoo.data.labels import Arrival
from zoo.data.records import Record

Generator = np.random.Generator
Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Draft:
    """A window in the making: `samples` (T, 3), zero outside `valid`, and what is known of its onsets."""

    samples: Samples
    valid: slice
    arrivals: tuple[Arrival, ...]
    unknown: tuple[tuple[float, float], ...]


def cut(record: Record, start: int, T: int) -> Draft:
    """The window of T samples that begins at sample `start` of a record, which may lie outside of it."""
    begin, end = max(start, 0), min(start + T, len(record.samples))
    samples = np.zeros((T, 3), np.float32)
    samples[begin - start : end - start] = record.samples[begin:end]
    arrivals = tuple(a.at(a.sample - start) for a in record.arrivals)
    unknown = tuple((a - start, b - start) for a, b in record.unknown)
    return Draft(samples, slice(begin - start, end - start), arrivals, unknown)


def shift(rng: Generator, record: Record, T: int) -> Draft:
    """A window with one of the record's onsets anywhere in it, its edges included; of a record without
    onsets any window, some of which begin before it as after a gap."""
    if record.arrivals:
        anchor = record.arrivals[rng.integers(len(record.arrivals))].sample
        return cut(record, int(anchor) - int(rng.integers(0, T)), T)
    last = len(record.samples) - T
    return cut(record, int(rng.integers(min(-T // 4, last), max(1, last))), T)


def stretch(rng: Generator, record: Record, lowest: float = 0.7, highest: float = 1.5) -> Record:
    """The record slower or faster: other source sizes, distances and sampling rates."""
    factor = float(np.exp(rng.uniform(np.log(lowest), np.log(highest))))
    n = len(record.samples)
    at = np.arange(0, n - 1, 1 / factor)
    index = np.arange(n)
    samples = np.stack([np.interp(at, index, record.samples[:, k]) for k in range(3)], axis=1)
    return replace(
        record,
        samples=samples.astype(np.float32),
        arrivals=tuple(a.at(a.sample * factor) for a in record.arrivals),
        unknown=tuple((a * factor, b * factor) for a, b in record.unknown),
    )


def gain(rng: Generator, draft: Draft) -> Draft:
    """Another gain on each component, between a third and three times."""
    factors = np.exp(rng.uniform(-np.log(3), np.log(3), 3)).astype(np.float32)
    return replace(draft, samples=draft.samples * factors)


def flip(rng: Generator, draft: Draft) -> Draft:
    """The opposite first motion, or the horizontals exchanged."""
    samples = draft.samples * np.float32(rng.choice([-1.0, 1.0]))
    return replace(draft, samples=samples[:, [0, 2, 1]] if rng.random() < 0.5 else samples)


def rotate(rng: Generator, draft: Draft) -> Draft:
    """Horizontals turned by any angle: the sensor's orientation, or the event's back azimuth."""
    angle = rng.uniform(0, 2 * np.pi)
    c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    z, n, e = draft.samples.T
    return replace(draft, samples=np.stack([z, c * n - s * e, s * n + c * e], axis=1))


def superpose(draft: Draft, other: Draft, ratio: float) -> Draft:
    """Both windows at once, the other's largest amplitude at `ratio` of this one's. Onsets that drown in
    the sum are no longer asked for."""
    peak = np.abs(other.samples).max(initial=0.0)
    if peak == 0:
        return draft
    scaled = other.samples * np.float32(ratio * np.abs(draft.samples).max(initial=0.0) / peak)
    samples = draft.samples + scaled
    samples[: draft.valid.start] = 0.0
    samples[draft.valid.stop :] = 0.0
    unknown = list(draft.unknown) + list(other.unknown)
    kept = []
    for part, arrivals in ((draft.samples, draft.arrivals), (scaled, other.arrivals)):
        for arrival in arrivals:
            if audible(part, samples, arrival.sample):
                kept.append(arrival)
            else:
                unknown.append((arrival.sample - 20, arrival.sample + 20))
    return Draft(samples, draft.valid, tuple(kept), tuple(unknown))


def audible(own: Samples, mixture: Samples, sample: float, span: int = 100) -> bool:
    """Whether the second after an onset has, on some component, twice the power in its own record that the
    second before it has in the mixture."""
    at = int(np.clip(sample, 0, len(own)))
    before, after = mixture[max(0, at - span) : at], own[at : at + span]
    if not len(before) or not len(after):
        return True
    return bool(np.any(np.mean(np.square(after), axis=0) >= 2 * np.mean(np.square(before), axis=0)))


def add_noise(rng: Generator, draft: Draft, noise: Draft) -> Draft:
    """Real noise of another station under the record, from a thousandth to a third of its peak."""
    return superpose(draft, replace(noise, arrivals=(), unknown=()), float(10 ** rng.uniform(-3.0, -0.5)))


def lose_channels(rng: Generator, draft: Draft) -> Draft:
    """A vertical-only station (mostly), or one dead component; never the last one that lives."""
    samples = draft.samples.copy()
    if rng.random() < 0.6:
        samples[:, 1:] = 0.0
    else:
        samples[:, rng.integers(3)] = 0.0
    return replace(draft, samples=samples) if samples.any() else draft
