"""The polarity network of the station: which way did the ground first move, up or down?

It is odd by construction. The window x and its mirror image −x go through one and the same network f as two
rows of one tensor, and the answer is logit = f(x) − f(−x): turning the sign of the input turns the sign of
the answer and nothing else, so up and down are exchanged exactly, and neither is preferred.

f is a stack of convolutions over time, in which attention chooses where to look: the onset, which a picker
places to a tenth of a second or two. Additive pooling by a softmax over time follows Bahdanau et al. (2015)
in its simplest form, one score a frame; Zhang et al. (SRL, 2023) have self-attention in its place, which
`zoo.polarity.attention` keeps.

Tensors are [batch, 1 or 2, time, channels], the form in which TFLite runs convolutions without reshapes.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import keras
from keras import layers, ops

Attention = Literal["none", "pool"]


@dataclass(frozen=True, slots=True)
class CompactConfig:
    """`window`: samples of the input. `widths`: channels of two full convolutions, each of which halves the
    rate, and of the separable ones behind them. `attention`: how the frames become one: "none", their mean;
    "pool", their mean weighted by a softmax over time."""

    window: int = 160
    widths: Sequence[int] = (16, 24, 32, 32, 32)
    attention: Attention = "pool"

    def __post_init__(self) -> None:
        if self.window < 16 or self.window % 4:
            raise ValueError(f"window must be a multiple of 4 from 16 on, not {self.window}")
        if len(self.widths) < 2 or min(self.widths) < 1:
            raise ValueError(f"widths must be two or more numbers from 1 on, not {self.widths}")


def _conv(x: Any, width: int, taps: int, stride: int, name: str) -> Any:
    """Convolution, batch normalisation and ReLU6; rows stay apart, for the filters are one row high."""
    x = layers.ZeroPadding2D(((0, 0), (taps // 2, taps // 2)), name=f"{name}_pad")(x)
    x = layers.Conv2D(width, (1, taps), strides=(1, stride), use_bias=False, name=f"{name}_conv")(x)
    x = layers.BatchNormalization(epsilon=1e-5, name=f"{name}_bn")(x)
    return layers.ReLU(6.0, name=f"{name}_relu")(x)


def _separable(x: Any, width: int, name: str) -> Any:
    """A convolution of seven frames for each channel, then one over channels; what comes out is added to what
    went in where both have one width."""
    y = layers.ZeroPadding2D(((0, 0), (3, 3)), name=f"{name}_depth_pad")(x)
    y = layers.DepthwiseConv2D((1, 7), use_bias=False, name=f"{name}_depth")(y)
    y = layers.BatchNormalization(epsilon=1e-5, name=f"{name}_depth_bn")(y)
    y = _conv(y, width, 1, 1, name)
    return layers.Add(name=f"{name}_add")([x, y]) if x.shape[3] == width else y


def _weighted(values: Any, scores: Any) -> Any:
    """Values [batch, 2, T, C], scores [batch, 2, T, 1] to their softmax-weighted mean [batch, 2, 1, C]."""
    rows, frames = values.shape[1], values.shape[2]
    weights = ops.softmax(ops.reshape(scores, (-1, rows, 1, frames)), axis=-1)
    return ops.matmul(weights, values)


def _pooled(x: Any, attention: Attention) -> Any:
    """Frames [batch, 2, T, C] to one, [batch, 2, 1, C]."""
    if attention == "pool":
        return _weighted(x, layers.Conv2D(1, 1, name="score")(x))
    return ops.mean(x, axis=2, keepdims=True)


def build(config: CompactConfig, batch: int | None = None) -> keras.Model:
    """Input "x" [batch, 1, window, 1], normalised to ± 1, to "up" [batch, 1], the logit of up against
    down."""
    x = keras.Input((1, config.window, 1), batch_size=batch, name="x")
    both = layers.Concatenate(axis=1, name="mirrored")([x, ops.multiply(x, -1.0)])  # -x has no int8 kernel
    frames = _conv(both, config.widths[0], 7, 2, "c1")
    frames = _conv(frames, config.widths[1], 5, 2, "c2")
    for i, width in enumerate(config.widths[2:], 3):
        frames = _separable(frames, width, f"c{i}")
    one = _pooled(frames, config.attention)
    one = layers.Conv2D(32, 1, name="dense")(one)
    one = layers.ReLU(6.0, name="dense_relu")(one)
    score = layers.Conv2D(1, 1, use_bias=False, name="out")(one)
    up = ops.reshape(score[:, :1] - score[:, 1:], (-1, 1))
    up = layers.Identity(name="up")(up)
    return keras.Model(x, {"up": up}, name="polarity_compact")


def describe(config: CompactConfig) -> dict[str, Any]:
    """The configuration as JSON for cards and checkpoints."""
    return {**asdict(config), "widths": list(config.widths)}
