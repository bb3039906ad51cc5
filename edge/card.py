"""Model cards: `<model>.json` beside `<model>.tflite`, the contract between convert and the station."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from math import ceil, inf
from pathlib import Path
from typing import Any, Protocol, TypeVar, get_args

from edge.cells import PHASES, OffsetKind
from edge.pick import Phase
from edge.preprocess import BLOCK, normaliser
from edge.terminal import printable

CARD_VERSION = 3


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
    """How a stream is answered: every `hop` samples; by each head of the network so many cells, ascending,
    after the cell in question as `delays` says, the last one its final word; onsets of one phase closer
    than `separation_s` are one. `memory`: samples before a hop that count in its answers, None for those of
    a window. `early`: by phase the probability from which an onset is told before the final word on it, None
    where that has not been measured."""

    hop: int
    delays: Sequence[int]
    separation_s: float
    memory: int | None = None
    early: Mapping[Phase, float] | None = None


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

    @property
    def memory_hops(self) -> int:
        """Hops before one that count in its answers."""
        return ceil((self.stream.memory or self.input.window) / self.stream.hop)

    def to_json(self) -> str:
        return json.dumps({"card": CARD_VERSION, **asdict(self)}, indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> "Card":
        """CardError names the first key that is missing or wrong."""
        fields = card_fields(text, CARD_VERSION, "picking")
        with fitting():
            fields["input"] = InputSpec(**fields["input"])
            fields["cells"] = CellSpec(**fields["cells"])
            fields["stream"] = StreamSpec(**fields["stream"])
            card = cls(**fields)
        card.check()
        return card

    def check(self) -> None:
        """CardError if a value is of the wrong kind, out of range, or contradicts another."""
        for key in ("name", "task", "licence", "sha256"):
            must(key, getattr(self, key), isinstance(getattr(self, key), str), "a text")
        for key in ("thresholds", "sigma_s", "training", "quantisation", "metrics"):
            must(key, getattr(self, key), isinstance(getattr(self, key), Mapping), "an object")
        must("task", self.task, self.task == "picking", "picking")
        rate, corner, stride = self.input.rate_hz, self.input.highpass_hz, self.cells.stride
        must("input.rate_hz", rate, above_zero(rate), "a number above 0")
        fits = corner is None or (above_zero(corner) and corner < rate / 2)
        must("input.highpass_hz", corner, fits, f"null or between 0 and {rate / 2:g}")
        try:
            block = normaliser(self.input.normalisation).block
        except (TypeError, ValueError) as error:
            raise CardError(
                f"the card's input.normalisation cannot be used: {printable(str(error))}"
            ) from error
        must("cells.stride", stride, whole(stride) and stride > 0, "a whole number above 0")
        offset = self.cells.offset
        must("cells.offset", offset, offset in get_args(OffsetKind), "sigmoid or linear")
        for key, value in (("input.window", self.input.window), ("stream.hop", self.stream.hop)):
            fits = whole(value) and value > 0 and value % (8 * stride) == 0
            must(key, value, fits, f"a multiple of 8 strides = {8 * stride}")
        if self.stream.hop % BLOCK:
            raise CardError(f"the card's stream.hop must be a multiple of {BLOCK}, the high-pass's block")
        if self.stream.hop % block:
            raise CardError(f"the card's stream.hop must be a multiple of its normalisation's block, {block}")
        delays = self.stream.delays
        fits = isinstance(delays, Sequence) and len(delays) > 0 and all(map(whole, delays))
        fits = fits and delays[0] >= 0 and all(a < b for a, b in pairwise(delays))
        must("stream.delays", delays, fits, "whole numbers of cells, ascending")
        if self.stream.hop + delays[-1] * stride > self.input.window:
            raise CardError("the card's stream.hop and last of stream.delays exceed input.window")
        memory = self.stream.memory
        must("stream.memory", memory, memory is None or (whole(memory) and memory > 0), "samples, or null")
        early = self.stream.early
        must("stream.early", early, early is None or isinstance(early, Mapping), "an object, or null")
        for phase in PHASES if early else ():
            least = early.get(phase) if early else None
            fits = least is not None and above_zero(least) and least < 1
            must(f"stream.early.{phase}", least, fits, "between 0 and 1")
        separation = self.stream.separation_s
        must("stream.separation_s", separation, above_zero(separation) and separation <= 60, "0 to 60 s")
        for phase in PHASES:
            threshold, sigma = self.thresholds.get(phase), self.sigma_s.get(phase)
            fits = threshold is not None and above_zero(threshold) and threshold < 1
            must(f"thresholds.{phase}", threshold, fits, "between 0 and 1")
            fits = sigma is not None and above_zero(sigma)
            must(f"sigma_s.{phase}", sigma, fits, "a number of seconds above 0")


def card_fields(text: str | bytes, version: int, task: str) -> dict[str, Any]:
    """What a card's JSON holds. CardError if it is none, of another task or of another version."""
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CardError(f"the card is not JSON: {error}") from error
    if isinstance(fields, dict) and fields.get("task", task) != task:
        raise CardError(f"the card's task is {fields['task']!r:.40}: a model for {task} is needed here")
    if not isinstance(fields, dict) or fields.pop("card", None) != version:
        raise CardError(
            f"the card's key 'card' must be {version}, which this program reads: convert the model again"
        )
    return fields


@contextmanager
def fitting() -> Iterator[None]:
    """CardError where a card's fields are not those of its class."""
    try:
        yield
    except KeyError as error:
        raise CardError(f"the card lacks the key {error}") from error
    except TypeError as error:
        raise CardError(f"the card does not fit this version: {printable(str(error))}") from error


def must(key: str, value: object, fits: bool, rule: str) -> None:
    """CardError unless a value fits its rule."""
    if not fits:
        raise CardError(f"the card's {key} = {value!r} must be {rule}")


def whole(value: object) -> bool:
    """Whether it is a whole number."""
    return type(value) is int


def above_zero(value: float) -> bool:
    """Whether it is a finite number above 0."""
    return type(value) in (int, float) and 0 < value < inf


class Hashed(Protocol):
    """Any card."""

    @property
    def sha256(self) -> str: ...


AnyCard = TypeVar("AnyCard", bound=Hashed)


def card_path(model: Path) -> Path:
    """Where the card of a model lies."""
    return model.with_suffix(".json")


def card_beside(model: Path) -> bytes:
    """The content of the card of a model. FileNotFoundError without the model, CardError without the card."""
    path = card_path(model)
    if not model.is_file():
        raise FileNotFoundError(f"no model at {model}")
    if not path.is_file():
        raise CardError(f"{model} has no card: {path.name} is missing beside it")
    return path.read_bytes()


def read_card(model: Path) -> Card:
    """The card beside a picker's file, its hash checked. CardError or FileNotFoundError otherwise."""
    return read_card_by(model, Card.from_json)


def read_card_by(model: Path, reader: Callable[[bytes], AnyCard]) -> AnyCard:
    """The card beside a model file of any task, by the reader of that task's cards, its hash checked.
    CardError or FileNotFoundError otherwise."""
    name = card_path(model).name
    content = card_beside(model)
    try:
        card = reader(content)
    except CardError as error:
        raise CardError(f"{name}: {error}") from error
    if not card.sha256:
        raise CardError(f"the card {name} lacks the key 'sha256'")
    found = hashlib.sha256(model.read_bytes()).hexdigest()
    if found != card.sha256:
        raise CardError(
            f"{model.name} is not the model of its card: sha256 {found[:12]}…, but the card says "
            f"{card.sha256[:12]}…; install both files together"
        )
    return card
