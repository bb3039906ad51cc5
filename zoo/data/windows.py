"""Training windows: records mixed, augmented, normalised and labelled, reproducibly."""

from collections.abc import Mapping, Sequence

import keras
import numpy as np
from numpy.typing import NDArray

from edge.card import InputSpec
from edge.preprocess import normaliser
from zoo.data import augment
from zoo.data.labels import label_cells
from zoo.data.records import Record

Batch = tuple[NDArray[np.float32], dict[str, NDArray[np.float32]]]

STRETCH, SUPERPOSE, NOISE, FLIP, ROTATE, LOSE_CHANNELS = 0.2, 0.25, 0.4, 0.5, 0.4, 0.15
"""How often each augmentation is applied; shift and gain always are."""


class WindowMixer:
    """Draws windows from groups of records, each group with its share.

    `groups`: name to (share, records); records without arrivals also serve as noise to be mixed in.
    """

    def __init__(self, groups: Mapping[str, tuple[float, Sequence[Record]]], spec: InputSpec, S: int) -> None:
        self._groups = [records for _, records in groups.values()]
        shares = np.array([share for share, _ in groups.values()])
        self._shares = shares / shares.sum()
        self._noise = [r for records in self._groups for r in records if not r.arrivals]
        self._spec = spec
        self._normalise = normaliser(spec.normalisation)
        self._S = S

    def draw(self, rng: np.random.Generator) -> tuple[NDArray[np.float32], augment.Draft]:
        """One normalised window (T, 3) and the draft that tells its onsets."""
        draft = self._cut(rng)
        if rng.random() < SUPERPOSE:
            draft = augment.superpose(draft, self._cut(rng), float(10 ** rng.uniform(-1.5, 0.0)))
        if self._noise and rng.random() < NOISE:
            noise = augment.shift(rng, self._noise[rng.integers(len(self._noise))], self._spec.window)
            draft = augment.add_noise(rng, draft, noise)
        if rng.random() < FLIP:
            draft = augment.flip(rng, draft)
        if rng.random() < LOSE_CHANNELS:
            draft = augment.lose_channels(rng, draft)
        return self._normalise(draft.samples.astype(np.float64), draft.valid), draft

    def _cut(self, rng: np.random.Generator) -> augment.Draft:
        records = self._groups[rng.choice(len(self._groups), p=self._shares)]
        record = records[rng.integers(len(records))]
        if rng.random() < STRETCH:
            record = augment.stretch(rng, record)
        draft = augment.gain(rng, augment.shift(rng, record, self._spec.window))
        return augment.rotate(rng, draft) if rng.random() < ROTATE else draft

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        """Inputs (size, 1, T, 3) and targets by output name, as `zoo.train` wants them."""
        windows, cls, ofs = [], [], []
        for _ in range(size):
            window, draft = self.draw(rng)
            labels = label_cells(
                list(draft.arrivals), list(draft.unknown), draft.valid, self._spec.window, self._S
            )
            windows.append(window)
            cls.append(labels.cls)
            ofs.append(labels.ofs)
        return np.stack(windows)[:, None], {"cls": np.stack(cls)[:, None], "ofs": np.stack(ofs)[:, None]}


class TrainingSet(keras.utils.PyDataset):
    """`steps` batches an epoch, made in background threads; batch i of epoch e depends on the seed, e and i
    alone, so a resumed run sees what an unbroken one would have seen."""

    def __init__(self, mixer: WindowMixer, batch_size: int, steps: int, seed: int, epoch: int) -> None:
        super().__init__(workers=2, max_queue_size=16)
        self._mixer, self._batch_size, self._steps, self._seed = mixer, batch_size, steps, seed
        self._epoch = epoch

    def __len__(self) -> int:
        return self._steps

    def __getitem__(self, index: int) -> Batch:
        return self._mixer.batch(np.random.default_rng((self._seed, self._epoch, index)), self._batch_size)

    def on_epoch_end(self) -> None:
        self._epoch += 1
