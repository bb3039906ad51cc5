"""The static Edge TPU check names what the compiler would refuse, and lets pass what it would not."""

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow", reason="conversion needs the [host] extra")

from convert.edgetpu import refusals
from convert.graph import multiplications, ops_of


def convert(function, *shape, int8=True):
    """A function of one tensor as a .tflite."""

    class Module(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec(shape, tf.float32)])
        def __call__(self, x):
            return function(x)

    module = Module()
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [module.__call__.get_concrete_function()], module
    )
    if int8:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        rng = np.random.default_rng(0)
        converter.representative_dataset = lambda: (
            [rng.normal(size=shape).astype(np.float32)] for _ in range(3)
        )
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    return converter.convert()


def conv(x):
    return tf.nn.conv2d(x, tf.ones((1, 3, 3, 4)), 1, "SAME")


def test_an_int8_convolution_passes():
    assert refusals(convert(conv, 1, 1, 16, 3)) == []


def test_a_float_model_is_refused_op_by_op():
    lines = refusals(convert(lambda x: tf.nn.relu(conv(x)) + 1.0, 1, 1, 16, 3, int8=False))
    assert any(line.startswith("CONV_2D") and "input in FLOAT32" in line for line in lines)
    assert any(line.startswith("ADD") and "output in FLOAT32" in line for line in lines)


@pytest.mark.parametrize(
    ("function", "name"),
    [
        (lambda x: tf.tile(x, (1, 1, 2, 1)), "TILE"),
        (lambda x: tf.gather(x, [0, 0, 3, 1], axis=2), "GATHER"),
    ],
)
def test_ops_that_the_edge_tpu_lacks_are_named(function, name):
    lines = refusals(convert(lambda x: function(conv(x)), 1, 1, 16, 3))
    assert any(line.startswith(name) and "not an Edge TPU op" in line for line in lines)
    assert not any(line.startswith("CONV_2D") for line in lines)


def test_a_softmax_over_many_vectors_is_refused_and_over_one_is_not():
    lines = refusals(convert(lambda x: tf.nn.softmax(conv(x)), 1, 1, 16, 3))
    assert any(line.startswith("SOFTMAX") and "more than one vector" in line for line in lines)
    assert refusals(convert(lambda x: tf.nn.softmax(tf.reshape(conv(x), (1, 64))), 1, 1, 16, 3)) == []


def test_a_batch_is_refused():
    assert any("more than three dimensions in use" in line for line in refusals(convert(conv, 2, 4, 16, 3)))


def test_the_ops_of_a_model_come_with_shapes_and_what_is_stored():
    (op,) = [op for op in ops_of(convert(conv, 1, 1, 16, 3)) if op.name == "CONV_2D"]
    assert op.outputs == (("INT8", (1, 1, 16, 4)),)
    assert op.inputs == (("INT8", (1, 1, 16, 3)), ("INT8", (4, 1, 3, 3)), ("INT32", (4,)))
    assert op.constant == (False, True, True)


def test_multiplications_are_those_of_the_convolutions():
    def both(x):
        return tf.nn.depthwise_conv2d(conv(x), tf.ones((1, 5, 4, 1)), (1, 1, 1, 1), "SAME")

    assert multiplications(convert(both, 1, 1, 16, 3)) == 16 * (3 * 3 * 4 + 5 * 4)
