"""Attention-based polarity determination on windows of any length, by two-dimensional convolutions.

The fourth network of the family of Zhang et al. (2023): five levels of 7 × 1 convolutions, 8 to 128 channels,
each level at a quarter of the rate of the one before, then LSTM and attention as in `zoo.polarity.attention`.
The mean over frames stands where that one flattens them: so the same weights take windows of any length.
"""

from typing import Any

import keras
from keras import layers

from zoo.polarity.attention import CLASSES
from zoo.polarity.local_attention import LocalAttention

WIDTHS = (8, 16, 32, 64, 128)


def build() -> keras.Model:
    """Input "x" [batch, any number of samples, 1], normalised to ± 1, to {"polarity": [batch, 3]}, the
    probabilities of up, down and unknown."""
    x = inputs = keras.Input((None, 1), name="x")
    x = layers.Reshape((-1, 1, 1), name="plane")(x)
    for i, width in enumerate(WIDTHS, 1):
        x = _conv(x, width, 1, f"conv{i}")
        if width != WIDTHS[-1]:
            x = _conv(x, width, 4, f"down{i}")
    x = layers.Reshape((-1, WIDTHS[-1]), name="frames")(x)
    x = layers.LSTM(128, return_sequences=True, name="lstm")(x)
    x = layers.GlobalAveragePooling1D(name="mean")(LocalAttention(name="attention")(x))
    x = layers.Dense(128, activation="relu", name="dense")(x)
    x = layers.Dense(len(CLASSES), activation="softmax", name="polarity")(x)
    return keras.Model(inputs, {"polarity": x}, name="polarity_attention2d")


def _conv(x: Any, width: int, stride: int, name: str) -> Any:
    x = layers.Conv2D(width, (7, 1), strides=(stride, 1), padding="same", use_bias=False, name=name)(x)
    x = layers.BatchNormalization(name=f"{name}_bn")(x)
    return layers.LeakyReLU(0.1, name=f"{name}_relu")(x)
