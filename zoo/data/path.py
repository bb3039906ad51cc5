"""Augmentations of the way from the source to the station: attenuation, emergence, distance."""

from dataclasses import replace

import numpy as np

from zoo.data.augment import RATE_HZ, Draft, Generator, Samples, audible, power
from zoo.data.filters import filtered, lowpass
from zoo.data.records import Record

CORNERS_HZ = (1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0, 15.0)

SHORTEST_S, LEAST_SHARE = 0.3, 0.35
LONGEST_MORE_S, MOST_SHARE = 15.0, 3.0
"""Bounds of the new S-P time, in seconds and as a share of the old one."""
BEFORE_S = 15
"""Samples before S that stay as they are."""
AFTER_P = 5
"""Samples after P that stay as they are."""
LEAST_PIECE = 30
"""Samples of P coda that are worth repeating."""


def attenuate(rng: Generator, draft: Draft) -> Draft:
    """A long or hot path: what is above 1.5 to 15 Hz is lost, by a causal minimum-phase low-pass of first
    or second order, so the onset grows duller but not earlier. Windows without onsets stay as they are."""
    if not draft.arrivals:
        return draft
    return filtered(draft, lowpass(int(rng.integers(1, 3)), CORNERS_HZ[rng.integers(len(CORNERS_HZ))]))


def emerge(rng: Generator, draft: Draft) -> Draft:
    """An emergent P, as at regional distance: from 5 to 30 % at the onset the record grows to its full
    size within 0.1 to 1.5 s, or by the next onset. No component sinks below the noise it had before. Only
    where the window has one P, and a clear one; noise to hide its foot is added afterwards."""
    valid = draft.valid
    onsets = [a for a in draft.arrivals if valid.start <= a.sample < valid.stop]
    firsts = [a.sample for a in onsets if a.phase == "P"]
    if len(firsts) != 1 or not audible(draft.samples, draft.samples, firsts[0]):
        return draft
    begin = int(np.ceil(firsts[0]))
    stop = min([int(a.sample) for a in onsets if a.sample > firsts[0]] + [valid.stop])
    n = min(int(rng.uniform(0.1, 1.5) * RATE_HZ), stop - begin)
    noise = np.sqrt(power(draft.samples[max(begin - 100, valid.start) : begin]))
    signal = np.sqrt(power(draft.samples[begin : begin + 100]))
    share = np.divide(noise, signal, out=np.ones_like(noise), where=signal > 0)
    foot = np.clip(share, np.float32(rng.uniform(0.05, 0.3)), 1.0)
    ramp = 0.5 - 0.5 * np.cos(np.pi * np.arange(n, dtype=np.float32) / max(n, 1))
    samples = draft.samples.copy()
    samples[begin : begin + n] *= foot + (1 - foot) * ramp[:, None]
    return replace(draft, samples=samples)


def respace(rng: Generator, record: Record) -> Record:
    """Another hypocentral distance: P coda is taken out before S, or some of it repeated, so that S-P
    becomes a third to three times as long. Later onsets and unknown spans move along. A record without
    exactly one P and one S, or with an S-P below 0.5 s, stays as it is.

    What is repeated ends 0.15 s before S and begins in the later part of the coda, so that neither S
    comes early nor P again; seams are cross-faded over 0.1 to 0.2 s.
    """
    times = {a.phase: a.sample for a in record.arrivals}
    if len(record.arrivals) != 2 or len(times) != 2 or times["S"] - times["P"] < 0.5 * RATE_HZ:
        return record
    gap = int(times["S"]) - int(np.ceil(times["P"]))
    last = int(times["S"]) - BEFORE_S
    piece = int(0.6 * gap) - BEFORE_S
    if piece >= LEAST_PIECE and rng.random() < 0.5:
        return _lengthened(rng, record, last, piece, gap)
    return _shortened(rng, record, last, gap)


def _shortened(rng: Generator, record: Record, last: int, gap: int) -> Record:
    """Without up to 65 % of the P coda; what comes after sample `last` is all there."""
    least = max(int(np.ceil(LEAST_SHARE * gap)), round(SHORTEST_S * RATE_HZ))
    new = int(rng.integers(least, gap))
    fade = min(int(rng.integers(10, 21)), new - BEFORE_S - AFTER_P)
    first = last + BEFORE_S - gap + AFTER_P + fade
    cut = int(rng.integers(first, last - (gap - new) + 1))
    samples = _join(record.samples[:cut], record.samples[cut + (gap - new) - fade :], fade)
    return _moved(record, samples, cut, new - gap)


def _lengthened(rng: Generator, record: Record, last: int, piece: int, gap: int) -> Record:
    """With parts of the `piece` samples before sample `last` repeated, either way up, up to 3 times as long
    or 15 s longer. Each part runs up to `last`, so the one before S leads on into it as it always did."""
    more = int(rng.integers(1, int(min((MOST_SHARE - 1) * gap, LONGEST_MORE_S * RATE_HZ)) + 1))
    samples, left = record.samples[:last], more
    while left > 0:
        fade = min(int(rng.integers(10, 21)), piece // 3)
        n = min(left, int(rng.integers(piece // 2, piece - fade + 1)))
        left -= n
        sign = np.float32(rng.choice((-1.0, 1.0)) if left else 1.0)
        samples = _join(samples, sign * record.samples[last - n - fade : last], fade)
    return _moved(record, np.concatenate([samples, record.samples[last:]]), last, more)


def _join(first: Samples, second: Samples, fade: int) -> Samples:
    """One after the other, `fade` samples of each laid over one another at constant power."""
    angle = np.linspace(0.0, np.pi / 2, fade, dtype=np.float32)[:, None]
    seam = first[len(first) - fade :] * np.cos(angle) + second[:fade] * np.sin(angle)
    return np.concatenate([first[: len(first) - fade], seam, second[fade:]])


def _moved(record: Record, samples: Samples, seam: int, by: int) -> Record:
    """The record with new samples; what was known after sample `seam` is `by` samples later."""

    def at(sample: float) -> float:
        return sample if sample <= seam else max(seam, sample + by)

    return replace(
        record,
        samples=samples,
        arrivals=tuple(a.at(at(a.sample)) for a in record.arrivals),
        unknown=tuple((at(a), at(b)) for a, b in record.unknown),
    )
