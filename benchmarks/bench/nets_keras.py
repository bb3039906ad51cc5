"""PhaseNet's architecture (Zhu & Beroza 2019) in Keras, with random weights: for time, not for picks."""

from typing import Any

import keras
from keras import layers

WINDOW = 3000
ROOT, DEPTH, TAPS, STRIDE = 8, 5, 7, 4


def phasenet() -> keras.Model:
    """[1, 3000, 3] to probabilities [1, 3000, 3]: a U-Net of five levels, a quarter of the rate each;
    268,443 parameters."""
    x = given = keras.Input((WINDOW, 3), batch_size=1, name="x")
    x = _unit(layers.Conv1D(ROOT, TAPS, padding="same"), x)
    beside = []
    for level in range(DEPTH):
        width = ROOT * 2**level
        x = _unit(layers.Conv1D(width, TAPS, padding="same", use_bias=False), x)
        if level < DEPTH - 1:
            beside.append(x)
            x = _unit(layers.Conv1D(width, TAPS, STRIDE, padding="same", use_bias=False), x)
    for skip in reversed(beside):
        width = skip.shape[-1]
        x = _unit(layers.Conv1DTranspose(width, TAPS, STRIDE, padding="same", use_bias=False), x)
        x = layers.Cropping1D((0, x.shape[1] - skip.shape[1]))(x)
        x = layers.Concatenate()([skip, x])
        x = _unit(layers.Conv1D(width, TAPS, padding="same", use_bias=False), x)
    return keras.Model(given, layers.Conv1D(3, 1, activation="softmax", name="probabilities")(x))


def _unit(layer: layers.Layer, x: Any) -> Any:
    return layers.ReLU()(layers.BatchNormalization()(layer(x)))
