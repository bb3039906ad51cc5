"""Training windows: records mixed, augmented, normalised and labelled, reproducibly."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

import keras
import numpy as np
from numpy.typing import NDArray

from edge.card import InputSpec
from edge.preprocess import normaliser
from zoo.data import augment, path
from zoo.data.labels import label_cells
from zoo.data.recipes import RECIPES, Recipe
from zoo.data.records import Record
from zoo.data.store import Records, silent

Batch = tuple[NDArray[np.float32], dict[str, NDArray[np.float32]]]

LEAD = 1536
"""Samples of the stream before each window, in which the normalisation finds the noise level."""

WORKERS = 2
"""Threads that make batches."""

STRETCH, ROTATE, SUPERPOSE, NOISE = 0.2, 0.4, 0.25, 0.4
"""How often each of these is applied; place and gain always are."""


ANYWHERE = 0.3
"""Of the windows, so many are cut anywhere in their record and not around an onset: before, in the coda, and
in what else happens at a station in the hours between events."""


class Mixer(Protocol):
    """Where batches come from: inputs (size, 1, T, 3) and targets by output name."""

    def batch(self, rng: np.random.Generator, size: int) -> Batch: ...


class WindowMixer:
    """Draws windows from groups of records, each group with its share.

    `groups`: name to (share, records); records in which nothing arrives also serve as noise to be mixed in.
    """

    def __init__(
        self,
        groups: Mapping[str, tuple[float, Sequence[Record]]],
        spec: InputSpec,
        S: int,
        recipe: Recipe = RECIPES["plain"],
    ) -> None:
        self._groups = [records for _, records in groups.values()]
        shares = np.array([share for share, _ in groups.values()])
        self._shares = shares / shares.sum()
        self._noise = Records((records, np.flatnonzero(silent(records))) for records in self._groups)
        self._spec = spec
        self._block = normaliser(spec.normalisation).block
        self._length = LEAD + spec.window
        self._S = S
        self._recipe = recipe

    def draw(self, rng: np.random.Generator) -> augment.Draft:
        """A window with `LEAD` samples of the stream before it, not yet normalised."""
        draft = self._cut(rng)
        if rng.random() < SUPERPOSE:
            draft = augment.superpose(draft, self._cut(rng), float(10 ** rng.uniform(-1.5, 0.0)))
        if self._noise and rng.random() < NOISE:
            other = augment.shift(rng, self._noise[rng.integers(len(self._noise))], self._length)
            draft = augment.add_noise(rng, draft, other)
        return self._recipe.at_the_station(rng, draft)

    def _cut(self, rng: np.random.Generator) -> augment.Draft:
        records = self._groups[rng.choice(len(self._groups), p=self._shares)]
        record = records[rng.integers(len(records))]
        if rng.random() < self._recipe.respace:
            record = path.respace(rng, record)
        if rng.random() < STRETCH:
            record = augment.stretch(rng, record)
        draft = augment.gain(rng, _place(rng, record, self._length, self._block))
        if rng.random() < ROTATE:
            draft = augment.rotate(rng, draft)
        return self._recipe.on_the_way(rng, draft)

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        """As `Mixer`."""
        drafts = [self.draw(rng) for _ in range(size)]
        rule = normaliser(self._spec.normalisation, size)
        windows = np.ascontiguousarray(rule.feed(np.stack([draft.samples for draft in drafts]))[:, LEAD:])
        labels = []
        for k, draft in enumerate(map(_without_lead, drafts)):
            windows[k] = rule.window(windows[k])
            arrivals, unknown = list(draft.arrivals), list(draft.unknown)
            labels.append(label_cells(arrivals, unknown, draft.valid, self._spec.window, self._S))
        cls, ofs = (np.stack([getattr(one, key) for one in labels])[:, None] for key in ("cls", "ofs"))
        return windows[:, None], {"cls": cls, "ofs": ofs}


def _place(rng: np.random.Generator, record: Record, length: int, block: int) -> augment.Draft:
    """A draft with one of the record's onsets anywhere in its window, the edges included; `ANYWHERE`, and of
    a record without onsets, any draft, some of which begin before it as after a gap. Where the record begins
    within the draft, it does so at a block's border, as a segment does on the station."""
    if record.arrivals and rng.random() >= ANYWHERE:
        anchor = record.arrivals[rng.integers(len(record.arrivals))].sample
        start = int(anchor) - int(rng.integers(LEAD, length))
    else:
        last = len(record.samples) - length
        earliest = -LEAD - (length - LEAD) // 4
        start = int(rng.integers(min(earliest, last), max(1, last)))
    if start < 0:
        start = -(-start // block * block)
    return augment.cut(record, start, length)


def _without_lead(draft: augment.Draft) -> augment.Draft:
    return replace(
        draft,
        samples=draft.samples[LEAD:],
        valid=slice(max(0, draft.valid.start - LEAD), max(0, draft.valid.stop - LEAD)),
        arrivals=tuple(a.at(a.sample - LEAD) for a in draft.arrivals),
        unknown=tuple((a - LEAD, b - LEAD) for a, b in draft.unknown),
    )


class TrainingSet(keras.utils.PyDataset):
    """`steps` batches an epoch, made in background threads; batch i of epoch e depends on the seed, e and i
    alone, so a resumed run sees what an unbroken one would have seen. To be closed after training: a program
    that ends while numpy is at work in another thread may end badly."""

    def __init__(self, mixer: Mixer, batch_size: int, steps: int, seed: int, epoch: int) -> None:
        super().__init__(workers=WORKERS, max_queue_size=16)
        self._mixer, self._batch_size, self._steps, self._seed = mixer, batch_size, steps, seed
        self._epoch = epoch
        self._places = threading.Semaphore(WORKERS)
        self._closed = False

    def __len__(self) -> int:
        return self._steps

    def __getitem__(self, index: int) -> Batch:
        with self._places:
            if self._closed:
                raise RuntimeError("the training set is closed")
            rng = np.random.default_rng((self._seed, self._epoch, index))
            return self._mixer.batch(rng, self._batch_size)

    def on_epoch_end(self) -> None:
        self._epoch += 1

    def close(self) -> None:
        """Waits for the batches in the making; RuntimeError for who asks for one from then on."""
        self._closed = True
        for _ in range(WORKERS):
            self._places.acquire()
        self._places.release(WORKERS)
