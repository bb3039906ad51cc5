"""Keras polarity models as the station would ask them."""

from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from edge.card import CardError, card_beside
from edge.polarity import PolarityCard, normalised
from zoo.commands import POLARITY
from zoo.polarity.training import form


class KerasPolarity:
    """A Keras polarity network of any form with its card: what `edge.polarity.PolarityNetwork` is for a
    .tflite. `network`: which, by the name that edge-train takes. CardError if the card does not say."""

    def __init__(self, card: PolarityCard, model: keras.Model) -> None:
        self.card, self.model = card, model
        self.network = card.training.get("network")
        if self.network not in POLARITY:
            raise CardError(
                f"the card of {card.name} must have training.network, one of {', '.join(POLARITY)}"
            )
        self._form = form(self.network)

    def logits(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Of windows (n, L) as `edge.polarity.cut` gives them: up against down (n,), before the
        temperature."""
        x = self._form.x(normalised(windows))
        logits: NDArray[np.float32] = self._form.logits(self.model.predict(x, batch_size=256, verbose=0))
        return logits


def load_polarity_keras(path: Path) -> KerasPolarity:
    """A .keras file and the card that `edge-train` wrote beside it. FileNotFoundError, CardError."""
    card = PolarityCard.from_json(card_beside(path))
    return KerasPolarity(card, keras.saving.load_model(path, compile=False))
