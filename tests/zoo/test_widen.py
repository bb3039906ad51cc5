"""A wider network says what the narrower one said, and its copies are free to differ from then on."""

from dataclasses import replace

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="the zoo needs the [host] extra")

from zoo.pickers.lppn import LPPNConfig, build
from zoo.pickers.widen import widen

CONFIGS = {
    "published": LPPNConfig(n=3, S=16, T=512),
    "wide": LPPNConfig(n=3, S=8, T=512, backbone="wide"),
    "causal": LPPNConfig(n=3, S=8, T=512, backbone="causal", delays=(2, 6)),
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize("n", [3, 5, 8])
def test_a_wider_network_begins_as_the_same_function(config, n):
    keras.utils.set_random_seed(n)
    rng = np.random.default_rng(n)
    narrow, wide = build(config), build(replace(config, n=n))
    narrow.set_weights([w + rng.uniform(0.01, 0.1, w.shape) for w in narrow.get_weights()])
    widen(wide, narrow, seed=0)
    x = rng.normal(size=(2, 1, config.T, 3)).astype(np.float32)
    for name, said in narrow.predict_on_batch(x).items():
        np.testing.assert_allclose(wide.predict_on_batch(x)[name], said, rtol=1e-4, atol=1e-4)


def test_copies_of_a_channel_are_not_read_alike():
    """Or they would learn the same for ever."""
    narrow, wide = build(CONFIGS["causal"]), build(replace(CONFIGS["causal"], n=6))
    widen(wide, narrow, seed=0)
    kernel = wide.get_layer("b2_expand").get_weights()[0]
    first, second = kernel[:, :, :3], kernel[:, :, 3:6]
    assert np.all(first != second)
