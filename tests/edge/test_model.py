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
from edge.cells import softmax
from edge.model import DEFAULT_MODEL, WindowNetwork, dequantise, load_model, model_path, quantise
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


def noise(network, streams=1, seed=5):
    """Hops of some streams (hops, streams, hop, 3), as they are shown."""
    card = network.card
    n = 40 * card.stream.hop
    samples = np.random.default_rng(seed).normal(0, 100, (streams, n, 3))
    shown = normaliser(card.input.normalisation, streams).feed(samples)
    return shown.reshape(streams, 40, card.stream.hop, 3).swapaxes(0, 1)


def answers(network, hops):
    """All words on some hops of streams that begin with them."""
    memory = network.begin(hops.shape[1])
    return np.stack([network.step(hop, memory) for hop in hops])


EVERY_MODEL = pytest.mark.parametrize("name", ["lppn-tiny", "lppn", "lppn-large"])


@EVERY_MODEL
def test_a_shipped_model_is_int8_at_both_ends(name):
    description = load_model(model_path(name)).describe()
    assert description.device == "cpu"
    assert {spec.dtype for spec in (*description.inputs, *description.outputs)} == {"int8"}
    assert all(spec.scale > 0 for spec in (*description.inputs, *description.outputs))


@EVERY_MODEL
def test_the_same_stream_gives_the_same_finite_numbers_again(name):
    network = load_model(model_path(name))
    card = network.card
    hops = noise(network)
    words = answers(network, hops)
    assert words.shape[1:] == (1, len(card.stream.delays), card.stream.hop // card.cells.stride, 4)
    assert np.isfinite(words).all()
    answers(network, noise(network, seed=6))
    for again in (answers(network, hops), answers(load_model(model_path(name)), hops)):
        np.testing.assert_array_equal(again, words)


@pytest.mark.parametrize("streams", [2, 8, 75])
def test_streams_are_answered_as_if_each_were_alone(network, streams):
    hops = noise(network, streams)
    words = answers(network, hops)
    for k in (0, streams // 2, streams - 1):
        alone = answers(network, hops[:, k : k + 1])
        np.testing.assert_array_equal(alone[:, 0], words[:, k])


@EVERY_MODEL
def test_what_lies_before_its_memory_does_not_count(name):
    """A stream taken up that many hops before says the same as one that was there all the time."""
    network = load_model(model_path(name))
    hops = noise(network)
    before = network.card.memory_hops
    assert before < len(hops) - 5
    words = answers(network, hops)
    np.testing.assert_array_equal(answers(network, hops[5:])[before:], words[5 + before :])


@EVERY_MODEL
def test_silence_is_noise(name):
    """From the first frame on that answers for a cell."""
    network = load_model(model_path(name))
    words = answers(network, np.zeros((40, 1, network.card.stream.hop, 3), np.float32))
    final = words[:, 0, -1].reshape(-1, 4)[network.card.stream.delays[-1] :]
    assert softmax(final[:, :3])[:, 1:].max() < 0.1


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


def test_a_card_for_another_hop_is_refused_with_both_shapes(copy, network):
    hop = network.card.stream.hop
    rewrite(copy, "stream", hop=2 * hop)
    message = refusal(copy, CardError)
    assert f"(1, 1, {2 * hop}, 3)" in message or f", {2 * hop // network.card.cells.stride}, 3)" in message


def test_a_card_for_other_heads_is_refused_with_both_shapes(copy, network):
    delays = network.card.stream.delays
    rewrite(copy, "stream", delays=delays[1:])
    message = refusal(copy, CardError)
    assert f"(1, {len(delays)}, " in message
    assert f"(1, {len(delays) - 1}, " in message


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
    """A model of windows whose tensors are not quantised: the outputs are the input's first cells."""

    def __init__(self, card):
        cells = card.input.window // card.cells.stride
        self._description = backend.Description(
            "none",
            "none",
            (replace(FLOAT32, shape=(1, 1, card.input.window, 3)),),
            (
                replace(FLOAT32, name="cls", shape=(1, 1, cells, 3)),
                replace(FLOAT32, name="ofs", shape=(1, 1, cells, 1)),
            ),
        )
        self._cells = cells

    def describe(self):
        return self._description

    def invoke(self, tensors):
        x = tensors["x"]
        return {"cls": x[:, :, : self._cells], "ofs": x[:, :, : self._cells, :1]}


def test_another_backend_and_a_float_model_go_through_the_same_seam(network):
    card = replace(network.card, quantisation={}, stream=replace(network.card.stream, delays=[0]))
    other = WindowNetwork(card, Float32Backend(card))
    memory = other.begin(1)
    hop, cells = card.stream.hop, card.input.window // card.cells.stride
    ramp = np.arange(card.input.window * 3, dtype=np.float32).reshape(-1, hop, 3)
    for samples in ramp:
        words = other.step(samples[None], memory)
    expected = ramp.reshape(-1, 3)[:cells][-hop // card.cells.stride :]
    np.testing.assert_array_equal(words[0, 0], expected[:, [0, 1, 2, 0]])


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
