"""Distillation (Hinton et al., 2015): a network is taught what a larger one says, not the labels alone."""

from typing import Any

import keras
import numpy as np

from edge.card import Card
from zoo.data.windows import Batch, Mixer
from zoo.network import KerasNetwork

TEACHER_SHARE = 0.5
"""Of every cell's target, so much is the teacher's; where there is no label, it is all there is."""


class DistilledMixer:
    """Windows of a mixer, their cell labels mixed with a teacher's probabilities, which it gives also where
    nobody picked. Onsets within cells stay those of the labels, as do the last cells of a window, of which
    the teacher has not seen enough."""

    def __init__(self, mixer: Mixer, teacher: KerasNetwork) -> None:
        self._mixer = mixer
        self._model = teacher.model
        card = teacher.card
        self._cells = card.input.window // card.cells.stride - card.stream.delays[-1]

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        """As `Mixer`."""
        windows, targets = self._mixer.batch(rng, size)
        logits: Any = self._model(windows, training=False)["cls"]
        probs = keras.ops.convert_to_numpy(keras.ops.softmax(logits, axis=-1))
        taught = targets["cls"].copy()
        known = np.s_[:, :, : self._cells]
        taught[known] *= 1 - TEACHER_SHARE
        taught[known] += TEACHER_SHARE * probs[:, -1:][known]
        return windows, {**targets, "cls": taught}


def check_teacher(teacher: KerasNetwork, card: Card) -> None:
    """ValueError for a teacher that cannot be asked what the card's network is asked."""
    if (teacher.card.input, teacher.card.cells.stride) != (card.input, card.cells.stride):
        raise ValueError(
            f"{teacher.card.name} cannot be distilled: its input or cells are not those of {card.name}"
        )
