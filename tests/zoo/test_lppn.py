"""LPPN equals the published family: sizes, geometry, and the original's layer arithmetic."""

import io
import pickle
import sys
import types
import zipfile
from collections import OrderedDict

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="the zoo needs the [host] extra")

from zoo.network import load_keras, predict
from zoo.pickers.checkpoint import import_published, main, read_state_dict
from zoo.pickers.lppn import STRIDES, WIDE_STRIDES, LPPNConfig, build


@pytest.mark.parametrize(("n", "parameters"), [(4, 16_260), (8, 60_200), (16, 231_312)])
@pytest.mark.parametrize("S", [8, 128])
def test_parameter_counts_are_the_published_ones(n, parameters, S):
    model = build(LPPNConfig(n=n, S=S))
    assert sum(int(np.prod(w.shape)) for w in model.trainable_weights) == parameters


@pytest.mark.parametrize(
    "config",
    [LPPNConfig(n=10, S=8, backbone="wide"), LPPNConfig(n=10, S=8, backbone="causal", delays=(25,))],
    ids=lambda config: config.backbone,
)
def test_backbones_of_our_own_cost_few_parameters_and_give_the_same_cells(config):
    wide, published = build(config), build(LPPNConfig(n=10, S=8))
    parameters = sum(int(np.prod(w.shape)) for w in wide.trainable_weights)
    assert parameters <= 100_000
    assert {k: v.shape for k, v in wide.output.items()} == {k: v.shape for k, v in published.output.items()}


def middle_of_sight(config):
    """Samples from a poke to the middle of the cells it touches, the mean over one period of the grid."""
    keras.utils.set_random_seed(2)
    model = build(config)
    x = np.random.default_rng(0).normal(size=(1, 1, config.T, 3)).astype(np.float32)
    at = config.T // 2 + np.arange(0, 8 * config.S, 3)
    poked = np.repeat(x, len(at), axis=0)
    poked[np.arange(len(at)), 0, at] += 100.0
    change = (
        np.abs(predict(model, {"x": poked})["cls"][:, 0] - predict(model, {"x": x})["cls"][:, 0]).max(axis=2)
        > 0
    )
    first, last = change.argmax(axis=1), config.cells - 1 - change[:, ::-1].argmax(axis=1)
    return np.mean((first + last + 1) / 2 * config.S - at)


@pytest.mark.parametrize("S", sorted(WIDE_STRIDES))
def test_more_taps_see_as_far_ahead_as_back(S):
    """Padding on both sides in every strided layer, or onsets would be early or late by parts of a cell."""
    published, wide = (LPPNConfig(4, S, 192 * S, backbone=name) for name in ("published", "wide"))
    assert abs(middle_of_sight(wide) - middle_of_sight(published)) <= S / 2


def test_no_signal_is_so_strong_that_eight_bits_lose_the_weak_ones_in_the_wide_backbone():
    """Of limited activations a step of 1/255 is known; without a limit one S sets it for all."""
    model = build(LPPNConfig(n=4, S=8, T=512, backbone="wide"))
    relus = [layer.output for layer in model.layers if isinstance(layer, keras.layers.ReLU)]
    loud = 1e6 * np.random.default_rng(0).normal(size=(1, 1, 512, 3)).astype(np.float32)
    assert max(float(np.max(x)) for x in keras.Model(model.input, relus)(loud)) == 6.0


DELAYS = (3, 12)


@pytest.fixture(scope="module")
def causal():
    """Weights as after some training: with batch norm as it begins, a stack of ReLU6 hardly changes
    anything."""
    keras.utils.set_random_seed(3)
    model = build(LPPNConfig(n=4, S=8, T=1024, backbone="causal", delays=DELAYS))
    for weight in model.weights:
        if weight.path.endswith("moving_variance"):
            weight.assign(keras.ops.full(weight.shape, 0.1))
    return model


@pytest.mark.parametrize("sample", [320, 383, 384, 511])
def test_a_causal_network_answers_for_a_cell_so_many_cells_later(causal, sample):
    """What comes in hop k of 64 samples changes no answer due before it, but those due then."""
    x = np.random.default_rng(0).normal(size=(8, 1, 1024, 3)).astype(np.float32)
    poked = x.copy()
    poked[:, :, sample:] += 2.0
    before, after = predict(causal, {"x": x}), predict(causal, {"x": poked})
    for name in ("cls", "ofs"):
        assert before[name].shape[1] == len(DELAYS)
        for head, delay in enumerate(DELAYS):
            changed = np.abs(after[name][:, head] - before[name][:, head]).max(axis=(0, 2)) > 0
            due = sample // 64 * 8 - delay
            assert due <= changed.argmax() < due + 8


def test_a_causal_network_remembers_as_long_as_the_docs_say(causal):
    x = np.random.default_rng(0).normal(size=(1, 1, 3072, 3)).astype(np.float32)
    longer = build(LPPNConfig(n=4, S=8, T=3072, backbone="causal", delays=DELAYS))
    longer.set_weights(causal.get_weights())
    poked = x.copy()
    poked[:, :, 640] += 30.0
    change = np.abs(predict(longer, {"x": poked})["cls"] - predict(longer, {"x": x})["cls"])[0, -1].max(
        axis=-1
    )
    last = np.flatnonzero(change).max() + DELAYS[-1]
    assert 17 < (8 * last - 640) / 100 < 19.5


@pytest.mark.parametrize("S", sorted(STRIDES))
def test_layer_shapes(S):
    n = 4
    model = build(LPPNConfig(n=n, S=S))
    length = 3072
    for i, (width, stride) in enumerate(zip((1, 2, 2, 3, 3, 4, 5), STRIDES[S], strict=True), 1):
        length //= stride
        assert model.get_layer(f"b{i}_project").output.shape == (None, 1, length, width * n)
    assert length == 3072 // S
    for i in (1, 2, 3):
        assert model.get_layer(f"down{i}_project").output.shape == (None, 1, length // 2**i, 5 * n)
        assert model.get_layer(f"up{i}_conv").output.shape == (None, 1, length // 2 ** (3 - i), 5 * n)
    assert model.output["cls"].shape == (None, 1, 3072 // S, 3)
    assert model.output["ofs"].shape == (None, 1, 3072 // S, 1)


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        ({"S": 12}, "S must be one of"),
        ({"S": 16, "backbone": "wide"}, "one of .8."),
        ({"T": 3000}, "multiple of 8·S = 128"),
        ({"n": 0}, "at least 1"),
        ({"S": 8, "backbone": "causal"}, "delays must rise from above 0"),
        ({"S": 8, "backbone": "causal", "delays": (5, 5)}, "delays must rise from above 0"),
        ({"S": 8, "backbone": "wide", "delays": (4, 25)}, "delays must .* be .0,. for others"),
    ],
)
def test_impossible_members_of_the_family_are_refused(kwargs, words):
    with pytest.raises(ValueError, match=words):
        LPPNConfig(**kwargs)


@pytest.mark.parametrize("S", [8, 16, 32])
def test_a_cell_sees_as_far_as_published(S):
    """Receptive field of the wide module: about 367 samples at S = 8, doubling with S."""
    keras.utils.set_random_seed(1)
    T = 96 * S
    model = build(LPPNConfig(n=4, S=S, T=T))
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1, 1, T, 3)).astype(np.float32)
    cell = T // S // 2
    before = predict(model, {"x": x})["cls"][0, 0, cell]
    pokes = []
    for at in range(0, T, 4):
        poked = x.copy()
        poked[0, 0, at] += 100.0
        pokes.append(poked[0])
    after = predict(model, {"x": np.stack(pokes)})["cls"][:, 0, cell]
    touched = np.flatnonzero(np.abs(after - before).max(axis=1) > 0) * 4
    field = touched.max() - touched.min()
    published = {8: 367, 16: 731, 32: 1455}[S]
    assert 0.85 * published < field <= published


def fake_published_state(n, rng):
    """A state dict of the published network's names and shapes, with random weights."""
    state = OrderedDict()

    def conv(key, out, into, width):
        state[f"{key}.weight"] = rng.normal(0, 1 / np.sqrt(into * width), (out, into, 1, width)).astype("f4")

    def norm(key, channels):
        state[f"{key}.weight"] = rng.uniform(0.5, 1.5, channels).astype("f4")
        state[f"{key}.bias"] = rng.normal(0, 0.2, channels).astype("f4")
        state[f"{key}.running_mean"] = rng.normal(0, 0.2, channels).astype("f4")
        state[f"{key}.running_var"] = rng.uniform(0.5, 2.0, channels).astype("f4")
        state[f"{key}.num_batches_tracked"] = np.array(7, np.int64)

    def block(key, into, out):
        conv(f"{key}.0.0", 2 * into, into, 1)
        norm(f"{key}.0.1", 2 * into)
        conv(f"{key}.1.0", 2 * into, 1, 3)
        norm(f"{key}.1.1", 2 * into)
        conv(f"{key}.2", out, 2 * into, 1)
        norm(f"{key}.3", out)

    widths = (3, n, 2 * n, 2 * n, 3 * n, 3 * n, 4 * n, 5 * n)
    for i in range(7):
        block(f"layers.{i}.conv", widths[i], widths[i + 1])
    for i in range(3):
        block(f"class_encoder.{i}.conv", 5 * n, 5 * n)
    for i in range(3, 6):
        conv(f"class_encoder.{i}.1", 5 * n, 5 * n, 5)
        state[f"class_encoder.{i}.1.bias"] = rng.normal(0, 0.2, 5 * n).astype("f4")
        norm(f"class_encoder.{i}.2", 5 * n)
    for key, out in (("cl", 3), ("tm", 1)):
        conv(key, out, 10 * n, 1)
        state[f"{key}.bias"] = rng.normal(0, 0.2, out).astype("f4")
    return state


def reference_forward(state, x, S):
    """The original's arithmetic in numpy: x (channels E N Z, time) to logits (3, cells), offsets (cells,)."""

    def conv(x, weight, bias=None, stride=1, groups=1):
        pad = weight.shape[3] // 2
        padded = np.pad(x, ((0, 0), (pad, pad)))  # both sides, also when the stride is 2
        taps = np.lib.stride_tricks.sliding_window_view(padded, weight.shape[3], axis=1)[:, ::stride]
        if groups > 1:
            y = np.einsum("ctk,ck->ct", taps, weight[:, 0, 0])
        else:
            y = np.einsum("ctk,ock->ot", taps, weight[:, :, 0])
        return y if bias is None else y + bias[:, None]

    def norm(x, key):
        scale = state[f"{key}.weight"] / np.sqrt(state[f"{key}.running_var"] + 1e-5)
        return (x - state[f"{key}.running_mean"][:, None]) * scale[:, None] + state[f"{key}.bias"][:, None]

    def block(x, key, stride):
        x = np.maximum(norm(conv(x, state[f"{key}.0.0.weight"]), f"{key}.0.1"), 0)
        depthwise = conv(x, state[f"{key}.1.0.weight"], stride=stride, groups=len(x))
        x = np.maximum(norm(depthwise, f"{key}.1.1"), 0)
        return norm(conv(x, state[f"{key}.2.weight"]), f"{key}.3")

    def bilinear(x):  # aligned corners
        q = x.shape[1]
        at = np.linspace(0, q - 1, 2 * q)
        return np.stack([np.interp(at, np.arange(q), row) for row in x])

    for i, stride in enumerate(STRIDES[S]):
        x = block(x, f"layers.{i}.conv", stride)
    wide = x
    for i in range(3):
        wide = block(wide, f"class_encoder.{i}.conv", 2)
    for i in range(3, 6):
        key = f"class_encoder.{i}"
        wide = conv(bilinear(wide), state[f"{key}.1.weight"], state[f"{key}.1.bias"])
        wide = np.maximum(norm(wide, f"{key}.2"), 0)
    both = np.concatenate([x, wide])
    return conv(both, state["cl.weight"], state["cl.bias"]), conv(both, state["tm.weight"], state["tm.bias"])[
        0
    ]


def save_as_torch_does(path, state, monkeypatch):
    """Writes the zip that `torch.save(state_dict)` writes, byte layout of PyTorch's zip form."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")

    def stand_in(module, name):
        kind = type(name, (), {"__module__": module.__name__})
        setattr(module, name, kind)
        return kind

    storages = {
        np.dtype("f4"): stand_in(torch, "FloatStorage"),
        np.dtype("i8"): stand_in(torch, "LongStorage"),
    }

    def _rebuild_tensor_v2(*_):
        raise AssertionError("never called: only its name is pickled")

    _rebuild_tensor_v2.__module__, _rebuild_tensor_v2.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2
    torch._utils = utils
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)

    class Storage:
        def __init__(self, key, array):
            self.key, self.array = key, array

    class Tensor:
        def __init__(self, key, array):
            self.storage, self.array = Storage(key, array), array

        def __reduce__(self):
            strides = tuple(s // self.array.itemsize for s in self.array.strides)
            return _rebuild_tensor_v2, (self.storage, 0, self.array.shape, strides, False, OrderedDict())

    class Pickler(pickle.Pickler):
        def persistent_id(self, obj):
            if isinstance(obj, Storage):
                return ("storage", storages[obj.array.dtype], obj.key, "cpu", obj.array.size)
            return None

    data = io.BytesIO()
    Pickler(data, protocol=2).dump(
        OrderedDict((k, Tensor(str(i), v)) for i, (k, v) in enumerate(state.items()))
    )
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", data.getvalue())
        for i, array in enumerate(state.values()):
            archive.writestr(f"archive/data/{i}", array.tobytes())


@pytest.mark.parametrize(("n", "S"), [(4, 8), (8, 16), (4, 64)])
def test_imported_checkpoint_computes_what_the_original_does(n, S, tmp_path, monkeypatch):
    rng = np.random.default_rng(n * S)
    state = fake_published_state(n, rng)
    save_as_torch_does(tmp_path / "published.wave", state, monkeypatch)
    model, card = import_published(tmp_path / "published.wave", S)
    assert card.cells.stride == S
    x = rng.normal(size=(3072, 3)).astype(np.float32)  # Z N E
    out = predict(model, {"x": x[None, None]})
    logits, offsets = reference_forward(state, x[:, ::-1].T.astype(np.float64), S)
    np.testing.assert_allclose(out["cls"][0, 0].T, logits, atol=2e-4)
    np.testing.assert_allclose(out["ofs"][0, 0, :, 0], offsets, atol=2e-4)


def test_the_import_command_writes_a_model_that_loads(tmp_path, monkeypatch):
    save_as_torch_does(tmp_path / "16-4.wave", fake_published_state(4, np.random.default_rng(0)), monkeypatch)
    out = tmp_path / "published.keras"
    assert main([str(tmp_path / "16-4.wave"), "--stride", "16", "--out", str(out)]) == 0
    network = load_keras(out)
    words = network.step(np.zeros((2, 128, 3), np.float32), network.begin(2))
    assert words.shape == (2, len(network.card.stream.delays), 8, 4)


def test_a_checkpoint_of_another_width_is_named(tmp_path, monkeypatch):
    state = fake_published_state(4, np.random.default_rng(0))
    del state["layers.3.conv.2.weight"]
    save_as_torch_does(tmp_path / "broken.wave", state, monkeypatch)
    with pytest.raises(ValueError, match=r"lacks layers\.3\.conv\.2\.weight"):
        import_published(tmp_path / "broken.wave", 8)


def test_a_pickle_that_would_run_code_is_refused(tmp_path):
    class Hostile:
        def __reduce__(self):
            return print, ("run",)

    with zipfile.ZipFile(tmp_path / "hostile.wave", "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Hostile()))
    with pytest.raises(ValueError, match="does not belong into a state dict"):
        read_state_dict(tmp_path / "hostile.wave")
