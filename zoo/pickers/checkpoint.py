"""Imports the LPPN weights that the authors published as PyTorch state dicts, without PyTorch.

`python -m zoo.pickers.checkpoint 16-8.wave --stride 16 --out published.keras` writes a Keras model and its
card, which `edge-evaluate` scores and `edge-pick`'s picker runs.
"""

import argparse
import io
import pickle
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from edge.card import Card, CellSpec, InputSpec, StreamSpec, card_path
from zoo.pickers.lppn import DOWN_STAGES, STRIDES, LPPNConfig, build, describe

State = Mapping[str, NDArray[Any]]

_DTYPES = {"FloatStorage": np.float32, "DoubleStorage": np.float64, "LongStorage": np.int64}
_BLOCKS = 7


def read_state_dict(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a `torch.save`d state dict (PyTorch's zip form).

    Only tensors are rebuilt; a pickle that asks for anything else is refused, so a hostile file can run
    nothing. ValueError if the file is not such a state dict.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name.partition("/")[2]: name for name in archive.namelist()}
            unpickler = _TensorUnpickler(
                archive.read(names["data.pkl"]), lambda k: archive.read(names[f"data/{k}"])
            )
            state = unpickler.load()
    except (zipfile.BadZipFile, KeyError, pickle.UnpicklingError) as error:
        raise ValueError(f"{path} is not a PyTorch state dict: {error}") from error
    if not isinstance(state, dict) or not all(isinstance(v, np.ndarray) for v in state.values()):
        raise ValueError(f"{path} is not a PyTorch state dict: it holds something other than tensors")
    return dict(state)


class _TensorUnpickler(pickle.Unpickler):
    def __init__(self, data: bytes, storage: Any) -> None:
        super().__init__(io.BytesIO(data))
        self._storage = storage

    def persistent_load(self, pid: Any) -> Any:
        kind, dtype, key, *_ = pid
        if kind != "storage":
            raise pickle.UnpicklingError(f"unknown persistent object {kind!r}")
        return np.frombuffer(self._storage(key), dtype)

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild_tensor
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        raise pickle.UnpicklingError(f"{module}.{name} does not belong into a state dict")


def _rebuild_tensor(
    storage: NDArray[Any], offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any
) -> NDArray[Any]:
    reach = offset + 1 + sum((n - 1) * step for n, step in zip(size, stride, strict=True) if n)
    if min((offset, *size, *stride)) < 0 or reach > len(storage):
        raise pickle.UnpicklingError("a tensor reaches beyond its storage")
    strides = tuple(step * storage.itemsize for step in stride)
    return np.lib.stride_tricks.as_strided(storage[offset:], size, strides).copy()


def load_published(model: keras.Model, state: State) -> None:
    """Puts a published state dict into `build(LPPNConfig(..., upsampling="bilinear"))`.

    The authors' components are in STEAD's order, E N Z; the first layer's inputs are turned round so that
    the model takes Z N E. ValueError names a tensor that is missing or does not fit.
    """
    for i in range(_BLOCKS):
        _load_block(model, state, f"b{i + 1}", f"layers.{i}.conv")
    for i in range(DOWN_STAGES):
        _load_block(model, state, f"down{i + 1}", f"class_encoder.{i}.conv")
        name, source = f"up{i + 1}_conv", f"class_encoder.{DOWN_STAGES + i}"
        _set(model, name, [_kernel(state, f"{source}.1.weight"), _get(state, f"{source}.1.bias")])
        _set(model, f"{name}_bn", _batch_norm(state, f"{source}.2"))
    first = model.get_layer("b1_expand")
    first.set_weights([first.get_weights()[0][:, :, ::-1]])
    for name, source in (("cls", "cl"), ("ofs", "tm")):
        _set(model, name, [_kernel(state, f"{source}.weight"), _get(state, f"{source}.bias")])


def _load_block(model: keras.Model, state: State, name: str, source: str) -> None:
    # PyTorch kernels are (out, in per group, height, width); depthwise: (channels, 1, 1, width)
    depthwise = _get(state, f"{source}.1.0.weight").transpose(2, 3, 0, 1)
    _set(model, f"{name}_expand", [_kernel(state, f"{source}.0.0.weight")])
    _set(model, f"{name}_expand_bn", _batch_norm(state, f"{source}.0.1"))
    _set(model, f"{name}_depth", [depthwise])
    _set(model, f"{name}_depth_bn", _batch_norm(state, f"{source}.1.1"))
    _set(model, f"{name}_project", [_kernel(state, f"{source}.2.weight")])
    _set(model, f"{name}_project_bn", _batch_norm(state, f"{source}.3"))


def _get(state: State, key: str) -> NDArray[Any]:
    if key not in state:
        raise ValueError(f"the checkpoint lacks {key}: not a published LPPN")
    return state[key]


def _kernel(state: State, key: str) -> NDArray[Any]:
    return _get(state, key).transpose(2, 3, 1, 0)


def _batch_norm(state: State, source: str) -> list[NDArray[Any]]:
    return [_get(state, f"{source}.{part}") for part in ("weight", "bias", "running_mean", "running_var")]


def _set(model: keras.Model, name: str, weights: list[NDArray[Any]]) -> None:
    layer = model.get_layer(name)
    expected, found = [tuple(w.shape) for w in layer.weights], [w.shape for w in weights]
    if expected != found:
        raise ValueError(f"the checkpoint's {name} has shapes {found}, the network {expected}: other n?")
    layer.set_weights(weights)


def import_published(path: Path, S: int) -> tuple[keras.Model, Card]:
    """A published checkpoint (its file name is "S-n.wave") as a Keras model with a card under which the
    station's picker shows it what its authors did: windows over their largest value, no filter."""
    state = read_state_dict(path)
    config = LPPNConfig(len(_get(state, "layers.0.conv.2.weight")), S, upsampling="bilinear", offset="linear")
    model = build(config)
    load_published(model, state)
    card = Card(
        name=f"lppn-published-n{config.n}-s{S}",
        task="picking",
        licence="as published with the checkpoint",
        input=InputSpec(100.0, config.T, None, {"name": "max-abs"}),
        cells=CellSpec(S, "linear"),
        stream=StreamSpec(hop=8 * S, delays=config.answered, separation_s=1.0),
        thresholds={"P": 0.3, "S": 0.3},
        sigma_s={"P": 0.1, "S": 0.1},
        training={"network": describe(config), "weights": path.name},
    )
    return model, card


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m zoo.pickers.checkpoint", description=__doc__)
    parser.add_argument("checkpoint", type=Path, help="the authors' S-n.wave file")
    parser.add_argument(
        "--stride", type=int, choices=sorted(STRIDES), required=True, help="S, the first number"
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="the .keras file to write, its card beside it"
    )
    args = parser.parse_args(arguments)
    try:
        model, card = import_published(args.checkpoint, args.stride)
    except (OSError, ValueError) as error:
        print(f"checkpoint: {error}", file=sys.stderr)
        return 2
    model.save(args.out)
    card_path(args.out).write_text(card.to_json())
    print(f"wrote {args.out} and {card_path(args.out).name}: {card.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
