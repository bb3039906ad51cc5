"""Who is compared: the station's own path and network, and others that take their whole window again at each
call. Those whose packages are not installed are named, with what to install."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.bench.ground import RATE, Counts
from benchmarks.bench.stages import StationPath
from edge.backend import LiteRT
from edge.card import Card
from edge.model import Floats, Network, dequantise, load_model, quantise
from edge.preprocess import highpassed, normaliser

WHOLE = "edge-pick, bytes to picks"
STEP = "LPPN int8, hop by hop"
AGAIN = "LPPN int8, its window again, LiteRT"
AGAIN_LONG = "LPPN int8, 30.72 s again, LiteRT"
PHASENET_TF = "PhaseNet float, TensorFlow"
PHASENET_TORCH = "PhaseNet float, PyTorch"
STA_LTA = "ObsPy recursive STA/LTA and trigger_onset, Z N E"
AR_PICKER = "ObsPy AR picker, Z N E"
BUFFER = 30 * RATE
LONG = 3072
"""Samples of the window for which LPPN was published."""
STA_S, LTA_S = 1, 10
TRIGGER_ON, TRIGGER_OFF = 3.5, 1.0
AR = (RATE, 2.0, 40.0, 1.0, 0.1, 4.0, 1.0, 2, 8, 0.1, 0.2)
"""Of ObsPy's documentation, but the band."""
CALIBRATION = 20
"""Windows: values of weights and ranges make no difference to the time."""

Call = Callable[[Floats], object]


class Contestant(Protocol):
    """`parameters` of its network, if it is one. `reruns`: it can be called at any interval, as it takes its
    window whole at each call; else each call is one hop."""

    name: str
    parameters: int | None
    reruns: bool

    def ready(self, calls: int) -> None:
        """Prepares what is not its work for so many calls."""

    def call(self) -> object: ...


class Whole:
    """The station's path."""

    name, reruns = WHOLE, False
    parameters: int | None = None

    def __init__(self, network: Network, ground: Counts) -> None:
        self._path = StationPath(network, ground)

    def ready(self, calls: int) -> None:
        self._path.encode(calls)

    def call(self) -> object:
        return self._path.hop()


class Step:
    """The station's network alone, on normalised samples (n, 3)."""

    name, reruns = STEP, False

    def __init__(self, network: Network, shown: Floats, parameters: int | None) -> None:
        self.parameters = parameters
        self._network = network
        self._memory = network.begin(1)
        hop = network.card.stream.hop
        self._hops = shown[: len(shown) // hop * hop].reshape(-1, 1, hop, 3)
        self._at = 0

    def ready(self, calls: int) -> None:
        """Its samples are there."""

    def call(self) -> object:
        self._at = (self._at + 1) % len(self._hops)
        return self._network.step(self._hops[self._at], self._memory)


@dataclass
class Again:
    """What takes the last `length` samples of `signal` (n, 3) whole, a second further on at each call."""

    name: str
    parameters: int | None
    run: Callable[[NDArray[Any]], object]
    signal: NDArray[Any]
    length: int
    reruns: bool = True
    _end: int = 0

    def ready(self, calls: int) -> None:
        """Its samples are there."""

    def call(self) -> object:
        self._end = self._end + RATE if self.length <= self._end + RATE <= len(self.signal) else self.length
        return self.run(self.signal[self._end - self.length : self._end])


@dataclass(frozen=True, slots=True)
class Setting:
    """What all of them hear: `ground` counts (n, 3) at 100 Hz, and `shown`, the same after the station's
    high-pass and normalisation."""

    model: Path
    card: Card
    ground: Counts
    shown: Floats


def setting(model: Path, ground: Counts) -> Setting:
    """Raises as readers of models do."""
    card = load_model(model).card
    corner = card.input.highpass_hz
    heard = ground.astype(np.float64)
    filtered = heard if corner is None else highpassed(heard, corner, card.input.rate_hz)
    return Setting(model, card, ground, normaliser(card.input.normalisation).feed(filtered[None])[0])


def ours(given: Setting) -> Iterator[Contestant]:
    """The station."""
    network = load_model(given.model)
    yield Whole(network, given.ground)
    yield Step(network, given.shown, None)


def by_tensorflow(given: Setting) -> Iterator[Contestant]:
    """Networks in TensorFlow, and their conversions in the station's own runtime."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    from benchmarks.bench.nets_keras import WINDOW, phasenet
    from convert.quantize import to_float, to_int8, window_form
    from zoo.pickers.lppn import LPPNConfig, build

    def in_tensorflow(name: str, model: Any, length: int) -> Contestant:
        shape = model.inputs[0].shape
        traced = tf.function(lambda x: model(x, training=False))

        def run(window: Floats) -> object:
            return traced(tf.constant(window.reshape(shape)))

        return Again(name, parameters(model), run, given.shown, length)

    def parameters(model: Any) -> int:
        return sum(prod(weight.shape) for weight in model.trainable_variables)

    def in_litert(name: str, model: Any, content: bytes, length: int) -> Contestant:
        return Again(name, parameters(model), litert(content), given.shown, length)

    if "network" in given.card.training:
        own = LPPNConfig(**given.card.training["network"])
        for name, config in ((AGAIN_LONG, replace(own, T=LONG)), (AGAIN, own)):
            lppn = window_form(build(config), config)
            starts = np.linspace(0, len(given.shown) - config.T, CALIBRATION).astype(int)
            windows = [{"x": given.shown[start : start + config.T][None, None]} for start in starts]
            yield in_litert(name, lppn, to_int8(lppn, windows), config.T)
        yield in_litert("LPPN float, its window again, LiteRT", lppn, to_float(lppn), own.T)
        yield in_tensorflow("LPPN float, its window again, TensorFlow", lppn, own.T)
    unet = phasenet()
    yield in_litert("PhaseNet float, LiteRT", unet, to_float(unet), WINDOW)
    yield in_tensorflow(PHASENET_TF, unet, WINDOW)


def by_torch(given: Setting) -> Iterator[Contestant]:
    """Networks in PyTorch, one thread."""
    import torch

    from benchmarks.bench.nets_torch import EQTransformer, PhaseNet

    torch.set_num_threads(1)
    named = ((PHASENET_TORCH, PhaseNet(), 3000), ("EQTransformer float, PyTorch", EQTransformer(), 3072))
    for name, module, length in named:
        module.eval()

        def run(window: Floats, module: torch.nn.Module = module) -> object:
            with torch.inference_mode():
                return module(torch.from_numpy(window.T.copy())[None]).numpy()

        size = sum(weight.numel() for weight in module.parameters())
        yield Again(name, size, run, given.shown, length)


def by_obspy(given: Setting) -> Iterator[Contestant]:
    """The classics, on counts of the last 30 s."""
    from obspy.signal.trigger import ar_pick, recursive_sta_lta, trigger_onset

    def sta_lta(buffer: NDArray[np.float64]) -> object:
        return [
            trigger_onset(recursive_sta_lta(trace, STA_S * RATE, LTA_S * RATE), TRIGGER_ON, TRIGGER_OFF)
            for trace in buffer.T
        ]

    def ar(buffer: NDArray[np.float64]) -> object:
        return ar_pick(*buffer.T, *AR)

    # Each component in one piece, as ObsPy holds it: what it is given needs no copy.
    heard = np.asfortranarray(given.ground, np.float64)
    yield Again(STA_LTA, None, sta_lta, heard, BUFFER)
    yield Again(AR_PICKER, None, ar, heard, BUFFER)


GROUPS: dict[str, tuple[Callable[[Setting], Iterator[Contestant]], str]] = {
    "LPPN by windows and PhaseNet in TensorFlow and LiteRT": (by_tensorflow, "pip install 'edge-pick[host]'"),
    "PhaseNet and EQTransformer in PyTorch": (by_torch, "pip install torch"),
    "ObsPy's STA/LTA and AR picker": (by_obspy, "pip install obspy"),
}
"""The peers, and what brings those that are missing."""


def contestants(given: Setting) -> tuple[list[Contestant], dict[str, str]]:
    """All that can be compared here, and why the others cannot."""
    found, missing = list(ours(given)), {}
    for name, (group, remedy) in GROUPS.items():
        try:
            found += group(given)
        except ImportError as error:
            package = (error.name or str(error)).partition(".")[0]
            missing[name] = f"{package} is not installed; {remedy}"
    return found, missing


def litert(content: bytes) -> Call:
    """Runs a .tflite of one input and any outputs, int8 or float, on windows (n, 3): real numbers out."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(content)
        backend = LiteRT(path)
    (given,) = backend.describe().inputs
    answers = backend.describe().outputs

    def run(window: Floats) -> object:
        out = backend.invoke({given.name: quantise(window, given).reshape(given.shape)})
        return [dequantise(out[answer.name], answer) for answer in answers]

    return run
