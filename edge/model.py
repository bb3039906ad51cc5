"""A picking model as the station uses it: hops of normalised samples in, answers for cells out."""

from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edge.backend import Backend, Description, LiteRT, TensorSpec
from edge.card import Card, CardError, read_card
from edge.preprocess import normaliser

Floats = NDArray[np.float32]
Memory = list[NDArray[Any]]
"""What a network remembers of some streams: arrays with one row a stream."""
MODELS = Path(__file__).parent / "models"
DEFAULT_MODEL = MODELS / "lppn.tflite"
BATCHES = (64, 8, 1)
"""Streams that are answered at once."""


def model_path(name: str) -> Path:
    """The file of a model: one that is shipped, by its name (lppn-tiny, lppn, lppn-large), or a .tflite."""
    return Path(name) if name.endswith(".tflite") else MODELS / f"{name}.tflite"


class Network(Protocol):
    """Anything that answers hop by hop under a card's contract: int8 files here, Keras models in zoo."""

    @property
    def card(self) -> Card: ...

    def begin(self, streams: int) -> Memory:
        """What is remembered of so many streams before their first hop."""
        ...

    def step(self, samples: Floats, memory: Memory) -> tuple[Floats, Floats]:
        """The next hop of some streams (b, hop, 3), normalised, and what is remembered of them, which is
        changed in place, to logits (b, heads, hop / S, 3) and raw offsets (b, heads, hop / S). Frame i of
        head k is of the cell `card.stream.delays[k]` before it."""
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


class StreamNetwork:
    """A .tflite that takes a hop and what it remembers: "x" (b, 1, before + hop, 3), "state" and "sums" to
    "cls" (b, heads, hop / S, 3), "ofs" (b, heads, hop / S, 1), "next_state" and "next_sums"."""

    def __init__(self, card: Card, backend: Backend) -> None:
        """CardError if the tensors are not those that the card promises."""
        self.card = card
        self._backend = backend
        inputs, outputs = _tensors(backend.describe())
        hop, heads = card.stream.hop, len(card.stream.delays)
        frames = hop // card.cells.stride
        self._x, self._cls, self._ofs = inputs["x"], outputs["cls"], outputs["ofs"]
        self._before = self._x.shape[2] - hop
        _must_be(self._x, (1, 1, max(self._before, 0) + hop, 3))
        _must_be(self._cls, (1, heads, frames, 3))
        _must_be(self._ofs, (1, heads, frames, 1))
        _must_have(card, [*inputs.values(), *outputs.values()])
        self._remembered = [inputs[name] for name in ("state", "sums")]
        for spec in self._remembered:
            after = outputs[f"next_{spec.name}"]
            if (spec.shape, spec.scale, spec.zero_point) != (after.shape, after.scale, after.zero_point):
                raise CardError(f"the model's {spec.name} is not handed on as it comes: {spec} to {after}")

    def describe(self) -> Description:
        """What runs the model."""
        return self._backend.describe()

    def begin(self, streams: int) -> Memory:
        """As `Network`: silence, which is the zero point of each tensor."""
        shapes = [(self._before, 3), *(spec.shape[1:] for spec in self._remembered)]
        return [
            np.full((streams, *shape), spec.zero_point, spec.dtype)
            for shape, spec in zip(shapes, (self._x, *self._remembered), strict=True)
        ]

    def step(self, samples: Floats, memory: Memory) -> tuple[Floats, Floats]:
        """As `Network`."""
        x = np.concatenate([memory[0], quantise(samples, self._x)], axis=1)
        memory[0][:] = x[:, x.shape[1] - self._before :]
        cls, ofs = [], []
        names = [spec.name for spec in self._remembered]
        for part in _batches(len(x)):
            held = {name: kept[part] for name, kept in zip(names, memory[1:], strict=True)}
            out = self._backend.invoke({"x": x[part, None], **held})
            for name, kept in zip(names, memory[1:], strict=True):
                kept[part] = out[f"next_{name}"]
            cls.append(out["cls"])
            ofs.append(out["ofs"])
        return dequantise(_joined(cls), self._cls), dequantise(_joined(ofs), self._ofs)[..., 0]


class WindowNetwork:
    """A .tflite that takes whole windows (1, 1, T, 3): what is remembered of a stream is its last window,
    zero before its beginning."""

    def __init__(self, card: Card, backend: Backend) -> None:
        """CardError if the tensors are not those that the card promises."""
        self.card = card
        self._backend = backend
        self._rule = normaliser(card.input.normalisation)
        inputs, outputs = _tensors(backend.describe())
        cells = card.input.window // card.cells.stride
        self._x, self._cls, self._ofs = inputs["x"], outputs["cls"], outputs["ofs"]
        _must_be(self._x, (1, 1, card.input.window, 3))
        _must_be(self._cls, (1, 1, cells, 3))
        _must_be(self._ofs, (1, 1, cells, 1))
        _must_have(card, [self._x, self._cls, self._ofs])

    def describe(self) -> Description:
        """What runs the model."""
        return self._backend.describe()

    def begin(self, streams: int) -> Memory:
        """As `Network`."""
        return [np.zeros((streams, self.card.input.window, 3), np.float32)]

    def step(self, samples: Floats, memory: Memory) -> tuple[Floats, Floats]:
        """As `Network`."""
        x = quantise(self._rule.window(moved_on(memory, samples)), self._x)
        outputs = [self._backend.invoke({"x": window[None, None]}) for window in x]
        cls, ofs = (_joined([out[name] for out in outputs]) for name in ("cls", "ofs"))
        answers = dequantise(cls, self._cls), dequantise(ofs, self._ofs)[..., 0]
        return due(answers[0], self.card), due(answers[1], self.card)


def moved_on(memory: Memory, samples: Floats) -> Floats:
    """Windows (b, T, 3), the memory of a network that takes windows, moved on by a hop (b, hop, 3), in
    place."""
    (windows,) = memory
    windows[:, : -samples.shape[1]] = windows[:, samples.shape[1] :].copy()
    windows[:, -samples.shape[1] :] = samples
    return windows


def due(answers: Floats, card: Card) -> Floats:
    """Of answers for all cells of windows (b, heads, T / S, …) those that are due at the end of this hop, by
    delay: of each head its own, or all of a single one, whose answers are the better the more follows."""
    frames, cells = card.stream.hop // card.cells.stride, answers.shape[2]
    last = answers.shape[1] - 1
    return np.stack(
        [
            answers[:, min(k, last), cells - delay - frames : cells - delay]
            for k, delay in enumerate(card.stream.delays)
        ],
        axis=1,
    )


def _tensors(description: Description) -> tuple[dict[str, TensorSpec], dict[str, TensorSpec]]:
    inputs = {spec.name: spec for spec in description.inputs}
    outputs = {spec.name: spec for spec in description.outputs}
    missing = sorted({"x", "cls", "ofs"} - inputs.keys() - outputs.keys())
    if missing:
        raise CardError(f"the model has no tensors {', '.join(missing)}: it is no picker")
    return inputs, outputs


def _must_be(spec: TensorSpec, shape: tuple[int, ...]) -> None:
    if spec.shape != shape:
        raise CardError(f"the model's {spec.name} has shape {spec.shape}, its card promises {shape}")


def _must_have(card: Card, specs: list[TensorSpec]) -> None:
    dtype = card.quantisation.get("dtype", "float32")
    wrong = [spec.name for spec in specs if spec.dtype != dtype]
    if wrong:
        raise CardError(f"tensors {wrong} of the model are not {dtype}, which its card promises")


def _batches(streams: int) -> list[slice]:
    """Streams in as few batches of the sizes in `BATCHES` as there are."""
    parts, at = [], 0
    for size in BATCHES:
        while streams - at >= size:
            parts.append(slice(at, at + size))
            at += size
    return parts


def _joined(parts: list[NDArray[Any]]) -> NDArray[Any]:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


StationNetwork = StreamNetwork | WindowNetwork


def network_on(backend: Backend, card: Card) -> StationNetwork:
    """The network on a backend, by the form that its tensors have. CardError if they are not those that the
    card promises."""
    streams = any(spec.name == "state" for spec in backend.describe().inputs)
    return StreamNetwork(card, backend) if streams else WindowNetwork(card, backend)


def load_model(path: Path = DEFAULT_MODEL) -> StationNetwork:
    """Reads a .tflite and its card, refusing what does not match.

    FileNotFoundError, CardError or BackendError, each a line that says what is wrong. One dummy step
    makes the runtime pack its weights now rather than at the first onset.
    """
    card = read_card(path)
    network = network_on(LiteRT(path), card)
    network.step(np.zeros((1, card.stream.hop, 3), np.float32), network.begin(1))
    return network
