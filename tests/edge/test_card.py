"""A card is read as it was written, and a bad one is refused in one line that names the key."""

import hashlib
import json
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edge.card import Card, CardError, CellSpec, InputSpec, StreamSpec, card_path, read_card
from edge.model import model_path
from edge.polarity import read_polarity_card

MODEL = b"not run here"
CARD = Card(
    name="lppn-n8-s16",
    task="picking",
    licence="MIT",
    input=InputSpec(
        rate_hz=100.0,
        window=3072,
        highpass_hz=1.0,
        normalisation={
            "name": "running-asinh",
            "gain": 0.5,
            "clip": 8.0,
            "block": 64,
            "memory": 32,
            "rise": 1.4,
        },
    ),
    cells=CellSpec(stride=16, offset="sigmoid"),
    stream=StreamSpec(hop=128, delays=[4, 24], separation_s=1.0),
    thresholds={"P": 0.5, "S": 0.4},
    sigma_s={"P": 0.05, "S": 0.15},
    sha256=hashlib.sha256(MODEL).hexdigest(),
    training={"seed": 0, "data": {"labelled": 400}},
    quantisation={"dtype": "int8"},
    metrics={"note": "± 0.1 s"},
)
WIRE = json.loads(CARD.to_json())
OPTIONAL = ("sha256", "training", "quantisation", "metrics", "memory", "early")
KEYS = [(key,) for key in WIRE] + [
    (part, key) for part in ("input", "cells", "stream", "thresholds", "sigma_s") for key in WIRE[part]
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def changed(path, *value):
    """The card's JSON with another value at `path`, or without that key."""
    wire = json.loads(json.dumps(WIRE))
    place = wire
    for key in path[:-1]:
        place = place[key]
    del place[path[-1]]
    if value:
        (place[path[-1]],) = value
    return json.dumps(wire)


def refusal(text):
    with pytest.raises(CardError) as caught:
        Card.from_json(text)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.fixture
def installed(tmp_path):
    """A model with its card beside it."""
    model = tmp_path / "lppn.tflite"
    model.write_bytes(MODEL)
    card_path(model).write_text(CARD.to_json(), encoding="utf-8")
    return model


def test_a_card_is_read_as_it_was_written(installed):
    assert Card.from_json(CARD.to_json()) == CARD
    assert read_card(installed) == CARD
    assert CARD.identity == f"lppn-n8-s16@{CARD.sha256[:8]}"


def test_a_card_without_high_pass_is_one_too():
    card = replace(CARD, input=replace(CARD.input, highpass_hz=None))
    assert Card.from_json(card.to_json()) == card


@pytest.mark.parametrize("path", [p for p in KEYS if p[-1] not in OPTIONAL], ids=".".join)
def test_a_missing_key_is_named(path):
    message = refusal(changed(path))
    assert f"'{path[-1]}'" in message or ".".join(path) in message


def test_an_unknown_key_is_named():
    assert "colour" in refusal(json.dumps(WIRE | {"colour": "red"}))


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("card",), 2, "'card' must be 3"),
        (("input", "rate_hz"), 0, "input.rate_hz = 0 "),
        (("input", "window"), 3000, "input.window = 3000 must be a multiple of 8 strides = 128"),
        (("input", "window"), "3072", "input.window = '3072'"),
        (("input", "highpass_hz"), 50.0, "input.highpass_hz = 50.0 must be null or between 0 and 50"),
        (("input", "normalisation"), {"name": "z-score"}, "input.normalisation .*'z-score' .*known: max-abs"),
        (("input", "normalisation"), {"name": "running-asinh", "gain": 0.3}, "normalisation .* 'clip'"),
        (("input", "normalisation"), {"name": "max-abs", "clip": 1}, "normalisation .*'clip'"),
        (("cells", "stride"), 0, "cells.stride = 0 "),
        (("cells", "stride"), 17, "8 strides = 136"),
        (("cells", "offset"), "tanh", "cells.offset = 'tanh' must be sigmoid or linear"),
        (("stream", "hop"), 100, "stream.hop = 100 "),
        (("stream", "hop"), 128.0, "stream.hop = 128.0 "),
        (("stream", "delays"), 24, "stream.delays = 24 must be whole numbers of cells, ascending"),
        (("stream", "delays"), [], r"stream.delays = \[\] "),
        (("stream", "delays"), [24, 4], r"stream.delays = \[24, 4\] "),
        (("stream", "delays"), [1.5], r"stream.delays = \[1.5\] "),
        (("stream", "delays"), [4, 185], "stream.hop and last of stream.delays exceed input.window"),
        (("stream", "memory"), 0, "stream.memory = 0 must be samples, or null"),
        (("stream", "early"), {"P": 0.5}, "stream.early.S = None must be between 0 and 1"),
        (("stream", "early"), 0.5, "stream.early = 0.5 must be an object, or null"),
        (("stream", "separation_s"), -1, "stream.separation_s = -1 "),
        (("thresholds",), None, "thresholds = None "),
        (("thresholds", "S"), 1.0, "thresholds.S = 1.0 must be between 0 and 1"),
        (("thresholds", "P"), "0.5", "thresholds.P = '0.5' "),
        (("sigma_s", "P"), float("nan"), "sigma_s.P = nan "),
        (("quantisation",), "int8", "quantisation = 'int8' "),
        (("sha256",), 7, "sha256 = 7 "),
    ],
)
def test_a_value_that_makes_no_sense_is_named(path, value, said):
    with pytest.raises(CardError, match=said):
        Card.from_json(changed(path, value))


@given(st.sampled_from(KEYS), JSON)
@example(("thresholds", "P"), 10**400)
def test_a_damaged_card_is_a_card_or_a_card_error(path, value):
    try:
        card = Card.from_json(changed(path, value))
    except CardError:
        return
    assert Card.from_json(card.to_json()).identity == card.identity


@given(st.text() | st.binary() | JSON.map(json.dumps))
@example("[" * 100_000)
@example(b"\xff\xfe\x00")
def test_what_is_no_card_is_a_card_error(text):
    with pytest.raises(CardError, match=r"not JSON|'card' must be 3"):
        Card.from_json(text)


def test_another_model_than_the_cards_is_refused(installed):
    installed.write_bytes(MODEL + b" changed")
    with pytest.raises(CardError, match=r"lppn.tflite is not the model of its card: .* install both"):
        read_card(installed)


def test_a_card_that_does_not_say_which_model_it_is_for_is_refused(installed):
    card_path(installed).write_text(changed(("sha256",)))
    with pytest.raises(CardError, match=r"lppn.json lacks the key 'sha256'"):
        read_card(installed)


def test_a_damaged_card_is_named(installed):
    card_path(installed).write_text("{")
    with pytest.raises(CardError, match=r"^lppn.json: the card is not JSON"):
        read_card(installed)


def test_a_missing_card_and_a_missing_model_are_told_apart(installed):
    card_path(installed).unlink()
    with pytest.raises(CardError, match=r"has no card: lppn.json is missing beside it"):
        read_card(installed)
    installed.unlink()
    with pytest.raises(FileNotFoundError, match=r"no model at .*lppn.tflite"):
        read_card(installed)


def test_a_model_of_another_task_is_named_as_such():
    with pytest.raises(CardError, match="task is 'polarity': a model for picking is needed"):
        read_card(model_path("polarity"))
    with pytest.raises(CardError, match="task is 'picking': a model for polarity is needed"):
        read_polarity_card(model_path("lppn"))
