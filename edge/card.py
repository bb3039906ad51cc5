"""Model cards: `<model>.json` beside `<model>.tflite`, the contract between convert and the station."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from edge.cells import PHASES, OffsetKind
from edge.pick import Phase

CARD_VERSION = 1


class CardError(ValueError):
    """A card that is missing, incomplete, or does not describe the model beside it."""


@dataclass(frozen=True, slots=True)
class InputSpec:
    """`rate_hz` and `window` (samples) of the input, components always Z N E; `highpass_hz`: corner of the
    stream's high-pass or None; `normalisation`: the rule's name and parameters."""

    rate_hz: float
    window: int
    highpass_hz: float | None
    normalisation: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CellSpec:
    """`stride`: samples a cell; `offset`: how the second output is read."""

    stride: int
    offset: OffsetKind


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """How windows follow each other: every `hop` samples, cells taken once `lookahead` samples follow
    them; onsets of one phase closer than `separation_s` are one."""

    hop: int
    lookahead: int
    separation_s: float


@dataclass(frozen=True, slots=True)
class Card:
    """What is known of a model. `thresholds` and `sigma_s` (standard deviation of onsets, seconds) are by
    phase; `training`, `quantisation` and `metrics` tell how it came to be and what it reaches."""

    name: str
    task: str
    licence: str
    input: InputSpec
    cells: CellSpec
    stream: StreamSpec
    thresholds: Mapping[Phase, float]
    sigma_s: Mapping[Phase, float]
    sha256: str = ""
    training: Mapping[str, Any] = field(default_factory=dict)
    quantisation: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)

    @property
    def identity(self) -> str:
        """name@first 8 hex digits of the model's hash, as picks carry it."""
        return f"{self.name}@{self.sha256[:8]}"

    def to_json(self) -> str:
        return json.dumps({"card": CARD_VERSION, **asdict(self)}, indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "Card":
        """CardError names the first key that is missing or wrong."""
        try:
            fields = json.loads(text)
        except json.JSONDecodeError as error:
            raise CardError(f"the card is not JSON: {error}") from error
        if not isinstance(fields, dict) or fields.pop("card", None) != CARD_VERSION:
            raise CardError(f"the card's key 'card' must be {CARD_VERSION}, the version this program reads")
        try:
            fields["input"] = InputSpec(**fields["input"])
            fields["cells"] = CellSpec(**fields["cells"])
            fields["stream"] = StreamSpec(**fields["stream"])
            card = cls(**fields)
        except KeyError as error:
            raise CardError(f"the card lacks the key {error}") from error
        except TypeError as error:
            raise CardError(f"the card does not fit this version: {error}") from error
        card.check()
        return card

    def check(self) -> None:
        """CardError if the numbers contradict each other."""
        step = 8 * self.cells.stride
        for key, value in (("input.window", self.input.window), ("stream.hop", self.stream.hop)):
            if value <= 0 or value % step:
                raise CardError(f"the card's {key} = {value} must be a multiple of 8 strides = {step}")
        if self.stream.lookahead % self.cells.stride:
            raise CardError(f"the card's stream.lookahead must be a multiple of {self.cells.stride}")
        if self.stream.hop + self.stream.lookahead > self.input.window:
            raise CardError("the card's stream.hop + stream.lookahead exceed input.window")
        for phase in PHASES:
            if not 0.0 < self.thresholds.get(phase, 0.0) < 1.0:
                raise CardError(f"the card's thresholds.{phase} must lie between 0 and 1")
            if phase not in self.sigma_s:
                raise CardError(f"the card lacks sigma_s.{phase}")


def card_path(model: Path) -> Path:
    """Where the card of a model lies."""
    return model.with_suffix(".json")


def read_card(model: Path) -> Card:
    """The card beside a model file, its hash checked. CardError or FileNotFoundError otherwise."""
    path = card_path(model)
    if not model.is_file():
        raise FileNotFoundError(f"no model at {model}")
    if not path.is_file():
        raise CardError(f"{model} has no card: {path.name} is missing beside it")
    card = Card.from_json(path.read_text())
    found = hashlib.sha256(model.read_bytes()).hexdigest()
    if found != card.sha256:
        raise CardError(
            f"{model.name} is not the model of its card: sha256 {found[:12]}…, but the card says "
            f"{card.sha256[:12]}…; install both files together"
        )
    return card
