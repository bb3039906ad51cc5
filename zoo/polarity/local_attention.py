"""Additive self-attention within a local window, as the polarity networks of Zhang et al. (2023) use it."""

from typing import Any

import keras
from keras import layers, ops

FAR = 1e4
"""Taken off the score of a frame outside the window, which leaves nothing of it."""


@keras.saving.register_keras_serializable("edge_pick")
class LocalAttention(layers.Layer):
    """Every frame becomes a mean of the frames around it, weighted by how they score against it.

    Frames x [batch, T, C] to [batch, T, C]: the score of frame s for frame t is relu(a · tanh(V x_t + W x_s +
    b) + c), after Bahdanau et al. (2015); of the T frames those from t − width/2 on count, `width` of them.
    `units`: rows of V and W. ValueError for units or a width below 1.
    """

    def __init__(self, units: int = 32, width: int = 20, **options: Any) -> None:
        super().__init__(**options)
        if units < 1 or width < 1:
            raise ValueError(f"units and width must be at least 1, not {units} and {width}")
        self.units, self.width = units, width

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        channels = input_shape[-1]
        self.of_target = self.add_weight(shape=(channels, self.units), name="of_target")
        self.of_source = self.add_weight(shape=(channels, self.units), name="of_source")
        self.hidden_bias = self.add_weight(shape=(self.units,), initializer="zeros", name="hidden_bias")
        self.score = self.add_weight(shape=(self.units, 1), name="score")
        self.score_bias = self.add_weight(shape=(1,), initializer="zeros", name="score_bias")

    def call(self, x: Any) -> Any:
        return ops.matmul(self.weights_of(x), x)

    def weights_of(self, x: Any) -> Any:
        """How much of each frame goes into each: [batch, T (of), T (from)], the last axis adding up to 1."""
        target = ops.expand_dims(ops.matmul(x, self.of_target), 2)
        source = ops.expand_dims(ops.matmul(x, self.of_source), 1)
        hidden = ops.tanh(target + source + self.hidden_bias)
        scores = ops.relu(ops.squeeze(ops.matmul(hidden, self.score), -1) + self.score_bias)
        frames = ops.arange(ops.shape(x)[1])
        first = frames[:, None] - self.width // 2
        near = (frames[None] >= first) & (frames[None] < first + self.width)
        return ops.softmax(ops.where(near, scores, scores - FAR), axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units, "width": self.width}
