"""The polyphase form of a nearest-upsampling LPPN: the same function in fewer products, without a resize.

Nearest doubling followed by five taps gives even outputs w0+w1, w2+w3, w4 and odd outputs w0, w1+w2, w3+w4
on three neighbouring inputs (or the last three, where the network is causal): one convolution of three taps
to twice the channels, then a reshape. Batch norm is folded in by hand there, because no converter sees
through the reshape.
"""

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from zoo.pickers.lppn import BN_EPSILON, DOWN_STAGES


def fill(target: keras.Model, model: keras.Model) -> keras.Model:
    """Gives `target`, built in polyphase form, the weights of `model`, whose doublings are nearest ones."""
    doublings = {f"up{i}_conv" for i in range(1, DOWN_STAGES + 1)}
    for layer in target.layers:
        if layer.name in doublings:
            conv, norm = model.get_layer(layer.name), model.get_layer(f"{layer.name}_bn")
            layer.set_weights(_folded(conv, norm))
        elif layer.weights:
            layer.set_weights(model.get_layer(layer.name).get_weights())
    return target


def _folded(conv: Any, norm: Any) -> list[NDArray[np.float32]]:
    kernel, bias = conv.get_weights()  # (1, 5, in, out), (out,)
    gamma, beta, mean, variance = norm.get_weights()
    scale = gamma / np.sqrt(variance + BN_EPSILON)
    w = kernel[0] * scale
    b = (bias - mean) * scale + beta
    even = np.stack([w[0] + w[1], w[2] + w[3], w[4]])
    odd = np.stack([w[0], w[1] + w[2], w[3] + w[4]])
    return [np.concatenate([even, odd], axis=-1)[None], np.concatenate([b, b])]
