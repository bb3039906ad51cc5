"""Keras picker to full-integer .tflite: int8 in, int8 out, fixed shapes, per-channel weights."""

import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from zoo.pickers.lppn import BN_EPSILON, DOWN_STAGES, LPPNConfig, build

Floats = NDArray[np.float32]


def for_inference(model: keras.Model, config: LPPNConfig) -> keras.Model:
    """The same function with batch 1, the final head only and, for nearest upsampling, in polyphase form.

    Nearest doubling followed by five taps gives even outputs w0+w1, w2+w3, w4 and odd outputs w0, w1+w2,
    w3+w4 on three neighbouring inputs (or the last three, where the network is causal): one convolution of
    three taps to twice the channels, then a reshape.
    Batch norm is folded in by hand there, because the converter cannot see through the reshape.
    """
    polyphase = config.upsampling == "nearest"
    config = replace(config, delays=config.delays[-1:])
    target = build(replace(config, upsampling="polyphase") if polyphase else config, batch=1)
    rewritten = {f"up{i}_conv" for i in range(1, DOWN_STAGES + 1)} if polyphase else set()
    for layer in target.layers:
        if layer.name in rewritten:
            layer.set_weights(_polyphase(model.get_layer(layer.name), model.get_layer(f"{layer.name}_bn")))
        elif layer.weights:
            layer.set_weights(model.get_layer(layer.name).get_weights())
    return target


def _polyphase(conv: Any, norm: Any) -> list[Floats]:
    kernel, bias = conv.get_weights()  # (1, 5, in, out), (out,)
    gamma, beta, mean, variance = norm.get_weights()
    scale = gamma / np.sqrt(variance + BN_EPSILON)
    w = kernel[0] * scale
    b = (bias - mean) * scale + beta
    even = np.stack([w[0] + w[1], w[2] + w[3], w[4]])
    odd = np.stack([w[0], w[1] + w[2], w[3] + w[4]])
    return [np.concatenate([even, odd], axis=-1)[None], np.concatenate([b, b])]


def to_int8(model: keras.Model, calibration: Iterable[Mapping[str, Floats]]) -> bytes:
    """Converts a model of fixed batch by post-training quantisation; `calibration`: inputs by name, from
    which the ranges are taken.

    Signature "serve", inputs and outputs by their names. RuntimeError if the converter leaves anything in
    float.
    """
    archive = keras.export.ExportArchive()
    archive.track(model)
    named = model.input if isinstance(model.input, dict) else {"x": model.input}
    specs = {name: tf.TensorSpec(tensor.shape, tf.float32, name=name) for name, tensor in named.items()}

    def serve(inputs: dict[str, Any]) -> Any:
        return model(inputs if isinstance(model.input, dict) else inputs["x"], training=False)

    archive.add_endpoint("serve", serve, input_signature=[specs])
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "saved"
        archive.write_out(str(saved), verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(str(saved))
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: (dict(inputs) for inputs in calibration)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
        return bytes(converter.convert())
