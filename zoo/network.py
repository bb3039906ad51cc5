"""Keras picking models under the station's own picker."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from edge.card import Card, card_beside
from edge.model import Floats, Memory, due, moved_on
from edge.preprocess import normaliser
from zoo.pickers.lppn import BilinearDouble, LPPNConfig
from zoo.pickers.polyphase import fill
from zoo.pickers.stream import BEFORE, build_stream

Windows = NDArray[np.float32]
LAYERS = {"BilinearDouble": BilinearDouble}
"""Layers of our own that a saved model may hold."""
BATCHES = (8, 64)


class KerasNetwork:
    """A Keras picking model with the card of its training run: every hop, the window up to it."""

    def __init__(self, card: Card, model: keras.Model) -> None:
        self.card = card
        self.model = model
        self._rule = normaliser(card.input.normalisation)

    def begin(self, streams: int) -> Memory:
        """As `edge.model.Network`."""
        return [np.zeros((streams, self.card.input.window, 3), np.float32)]

    def step(self, samples: Floats, memory: Memory) -> Floats:
        """As `edge.model.Network`."""
        windows = self._rule.window(moved_on(memory, samples))
        return due(_words(predict(self.model, {"x": windows[:, None]})), self.card)


class KerasStream:
    """A causal Keras picking model in its stream form: what the station's int8 model is held against."""

    def __init__(self, card: Card, model: keras.Model) -> None:
        """`model`: as trained, by whole windows."""
        self.card = card
        config = replace(LPPNConfig(**card.training["network"]), upsampling="polyphase")
        self.model = fill(build_stream(config, card.stream.hop), model)

    def begin(self, streams: int) -> Memory:
        """As `edge.model.Network`."""
        shapes = ((BEFORE, 3), *(self.model.input[name].shape[1:] for name in ("state", "sums")))
        return [np.zeros((streams, *shape), np.float32) for shape in shapes]

    def step(self, samples: Floats, memory: Memory) -> Floats:
        """As `edge.model.Network`."""
        out = predict(self.model, self.inputs(samples, memory))
        memory[0][:] = np.concatenate([memory[0], samples], axis=1)[:, -BEFORE:]
        memory[1][:], memory[2][:] = out["next_state"], out["next_sums"]
        return _words(out)

    def inputs(self, samples: Floats, memory: Memory) -> dict[str, Floats]:
        """What the model is given for a step."""
        x = np.concatenate([memory[0], samples], axis=1)[:, None]
        return {"x": x, "state": memory[1].copy(), "sums": memory[2].copy()}


def by_hop(network: KerasNetwork) -> KerasNetwork | KerasStream:
    """The same network in the form that answers a hop at least cost: causal ones as a stream."""
    config = LPPNConfig(**network.card.training["network"])
    return KerasStream(network.card, network.model) if config.causal else network


def _words(out: Mapping[str, Floats]) -> Floats:
    """What a model gives out as `edge.model.Network` has it."""
    return np.concatenate([out["cls"], out["ofs"]], axis=-1)


def predict(model: keras.Model, inputs: dict[str, Windows]) -> dict[str, NDArray[np.float32]]:
    """The model's outputs as numpy arrays. Batches are filled up to one of a few sizes, for each of which a
    backend compiles."""
    count = len(inputs["x"])
    size = next((size for size in BATCHES if size >= count), BATCHES[-1])
    padded = {
        name: np.concatenate([x, np.zeros((-count % size, *x.shape[1:]), x.dtype)])
        for name, x in inputs.items()
    }
    parts: list[dict[str, Any]] = []
    for at in range(0, count, size):
        some = {name: x[at : at + size] for name, x in padded.items()}
        parts.append(model.predict_on_batch(some if isinstance(model.input, dict) else some["x"]))
    return {name: np.concatenate([part[name] for part in parts])[:count] for name in parts[0]}


def load_keras(path: Path) -> KerasNetwork:
    """A .keras file and the card that `edge-train` wrote beside it."""
    card = Card.from_json(card_beside(path))
    return KerasNetwork(card, keras.saving.load_model(path, LAYERS, compile=False))
