"""What firmware has to know of a model beside its bytes and tensors, whatever its task."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Contract:
    """`kind`: what the model is; `answer`: the first of its outputs. `text`: the last part of the header, how
    its tensors are filled and read. What it takes beside its arena: `kept`, in words, and a run `each`, which
    comes every `every_s` seconds, or None where that is not known."""

    kind: str
    answer: str
    text: str
    kept: str
    each: str
    every_s: float | None
