"""Static check of a .tflite against the published limits of the Edge TPU compiler.

A necessary test, not a proof: the compiler itself also refuses by size. Rules after Coral's
"TensorFlow models on the Edge TPU" and the compiler's known refusals of newer op versions.
"""

from collections.abc import Callable, Iterator

import numpy as np

from convert.graph import Op, ops_of

SUPPORTED = frozenset(
    {
        "ADD",
        "AVERAGE_POOL_2D",
        "CONCATENATION",
        "CONV_2D",
        "DEPTHWISE_CONV_2D",
        "EXPAND_DIMS",
        "FULLY_CONNECTED",
        "L2_NORMALIZATION",
        "LOGISTIC",
        "MAXIMUM",
        "MAX_POOL_2D",
        "MEAN",
        "MINIMUM",
        "MUL",
        "PACK",
        "PAD",
        "PRELU",
        "QUANTIZE",
        "REDUCE_MAX",
        "REDUCE_MIN",
        "RELU",
        "RELU6",
        "RELU_N1_TO_1",
        "RESHAPE",
        "RESIZE_BILINEAR",
        "RESIZE_NEAREST_NEIGHBOR",
        "RSQRT",
        "SLICE",
        "SOFTMAX",
        "SPACE_TO_DEPTH",
        "SPLIT",
        "SQUARED_DIFFERENCE",
        "SQUEEZE",
        "STRIDED_SLICE",
        "SUB",
        "SUM",
        "TANH",
        "TRANSPOSE",
        "TRANSPOSE_CONV",
    }
)
NEWEST_VERSION = {"CONV_2D": 5, "TRANSPOSE_CONV": 3}
BYTES = {"INT8", "UINT8"}


def refusals(model: bytes) -> list[str]:
    """Why ops of a model would not run on an Edge TPU, in their order, a line each: name and number of the
    op, its shape, the reason; empty if all would."""
    return [
        f"{op.name} {number} -> {op.outputs[0][1]}: {reason}"
        for number, op in enumerate(ops_of(model))
        for reason in dict.fromkeys(reasons(op))
    ]


def report(name: str, model: bytes) -> str:
    """`refusals`, and how much of a model the compiler would leave to the Edge TPU: it divides a graph only
    once, so whatever follows the first refused op runs on the CPU too."""
    count, refused = len(ops_of(model)), refusals(model)
    if not refused:
        return f"{name}: nothing is known that keeps any of its {count} ops from the Edge TPU"
    first = int(refused[0].split()[1])
    return "\n".join([*refused, f"{name}: of {count} ops the first {first} would run on the Edge TPU"])


def reasons(op: Op) -> Iterator[str]:
    """Why one op would not run there."""
    if op.name not in SUPPORTED:
        yield "not an Edge TPU op"
    if op.version > NEWEST_VERSION.get(op.name, op.version):
        yield f"version {op.version} is newer than the compiler knows"
    for (dtype, _), stored in zip(op.inputs, op.stored, strict=True):
        if dtype not in BYTES and not (stored and dtype == "INT32"):
            yield f"input in {dtype}"
    for dtype, shape in op.outputs:
        if dtype not in BYTES:
            yield f"output in {dtype}"
        if any(n > 1 for n in shape[:-3]):
            yield "more than three dimensions in use"
    if any(n < 0 for _, shape in (*op.inputs, *op.outputs) for n in shape):
        yield "a shape that is not fixed"
    for names, refuses, reason in RULES:
        if op.name in names and refuses(op):
            yield reason


def _many_vectors(op: Op) -> bool:
    return any(n > 1 for n in op.outputs[0][1][:-1])


def _activates(op: Op) -> bool:
    return bool(op.options.fusedActivationFunction)


def _dilations_differ(op: Op) -> bool:
    return bool(op.options.dilationWFactor != op.options.dilationHFactor)


def _weights_computed(op: Op) -> bool:
    return op.stored[1] is None


def _joins_constants(op: Op) -> bool:
    """One constant of zeros beside one other input is a padding, and allowed."""
    constants = [stored for stored in op.stored if stored is not None]
    return bool(constants) and (len(op.stored) > 2 or any(map(any, constants)))


def _skips(op: Op) -> bool:
    strides = np.frombuffer(op.stored[3] or b"", np.int32)
    return bool((strides != 1).any() or op.options.ellipsisMask or op.options.newAxisMask)


WEIGHTED = {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"}
RULES: tuple[tuple[set[str], Callable[[Op], bool], str], ...] = (
    ({"SOFTMAX"}, _many_vectors, "softmax of more than one vector"),
    ({"FULLY_CONNECTED"}, _many_vectors, "more than one vector comes out"),
    ({"CONCATENATION", "AVERAGE_POOL_2D", "MAX_POOL_2D"}, _activates, "an activation is fused to it"),
    ({"CONV_2D", "DEPTHWISE_CONV_2D"}, _dilations_differ, "dilations differ between height and width"),
    (WEIGHTED, _weights_computed, "weights are computed, not stored"),
    ({"CONCATENATION"}, _joins_constants, "joins a constant that is no padding of zeros"),
    ({"STRIDED_SLICE"}, _skips, "strides or axes that are not plain"),
)
"""Names of ops, what the compiler refuses of them, and the reason in words."""
