"""The hardware seam: a backend turns input tensors into output tensors, and says what it is.

Nothing of picking lives here. `ai-edge-litert` is the TFLite runtime where it has wheels;
`tflite-runtime` 2.14 serves 32-bit ARM and the Coral.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Tensor = NDArray[Any]


class BackendError(RuntimeError):
    """No runtime is installed, or the runtime refuses the model."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A model's input or output: name, shape, dtype, and real = (integer - zero_point) · scale."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    scale: float
    zero_point: int


@dataclass(frozen=True, slots=True)
class Description:
    """What runs the model: runtime with version, device, and the tensors at both ends, for a batch of one."""

    runtime: str
    device: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


class Backend(Protocol):
    """Two methods; one class a device."""

    def invoke(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Runs the model on inputs of the described names, dtypes and shapes, or the same shapes with a
        larger first dimension, as many streams at once; outputs by name."""
        ...

    def describe(self) -> Description: ...


def _runtime() -> tuple[Any, str]:
    """The module of the runtime that is installed, and its name with version."""
    for package in ("ai_edge_litert", "tflite_runtime"):
        try:
            module = import_module(f"{package}.interpreter")
        except ImportError:
            continue
        return module, f"{package} {version(package.replace('_', '-'))}"
    raise BackendError(
        "no TFLite runtime: pip install ai-edge-litert (64-bit), or pip install 'edge-pick[coral]' "
        "(32-bit ARM, Coral; Python 3.11)"
    )


@contextmanager
def _muted() -> Iterator[None]:
    """Keeps the runtime's own chatter off standard error, which is for the operator; errors are raised."""
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


class LiteRT:
    """A .tflite on the CPU, one thread: a second one gains little and starves the acquisition. Each size of
    batch has an interpreter of its own, made when it is first asked for."""

    def __init__(self, model: Path, reference: bool = False) -> None:
        """BackendError if no runtime is there or the file is no usable model. `reference`: by the plain
        kernels, which are slow and give the same integers on every platform."""
        self._model = model
        self._reference = reference
        self._interpreters: dict[int, Any] = {}
        interpreter = self._interpreter(1)
        signature = interpreter.get_signature_runner()
        self._inputs = signature.get_input_details()
        self._outputs = signature.get_output_details()
        self._description = Description(
            runtime=_runtime()[1],
            device="cpu",
            inputs=tuple(_spec(name, detail) for name, detail in sorted(self._inputs.items())),
            outputs=tuple(_spec(name, detail) for name, detail in sorted(self._outputs.items())),
        )

    def _interpreter(self, batch: int) -> Any:
        if batch in self._interpreters:
            return self._interpreters[batch]
        module, runtime = _runtime()
        kernels = module.OpResolverType.BUILTIN_REF if self._reference else module.OpResolverType.AUTO
        try:
            with _muted():
                interpreter = module.Interpreter(
                    model_path=str(self._model), num_threads=1, experimental_op_resolver_type=kernels
                )
                for detail in interpreter.get_input_details():
                    if detail["shape"][0] != batch:
                        interpreter.resize_tensor_input(detail["index"], [batch, *detail["shape"][1:]])
                interpreter.allocate_tensors()
        except (ValueError, RuntimeError, SystemError, AttributeError) as error:
            hint = " (tflite-runtime needs numpy < 2)" if "_ARRAY_API" in str(error) else ""
            reason = " ".join(str(error).split())  # the runtimes' messages have line ends in them
            raise BackendError(f"{runtime} cannot load {self._model.name}{hint}: {reason}") from error
        self._interpreters[batch] = interpreter
        return interpreter

    def invoke(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        interpreter = self._interpreter(len(next(iter(tensors.values()))))
        for name, tensor in tensors.items():
            interpreter.set_tensor(self._inputs[name]["index"], tensor)
        interpreter.invoke()
        return {name: interpreter.get_tensor(detail["index"]) for name, detail in self._outputs.items()}

    def describe(self) -> Description:
        return self._description


def _spec(name: str, detail: dict[str, Any]) -> TensorSpec:
    scale, zero_point = detail["quantization"]
    shape = tuple(int(length) for length in detail["shape"])
    return TensorSpec(name, shape, np.dtype(detail["dtype"]).name, float(scale), int(zero_point))
