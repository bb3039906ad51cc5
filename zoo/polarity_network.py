"""Keras polarity models as the station would ask them."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from edge.card import CardError, card_path
from edge.polarity import PolarityCard, normalised, up
from zoo.polarity.local_attention import LocalAttention  # noqa: F401  # a saved model may hold one


class KerasPolarity:
    """A Keras network `polarity` with its card: what `edge.polarity.PolarityNetwork` is for a .tflite."""

    def __init__(self, card: PolarityCard, model: keras.Model) -> None:
        self.card, self.model = card, model

    def logits(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Of windows (n, L) as `edge.polarity.cut` gives them: up against down (n,), before the
        temperature."""
        x = normalised(windows)[:, None, :, None]
        out: dict[str, Any] = self.model.predict(x, batch_size=256, verbose=0)
        return np.asarray(out["up"][:, 0], np.float32)

    def up(self, windows: NDArray[np.float32]) -> NDArray[np.float64]:
        """The probability of up (n,)."""
        return up(self.logits(windows), self.card)


def load_polarity_keras(path: Path) -> KerasPolarity:
    """A .keras file and the card that `edge-train` wrote beside it. FileNotFoundError, CardError."""
    if not path.is_file():
        raise FileNotFoundError(f"no model at {path}")
    if not card_path(path).is_file():
        raise CardError(f"{path} has no card: {card_path(path).name} is missing beside it")
    card = PolarityCard.from_json(card_path(path).read_text())
    return KerasPolarity(card, keras.saving.load_model(path, compile=False))
