"""A wider network that begins as a narrower one of its kind: the same function, more room to learn.

As Net2WiderNet (Chen, Goodfellow & Shlens, 2016): channels are repeated in turn, and the weight that a reader
gave to one of them is shared out among its copies at random, so that they learn different things.
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from zoo.pickers.lppn import DOWN_STAGES

HEADS = ("cls", "ofs")
"""What the names of those layers begin with that read both branches, one behind the other."""
EVENNESS = 4.0
"""Shape of the gamma distribution that shares are drawn from: most are within a factor of two of another."""

Floats = NDArray[np.float32]
Copies = NDArray[np.intp]


def widen(target: keras.Model, model: keras.Model, seed: int) -> None:
    """Gives `target` weights by which it answers as `model`, a network of the same kind and at most its
    base width."""
    rng = np.random.default_rng(seed)
    for layer in target.layers:
        if not layer.weights:
            continue
        old = model.get_layer(layer.name)
        if isinstance(layer, keras.layers.Conv2D):
            branches = zip(_read(target, layer), _read(model, old), strict=True)
            layer.set_weights(_conv(old.get_weights(), list(branches), layer.filters, rng))
        else:
            shapes = [tuple(weight.shape) for weight in layer.weights]
            layer.set_weights([_along(w, to) for w, to in zip(old.get_weights(), shapes, strict=True)])


def _read(model: keras.Model, layer: Any) -> Sequence[int]:
    """How many channels a convolution reads, of each branch if it reads both."""
    if not layer.name.startswith(HEADS):
        return [layer.kernel.shape[2]]
    around = model.get_layer(f"up{DOWN_STAGES}_conv").filters
    return [layer.kernel.shape[2] - around, around]


def _copies(new: int, old: int) -> Copies:
    """Which old channel each new one is a copy of."""
    return np.arange(new) % old


def _along(weight: Floats, shape: tuple[int, ...]) -> Floats:
    """A weight of batch normalisation (channels) or of a depthwise convolution (1, taps, channels, 1)."""
    axis = 2 if weight.ndim == 4 else 0
    return np.take(weight, _copies(shape[axis], weight.shape[axis]), axis=axis)


def _conv(
    weights: list[Floats], branches: Sequence[tuple[int, int]], filters: int, rng: np.random.Generator
) -> list[Floats]:
    """Kernel (1, taps, in, out) and, if there is one, bias; of each branch that is read, channels new and
    old."""
    kernel, *bias = weights
    parts, first = [], 0
    for new, old in branches:
        copies = _copies(new, old)
        drawn = rng.gamma(EVENNESS, size=new)
        share = drawn / np.bincount(copies, drawn)[copies]
        parts.append(kernel[:, :, first + copies] * share[:, None].astype(np.float32))
        first += old
    out = _copies(filters, kernel.shape[3])
    return [np.concatenate(parts, axis=2)[..., out], *(one[out] for one in bias)]
