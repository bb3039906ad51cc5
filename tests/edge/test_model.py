"""The shipped model runs, gives the same numbers again, and a model that is not its card's is refused."""

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edge import backend
from edge.backend import BackendError, LiteRT, TensorSpec
from edge.card import CardError, card_path
from edge.cells import PHASES, decode
from edge.model import DEFAULT_MODEL, TFLiteNetwork, dequantise, load_model, model_path, quantise
from edge.preprocess import normaliser

INT8 = TensorSpec("x", (1, 1, 3072, 3), "int8", 0.05, 3)
FLOAT32 = TensorSpec("x", (1, 1, 3072, 3), "float32", 0.0, 0)


@pytest.fixture
def copy(tmp_path):
    """The shipped model and its card, to be tampered with."""
    for path in (DEFAULT_MODEL, card_path(DEFAULT_MODEL)):
        shutil.copy(path, tmp_path)
    return tmp_path / DEFAULT_MODEL.name


def rewrite(model, part="", **changes):
    """Changes keys of a model's card."""
    path = card_path(model)
    wire = json.loads(path.read_text("utf-8"))
    (wire[part] if part else wire).update(changes)
    path.write_text(json.dumps(wire))


def replace_model(model, content):
    """Other bytes, and a card that says that they are the right ones."""
    model.write_bytes(content)
    rewrite(model, sha256=hashlib.sha256(content).hexdigest())


def refusal(model, kind):
    with pytest.raises(kind) as caught:
        load_model(model)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


def noise(network, seed=5):
    window = np.random.default_rng(seed).normal(0, 100, (network.card.input.window, 3))
    rule = normaliser(network.card.input.normalisation)
    return rule.window(rule.feed(window))


def test_the_shipped_model_is_int8_at_both_ends_and_as_large_as_its_card_says(network):
    description = network.describe()
    card = network.card
    cells = card.input.window // card.cells.stride
    assert description.device == "cpu"
    assert description.input.shape == (1, 1, card.input.window, 3)
    assert {spec.shape for spec in description.outputs} == {(1, 1, cells, 3), (1, 1, cells, 1)}
    assert {spec.dtype for spec in (description.input, *description.outputs)} == {"int8"}
    assert all(spec.scale > 0 for spec in (description.input, *description.outputs))


def test_the_same_window_gives_the_same_finite_numbers_again(network):
    window = noise(network)
    logits, offset = network.infer(window)
    cells = network.card.input.window // network.card.cells.stride
    assert (logits.shape, offset.shape) == ((cells, 3), (cells,))
    assert np.isfinite(logits).all()
    assert np.isfinite(offset).all()
    network.infer(noise(network, seed=6))
    again = network.infer(window)
    fresh = load_model().infer(window)
    for outputs in (again, fresh):
        np.testing.assert_array_equal(outputs[0], logits)
        np.testing.assert_array_equal(outputs[1], offset)


def test_silence_is_noise(network):
    card = network.card
    logits, offset = network.infer(np.zeros((card.input.window, 3), np.float32))
    prob = decode(0, logits, offset, card.cells.offset).prob
    for k, phase in enumerate(PHASES):
        assert prob[:, k].max() < card.thresholds[phase]


def test_a_changed_model_is_refused(copy):
    content = bytearray(copy.read_bytes())
    content[len(content) // 2] ^= 1
    copy.write_bytes(content)
    assert "is not the model of its card" in refusal(copy, CardError)


@pytest.mark.parametrize("length", [0, 3, 1000, -1])
def test_a_truncated_model_is_refused(copy, length):
    copy.write_bytes(copy.read_bytes()[:length])
    assert "is not the model of its card" in refusal(copy, CardError)


@pytest.mark.parametrize("content", [b"this is text\n" * 100, b"", b"\n\n\0\n"])
def test_what_is_no_model_is_refused_though_its_card_vouches_for_it(copy, content):
    replace_model(copy, content)
    assert "cannot load lppn.tflite" in refusal(copy, BackendError)


def test_a_truncated_model_is_refused_though_its_card_vouches_for_it(copy, network):
    if network.describe().runtime.startswith("tflite_runtime"):
        pytest.skip("tflite-runtime 2.14 does not verify a file's structure, the card's hash does")
    content = copy.read_bytes()
    replace_model(copy, content[: len(content) // 2])
    assert "cannot load lppn.tflite" in refusal(copy, BackendError)


def test_a_card_for_another_window_is_refused_with_both_shapes(copy, network):
    window = network.card.input.window
    rewrite(copy, "input", window=2 * window)
    message = refusal(copy, CardError)
    assert f"(1, 1, {window}, 3)" in message
    assert f"(1, 1, {2 * window}, 3)" in message


def test_a_card_for_other_cells_is_refused_with_both_shapes(copy, network):
    card = network.card
    cells = card.input.window // card.cells.stride
    rewrite(copy, "cells", stride=card.cells.stride // 2)
    message = refusal(copy, CardError)
    assert f"(1, 1, {cells}, 3)" in message
    assert f"(1, 1, {2 * cells}, 3)" in message


def test_a_card_for_another_dtype_is_refused(copy):
    rewrite(copy, "quantisation", dtype="float32")
    assert "are not float32, which its card promises" in refusal(copy, CardError)


def test_without_a_runtime_it_is_said_which_to_install(monkeypatch):
    def absent(name):
        raise ImportError(name)

    monkeypatch.setattr(backend, "import_module", absent)
    with pytest.raises(BackendError, match=r"pip install ai-edge-litert .*edge-pick\[coral\]"):
        LiteRT(DEFAULT_MODEL)


class Float32Backend:
    """A model whose tensors are not quantised: the outputs are the input's first cells."""

    def __init__(self, card):
        cells = card.input.window // card.cells.stride
        self._description = backend.Description(
            "none",
            "none",
            replace(FLOAT32, shape=(1, 1, card.input.window, 3)),
            (
                replace(FLOAT32, name="cls", shape=(1, 1, cells, 3)),
                replace(FLOAT32, name="ofs", shape=(1, 1, cells, 1)),
            ),
        )
        self._cells = cells

    def describe(self):
        return self._description

    def invoke(self, tensor):
        return {"cls": tensor[:, :, : self._cells], "ofs": tensor[:, :, : self._cells, :1]}


def test_another_backend_and_a_float_model_go_through_the_same_seam(network):
    card = replace(network.card, quantisation={})
    other = TFLiteNetwork(card, Float32Backend(card))
    window = noise(network)
    logits, offset = other.infer(window)
    np.testing.assert_array_equal(logits, window[: len(logits)])
    np.testing.assert_array_equal(offset, window[: len(offset), 0])


NUMBERS = arrays(np.float32, 20, elements=st.floats(-20, 20, width=32))


@given(NUMBERS)
def test_quantising_costs_half_a_step_and_saturates(values):
    there_and_back = dequantise(quantise(values, INT8), INT8)
    low, high = (-128 - INT8.zero_point) * INT8.scale, (127 - INT8.zero_point) * INT8.scale
    np.testing.assert_allclose(there_and_back, np.clip(values, low, high), atol=INT8.scale / 2 + 1e-5)


@given(NUMBERS)
def test_quantising_keeps_the_order(values):
    steps = quantise(np.sort(values), INT8)
    assert steps.dtype == np.int8
    assert (np.diff(steps.astype(int)) >= 0).all()


def test_every_integer_comes_back_as_itself():
    integers = np.arange(-128, 128).astype(np.int8)
    np.testing.assert_array_equal(quantise(dequantise(integers, INT8), INT8), integers)
    assert quantise(np.zeros(1, np.float32), INT8)[0] == INT8.zero_point


@given(NUMBERS)
def test_a_float_tensor_is_left_alone(values):
    np.testing.assert_array_equal(dequantise(quantise(values, FLOAT32), FLOAT32), values)


def test_a_model_is_named_or_a_file():
    assert model_path("lppn") == DEFAULT_MODEL
    assert model_path("own/lppn.tflite") == Path("own/lppn.tflite")
