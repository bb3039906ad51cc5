"""Augmentations: each one small function of a random generator and a draft window.

Here is the draft itself and what mixes and turns whole windows; in `sensor`, `faults`, `path` and `noise`
what befalls them on the way from the source to the picker.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from zoo.data.labels import Arrival
from zoo.data.records import Record

Generator = np.random.Generator
Samples = NDArray[np.float32]

RATE_HZ = 100.0
HIGHPASS_HZ = 1.0
"""Of every record here, as of every model: what is said in seconds or Hz rests on them."""

SECOND = round(RATE_HZ)
"""Samples."""

DROWNED = 20
"""Samples on either side of an onset that can no longer be seen, in which nothing is asked."""


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


def stretch(rng: Generator, record: Record) -> Record:
    """The record slower or faster: other source sizes, distances and sampling rates."""
    factor = float(np.exp(rng.uniform(np.log(0.7), np.log(1.5))))
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
    own, peak = (np.abs(one.samples).max(initial=0.0) for one in (draft, other))
    if own == 0 or peak == 0:
        return draft
    scale = np.float32(ratio * own / peak)
    return add(draft, replace(other, samples=other.samples * scale))


def add(draft: Draft, other: Draft) -> Draft:
    """Both windows at once as they are, where the first is valid. Onsets that drown in the sum are no
    longer asked for."""
    samples = within(draft.valid, draft.samples + other.samples)
    unknown = list(draft.unknown) + list(other.unknown)
    kept = []
    for part, rest in ((draft, other), (other, draft)):
        for arrival in part.arrivals:
            if silent(rest.samples, arrival.sample) or audible(part.samples, samples, arrival.sample):
                kept.append(arrival)
            else:
                unknown.append((arrival.sample - DROWNED, arrival.sample + DROWNED))
    return Draft(samples, draft.valid, tuple(kept), tuple(unknown))


def altered(draft: Draft, samples: Samples) -> Draft:
    """The draft with `samples` (T, 3) in place of its own. Onsets that stood out before and do not now are
    no longer asked for."""
    samples = within(draft.valid, samples)
    unknown = list(draft.unknown)
    kept = []
    for arrival in draft.arrivals:
        if audible(samples, samples, arrival.sample) or not audible(
            draft.samples, draft.samples, arrival.sample
        ):
            kept.append(arrival)
        else:
            unknown.append((arrival.sample - DROWNED, arrival.sample + DROWNED))
    return Draft(samples, draft.valid, tuple(kept), tuple(unknown))


def within(valid: slice, samples: Samples) -> Samples:
    """The same array, zeroed outside `valid`."""
    samples[: valid.start] = 0.0
    samples[valid.stop :] = 0.0
    return samples


def audible(own: Samples, mixture: Samples, sample: float) -> bool:
    """Whether the second after an onset has, on some component, twice the power in its own record that the
    second before it has in the mixture."""
    at = min(max(int(sample), 0), len(own))
    before, after = mixture[max(0, at - SECOND) : at], own[at : at + SECOND]
    if not len(before) or not len(after):
        return True
    louder = power(after)
    return bool(np.any((louder > 0) & (louder >= 2 * power(before))))


def silent(samples: Samples, sample: float) -> bool:
    """Whether there is nothing at all within a second of a sample."""
    at = min(max(int(sample), 0), len(samples))
    return not samples[max(0, at - SECOND) : at + SECOND].any()


def power(samples: Samples) -> Samples:
    """The mean square of each component (3,), zero of no samples."""
    mean: Samples = np.einsum("tk,tk->k", samples, samples) / np.float32(max(len(samples), 1))
    return mean


def noise_level(draft: Draft) -> Samples:
    """The median absolute value of each component (3,), from every eighth sample: zero of a dead one."""
    heights = np.abs(draft.samples[draft.valid][::8])
    median: Samples = np.partition(heights, len(heights) // 2, axis=0)[len(heights) // 2]
    return median


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
