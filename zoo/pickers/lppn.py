"""LPPN, the Lightweight Phase Picking Network (Yu & Wang, Seismological Research Letters, 2022).

A window of T samples is cut into T / S cells, S being the total stride. For every cell the network
says noise, P or S, and where inside the cell the onset lies. This file is the published family, any
base width n and any stride S of 8, 16, 32, 64 or 128: 16,260 / 60,200 / 231,312 parameters for
n = 4 / 8 / 16, whatever S.

Tensors are [batch, 1, time, channels]: convolutions over time are two-dimensional ones of height 1,
the form in which TFLite kernels, XNNPACK and the Edge TPU run them without reshapes.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import pairwise
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
"""Of the wide and the causal backbone."""
KERNEL, WIDE_KERNEL = 3, 7
"""Taps of the depthwise convolutions."""

CLASSES = ("noise", "P", "S")
DOWN_STAGES = 3
MEMORY_BLOCKS = 3
"""Of the causal network, at its lowest rate."""
BN_EPSILON = 1e-5
SIGHT = 384
"""Samples that a network which is not causal looks ahead, at S up to 16."""
Relu = Callable[..., layers.Layer]
"""A ReLU layer by `name`."""
Memory = Callable[[Any, int, str], Any]
"""Puts before the input of a causal convolution the frames that it looks back on: the input, how many, and
the convolution's name to both of them in one."""
RELU: Relu = layers.ReLU
RELU6: Relu = partial(layers.ReLU, 6.0)


@dataclass(frozen=True, slots=True)
class LPPNConfig:
    """Which member of the family.

    `n`: base width. `S`: total stride, samples a cell. `T`: window, samples, a multiple of 8 S.
    `backbone`: "published", whose seven blocks see 0.15 s (S = 8) or 0.3 s (S = 16) to either side, about one
    period of an earthquake, and whose first block has six channels; or "wide", for S = 8: seven taps instead
    of three, 2 n full filters of all components in front, the rate halved there, and ReLU6 for ReLU: without
    a limit one strong S sets how coarse the steps of eight bits are for all else; or "causal", the wide one
    without a look ahead, so that a stream can be answered hop by hop and nothing is computed twice: it knows
    the last 18 s, and its answer for a cell comes `delays` later.
    `upsampling`: "nearest" (the authors' training scripts for S = 8, 16, 32), "bilinear" with aligned
    corners (their released weights), or "polyphase", the nearest network with each doubling and its
    convolution rewritten as one convolution to twice the channels and a reshape (`convert` makes it: the
    same function in three fifths of the products and without a resize).
    `offset`: what the second head means: "sigmoid" (fraction of a cell after a sigmoid) or "linear"
    (fraction of a cell as it is, the released weights). The head itself is the same raw number.
    `delays`: cells, ascending, above 0 for "causal" alone: for each of them the network has a head of its own
    that answers for a cell so many cells later, the last of them its final word.
    """

    n: int = 8
    S: int = 16
    T: int = 3072
    backbone: Literal["published", "wide", "causal"] = "published"
    upsampling: Literal["nearest", "bilinear", "polyphase"] = "nearest"
    offset: Literal["sigmoid", "linear"] = "sigmoid"
    delays: Sequence[int] = (0,)

    def __post_init__(self) -> None:
        if self.n < 1:
            raise ValueError(f"n is the base width and must be at least 1, not {self.n}")
        if self.S not in self._family:
            raise ValueError(f"S must be one of {sorted(self._family)}, not {self.S}")
        if self.T < 1 or self.T % (8 * self.S):
            raise ValueError(f"T must be a multiple of 8·S = {8 * self.S} samples, not {self.T}")
        rising = all(a < b for a, b in pairwise((0, *self.delays)))
        if not (rising and self.delays if self.causal else tuple(self.delays) == (0,)):
            raise ValueError("delays must rise from above 0 for a causal backbone, and be (0,) for others")

    @property
    def causal(self) -> bool:
        return self.backbone == "causal"

    @property
    def answered(self) -> list[int]:
        """Cells after which an answer for a cell is given: by each head once, or, where the network is not
        causal, the better the further its window reaches ahead, until it ends where the network's sight
        does."""
        sight = SIGHT // self.S
        return list(self.delays) if self.causal else [0, sight // 4, sight // 2, sight]

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


def silence(x: Any, frames: int, name: str) -> Any:
    """The `Memory` of a window: nothing was before it."""
    return layers.ZeroPadding2D(((0, 0), (frames, 0)), name=f"{name}_pad")(x)


@dataclass(frozen=True, slots=True)
class _Style:
    """What all blocks of a backbone have in common. `memory`: where it is causal, what lies before."""

    taps: int
    relu: Relu
    memory: Memory | None

    def pad(self, x: Any, taps: int, stride: int, name: str) -> Any:
        """Half the taps on either side, as the original pads; TensorFlow's "same" would put more on the right
        at stride 2 and so shift every cell. The rightmost one is never read when the stride is 2. Causal,
        all of them lie before: a frame is made of the samples of its own span and earlier ones."""
        if self.memory:
            return self.memory(x, taps - stride, name)
        side = taps // 2
        return layers.ZeroPadding2D(((0, 0), (side, side if stride == 1 else side - 1)), name=f"{name}_pad")(
            x
        )


def _stem(x: Any, hidden: int, width: int, name: str, style: _Style) -> Any:
    """A block of stride 2 whose expansion and filter are one full convolution."""
    x = style.pad(x, style.taps, 2, name)
    conv = layers.Conv2D(hidden, (1, style.taps), strides=(2, 2), use_bias=False, name=f"{name}_conv")
    x = _conv_bn(x, conv, style.relu)
    return _conv_bn(x, layers.Conv2D(width, 1, use_bias=False, name=f"{name}_project"))


def _block(x: Any, width: int, stride: int, name: str, style: _Style) -> Any:
    """Inverted residual, expansion 2. The shortcut of MobileNetV2 needs stride 1 and equal widths,
    which no block of the published family has."""
    x = _conv_bn(x, layers.Conv2D(2 * x.shape[-1], 1, use_bias=False, name=f"{name}_expand"), style.relu)
    x = style.pad(x, style.taps, stride, name)
    # Equal strides on both axes because TensorFlow's CPU kernel knows no others; the height is 1.
    depthwise = layers.DepthwiseConv2D(
        (1, style.taps), strides=(stride, stride), use_bias=False, name=f"{name}_depth"
    )
    x = _conv_bn(x, depthwise, style.relu)
    return _conv_bn(x, layers.Conv2D(width, 1, use_bias=False, name=f"{name}_project"))


def _up(x: Any, width: int, upsampling: str, name: str, style: _Style) -> Any:
    """Twice the time resolution, then an ordinary convolution of five frames (with bias, as published)."""
    if upsampling == "polyphase":
        x = style.pad(x, 3, 1, name)
        x = layers.Conv2D(2 * width, (1, 3), name=f"{name}_conv")(x)
        x = style.relu(name=f"{name}_relu")(x)
        return ops.reshape(x, (-1, 1, 2 * x.shape[2], width))  # -1: a converted model takes any batch
    if upsampling == "bilinear":
        x = BilinearDouble(name=f"{name}_double")(x)
    else:
        x = layers.UpSampling2D((1, 2), interpolation="nearest", name=f"{name}_double")(x)
    x = style.pad(x, 5, 1, name)
    return _conv_bn(x, layers.Conv2D(width, (1, 5), name=f"{name}_conv"), style.relu)


def features(x: Any, config: LPPNConfig, memory: Memory = silence) -> Any:
    """What the heads read, [batch, 1, frames, channels], of samples x [batch, 1, S · frames, 3]."""
    n = config.n
    widths = (n, 2 * n, 2 * n, 3 * n, 3 * n, 4 * n, 5 * n)
    published = config.backbone == "published"
    style = _Style(
        KERNEL if published else WIDE_KERNEL, RELU if published else RELU6, memory if config.causal else None
    )
    for i, (width, stride) in enumerate(zip(widths, config.strides, strict=True), 1):
        if i == 1 and not published:
            x = _stem(x, 2 * n, width, "b1", style)
        else:
            x = _block(x, width, stride, f"b{i}", style)
    around, width = x, 4 * n if config.causal else 5 * n
    for i in range(1, DOWN_STAGES + 1):
        around = _block(around, width, 2, f"down{i}", style)
    for i in range(1, MEMORY_BLOCKS + 1) if config.causal else ():
        further = _block(around, width, 1, f"memory{i}", style)
        around = layers.Add(name=f"memory{i}_add")([around, further])
    for i in range(1, DOWN_STAGES + 1):
        around = _up(around, width, config.upsampling, f"up{i}", style)
    return layers.Concatenate(name="concat")([x, around])


def heads(read: Any, config: LPPNConfig, shifted: bool) -> dict[str, Any]:
    """ "cls" [batch, delays, frames, 3] and "ofs" [batch, delays, frames, 1] of `features`. A head's answer
    for a cell is that of the frame `delay` later; `shifted`, it is put where its cell is, and the last
    cells, for which there is none, get zero."""

    def head(name: str, width: int, delay: int) -> Any:
        name = f"{name}_{delay}" if delay else name
        answer = layers.Conv2D(width, 1, name=name)(read)
        if not (shifted and delay):
            return answer
        answer = layers.Cropping2D(((0, 0), (delay, 0)), name=f"{name}_crop")(answer)
        return layers.ZeroPadding2D(((0, 0), (0, delay)), name=f"{name}_fill")(answer)

    outputs = {}
    for name, width in (("cls", len(CLASSES)), ("ofs", 1)):
        answers = [head(name, width, delay) for delay in config.delays]
        many = len(answers) > 1
        outputs[name] = layers.Concatenate(axis=1, name=f"{name}_all")(answers) if many else answers[0]
    return outputs


def build(config: LPPNConfig, batch: int | None = None) -> keras.Model:
    """The network: input "x" [batch, 1, T, 3] (normalised, Z N E) to {"cls": [batch, delays, T/S, 3] logits
    of noise, P, S; "ofs": [batch, delays, T/S, 1], the raw offset}."""
    x = keras.Input((1, config.T, 3), batch_size=batch, name="x")
    outputs = heads(features(x, config), config, shifted=True)
    return keras.Model(x, outputs, name=f"lppn_n{config.n}_s{config.S}")


def describe(config: LPPNConfig) -> dict[str, Any]:
    """The configuration as JSON for cards and checkpoints."""
    return {**asdict(config), "delays": list(config.delays)}
