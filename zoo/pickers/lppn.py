"""LPPN, the Lightweight Phase Picking Network (Yu & Wang, Seismological Research Letters, 2022).

A window of T samples is cut into T / S cells, S being the total stride. For every cell the network
says noise, P or S, and where inside the cell the onset lies. This file is the published family, any
base width n and any stride S of 8, 16, 32, 64 or 128: 16,260 / 60,200 / 231,312 parameters for
n = 4 / 8 / 16, whatever S.

Tensors are [batch, 1, time, channels]: convolutions over time are two-dimensional ones of height 1,
the form in which TFLite kernels, XNNPACK and the Edge TPU run them without reshapes.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Literal

import keras
from keras import layers, ops

STRIDES: dict[int, tuple[int, ...]] = {
    8: (1, 1, 2, 1, 2, 1, 2),
    16: (2, 1, 2, 1, 2, 1, 2),
    32: (2, 2, 2, 1, 2, 1, 2),
    64: (2, 2, 2, 2, 2, 1, 2),
    128: (2, 2, 2, 2, 2, 2, 2),
}
"""Stride of each of the seven backbone blocks, by total stride S, as published."""
WIDE_STRIDES: dict[int, tuple[int, ...]] = {8: (2, 1, 2, 1, 2, 1, 1)}
KERNEL, WIDE_KERNEL = 3, 7
"""Taps of the depthwise convolutions."""

CLASSES = ("noise", "P", "S")
DOWN_STAGES = 3
BN_EPSILON = 1e-5
Relu = Callable[..., layers.Layer]
"""A ReLU layer by `name`."""
RELU: Relu = layers.ReLU
RELU6: Relu = partial(layers.ReLU, 6.0)


@dataclass(frozen=True, slots=True)
class LPPNConfig:
    """Which member of the family.

    `n`: base width. `S`: total stride, samples a cell. `T`: window, samples, a multiple of 8 S.
    `backbone`: "published", whose seven blocks see 0.15 s (S = 8) or 0.3 s (S = 16) to either side, about one
    period of an earthquake, and whose first block has six channels; or "wide", for S = 8: seven taps instead
    of three, 2 n full filters of all components in front, the rate halved there, and ReLU6 for ReLU: without
    a limit one strong S sets how coarse the steps of eight bits are for all else.
    `upsampling`: "nearest" (the authors' training scripts for S = 8, 16, 32), "bilinear" with aligned
    corners (their released weights), or "polyphase", the nearest network with each doubling and its
    convolution rewritten as one convolution to twice the channels and a reshape (`convert` makes it: the
    same function in three fifths of the products and without a resize).
    `offset`: what the second head means: "sigmoid" (fraction of a cell after a sigmoid) or "linear"
    (fraction of a cell as it is, the released weights). The head itself is the same raw number.
    """

    n: int = 8
    S: int = 16
    T: int = 3072
    backbone: Literal["published", "wide"] = "published"
    upsampling: Literal["nearest", "bilinear", "polyphase"] = "nearest"
    offset: Literal["sigmoid", "linear"] = "sigmoid"

    def __post_init__(self) -> None:
        if self.n < 1:
            raise ValueError(f"n is the base width and must be at least 1, not {self.n}")
        if self.S not in self._family:
            raise ValueError(f"S must be one of {sorted(self._family)}, not {self.S}")
        if self.T < 1 or self.T % (8 * self.S):
            raise ValueError(f"T must be a multiple of 8·S = {8 * self.S} samples, not {self.T}")

    @property
    def _family(self) -> dict[int, tuple[int, ...]]:
        return STRIDES if self.backbone == "published" else WIDE_STRIDES

    @property
    def strides(self) -> tuple[int, ...]:
        return self._family[self.S]

    @property
    def cells(self) -> int:
        return self.T // self.S


@keras.saving.register_keras_serializable("edge_pick")
class BilinearDouble(layers.Layer):
    """Doubles the time axis by linear interpolation with aligned corners: first and last samples stay."""

    def call(self, x: Any) -> Any:
        q = x.shape[2]
        position = ops.arange(2 * q, dtype="float32") * ((q - 1) / (2 * q - 1))
        left = ops.minimum(ops.cast(ops.floor(position), "int32"), q - 1)
        right = ops.minimum(left + 1, q - 1)
        weight = ops.reshape(position - ops.cast(left, "float32"), (1, 1, 2 * q, 1))
        return ops.take(x, left, axis=2) * (1.0 - weight) + ops.take(x, right, axis=2) * weight

    def compute_output_shape(self, shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (*shape[:2], 2 * shape[2] if shape[2] else None, shape[3])


def _conv_bn(x: Any, conv: layers.Layer, relu: Relu | None = None) -> Any:
    x = layers.BatchNormalization(epsilon=BN_EPSILON, momentum=0.99, name=f"{conv.name}_bn")(conv(x))
    return relu(name=f"{conv.name}_relu")(x) if relu else x


def _pad(x: Any, taps: int, stride: int, name: str) -> Any:
    """Half the taps on either side, as the original pads; TensorFlow's "same" would put more on the right
    at stride 2 and so shift every cell. The rightmost one is never read when the stride is 2."""
    side = taps // 2
    padding = ((0, 0), (side, side if stride == 1 else side - 1))
    return layers.ZeroPadding2D(padding, name=f"{name}_pad")(x)


def _stem(x: Any, hidden: int, width: int, name: str) -> Any:
    """A block of stride 2 whose expansion and filter are one full convolution."""
    x = _pad(x, WIDE_KERNEL, 2, name)
    conv = layers.Conv2D(hidden, (1, WIDE_KERNEL), strides=(2, 2), use_bias=False, name=f"{name}_conv")
    x = _conv_bn(x, conv, RELU6)
    return _conv_bn(x, layers.Conv2D(width, 1, use_bias=False, name=f"{name}_project"))


def _block(x: Any, width: int, stride: int, name: str, taps: int, relu: Relu) -> Any:
    """Inverted residual, expansion 2. The shortcut of MobileNetV2 needs stride 1 and equal widths,
    which no block of the family has."""
    x = _conv_bn(x, layers.Conv2D(2 * x.shape[-1], 1, use_bias=False, name=f"{name}_expand"), relu)
    x = _pad(x, taps, stride, name)
    # Equal strides on both axes because TensorFlow's CPU kernel knows no others; the height is 1.
    depthwise = layers.DepthwiseConv2D(
        (1, taps), strides=(stride, stride), use_bias=False, name=f"{name}_depth"
    )
    x = _conv_bn(x, depthwise, relu)
    return _conv_bn(x, layers.Conv2D(width, 1, use_bias=False, name=f"{name}_project"))


def _up(x: Any, width: int, upsampling: str, name: str, relu: Relu) -> Any:
    """Twice the time resolution, then an ordinary convolution of five frames (with bias, as published)."""
    if upsampling == "polyphase":
        x = layers.Conv2D(2 * width, (1, 3), padding="same", name=f"{name}_conv")(x)
        x = relu(name=f"{name}_relu")(x)
        return layers.Reshape((1, 2 * x.shape[2], width), name=f"{name}_double")(x)
    if upsampling == "bilinear":
        x = BilinearDouble(name=f"{name}_double")(x)
    else:
        x = layers.UpSampling2D((1, 2), interpolation="nearest", name=f"{name}_double")(x)
    return _conv_bn(x, layers.Conv2D(width, (1, 5), padding="same", name=f"{name}_conv"), relu)


def build(config: LPPNConfig, batch: int | None = None) -> keras.Model:
    """The network: input "x" [batch, 1, T, 3] (normalised, Z N E) to {"cls": [batch, 1, T/S, 3] logits
    of noise, P, S; "ofs": [batch, 1, T/S, 1], the raw offset}."""
    n = config.n
    x = inputs = keras.Input((1, config.T, 3), batch_size=batch, name="x")
    widths = (n, 2 * n, 2 * n, 3 * n, 3 * n, 4 * n, 5 * n)
    published = config.backbone == "published"
    taps, relu = (KERNEL, RELU) if published else (WIDE_KERNEL, RELU6)
    for i, (width, stride) in enumerate(zip(widths, config.strides, strict=True), 1):
        if i == 1 and not published:
            x = _stem(x, 2 * n, width, "b1")
        else:
            x = _block(x, width, stride, f"b{i}", taps, relu)
    wide = x
    for i in range(1, DOWN_STAGES + 1):
        wide = _block(wide, 5 * n, 2, f"down{i}", taps, relu)
    for i in range(1, DOWN_STAGES + 1):
        wide = _up(wide, 5 * n, config.upsampling, f"up{i}", relu)
    both = layers.Concatenate(name="concat")([x, wide])
    outputs = {
        "cls": layers.Conv2D(len(CLASSES), 1, name="cls")(both),
        "ofs": layers.Conv2D(1, 1, name="ofs")(both),
    }
    return keras.Model(inputs, outputs, name=f"lppn_n{n}_s{config.S}")


def describe(config: LPPNConfig) -> dict[str, Any]:
    """The configuration as JSON for cards and checkpoints."""
    return asdict(config)
