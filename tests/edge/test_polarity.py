"""A polarity model is loaded with its card alone, shown what that says, and abstains rather than guesses."""

import hashlib
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edge.card import CardError, card_path, read_card
from edge.model import DEFAULT_MODEL
from edge.polarity import (
    DEFAULT_POLARITY,
    FirstMotion,
    PolarityCard,
    PolarityInput,
    cut,
    first_motion,
    load_polarity,
    normalised,
    read,
    read_polarity_card,
)

CARD = PolarityCard(
    name="polarity",
    task="polarity",
    licence="MIT",
    input=PolarityInput(100.0, 160, 80, 1.0, {"name": "max-abs"}),
    temperature=1.3,
    threshold=0.8,
    sha256=hashlib.sha256(b"").hexdigest(),
    training={"seed": 0},
    quantisation={"dtype": "int8"},
    metrics={"note": "± 0.1 s"},
)
WIRE = json.loads(CARD.to_json())
NEEDED = [(key,) for key in ("card", "name", "task", "licence", "input", "temperature", "threshold")]
KEYS = NEEDED + [("input", key) for key in WIRE["input"]]
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


def test_a_card_is_read_as_it_was_written():
    assert PolarityCard.from_json(CARD.to_json()) == CARD
    assert CARD.identity == f"polarity@{CARD.sha256[:8]}"


@pytest.mark.parametrize("path", KEYS)
def test_a_missing_key_is_named(path):
    with pytest.raises(CardError, match=path[-1]):
        PolarityCard.from_json(changed(path))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("task",), "picking"),
        (("temperature",), 0),
        (("threshold",), 0.4),
        (("threshold",), 1),
        (("threshold",), "0.8"),
        (("input", "rate_hz"), 0),
        (("input", "window"), 0),
        (("input", "window"), 16.0),
        (("input", "before"), 160),
        (("input", "before"), -1),
        (("input", "highpass_hz"), 50),
        (("input", "highpass_hz"), None),
        (("input", "normalisation"), {"name": "max-abs", "gain": 2}),
        (("metrics",), []),
    ],
)
def test_a_value_that_cannot_be_is_named(path, value):
    with pytest.raises(CardError, match=r"\.".join(path)):
        PolarityCard.from_json(changed(path, value))


@given(st.sampled_from(KEYS), JSON)
@example(("input",), {"rate_hz": 100})
@example(("input",), {"\n": None})
def test_a_damaged_card_is_a_card_or_a_card_error_of_one_line(path, value):
    try:
        card = PolarityCard.from_json(changed(path, value))
    except CardError as refused:
        error = str(refused)
    else:
        assert PolarityCard.from_json(card.to_json()) == card
        error = ""
    assert "\n" not in error


@given(
    arrays(np.float32, st.integers(0, 400), elements=st.floats(-1e6, 1e6, width=32)),
    st.floats(-500, 500),
    st.integers(1, 300).flatmap(lambda window: st.tuples(st.just(window), st.integers(0, window - 1))),
)
def test_a_window_is_cut_whole_with_its_onset_in_place_or_not_at_all(vertical, onset, shape):
    spec = replace(CARD.input, window=shape[0], before=shape[1])
    window = cut(vertical, onset, spec)
    first = round(onset) - spec.before
    inside = first >= 0 and first + spec.window <= len(vertical)
    part = vertical[max(first, 0) : max(first, 0) + spec.window]
    assert (window is not None) == (inside and bool(part.any()))
    if window is not None:
        assert np.array_equal(window, part)
        assert window.dtype == np.float32
        scaled = normalised(window)
        assert np.abs(scaled).max() == 1.0
        assert (scaled * window >= 0).all()


@pytest.mark.parametrize(
    ("prob_up", "motion"),
    [
        (0.9, FirstMotion("up", 0.9)),
        (0.8, FirstMotion("up", 0.8)),
        (0.7, FirstMotion("unknown", 0.7)),
        (0.5, FirstMotion("unknown", 0.5)),
        (0.25, FirstMotion("unknown", 0.75)),
        (0.125, FirstMotion("down", 0.875)),
    ],
)
def test_a_direction_is_told_from_the_threshold_up(prob_up, motion):
    assert first_motion(prob_up, 0.8) == motion


@pytest.fixture(scope="module")
def shipped():
    return load_polarity()


def pulse(up, seed, spec):
    """A window with a clear first motion: half a sine of 0.15 s at its onset, and what follows."""
    rng = np.random.default_rng(seed)
    t = np.maximum(np.arange(spec.window) - spec.before, 0) / spec.rate_hz
    motion = np.sin(2 * np.pi * t / 0.3) * np.exp(-t / 0.25)
    noise = 0.01 * rng.normal(size=spec.window)
    return ((1 if up else -1) * motion + noise).astype(np.float32)


def test_the_shipped_model_reads_clear_first_motions(shipped):
    spec = shipped.card.input
    for up in (True, False):
        motions = read(shipped, np.stack([pulse(up, seed, spec) for seed in range(20)]))
        told = [motion.polarity for motion in motions if motion.polarity != "unknown"]
        assert set(told) == {"up" if up else "down"}
        assert len(told) >= 10


def test_the_shipped_model_guesses_nothing_from_noise(shipped):
    noise = np.random.default_rng(1).normal(size=(50, shipped.card.input.window)).astype(np.float32)
    told = [motion for motion in read(shipped, noise) if motion.polarity != "unknown"]
    assert len(told) < 25


def test_the_shipped_model_takes_any_number_of_windows_at_any_scale(shipped):
    windows = np.stack([pulse(seed % 2 == 0, seed, shipped.card.input) for seed in range(4)])
    together = shipped.logits(windows)
    assert together.tolist() == [shipped.logits(one[None])[0] for one in windows]
    assert shipped.logits(windows[:0]).shape == (0,)
    for unit in (2.0**-40, 2.0**20):  # m/s as well as counts
        assert np.array_equal(shipped.logits(np.float32(unit) * windows), together)


def test_the_shipped_model_is_int8_throughout(shipped):
    tensors = (*shipped.describe().inputs, *shipped.describe().outputs)
    assert {spec.dtype for spec in tensors} == {"int8"}


@pytest.fixture
def copied(tmp_path):
    model = tmp_path / "polarity.tflite"
    shutil.copy(DEFAULT_POLARITY, model)
    shutil.copy(card_path(DEFAULT_POLARITY), card_path(model))
    return model


def test_a_model_that_is_not_its_cards_is_refused(copied):
    copied.write_bytes(copied.read_bytes() + b"\0")
    with pytest.raises(CardError, match="is not the model of its card"):
        load_polarity(copied)


def test_a_model_of_another_shape_than_its_card_says_is_refused(copied):
    card = read_polarity_card(copied)
    other = replace(card, input=replace(card.input, window=card.input.window - 4))
    card_path(copied).write_text(other.to_json())
    with pytest.raises(CardError, match="its card promises"):
        load_polarity(copied)


def test_a_picker_is_no_polarity_model_nor_the_other_way_round(copied):
    with pytest.raises(CardError, match="card"):
        load_polarity(DEFAULT_MODEL)
    with pytest.raises(CardError, match="card"):
        read_card(copied)
    picker = DEFAULT_MODEL.read_bytes()
    copied.write_bytes(picker)
    card = replace(read_polarity_card(DEFAULT_POLARITY), sha256=hashlib.sha256(picker).hexdigest())
    card_path(copied).write_text(card.to_json())
    with pytest.raises(CardError, match="no polarity model"):
        load_polarity(copied)
