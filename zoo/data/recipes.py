"""Which augmentations a training window goes through, and how often each."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from zoo.data import augment, faults, noise, path, sensor
from zoo.data.augment import Draft

Effect = Callable[[np.random.Generator, Draft], Draft]
Effects = Sequence[tuple[float, Effect]]
"""With their probabilities."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """`respace`: how often the S-P time is changed. `path`: what befalls a record before anything is added to
    it. `sensor`: of these one at most. `station`: the rest, in this order. What every recipe does is in
    `zoo.data.windows`."""

    respace: float
    path: Effects
    sensor: Effects
    station: Effects

    def on_the_way(self, rng: np.random.Generator, draft: Draft) -> Draft:
        """A draft after its path."""
        return each_of(rng, self.path, draft)

    def at_the_station(self, rng: np.random.Generator, draft: Draft) -> Draft:
        """A draft after sensor and station."""
        return each_of(rng, self.station, one_of(rng, self.sensor, draft))


def each_of(rng: np.random.Generator, effects: Effects, draft: Draft) -> Draft:
    """Each effect, in order, with its probability."""
    for probability, effect in effects:
        if rng.random() < probability:
            draft = effect(rng, draft)
    return draft


def one_of(rng: np.random.Generator, effects: Effects, draft: Draft) -> Draft:
    """One effect or none, each with its probability."""
    choice = rng.random()
    for probability, effect in effects:
        choice -= probability
        if choice < 0:
            return effect(rng, draft)
    return draft


ALWAYS: Effects = ((0.5, augment.flip), (0.15, augment.lose_channels))
RECIPES: Mapping[str, Recipe] = {
    "plain": Recipe(0.0, (), (), ALWAYS),
    "station": Recipe(
        respace=0.2,
        path=((0.1, path.attenuate), (0.1, path.emerge)),
        sensor=(
            (0.08, sensor.geophone),
            (0.05, sensor.accelerometer),
            (0.08, sensor.band_limit),
            (0.08, sensor.resample_jitter),
        ),
        station=(
            (0.04, noise.teleseism),
            (0.08, noise.bursts),
            (0.04, noise.hum),
            (0.03, sensor.clip_digitizer),
            (0.04, faults.spikes),
            (0.04, faults.steps),
            (0.04, faults.dropout),
            (0.04, sensor.swap),
            *ALWAYS,
        ),
    ),
}
"""By the name that edge-train's --recipe takes."""
