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
LIMITS = {"int8": (np.float32(-128), np.float32(127)), "uint8": (np.float32(0), np.float32(255))}


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

    def step(self, samples: Floats, memory: Memory) -> Floats:
        """The next hop of some streams (b, hop, 3), normalised, and what is remembered of them, which is
        changed in place, to words (b, heads, hop / S, 4): logits of noise, P and S, and the raw offset.
        Frame i of head k is of the cell `card.stream.delays[k]` before it."""
        ...


def quantise(values: Floats, spec: TensorSpec) -> NDArray[np.generic]:
    """Real numbers to the tensor's integers, rounded and saturated; unchanged for a float tensor."""
    if spec.dtype == "float32":
        return values
    least, most = LIMITS[spec.dtype]
    steps = values / np.float32(spec.scale)
    np.rint(steps, out=steps)
    steps += np.float32(spec.zero_point)
    np.minimum(np.maximum(steps, least, out=steps), most, out=steps)
    quantised: NDArray[np.generic] = steps.astype(spec.dtype)
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

    def step(self, samples: Floats, memory: Memory) -> Floats:
        """As `Network`."""
        x = np.concatenate([memory[0], quantise(samples, self._x)], axis=1)
        memory[0][:] = x[:, x.shape[1] - self._before :]
        words = np.empty((len(x), *self._cls.shape[1:3], 4), np.float32)
        for part in _batches(len(x)):
            out = self._backend.invoke(
                {"x": x[part, None], "state": memory[1][part], "sums": memory[2][part]}
            )
            memory[1][part], memory[2][part] = out["next_state"], out["next_sums"]
            words[part, ..., :3] = dequantise(out["cls"], self._cls)
            words[part, ..., 3:] = dequantise(out["ofs"], self._ofs)
        return words


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

    def step(self, samples: Floats, memory: Memory) -> Floats:
        """As `Network`."""
        x = quantise(self._rule.window(moved_on(memory, samples)), self._x)
        words = np.empty((len(x), *self._cls.shape[1:3], 4), np.float32)
        for k, window in enumerate(x):
            out = self._backend.invoke({"x": window[None, None]})
            words[k, ..., :3] = dequantise(out["cls"], self._cls)[0]
            words[k, ..., 3:] = dequantise(out["ofs"], self._ofs)[0]
        return due(words, self.card)


def moved_on(memory: Memory, samples: Floats) -> Floats:
    """Windows (b, T, 3), the memory of a network that takes windows, moved on by a hop (b, hop, 3), in
    place."""
    (windows,) = memory
    windows[:, : -samples.shape[1]] = windows[:, samples.shape[1] :].copy()
    windows[:, -samples.shape[1] :] = samples
    return windows


def due(words: Floats, card: Card) -> Floats:
    """Of words on all cells of windows (b, heads, T / S, 4) those that are due at the end of this hop, by
    delay: of each head its own, or all of a single one, whose words are the better the more follows."""
    frames, cells = card.stream.hop // card.cells.stride, words.shape[2]
    last = words.shape[1] - 1
    return np.stack(
        [
            words[:, min(k, last), cells - delay - frames : cells - delay]
            for k, delay in enumerate(card.stream.delays)
        ],
        axis=1,
    )


def _tensors(description: Description) -> tuple[dict[str, TensorSpec], dict[str, TensorSpec]]:
    inputs = {spec.name: spec for spec in description.inputs}
    outputs = {spec.name: spec for spec in description.outputs}
    wanted = {"x", "cls", "ofs"}
    if "state" in inputs:
        wanted |= {"sums", "next_state", "next_sums"}
    missing = sorted(wanted - inputs.keys() - outputs.keys())
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
