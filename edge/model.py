"""A picking model as the picker uses it: a normalised window in, raw network outputs out."""

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edge.backend import Backend, Description, LiteRT, TensorSpec
from edge.card import Card, CardError, read_card

Floats = NDArray[np.float32]
MODELS = Path(__file__).parent / "models"
DEFAULT_MODEL = MODELS / "lppn.tflite"


def model_path(name: str) -> Path:
    """The file of a model: one that is shipped, by its name (lppn-tiny, lppn, lppn-large), or a .tflite."""
    return Path(name) if name.endswith(".tflite") else MODELS / f"{name}.tflite"


class Network(Protocol):
    """Anything that evaluates windows under a card's contract: an int8 file here, a Keras model in zoo."""

    @property
    def card(self) -> Card: ...

    def infer(self, window: Floats) -> tuple[Floats, Floats]:
        """Normalised window (T, 3) to class logits (T / S, 3) and raw offsets (T / S,)."""
        ...


def quantise(values: Floats, spec: TensorSpec) -> NDArray[np.generic]:
    """Real numbers to the tensor's integers, rounded and saturated; unchanged for a float tensor."""
    if spec.dtype == "float32":
        return values
    limits = np.iinfo(spec.dtype)
    steps = np.rint(values / np.float32(spec.scale)) + spec.zero_point
    quantised: NDArray[np.generic] = np.clip(steps, limits.min, limits.max).astype(spec.dtype)
    return quantised


def dequantise(integers: NDArray[np.generic], spec: TensorSpec) -> Floats:
    """The tensor's integers to real numbers."""
    if spec.dtype == "float32":
        return np.asarray(integers, np.float32)
    return (integers.astype(np.float32) - spec.zero_point) * np.float32(spec.scale)


class TFLiteNetwork:
    """A .tflite picking model behind a backend, its tensors checked against its card."""

    def __init__(self, card: Card, backend: Backend) -> None:
        """CardError if shapes or dtypes are not those that the card promises."""
        self.card = card
        self._backend = backend
        description = backend.describe()
        self._input = description.input
        outputs = {spec.name: spec for spec in description.outputs}
        cells = card.input.window // card.cells.stride
        expected = {"cls": (1, 1, cells, 3), "ofs": (1, 1, cells, 1)}
        found = {name: spec.shape for name, spec in outputs.items()}
        if self._input.shape != (1, 1, card.input.window, 3) or found != expected:
            raise CardError(
                f"the model takes {self._input.shape} and gives {found}; its card promises "
                f"{(1, 1, card.input.window, 3)} and {expected}"
            )
        dtype = card.quantisation.get("dtype", "float32")
        wrong = [s.name for s in (self._input, *outputs.values()) if s.dtype != dtype]
        if wrong:
            raise CardError(f"tensors {wrong} of the model are not {dtype}, which its card promises")
        self._cls, self._ofs = outputs["cls"], outputs["ofs"]

    def describe(self) -> Description:
        """What runs the model."""
        return self._backend.describe()

    def infer(self, window: Floats) -> tuple[Floats, Floats]:
        outputs = self._backend.invoke(quantise(window, self._input)[None, None])
        logits = dequantise(outputs["cls"][0, 0], self._cls)
        return logits, dequantise(outputs["ofs"][0, 0, :, 0], self._ofs)


def load_model(path: Path = DEFAULT_MODEL) -> TFLiteNetwork:
    """Reads a .tflite and its card, refusing what does not match.

    FileNotFoundError, CardError or BackendError, each a line that says what is wrong. One dummy invoke
    makes the runtime pack its weights now rather than at the first onset.
    """
    card = read_card(path)
    network = TFLiteNetwork(card, LiteRT(path))
    network.infer(np.zeros((card.input.window, 3), np.float32))
    return network
