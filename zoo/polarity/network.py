"""Keras polarity models under the station's own contract."""

from pathlib import Path

import keras
import numpy as np

from edge.card import CardError, card_path
from edge.polarity import PolarityCard, normalised
from edge.preprocess import Window


class KerasPolarity:
    """A Keras model, "x" (b, 1, L, 1) to "up" (b, 1), with the card of its training run."""

    def __init__(self, card: PolarityCard, model: keras.Model) -> None:
        self.card = card
        self.model = model

    def logits(self, windows: Window) -> Window:
        """As `edge.polarity.Reader`."""
        if not len(windows):
            return np.zeros(0, np.float32)
        up = self.model.predict(normalised(windows)[:, None, :, None], verbose=0)["up"]
        return np.asarray(up, np.float32)[:, 0]


def load_keras_polarity(path: Path) -> KerasPolarity:
    """A .keras file and the card beside it. FileNotFoundError, CardError."""
    if not path.is_file():
        raise FileNotFoundError(f"no model at {path}")
    if not card_path(path).is_file():
        raise CardError(f"{path} has no card: {card_path(path).name} is missing beside it")
    card = PolarityCard.from_json(card_path(path).read_bytes())
    return KerasPolarity(card, keras.saving.load_model(path, compile=False))
