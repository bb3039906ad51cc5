"""Augmentations of the station's bad days: spikes, steps and lost telemetry."""

from dataclasses import replace
from functools import lru_cache

import numpy as np
from scipy.signal import lfilter

from edge.preprocess import highpassed
from zoo.data.augment import HIGHPASS_HZ, RATE_HZ, Draft, Generator, Samples, add, altered, noise_level
from zoo.data.filters import highpass

MEMORY = 400
"""Samples after which the station's high-pass has forgotten a step, to less than a millionth of it."""

SEEN_BEFORE = 10
RETURN = 50
"""An onset this many samples before a hole, or after it, cannot be told from the hole's own edges."""


def spikes(rng: Generator, draft: Draft) -> Draft:
    """One to five spikes of 1 to 3 samples, up to 30 times the noise, on one or all components: a bad
    contact, a flipped bit, lightning. They are no onsets and move none."""
    samples = draft.samples.copy()
    heights = noise_level(draft)
    for _ in range(rng.integers(1, 6)):
        begin = int(rng.integers(draft.valid.start, draft.valid.stop))
        end = min(begin + int(rng.integers(1, 4)), draft.valid.stop)
        part = _components(rng)
        samples[begin:end, part] += _signed(rng, 3.0, 30.0) * heights[part]
    return replace(draft, samples=samples)


def steps(rng: Generator, draft: Draft) -> Draft:
    """A step of the baseline, or a pulse of 0.2 to 5 s as of a mass being centred, at 3 to 100 times the
    noise and as the station's high-pass shows it."""
    shape = np.zeros(len(draft.samples), np.float32)
    begin = int(rng.integers(draft.valid.start, draft.valid.stop))
    _place(shape, begin, 1.0)
    if rng.random() < 0.5:
        _place(shape, begin + int(rng.uniform(0.2, 5.0) * RATE_HZ), -1.0)
    part = _components(rng)
    heights = np.zeros(3, np.float32)
    heights[part] = noise_level(draft)[part]
    heights *= rng.uniform(-1.0, 1.0, 3).astype(np.float32) * _signed(rng, 3.0, 100.0)
    return add(draft, Draft(shape[:, None] * heights, draft.valid, (), ()))


def dropout(rng: Generator, draft: Draft) -> Draft:
    """Telemetry lost without a word: 0.05 to 2 s of zeros or of the last value held, on one or all
    components, then the high-pass of the station, which rings at both ends. An onset in the hole or up to
    0.5 s after it is not asked for, nor is the hole then."""
    valid = draft.valid
    begin = int(rng.integers(valid.start, valid.stop))
    end = min(begin + int(rng.uniform(0.05, 2.0) * RATE_HZ), valid.stop)
    first, last = max(begin - MEMORY // 2, valid.start), min(end + MEMORY, valid.stop)
    part = _components(rng)
    b, a = highpass(HIGHPASS_HZ)
    # What the digitizer sent, but for an offset: the high-pass undone.
    sent = lfilter(a, b, draft.samples[first:last, part], axis=0)
    if rng.random() < 0.5:
        lost = sent[max(begin - first - 1, 0)].copy()
    else:
        lost = _signed(rng, 1.0, 100.0) * noise_level(draft)[part]
    sent[begin - first : end - first] = lost
    samples = draft.samples.copy()
    samples[first:last, part] = lfilter(b, a, sent, axis=0)
    hidden = [x for x in draft.arrivals if begin - SEEN_BEFORE <= x.sample < end + RETURN]
    if hidden:
        kept = tuple(x for x in draft.arrivals if x not in hidden)
        hole = (float(begin - SEEN_BEFORE), float(end + RETURN))
        draft = replace(draft, arrivals=kept, unknown=(*draft.unknown, hole))
    return altered(draft, samples)


def _components(rng: Generator) -> slice:
    """All components, or any one of them."""
    one = int(rng.integers(3))
    return slice(one, one + 1) if rng.random() < 0.5 else slice(0, 3)


def _signed(rng: Generator, lowest: float, highest: float) -> np.float32:
    """A size between the two, evenly in its logarithm, up or down."""
    return np.float32(rng.choice((-1.0, 1.0)) * np.exp(rng.uniform(np.log(lowest), np.log(highest))))


def _place(shape: Samples, begin: int, height: float) -> None:
    """Adds a step at sample `begin` as the station's high-pass shows it."""
    part = shape[begin : begin + MEMORY]
    part += np.float32(height) * _step()[: len(part)]


@lru_cache(maxsize=1)
def _step() -> Samples:
    step = np.ones((MEMORY + 1, 3))
    step[0] = 0.0
    return highpassed(step, HIGHPASS_HZ, RATE_HZ)[1:, 0].astype(np.float32)
