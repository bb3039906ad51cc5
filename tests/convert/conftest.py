"""One small network with random batch norm statistics, and its int8 form, for all tests of the room."""

import numpy as np
import pytest


@pytest.fixture(scope="session", params=["published", "causal"])
def small(request):
    """(Keras model, its configuration): n = 4, S = 8, and the statistics of no easy batch norm."""
    keras = pytest.importorskip("keras", reason="conversion needs the [host] extra")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("conversion runs on the TensorFlow backend")
    from zoo.pickers.lppn import LPPNConfig, build

    delays = (4, 12) if request.param == "causal" else (0,)
    config = LPPNConfig(n=4, S=8, T=512, backbone=request.param, delays=delays)
    keras.utils.set_random_seed(5)
    model = build(config)
    rng = np.random.default_rng(5)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            size = layer.gamma.shape[0]
            gamma, beta, mean = rng.uniform(0.5, 2, size), rng.normal(0, 0.5, size), rng.normal(0, 0.5, size)
            layer.set_weights([gamma, beta, mean, rng.uniform(0.2, 3, size)])
    return model, config


@pytest.fixture(scope="session")
def windows():
    """Calibration windows (512, 3)."""
    return list(np.random.default_rng(0).normal(size=(8, 512, 3)).astype(np.float32))


@pytest.fixture(scope="session")
def int8(small, windows):
    """The small network as a .tflite."""
    from convert.quantize import to_int8, window_form

    return to_int8(window_form(*small), [{"x": window[None, None]} for window in windows])
