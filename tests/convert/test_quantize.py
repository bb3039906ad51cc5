"""int8 conversion: the same function, integers throughout, the same bytes each time."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="conversion needs the [host] extra")

from convert.edgetpu import refusals
from convert.graph import ops_of
from convert.quantize import to_int8, window_form
from edge.backend import LiteRT
from edge.card import Card, CardError, CellSpec, InputSpec, StreamSpec, card_path, read_card
from edge.model import load_model
from zoo.network import predict


def test_the_polyphase_form_computes_what_the_network_does(small):
    model, config = small
    x = np.random.default_rng(1).normal(0, 3, (2, 1, config.T, 3)).astype(np.float32)
    form = window_form(model, config)
    for k in range(len(x)):
        before, after = model(x[k : k + 1]), form(x[k : k + 1])
        for name, values in before.items():
            assert np.std(values) > 0.1
            np.testing.assert_allclose(after[name], values[:, -1:], atol=1e-4)


def test_polyphase_leaves_no_resize(int8):
    assert "RESIZE_NEAREST_NEIGHBOR" not in {op.name for op in ops_of(int8)}


def test_every_tensor_is_an_integer(int8):
    for op in ops_of(int8):
        assert {dtype for dtype, _ in op.outputs} == {"INT8"}
        assert {dtype for dtype, _ in op.inputs} <= {"INT8", "INT32"}


def test_every_op_is_one_of_the_edge_tpu(int8):
    assert refusals(int8) == []


def test_the_signature_is_x_to_cls_and_ofs(int8, small, tmp_path):
    (tmp_path / "small.tflite").write_bytes(int8)
    description = LiteRT(tmp_path / "small.tflite").describe()
    assert {spec.name: spec.shape for spec in description.inputs} == {"x": (1, 1, 512, 3)}
    assert {spec.name: spec.shape for spec in description.outputs} == {
        "cls": (1, 1, 64, 3), "ofs": (1, 1, 64, 1)
    }  # fmt: skip
    assert {spec.dtype for spec in (*description.inputs, *description.outputs)} == {"int8"}


@pytest.fixture
def installed(int8, small, tmp_path):
    """A network of whole windows as a station has it, with its card."""
    config = small[1]
    path = tmp_path / "small.tflite"
    path.write_bytes(int8)
    card = Card(
        name="small", task="picking", licence="MIT",
        input=InputSpec(100.0, config.T, None, {"name": "max-abs"}),
        cells=CellSpec(config.S, config.offset), stream=StreamSpec(512, [0], 1.0),
        thresholds={"P": 0.5, "S": 0.5}, sigma_s={"P": 0.1, "S": 0.1},
        sha256=hashlib.sha256(int8).hexdigest(), quantisation={"dtype": "int8"},
    )  # fmt: skip
    card_path(path).write_text(card.to_json())
    return path


def test_a_card_for_another_window_is_refused_with_both_shapes(installed):
    card = read_card(installed)
    longer = replace(card, input=replace(card.input, window=2 * card.input.window))
    card_path(installed).write_text(longer.to_json())
    with pytest.raises(CardError) as refused:
        load_model(installed)
    assert f"(1, 1, {card.input.window}, 3)" in str(refused.value)
    assert f"(1, 1, {longer.input.window}, 3)" in str(refused.value)


def test_int8_answers_like_the_float_network(installed, small, windows):
    """Through the station's own loader; a flipped axis or a swapped output would not correlate."""
    model, _ = small
    network = load_model(installed)
    expected = {name: out[:, -1] for name, out in predict(model, {"x": np.stack(windows)[:, None]}).items()}
    words = network.step(np.stack(windows), network.begin(len(windows)))
    for k in range(3):
        assert np.corrcoef(words[..., k].ravel(), expected["cls"][..., k].ravel())[0, 1] > 0.98
    assert np.corrcoef(words[..., 3].ravel(), expected["ofs"].ravel())[0, 1] > 0.98


def test_the_same_weights_and_windows_give_the_same_bytes(int8, small, windows):
    inputs = [{"x": window[None, None]} for window in windows]
    assert to_int8(window_form(*small), inputs) == int8
