"""Static check of a .tflite against the published limits of the Edge TPU compiler.

A necessary test, not a proof: the compiler itself also refuses by size. Rules after Coral's
"TensorFlow models on the Edge TPU" and the compiler's known refusals of newer op versions.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

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
_OP_NAMES = {v: k for k, v in vars(schema.BuiltinOperator).items() if isinstance(v, int)}
_TYPE_NAMES = {v: k for k, v in vars(schema.TensorType).items() if isinstance(v, int)}


@dataclass(frozen=True, slots=True)
class Op:
    """One operator of the graph: its name, version, and the dtypes and shapes at both ends. `constant`
    tells which inputs are stored in the file."""

    name: str
    version: int
    inputs: tuple[tuple[str, tuple[int, ...]], ...]
    constant: tuple[bool, ...]
    outputs: tuple[tuple[str, tuple[int, ...]], ...]


def ops_of(model: bytes) -> list[Op]:
    """The operators of a .tflite in order. ValueError if it has more than one subgraph."""
    parsed = schema.ModelT.InitFromObj(schema.Model.GetRootAs(model, 0))
    if len(parsed.subgraphs) != 1:
        raise ValueError(f"the model has {len(parsed.subgraphs)} subgraphs; pickers have one")
    graph = parsed.subgraphs[0]

    def end(index: int) -> tuple[str, tuple[int, ...]]:
        tensor = graph.tensors[index]
        shape = () if tensor.shape is None else tuple(int(n) for n in np.atleast_1d(tensor.shape))
        return _TYPE_NAMES[tensor.type], shape

    def stored(index: int) -> bool:
        data: Any = parsed.buffers[graph.tensors[index].buffer].data
        return data is not None and len(data) > 0

    found = []
    for operator in graph.operators:
        code = parsed.operatorCodes[operator.opcodeIndex]
        name = _OP_NAMES[max(code.builtinCode, code.deprecatedBuiltinCode)]
        inputs = [int(i) for i in operator.inputs if i >= 0]
        found.append(
            Op(
                name,
                int(code.version),
                tuple(end(i) for i in inputs),
                tuple(stored(i) for i in inputs),
                tuple(end(int(i)) for i in operator.outputs),
            )
        )
    return found


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
