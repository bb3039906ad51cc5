"""Static check of a .tflite against the published limits of the Edge TPU compiler.

A necessary test, not a proof: the compiler itself also refuses by size. Rules after Coral's
"TensorFlow models on the Edge TPU" and the compiler's known refusals of newer op versions.
"""

from convert.graph import ops_of

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


def refusals(model: bytes) -> list[str]:
    """Why ops of a model would not run on an Edge TPU, a line each; empty if all would."""
    lines = []
    for op in ops_of(model):
        where = f"{op.name} -> {op.outputs[0][1]}"
        if op.name not in SUPPORTED:
            lines.append(f"{where}: not an Edge TPU op")
        if op.version > NEWEST_VERSION.get(op.name, op.version):
            lines.append(f"{where}: version {op.version} is newer than the compiler knows")
        for (dtype, _), constant in zip(op.inputs, op.constant, strict=True):
            if dtype not in {"INT8", "UINT8"} and not (constant and dtype == "INT32"):
                lines.append(f"{where}: input in {dtype}")
        for dtype, shape in op.outputs:
            if dtype not in {"INT8", "UINT8"}:
                lines.append(f"{where}: output in {dtype}")
            if any(n > 1 for n in shape[:-3]):
                lines.append(f"{where}: more than three dimensions in use")
        if op.name == "SOFTMAX" and any(n > 1 for n in op.outputs[0][1][:-1]):
            lines.append(f"{where}: softmax of more than one vector")
    return list(dict.fromkeys(lines))
