"""What is in a .tflite: its operators, and what they cost."""

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

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


def for_one(model: bytes) -> bytes:
    """The same model with a first dimension of 1 throughout, whatever batch it was converted for: what does
    not resize its inputs, as microcontrollers and the Edge TPU, runs it for one stream."""
    changed = bytearray(model)
    parsed = schema.Model.GetRootAs(changed, 0)
    graph = parsed.Subgraphs(0)
    for index in range(graph.TensorsLength()):
        tensor = graph.Tensors(index)
        if tensor.ShapeLength() and not parsed.Buffers(tensor.Buffer()).DataLength():
            tensor.ShapeAsNumpy()[0] = 1  # a view of the bytes
    return bytes(changed)


def multiplications(model: bytes) -> int:
    """Multiply-accumulates of one inference, those of the convolutions: nothing else of a picker counts."""
    total = 0
    for op in ops_of(model):
        if op.name in {"CONV_2D", "DEPTHWISE_CONV_2D"}:
            # (outputs, height, width, inputs), and with one channel each (1, height, width, channels)
            total += prod(op.inputs[1][1]) * prod(op.outputs[0][1][1:3])
    return total
