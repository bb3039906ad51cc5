"""The static Edge TPU check names what the compiler would refuse, and lets pass what it would not."""

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow", reason="conversion needs the [host] extra")

import flatbuffers
from ai_edge_litert import schema_py_generated as schema

from convert.edgetpu import refusals, report
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


def changed(model, edit):
    """The model after `edit` of its (only) subgraph, which converters would not write so."""
    parsed = schema.ModelT.InitFromObj(schema.Model.GetRootAs(model, 0))
    edit(parsed.subgraphs[0])
    builder = flatbuffers.Builder()
    builder.Finish(parsed.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def option(number, key, value):
    """An edit that sets an option of an op."""
    return lambda graph: setattr(graph.operators[number].builtinOptions, key, value)


def pooled(x):
    return tf.nn.max_pool2d(conv(x), (1, 2), (1, 2), "VALID")


def joined(x):
    return tf.concat([conv(x), conv(x) * 2.0], axis=-1)


def sliced(x):
    return conv(x)[:, :, 4:]


RELU = schema.ActivationFunctionType.RELU


@pytest.mark.parametrize(
    ("function", "name", "key", "value", "reason"),
    [
        (pooled, "MAX_POOL_2D", "fusedActivationFunction", RELU, "an activation is fused to it"),
        (joined, "CONCATENATION", "fusedActivationFunction", RELU, "an activation is fused to it"),
        (conv, "CONV_2D", "dilationWFactor", 2, "dilations differ between height and width"),
        (sliced, "STRIDED_SLICE", "newAxisMask", 1, "strides or axes that are not plain"),
    ],
)
def test_options_that_the_compiler_refuses_are_named(function, name, key, value, reason):
    model = convert(function, 1, 1, 16, 3)
    assert refusals(model) == []
    number = [op.name for op in ops_of(model)].index(name)
    [line] = refusals(changed(model, option(number, key, value)))
    assert line.startswith(f"{name} {number} -> ")
    assert line.endswith(reason)


def test_weights_that_are_computed_are_refused():
    def edit(graph):
        x, _, bias = graph.operators[0].inputs
        graph.operators[0].inputs = [x, x, bias]

    lines = refusals(changed(convert(conv, 1, 1, 16, 3), edit))
    assert [line.split(": ")[1] for line in lines] == ["weights are computed, not stored"]


def test_a_shape_that_is_not_fixed_is_refused():
    def edit(graph):
        for tensor in graph.tensors:
            if tensor.name == graph.tensors[graph.inputs[0]].name:
                tensor.shapeSignature = np.array([-1, 1, 16, 3], np.int32)

    [line] = refusals(changed(convert(conv, 1, 1, 16, 3), edit))
    assert line.endswith("a shape that is not fixed")


def test_slices_that_leave_samples_out_are_refused():
    lines = refusals(convert(lambda x: conv(x)[:, :, ::2], 1, 1, 16, 3))
    assert [line.split()[0] for line in lines] == ["STRIDED_SLICE"]
    assert lines[0].endswith("strides or axes that are not plain")


def test_a_fully_connected_layer_of_more_than_one_vector_is_refused():
    def dense(vectors):
        return lambda x: tf.reshape(conv(x), (vectors, -1)) @ tf.ones((64 // vectors, 5))

    assert refusals(convert(dense(1), 1, 1, 16, 3)) == []
    lines = refusals(convert(dense(4), 1, 1, 16, 3))
    assert any(line.endswith("more than one vector comes out") for line in lines)


def test_a_constant_beside_another_input_passes_as_padding_with_zeros_alone():
    def beside(value):
        return lambda x: tf.concat([conv(x), tf.fill((1, 1, 2, 4), value)], axis=2)

    lines = refusals(convert(beside(3.0), 1, 1, 16, 3))
    assert any(line.endswith("joins a constant that is no padding of zeros") for line in lines)


def test_every_refused_op_is_listed_and_what_follows_the_first_runs_on_the_cpu_too():
    model = convert(
        lambda x: tf.tile(conv(tf.tile(conv(x), (1, 1, 2, 1))[..., :3]), (1, 1, 2, 1)), 1, 1, 16, 3
    )
    names = [op.name for op in ops_of(model)]
    *lines, summary = report("tiled", model).splitlines()
    assert [line.split()[0] for line in lines] == ["TILE", "TILE"]
    assert summary.startswith(f"tiled: of {len(names)} ops the first {names.index('TILE')} ")


def test_the_ops_of_a_model_come_with_shapes_and_what_is_stored():
    (op,) = [op for op in ops_of(convert(conv, 1, 1, 16, 3)) if op.name == "CONV_2D"]
    assert op.outputs == (("INT8", (1, 1, 16, 4)),)
    assert op.inputs == (("INT8", (1, 1, 16, 3)), ("INT8", (4, 1, 3, 3)), ("INT32", (4,)))
    assert [stored is not None for stored in op.stored] == [False, True, True]
    assert len(op.stored[1]) == 4 * 3 * 3


def test_multiplications_are_those_of_the_convolutions():
    def both(x):
        return tf.nn.depthwise_conv2d(conv(x), tf.ones((1, 5, 4, 1)), (1, 1, 1, 1), "SAME")

    assert multiplications(convert(both, 1, 1, 16, 3)) == 16 * (3 * 3 * 4 + 5 * 4)
