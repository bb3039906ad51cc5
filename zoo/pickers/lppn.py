"""LPPN, the Lightweight Phase Picking Network (Yu & Wang, Seismological Research Letters, 2022).

A window of T samples is cut into T / S cells, S being the total stride. For every cell the network
says noise, P or S, and where inside the cell the onset lies. This file is the published family, any
base width n and any stride S of 8, 16, 32, 64 or 128: 16,260 / 60,200 / 231,312 parameters for
n = 4 / 8 / 16, whatever S.

Tensors are [batch, 1, time, channels]: convolutions over time are two-dimensional ones of height 1,
the form in which TFLite kernels, XNNPACK and the Edge TPU run them without reshapes.
"""

from dataclasses import asdict, dataclass
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
"""Stride of each of the seven backbone blocks, by total stride S."""

CLASSES = ("noise", "P", "S")
DOWN_STAGES = 3
BN_EPSILON = 1e-5


@dataclass(frozen=True, slots=True)
class LPPNConfig:
    """Which member of the family.

    `n`: base width. `S`: total stride, samples a cell. `T`: window, samples, a multiple of 8 S.
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
    upsampling: Literal["nearest", "bilinear", "polyphase"] = "nearest"
    offset: Literal["sigmoid", "linear"] = "sigmoid"

    def __post_init__(self) -> None:
        if self.n < 1:
            raise ValueError(f"n is the base width and must be at least 1, not {self.n}")
        if self.S not in STRIDES:
            raise ValueError(f"S must be one of {sorted(STRIDES)}, not {self.S}")
        if self.T < 1 or self.T % (8 * self.S):
            raise ValueError(f"T must be a multiple of 8·S = {8 * self.S} samples, not {self.T}")

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


def _conv_bn(x: Any, conv: layers.Layer, relu: bool = True) -> Any:
    x = layers.BatchNormalization(epsilon=BN_EPSILON, momentum=0.99, name=f"{conv.name}_bn")(conv(x))
    return layers.ReLU(name=f"{conv.name}_relu")(x) if relu else x


def _block(x: Any, width: int, stride: int, name: str) -> Any:
    """Inverted residual, expansion 2. The shortcut of MobileNetV2 needs stride 1 and equal widths,
    which no block of the family has."""
    hidden = 2 * x.shape[-1]
    x = _conv_bn(x, layers.Conv2D(hidden, 1, use_bias=False, name=f"{name}_expand"))
    # One frame on either side, as the original pads; TensorFlow's "same" would put both on the right
    # at stride 2 and so shift every cell. The right one is never read when the stride is 2.
    x = layers.ZeroPadding2D(((0, 0), (1, 1 if stride == 1 else 0)), name=f"{name}_pad")(x)
    # Equal strides on both axes because TensorFlow's CPU kernel knows no others; the height is 1.
    depthwise = layers.DepthwiseConv2D((1, 3), strides=(stride, stride), use_bias=False, name=f"{name}_depth")
    x = _conv_bn(x, depthwise)
    return _conv_bn(x, layers.Conv2D(width, 1, use_bias=False, name=f"{name}_project"), relu=False)


def _up(x: Any, width: int, upsampling: str, name: str) -> Any:
    """Twice the time resolution, then an ordinary convolution of five frames (with bias, as published)."""
    if upsampling == "polyphase":
        x = layers.Conv2D(2 * width, (1, 3), padding="same", name=f"{name}_conv")(x)
        x = layers.ReLU(name=f"{name}_relu")(x)
        return layers.Reshape((1, 2 * x.shape[2], width), name=f"{name}_double")(x)
    if upsampling == "bilinear":
        x = BilinearDouble(name=f"{name}_double")(x)
    else:
        x = layers.UpSampling2D((1, 2), interpolation="nearest", name=f"{name}_double")(x)
    return _conv_bn(x, layers.Conv2D(width, (1, 5), padding="same", name=f"{name}_conv"))


def build(config: LPPNConfig, batch: int | None = None) -> keras.Model:
    """The network: input "x" [batch, 1, T, 3] (normalised, Z N E) to {"cls": [batch, 1, T/S, 3] logits
    of noise, P, S; "ofs": [batch, 1, T/S, 1], the raw offset}."""
    n = config.n
    x = inputs = keras.Input((1, config.T, 3), batch_size=batch, name="x")
    widths = (n, 2 * n, 2 * n, 3 * n, 3 * n, 4 * n, 5 * n)
    for i, (width, stride) in enumerate(zip(widths, STRIDES[config.S], strict=True), 1):
        x = _block(x, width, stride, f"b{i}")
    wide = x
    for i in range(1, DOWN_STAGES + 1):
        wide = _block(wide, 5 * n, 2, f"down{i}")
    for i in range(1, DOWN_STAGES + 1):
        wide = _up(wide, 5 * n, config.upsampling, f"up{i}")
    both = layers.Concatenate(name="concat")([x, wide])
    outputs = {
        "cls": layers.Conv2D(len(CLASSES), 1, name="cls")(both),
        "ofs": layers.Conv2D(1, 1, name="ofs")(both),
    }
    return keras.Model(inputs, outputs, name=f"lppn_n{n}_s{config.S}")


def describe(config: LPPNConfig) -> dict[str, Any]:
    """The configuration as JSON for cards and checkpoints."""
    return asdict(config)
