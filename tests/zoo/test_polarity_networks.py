"""The polarity networks: sizes as published, attention as described, up and down exchanged by a sign."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

pytest.importorskip("keras", reason="the host side needs the [host] extra")
import keras

from edge.polarity import up
from zoo.polarity import attention, attention2d, compact, joint, ross
from zoo.polarity.local_attention import LocalAttention
from zoo.polarity_network import load_polarity_keras

SHIPPED = "zoo/weights/polarity.keras"


@pytest.fixture(scope="module")
def shipped(request):
    return load_polarity_keras(request.config.rootpath / SHIPPED)


@pytest.mark.parametrize(
    ("network", "parameters"), [(attention, 935_108), (ross, 3_668_227), (joint, 967_973)]
)
def test_the_full_size_networks_have_as_many_parameters_as_published(network, parameters):
    model = network.build()

    assert model.count_params() == parameters
    assert model.input_shape == (None, 400, 1)


@pytest.mark.parametrize("network", [attention, ross, joint])
def test_a_window_that_pooling_would_not_divide_is_refused(network):
    with pytest.raises(ValueError, match="multiple of 8"):
        network.build(401)


def test_the_two_dimensional_network_takes_windows_of_any_length():
    model = attention2d.build()

    for samples in (150, 400, 1000):
        out = model.predict(np.ones((2, samples, 1), np.float32), verbose=0)["polarity"]
        assert out.shape == (2, 3)
        np.testing.assert_allclose(out.sum(axis=1), 1, rtol=1e-5)


def test_the_joint_network_gives_an_onset_for_every_sample():
    out = joint.build().predict(np.ones((2, 400, 1), np.float32), verbose=0)

    assert out["onset"].shape == (2, 400, 1)
    assert out["polarity"].shape == (2, 3)


def test_attention_is_additive_and_sees_only_the_frames_around():
    keras.utils.set_random_seed(1)
    layer = LocalAttention(units=5, width=4)
    x = np.random.default_rng(0).standard_normal((2, 9, 3)).astype(np.float32)

    mixed = np.asarray(layer(x))

    target, source, bias, score, score_bias = (np.asarray(w) for w in layer.get_weights())
    for b in range(2):
        for t in range(9):
            near = [s for s in range(9) if t - 2 <= s < t + 2]
            hidden = [np.tanh(x[b, t] @ target + x[b, s] @ source + bias) for s in near]
            scores = np.maximum([float((h @ score + score_bias)[0]) for h in hidden], 0)
            weights = np.exp(scores) / np.exp(scores).sum()
            expected = sum(w * x[b, s] for w, s in zip(weights, near, strict=True))
            np.testing.assert_allclose(mixed[b, t], expected, rtol=1e-4, atol=1e-5)


def test_attention_needs_units_and_a_width():
    with pytest.raises(ValueError, match="at least 1"):
        LocalAttention(width=0)


def test_a_network_with_attention_is_saved_and_read_as_it_was(tmp_path):
    model = attention.build()
    x = np.random.default_rng(0).standard_normal((3, 400, 1)).astype(np.float32)

    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", compile=False)

    before, after = (one.predict(x, verbose=0)["polarity"] for one in (model, again))
    np.testing.assert_array_equal(before, after)


def test_the_compact_network_is_small():
    model = compact.build(compact.CompactConfig(), batch=1)

    products = sum(
        int(np.prod(layer.kernel.shape)) * int(np.prod(layer.output.shape[1:3]))
        for layer in model.layers
        if isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D)
    )
    assert model.count_params() <= 30_000
    assert products <= 0.5e6


@pytest.mark.parametrize("attend", ["none", "pool"])
def test_every_attention_gives_one_logit_a_window(attend):
    model = compact.build(compact.CompactConfig(attention=attend))

    x = np.random.default_rng(0).standard_normal((4, 1, 160, 1)).astype(np.float32)
    up, down = (np.asarray(model(sign * x)["up"]) for sign in (1, -1))
    assert up.shape == (4, 1)
    np.testing.assert_array_equal(up, -down)


@pytest.mark.parametrize("window", [15, 162])
def test_a_window_that_the_compact_network_cannot_halve_twice_is_refused(window):
    with pytest.raises(ValueError, match="multiple of 4"):
        compact.CompactConfig(window=window)


@settings(max_examples=25)
@given(
    hnp.arrays(
        np.float32,
        st.tuples(st.integers(1, 3), st.just(160)),
        elements=st.floats(-1, 1, width=32, allow_subnormal=False),
    )
)
def test_turning_the_sign_exchanges_up_and_down_exactly(shipped, windows):
    np.testing.assert_array_equal(shipped.logits(windows), -shipped.logits(-windows))


def test_the_shipped_network_tells_a_plain_pulse_up_from_down(shipped):
    spec = shipped.card.input
    window = np.random.default_rng(0).standard_normal(spec.window).astype(np.float32) * 0.02
    window[spec.before : spec.before + 12] += np.sin(2 * np.pi * np.arange(12) / 12)

    prob_up, prob_down = up(shipped.logits(np.stack([window, -window])), shipped.card)

    assert prob_up > 0.9
    assert prob_down < 0.1
