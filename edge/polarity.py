"""First motion of a P onset: up, down or unknown, by a small network on the vertical component.

The network is shown what the picker holds: the vertical after the station's causal high-pass, cut around the
onset and divided by its largest absolute value. Up is positive counts.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edge.backend import Backend, Description, LiteRT
from edge.card import CardError, InputSpec, above_zero, card_fields, fitting, must, read_card_by, whole
from edge.model import MODELS, dequantise, quantise
from edge.pick import Polarity
from edge.preprocess import Window

CARD_VERSION = 1
HELD_S = 3.0
"""So much before an onset, and more, the picker holds."""
DEFAULT_POLARITY = MODELS / "polarity.tflite"


@dataclass(frozen=True, slots=True)
class PolarityInput:
    """Windows of `window` samples of the vertical at `rate_hz`, `before` of them before the onset's sample,
    after a high-pass with its corner at `highpass_hz`; `normalisation`: {"name": "max-abs"}."""

    rate_hz: float
    window: int
    before: int
    highpass_hz: float
    normalisation: Mapping[str, Any]

    @property
    def after(self) -> int:
        """Samples of the window from the onset's on."""
        return self.window - self.before

    def held_by(self, picker: InputSpec) -> bool:
        """Whether a picker with such an input holds the samples that are asked for."""
        return (self.rate_hz, self.highpass_hz) == (picker.rate_hz, picker.highpass_hz)

    def __str__(self) -> str:
        return f"{self.rate_hz:g} Hz above {self.highpass_hz:g} Hz"


@dataclass(frozen=True, slots=True)
class PolarityCard:
    """What is known of a polarity model. The probability of up is the logistic function of its logit over
    `temperature`; a direction is told from the probability `threshold` up. `training`, `quantisation` and
    `metrics` tell how it came to be and what it reaches."""

    name: str
    task: str
    licence: str
    input: PolarityInput
    temperature: float
    threshold: float
    sha256: str = ""
    training: Mapping[str, Any] = field(default_factory=dict)
    quantisation: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)

    @property
    def identity(self) -> str:
        """name@first 8 hex digits of the model's hash."""
        return f"{self.name}@{self.sha256[:8]}"

    def to_json(self) -> str:
        return json.dumps({"card": CARD_VERSION, **asdict(self)}, indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> "PolarityCard":
        """CardError names the first key that is missing or wrong."""
        fields = card_fields(text, CARD_VERSION, "polarity")
        with fitting():
            fields["input"] = PolarityInput(**fields["input"])
            card = cls(**fields)
        card.check()
        return card

    def check(self) -> None:
        """CardError if a value is of the wrong kind, out of range, or contradicts another."""
        for key in ("name", "task", "licence", "sha256"):
            must(key, getattr(self, key), isinstance(getattr(self, key), str), "a text")
        for key in ("training", "quantisation", "metrics"):
            must(key, getattr(self, key), isinstance(getattr(self, key), Mapping), "an object")
        must("task", self.task, self.task == "polarity", "polarity")
        rate, corner, window, before = (
            self.input.rate_hz, self.input.highpass_hz, self.input.window, self.input.before,
        )  # fmt: skip
        must("input.rate_hz", rate, above_zero(rate), "a number above 0")
        fits = above_zero(corner) and corner < rate / 2
        must("input.highpass_hz", corner, fits, f"between 0 and {rate / 2:g}")
        must("input.window", window, whole(window) and window > 0, "a whole number of samples above 0")
        fits = whole(before) and 0 <= before < window and before <= HELD_S * rate
        must("input.before", before, fits, f"a whole number from 0 to {window - 1}, of {HELD_S:g} s at most")
        rule = self.input.normalisation
        must("input.normalisation", rule, rule == {"name": "max-abs"}, '{"name": "max-abs"}')
        must("temperature", self.temperature, above_zero(self.temperature), "a number above 0")
        fits = above_zero(self.threshold) and 0.5 <= self.threshold < 1
        must("threshold", self.threshold, fits, "from 0.5 to below 1")


def read_polarity_card(model: Path) -> PolarityCard:
    """The card beside a polarity model, its hash checked. CardError or FileNotFoundError otherwise."""
    return read_card_by(model, PolarityCard.from_json)


def cut(vertical: NDArray[np.floating[Any]], onset_sample: float, spec: PolarityInput) -> Window | None:
    """The window (L,) of a vertical (n,), filtered, around an onset, of which the nearest sample counts.
    None where the window is not all there, and where nothing moves in it: a component that is missing or
    dead."""
    first = round(onset_sample) - spec.before
    if first < 0 or first + spec.window > len(vertical):
        return None
    window = np.array(vertical[first : first + spec.window], np.float32)
    return window if window.any() else None


def normalised(windows: Window) -> Window:
    """Windows (…, L), each over its own largest absolute value, whatever its unit; zeros stay."""
    largest = np.abs(windows).max(axis=-1, keepdims=True)
    return np.asarray(windows / np.where(largest > 0, largest, 1), np.float32)


@dataclass(frozen=True, slots=True)
class FirstMotion:
    """`prob`: that of the likelier direction, 0.5..1, also where it is too low to tell one: unknown."""

    polarity: Polarity
    prob: float

    @property
    def opposite(self) -> "FirstMotion":
        """Of the same motion on a channel whose positive counts are down."""
        swapped: dict[Polarity, Polarity] = {"up": "down", "down": "up", "unknown": "unknown"}
        return FirstMotion(swapped[self.polarity], self.prob)


class Reader(Protocol):
    """Anything that reads first motions under a card's contract: int8 files here, Keras models in zoo."""

    @property
    def card(self) -> PolarityCard: ...

    def logits(self, windows: Window) -> Window:
        """Of windows (b, L) as `cut` gives them (b,): up against down, before `temperature`."""
        ...


class PolarityNetwork:
    """A .tflite that takes windows, "x" (b, 1, L, 1), to "up" (b, 1): the logit of up against down."""

    def __init__(self, card: PolarityCard, backend: Backend) -> None:
        """CardError if the tensors are not those that the card promises."""
        self.card = card
        self._backend = backend
        described = backend.describe()
        inputs = {spec.name: spec for spec in described.inputs}
        outputs = {spec.name: spec for spec in described.outputs}
        if "x" not in inputs or "up" not in outputs:
            raise CardError("the model has no tensors x and up: it is no polarity model")
        self._x, self._up = inputs["x"], outputs["up"]
        dtype = card.quantisation.get("dtype", "float32")
        for spec, shape in ((self._x, (1, 1, card.input.window, 1)), (self._up, (1, 1))):
            if (spec.shape, spec.dtype) != (shape, dtype):
                raise CardError(
                    f"the model's {spec.name} is {spec.dtype} {spec.shape}, its card promises {dtype} {shape}"
                )

    def describe(self) -> Description:
        """What runs the model."""
        return self._backend.describe()

    def logits(self, windows: Window) -> Window:
        """As `Reader`."""
        x = quantise(normalised(windows), self._x)
        answers = [self._backend.invoke({"x": one[None, None, :, None]})["up"] for one in x]
        return dequantise(np.concatenate(answers), self._up)[:, 0] if answers else np.zeros(0, np.float32)


def read(reader: Reader, windows: Window) -> list[FirstMotion]:
    """The first motion in each of windows (b, L)."""
    return [first_motion(prob, reader.card.threshold) for prob in up(reader.logits(windows), reader.card)]


def up(logits: NDArray[np.floating[Any]], card: PolarityCard) -> NDArray[np.float64]:
    """Logits to probabilities of up; nan stays."""
    calm = np.clip(np.asarray(logits, np.float64) / card.temperature, -50.0, 50.0)
    return np.asarray(1.0 / (1.0 + np.exp(-calm)), np.float64)


def first_motion(prob_up: float, threshold: float) -> FirstMotion:
    """The likelier direction if its probability reaches the threshold, else unknown."""
    prob = max(float(prob_up), 1.0 - float(prob_up))
    if prob < threshold or prob_up == 0.5:
        return FirstMotion("unknown", prob)
    return FirstMotion("up" if prob_up > 0.5 else "down", prob)


def load_polarity(path: Path = DEFAULT_POLARITY) -> PolarityNetwork:
    """Reads a polarity .tflite and its card, refusing what does not match.

    FileNotFoundError, CardError or BackendError, each a line that says what is wrong.
    """
    network = PolarityNetwork(read_polarity_card(path), LiteRT(path))
    network.logits(np.zeros((1, network.card.input.window), np.float32))
    return network
