"""The stream form answers, hop by hop, what one window over the whole stream does."""

from dataclasses import replace

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="the zoo needs the [host] extra")

from zoo.pickers.lppn import LPPNConfig, build
from zoo.pickers.stream import BEFORE, build_stream

CONFIG = LPPNConfig(n=4, S=8, T=1024, backbone="causal", upsampling="polyphase", delays=(4, 12))


@pytest.fixture(scope="module")
def weights():
    """Of every layer by name, with the statistics of no easy batch norm."""
    keras.utils.set_random_seed(7)
    model = build(CONFIG)
    rng = np.random.default_rng(7)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            n = layer.gamma.shape[0]
            layer.set_weights(
                [rng.uniform(0.5, 2, n), rng.normal(0, 0.5, n), rng.normal(0, 0.5, n), rng.uniform(0.1, 1, n)]
            )
    return {layer.name: layer.get_weights() for layer in model.layers}


def filled(model, weights):
    for layer in model.layers:
        if layer.weights:
            layer.set_weights(weights[layer.name])
    return model


def streamed(model, x, hop):
    """Answers (heads, cells, …) of all hops of x (1, 1, T, 3), one after the other."""
    state = {name: np.zeros((1, *model.input[name].shape[1:]), np.float32) for name in ("state", "sums")}
    padded = np.pad(x, ((0, 0), (0, 0), (BEFORE, 0), (0, 0)))
    answers = []
    for start in range(0, x.shape[2], hop):
        inputs = {"x": padded[:, :, start : start + BEFORE + hop], **state}
        out = model({name: keras.ops.convert_to_tensor(value) for name, value in inputs.items()})
        out = {name: keras.ops.convert_to_numpy(value) for name, value in out.items()}
        state = {name: out[f"next_{name}"] for name in state}
        answers.append(out)
    return {name: np.concatenate([out[name][0] for out in answers], axis=1) for name in ("cls", "ofs")}


@pytest.mark.parametrize("hop", [64, 128, 512])
def test_a_stream_of_hops_is_answered_like_one_window(weights, hop):
    x = np.random.default_rng(1).normal(0, 2, (1, 1, CONFIG.T, 3)).astype(np.float32)
    whole = filled(build(CONFIG), weights)(x)
    stream = streamed(filled(build_stream(CONFIG, hop), weights), x, hop)
    for name, answers in stream.items():
        expected = keras.ops.convert_to_numpy(whole[name])[0]
        assert np.std(expected) > 0.05
        for head, delay in enumerate(CONFIG.delays):
            np.testing.assert_allclose(
                answers[head, delay:], expected[head, : CONFIG.cells - delay], atol=2e-5
            )


@pytest.mark.parametrize(
    ("config", "hop", "words"),
    [
        (CONFIG, 96, "multiple of 8·S = 64"),
        (replace(CONFIG, upsampling="nearest"), 64, "polyphase"),
        (LPPNConfig(n=4, S=8, T=1024, backbone="wide", upsampling="polyphase"), 64, "causal"),
    ],
)
def test_what_cannot_be_streamed_is_refused(config, hop, words):
    with pytest.raises(ValueError, match=words):
        build_stream(config, hop)
