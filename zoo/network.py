"""Keras picking models under the station's own picker."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from edge.card import Card, CardError, card_path
from edge.model import Floats
from zoo.pickers.lppn import BilinearDouble

Windows = NDArray[np.float32]
LAYERS = {"BilinearDouble": BilinearDouble}
"""Layers of our own that a saved model may hold."""


class KerasNetwork:
    """A Keras picking model with the card of its training run, as `edge.picker.Picker` takes it."""

    def __init__(self, card: Card, model: keras.Model) -> None:
        self.card = card
        self.model = model

    def infer(self, window: Floats) -> tuple[Floats, Floats]:
        logits, offsets = self.infer_many(window[None])
        return logits[0], offsets[0]

    def infer_many(self, windows: Windows) -> tuple[Floats, Floats]:
        """Windows (b, T, 3) to logits (b, cells, 3) and raw offsets (b, cells) of the network's final
        head."""
        out = predict(self.model, windows[:, None])
        return out["cls"][:, -1], out["ofs"][:, -1, :, 0]


def predict(model: keras.Model, x: Windows, batch_size: int = 64) -> dict[str, NDArray[np.float32]]:
    """The model's outputs as numpy arrays. The last batch is filled up, so that no backend compiles twice."""
    surplus = -len(x) % batch_size
    padded = np.concatenate([x, np.zeros((surplus, *x.shape[1:]), x.dtype)])
    out: dict[str, Any] = model.predict(padded, batch_size=batch_size, verbose=0)
    return {name: np.asarray(values[: len(x)]) for name, values in out.items()}


def load_keras(path: Path) -> KerasNetwork:
    """A .keras file and the card that `edge-train` wrote beside it."""
    if not path.is_file():
        raise FileNotFoundError(f"no model at {path}")
    if not card_path(path).is_file():
        raise CardError(f"{path} has no card: {card_path(path).name} is missing beside it")
    card = Card.from_json(card_path(path).read_text())
    return KerasNetwork(card, keras.saving.load_model(path, LAYERS, compile=False))
