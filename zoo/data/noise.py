"""Augmentations of the ground that moves without a local earthquake."""

import numpy as np

from zoo.data.augment import RATE_HZ, Draft, Generator, Samples, add, noise_level


def teleseism(rng: Generator, draft: Draft) -> Draft:
    """A distant earthquake: a narrow band of 1 to 2.5 Hz that swells and fades over 10 to 60 s, at 3 to 30
    times the noise. It is no local phase: it brings no label, and onsets that drown in it are not asked
    for."""
    t = np.arange(len(draft.samples), dtype=np.float32) / np.float32(RATE_HZ)
    middle, length = rng.uniform(0.0, t[-1]), rng.uniform(10.0, 60.0)
    envelope = np.exp(-0.5 * np.square((t - np.float32(middle)) * np.float32(4 / length)))
    wander = rng.uniform(0.3, 1.0) * np.sin(_angle(rng, t, rng.uniform(0.03, 0.15)))
    angle = _angle(rng, t, rng.uniform(1.0, 2.5)) + wander.astype(np.float32)
    motion = _motion(rng, envelope, angle, noise_level(draft), 3.0)
    return add(draft, Draft(motion, draft.valid, (), ()))


def bursts(rng: Generator, draft: Draft) -> Draft:
    """Steps, doors, vehicles: one to six transients of 0.1 to 1.5 s at 5 to 45 Hz, at 2 to 30 times the
    noise. Each grows as slowly as it fades: there is no onset, and no label."""
    motion, level = np.zeros_like(draft.samples), noise_level(draft)
    for _ in range(rng.integers(1, 7)):
        length = np.exp(rng.uniform(np.log(0.1), np.log(1.5)))
        middle = rng.uniform(draft.valid.start, draft.valid.stop) / RATE_HZ
        begin = max(int((middle - length / 2) * RATE_HZ) + 1, 0)
        end = min(int((middle + length / 2) * RATE_HZ) + 1, len(draft.samples))
        t = (np.arange(begin, end) / RATE_HZ - middle).astype(np.float32)
        envelope = np.square(np.cos(np.pi * t / np.float32(length)))
        angle = _angle(rng, t, rng.uniform(max(5.0, 1.5 / length), 45.0))
        motion[begin:end] += _motion(rng, envelope, angle, level, 2.0)
    return add(draft, Draft(motion, draft.valid, (), ()))


def hum(rng: Generator, draft: Draft) -> Draft:
    """A pump, a generator, the mains: one frequency of 8 to 49 Hz at 2 to 30 times the noise, slowly
    modulated."""
    t = np.arange(len(draft.samples), dtype=np.float32) / np.float32(RATE_HZ)
    depth = np.float32(rng.uniform(0.0, 0.8))
    envelope = 1 - depth * np.square(np.sin(_angle(rng, t, rng.uniform(0.02, 0.5))))
    angle = _angle(rng, t, rng.uniform(8.0, 49.0))
    motion = _motion(rng, envelope, angle, noise_level(draft), 2.0)
    return add(draft, Draft(motion, draft.valid, (), ()))


def _angle(rng: Generator, t: Samples, frequency_hz: float) -> Samples:
    """The phase of a wave at the times t (n,) in seconds, in radians, from a random one on."""
    return np.float32(2 * np.pi * frequency_hz) * t + np.float32(rng.uniform(0.0, 2 * np.pi))


def _motion(rng: Generator, envelope: Samples, angle: Samples, level: Samples, lowest: float) -> Samples:
    """Waves (n, 3) of `lowest` to 30 times the noise level (3,), each component with its share and phase:
    nothing on a dead one."""
    size = np.exp(rng.uniform(np.log(lowest), np.log(30.0)))
    sizes = (size * rng.uniform(0.3, 1.0, 3)).astype(np.float32) * level
    phases = rng.uniform(0.0, 2 * np.pi, 3).astype(np.float32)
    waves = [envelope * (a * np.cos(angle + phase)) for a, phase in zip(sizes, phases, strict=True)]
    return np.stack(waves, axis=1)
