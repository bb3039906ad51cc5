"""What is in a .tflite: its operators and what they cost, and the tensors at both ends."""

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from edge.backend import TensorSpec

_OP_NAMES = {v: k for k, v in vars(schema.BuiltinOperator).items() if isinstance(v, int)}
_TYPE_NAMES = {v: k for k, v in vars(schema.TensorType).items() if isinstance(v, int)}


@dataclass(frozen=True, slots=True)
class Op:
    """One operator of the graph: its name, version, and the dtypes and shapes at both ends, -1 for a length
    that is not fixed; of each input the bytes that are stored in the file, None where it is computed; and its
    options, as the schema has them, None where it has none."""

    name: str
    version: int
    inputs: tuple[tuple[str, tuple[int, ...]], ...]
    stored: tuple[bytes | None, ...]
    outputs: tuple[tuple[str, tuple[int, ...]], ...]
    options: Any


def ops_of(model: bytes) -> list[Op]:
    """The operators of a .tflite in order. ValueError if it has more than one subgraph."""
    parsed = _parsed(model)
    graph = parsed.subgraphs[0]

    def end(index: int) -> tuple[str, tuple[int, ...]]:
        tensor = graph.tensors[index]
        return _TYPE_NAMES[tensor.type], _shape(tensor)

    def stored(index: int) -> bytes | None:
        data: Any = parsed.buffers[graph.tensors[index].buffer].data
        return None if data is None or not len(data) else bytes(data)

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
                operator.builtinOptions,
            )
        )
    return found


def ends_of(model: bytes) -> tuple[list[TensorSpec], list[TensorSpec]]:
    """Inputs and outputs of a .tflite under the names of its signature, in the order in which TFLite Micro
    counts them. ValueError if it has more than one subgraph, or no signature."""
    parsed = _parsed(model)
    if not parsed.signatureDefs:
        raise ValueError("the model has no signature that names its inputs and outputs")
    graph, signature = parsed.subgraphs[0], parsed.signatureDefs[0]

    def specs(indices: Any, maps: Any) -> list[TensorSpec]:
        names = {entry.tensorIndex: entry.name.decode() for entry in maps}
        return [_spec(names[int(index)], graph.tensors[index]) for index in indices]

    return specs(graph.inputs, signature.inputs), specs(graph.outputs, signature.outputs)


def _parsed(model: bytes) -> Any:
    parsed = schema.ModelT.InitFromObj(schema.Model.GetRootAs(model, 0))
    if len(parsed.subgraphs) != 1:
        raise ValueError(f"the model has {len(parsed.subgraphs)} subgraphs; the station's have one")
    return parsed


def _shape(tensor: Any) -> tuple[int, ...]:
    shape = tensor.shape if tensor.shapeSignature is None else tensor.shapeSignature
    return () if shape is None else tuple(int(n) for n in np.atleast_1d(shape))


def _spec(name: str, tensor: Any) -> TensorSpec:
    dtype, quantisation = _TYPE_NAMES[tensor.type].lower(), tensor.quantization
    if quantisation is None or quantisation.scale is None:
        return TensorSpec(name, _shape(tensor), dtype, 0.0, 0)
    scale, zero_point = float(quantisation.scale[0]), int(quantisation.zeroPoint[0])
    return TensorSpec(name, _shape(tensor), dtype, scale, zero_point)


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
    """Multiply-accumulates of one inference, those of the convolutions: nothing else counts."""
    total = 0
    for op in ops_of(model):
        if op.name in {"CONV_2D", "DEPTHWISE_CONV_2D"}:
            # (outputs, height, width, inputs), and with one channel each (1, height, width, channels)
            total += prod(op.inputs[1][1]) * prod(op.outputs[0][1][1:3])
    return total
