"""Picking and polarity by one network (Zhang, Li & Zhang, Seismological Research Letters, 2023).

The encoder of `zoo.polarity.attention` with two branches behind its attention: the same classifier of the
first motion, and a decoder that gives the onset as a bell curve over the window. 967,973 parameters.
"""

from typing import Any

import keras
from keras import layers

from zoo.polarity.attention import WINDOW, classifier, encoder

SIGMA = 10
"""Samples: standard deviation of the curve that marks an onset, 0.1 s, which ends 0.5 s from it."""


def decoder(frames: Any) -> Any:
    """Frames [batch, T/8, 128] to how near the onset is [batch, T, 1], 0..1."""
    x = frames
    for i, width in enumerate((64, 32, 16), 1):
        x = layers.UpSampling1D(2, name=f"double{i}")(x)
        x = layers.Conv1D(width, 3, padding="same", activation="relu", name=f"up{i}")(x)
        x = layers.BatchNormalization(name=f"up{i}_bn")(x)
    return layers.Conv1D(1, 3, padding="same", activation="sigmoid", name="onset")(x)


def build(window: int = WINDOW) -> keras.Model:
    """Input "x" [batch, window, 1], normalised to ± 1, to {"polarity": [batch, 3], the probabilities of up,
    down and unknown; "onset": [batch, window, 1]}. ValueError for a window that is no multiple of 8
    samples."""
    if window < 8 or window % 8:
        raise ValueError(f"window must be a multiple of 8 samples, not {window}")
    x = keras.Input((window, 1), name="x")
    frames = encoder(x)
    return keras.Model(x, {"polarity": classifier(frames), "onset": decoder(frames)}, name="polarity_joint")
