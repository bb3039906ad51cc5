"""Keras picker to full-integer .tflite: int8 in, int8 out, per-channel weights."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from zoo.pickers.lppn import LPPNConfig, build
from zoo.pickers.polyphase import fill

Floats = NDArray[np.float32]


def window_form(model: keras.Model, config: LPPNConfig) -> keras.Model:
    """The network of whole windows, batch 1, with its final head only and, for nearest upsampling, in
    polyphase form."""
    config = replace(config, delays=config.delays[-1:])
    if config.upsampling == "nearest":
        return fill(build(replace(config, upsampling="polyphase"), batch=1), model)
    target = build(config, batch=1)
    for layer in target.layers:
        if layer.weights:
            layer.set_weights(model.get_layer(layer.name).get_weights())
    return target


def to_int8(model: keras.Model, calibration: Sequence[Mapping[str, Floats]]) -> bytes:
    """Converts a model of fixed batch by post-training quantisation; `calibration`: inputs by name, from
    which the ranges are taken.

    Signature "serve", inputs and outputs by their names. RuntimeError if the converter leaves anything in
    float, ValueError if there is nothing to calibrate on.
    """
    if not calibration:
        raise ValueError("nothing to calibrate on: the train splits of --data have too few samples, or none")
    with _converter(model) as converter:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: (dict(inputs) for inputs in calibration)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
        return bytes(converter.convert())


def to_float(model: keras.Model) -> bytes:
    """Converts a model of fixed batch as it is, float32: to be compared with."""
    with _converter(model) as converter:
        return bytes(converter.convert())


@contextmanager
def _converter(model: keras.Model) -> Iterator[Any]:
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
        yield tf.lite.TFLiteConverter.from_saved_model(str(saved))
