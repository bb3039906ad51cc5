"""The convolutional baseline of Ross, Meier & Hauksson (Journal of Geophysical Research, 2018).

3,668,227 parameters, nearly all of them in the first dense layer. Batch normalisation comes after the ReLU,
as in the copy that the attention networks were compared with; Ross et al. have it before.
"""

from typing import Any

import keras
from keras import layers

from zoo.polarity.attention import CLASSES, WINDOW


def build(window: int = WINDOW) -> keras.Model:
    """Input "x" [batch, window, 1], normalised to ± 1, to {"polarity": [batch, 3]}, the probabilities of up,
    down and unknown. ValueError for a window that is no multiple of 8 samples."""
    if window < 8 or window % 8:
        raise ValueError(f"window must be a multiple of 8 samples, not {window}")
    x = inputs = keras.Input((window, 1), name="x")
    for i, (width, taps) in enumerate(((32, 21), (64, 15), (128, 11)), 1):
        x = layers.Conv1D(width, taps, padding="same", activation="relu", name=f"conv{i}")(x)
        x = layers.BatchNormalization(name=f"bn{i}")(x)
        x = layers.MaxPooling1D(2, name=f"pool{i}")(x)
    x = _dense(_dense(layers.Flatten(name="flatten")(x), "dense1"), "dense2")
    x = layers.Dense(len(CLASSES), activation="softmax", name="polarity")(x)
    return keras.Model(inputs, {"polarity": x}, name="polarity_ross")


def _dense(x: Any, name: str) -> Any:
    x = layers.Dense(512, activation="relu", name=name)(x)
    return layers.BatchNormalization(name=f"{name}_bn")(x)
