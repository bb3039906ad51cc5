"""TFLite Micro on this computer: whether it takes a model, in how much memory, and what it answers."""

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from convert.graph import ends_of
from edge.backend import BackendError, Description, Tensor

PACKAGE = "tflite-micro"
STEP = 16
"""Bytes to which an arena is measured."""
AMPLE = 4 << 20
"""Bytes of an arena in which any model of the station fits."""


@dataclass(frozen=True, slots=True)
class Arena:
    """The bytes in which a model ran, and no fewer, and by which runtime."""

    size: int
    runtime: str


class Micro:
    """A .tflite under TFLite Micro, as an `edge.backend.Backend` for a batch of one."""

    def __init__(self, model: bytes, arena: int = AMPLE) -> None:
        """ModuleNotFoundError without the package tflite-micro, BackendError if the model is refused or the
        arena (bytes) too small."""
        from tflite_micro.python.tflite_micro import runtime

        inputs, outputs = ends_of(model)
        self._description = Description(_runtime(), "cpu", tuple(inputs), tuple(outputs))
        with _reasons():
            self._interpreter: Any = runtime.Interpreter.from_bytes(model, arena_size=arena)

    def invoke(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        for index, spec in enumerate(self._description.inputs):
            self._interpreter.set_input(tensors[spec.name], index)
        with _reasons():
            self._interpreter.invoke()
        outputs = enumerate(self._description.outputs)
        return {spec.name: self._interpreter.get_output(index) for index, spec in outputs}

    def describe(self) -> Description:
        return self._description


def smallest_arena(model: bytes) -> Arena:
    """Found by trying. ModuleNotFoundError and BackendError as `Micro`."""
    Micro(model)  # says why, if it is not for want of memory
    low, high = 0, AMPLE
    while high - low > STEP:
        size = (low + high) // (2 * STEP) * STEP
        try:
            Micro(model, size)
        except BackendError:
            low = size
        else:
            high = size
    return Arena(high, _runtime())


def _runtime() -> str:
    return f"{PACKAGE} {version(PACKAGE)}"


@contextmanager
def _reasons() -> Iterator[None]:
    """Takes what the runtime writes to standard error into the BackendError of its failure."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), 2)
        try:
            yield
        except RuntimeError as error:
            said.seek(0)
            lines = said.read().decode(errors="replace").splitlines()
            reason = lines[0] if lines else " ".join(str(error).split())
            raise BackendError(f"TFLite Micro does not take the model: {reason}") from error
        finally:
            os.dup2(kept, 2)
            os.close(kept)
