"""Values, tensors and bytes of a model as C."""

import json
import re
from collections.abc import Iterator, Sequence
from math import prod

import numpy as np

from edge.backend import TensorSpec

A_LINE = 16
"""Bytes of an array."""


def identifier(name: str) -> str:
    """A file's name made one that C takes."""
    return re.sub(r"\W|^(?=\d)", "_", name, flags=re.ASCII)


def literal(value: float | str) -> str:
    """A value as C: floats in the shortest digits that are the same float."""
    if isinstance(value, float):
        return str(np.float32(value)) + "f"
    return json.dumps(value)


def tensors(prefix: str, specs: Sequence[TensorSpec]) -> Iterator[str]:
    """Lines that define index, length and quantisation of the tensors at one end of a model."""
    for index, spec in enumerate(specs):
        name = f"{prefix}_{spec.name.upper()}"
        shape = "".join(f"[{length}]" for length in spec.shape)
        yield f"#define {name} {index} /* {shape} */"
        yield f"#define {name}_LENGTH {prod(spec.shape)}"
        yield f"#define {name}_SCALE {literal(float(spec.scale))}"
        yield f"#define {name}_ZERO_POINT ({spec.zero_point})"


def array(content: bytes) -> str:
    """What stands between the braces of an array of these bytes."""
    lines = (content[at : at + A_LINE] for at in range(0, len(content), A_LINE))
    return "\n".join("    " + ", ".join(f"0x{byte:02x}" for byte in line) + "," for line in lines)
