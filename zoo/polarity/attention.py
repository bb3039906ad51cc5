"""Attention-based polarity determination (Zhang, Li & Zhang, Seismological Research Letters, 2023).

Three convolutions, an LSTM, additive self-attention over 20 frames, and a dense layer that holds most of the
935,108 parameters. Its authors train it on 4 s of the vertical at 100 Hz with P in the middle.
"""

from typing import Any

import keras
from keras import layers

from zoo.polarity.local_attention import LocalAttention

WINDOW = 400
"""Samples, as published."""
CLASSES = ("up", "down", "unknown")


def encoder(x: Any) -> Any:
    """Samples [batch, T, 1] to frames [batch, T/8, 128]."""
    for i, (width, taps) in enumerate(((16, 5), (32, 3), (64, 3)), 1):
        x = layers.Conv1D(width, taps, padding="same", activation="relu", name=f"conv{i}")(x)
        x = layers.MaxPooling1D(2, name=f"pool{i}")(x)
        x = layers.BatchNormalization(name=f"bn{i}")(x)
    x = layers.LSTM(128, return_sequences=True, name="lstm")(x)
    return LocalAttention(name="attention")(x)


def classifier(frames: Any) -> Any:
    """Frames to the probabilities of `CLASSES` [batch, 3]."""
    x = layers.Flatten(name="flatten")(frames)
    x = layers.Dense(128, activation="relu", name="dense")(x)
    return layers.Dense(len(CLASSES), activation="softmax", name="polarity")(x)


def build(window: int = WINDOW) -> keras.Model:
    """Input "x" [batch, window, 1], normalised to ± 1, to {"polarity": [batch, 3]}. ValueError for a window
    that is no multiple of 8 samples."""
    if window < 8 or window % 8:
        raise ValueError(f"window must be a multiple of 8 samples, not {window}")
    x = keras.Input((window, 1), name="x")
    return keras.Model(x, {"polarity": classifier(encoder(x))}, name="polarity_attention")
