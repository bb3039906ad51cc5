"""What training minimises, and by which optimizer."""

from typing import Any

import keras
from keras import ops

from zoo.pickers.lppn import LPPNConfig

OFFSET_WEIGHT = 5.0
"""Of a squared offset error in cells against a nat of cross-entropy: 1/50 per sample² at S = 16."""


@keras.saving.register_keras_serializable("edge_pick")
def cell_loss(target: Any, logits: Any) -> Any:
    """Cross-entropy summed over the cells of a window, the mean of its heads (logits [batch, heads, cells,
    3]); the weight of a cell is in its one-hot target, the same for all heads."""
    return -ops.mean(ops.sum(target * ops.log_softmax(logits, axis=-1), axis=(2, 3)), axis=1)


@keras.saving.register_keras_serializable("edge_pick")
def sigmoid_offset_loss(target: Any, raw: Any) -> Any:
    """Squared error of the onset within its cell, summed over the cells that hold one, the mean of heads."""
    error = ops.square(ops.sigmoid(raw[..., 0]) - target[..., 0])
    return ops.mean(ops.sum(error * target[..., 1], axis=2), axis=1)


@keras.saving.register_keras_serializable("edge_pick")
def linear_offset_loss(target: Any, raw: Any) -> Any:
    """As `sigmoid_offset_loss`, for heads that are read as they are."""
    error = ops.square(raw[..., 0] - target[..., 0])
    return ops.mean(ops.sum(error * target[..., 1], axis=2), axis=1)


def compile_model(model: keras.Model, config: LPPNConfig, rate: float, steps: int) -> None:
    """For training by `cosine_adamw`."""
    offset_loss = sigmoid_offset_loss if config.offset == "sigmoid" else linear_offset_loss
    model.compile(
        optimizer=cosine_adamw(rate, steps),
        loss={"cls": cell_loss, "ofs": offset_loss},
        loss_weights={"cls": 1.0, "ofs": OFFSET_WEIGHT},
    )
    model.optimizer.build(model.trainable_variables)  # left to the first step, it would take longer to trace


def cosine_adamw(rate: float, steps: int) -> keras.optimizers.Optimizer:
    """AdamW with warm-up and cosine decay over all `steps`; no decay on biases and batch norm."""
    warmup = min(500, steps // 10)
    schedule = keras.optimizers.schedules.CosineDecay(
        rate / 100, steps - warmup, alpha=0.01, warmup_target=rate, warmup_steps=warmup
    )
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=0.01, clipnorm=10.0)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer
