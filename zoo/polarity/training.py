"""What training has to know of a polarity network: its input, what its outputs should be, and its loss."""

from dataclasses import dataclass
from types import ModuleType
from typing import Any, Protocol

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from edge.polarity import PolarityInput
from zoo.data.motion_batches import Batch
from zoo.losses import cosine_adamw
from zoo.polarity import attention, attention2d, compact, joint, ross

Arrays = dict[str, NDArray[np.float32]]
MAX_ABS = {"name": "max-abs"}


class Form(Protocol):
    """A network and how it is trained. `input`: its windows; `description`: JSON for cards."""

    @property
    def input(self) -> PolarityInput: ...

    @property
    def description(self) -> dict[str, Any]: ...

    def build(self) -> keras.Model: ...

    def compile(self, model: keras.Model, loss: str, rate: float, steps: int) -> None: ...

    def x(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Normalised windows (n, window) as the network takes them."""
        ...

    def y(self, batch: Batch) -> Arrays:
        """What its outputs should be."""
        ...

    def logits(self, outputs: Arrays) -> NDArray[np.float32]:
        """Of up against down (n,), from its outputs."""
        ...


def accuracy(target: Any, logit: Any) -> Any:
    """The share of likelier directions that are the target's, which may be a probability."""
    return ops.mean(ops.cast(ops.equal(target > 0.5, logit > 0), "float32"), axis=-1)


@dataclass(frozen=True, slots=True)
class Compact:
    """The station's network: one logit, taught by probabilities of up, AdamW with cosine decay."""

    config: compact.CompactConfig
    input: PolarityInput
    description: dict[str, Any]

    def build(self) -> keras.Model:
        return compact.build(self.config)

    def compile(self, model: keras.Model, loss: str, rate: float, steps: int) -> None:
        chosen = keras.losses.BinaryCrossentropy(from_logits=True) if loss == "binary_crossentropy" else loss
        model.compile(cosine_adamw(rate, steps), loss=chosen, metrics=[accuracy], jit_compile=False)

    def x(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        return windows[:, None, :, None]

    def y(self, batch: Batch) -> Arrays:
        return {"up": batch.up[:, None]}

    def logits(self, outputs: Arrays) -> NDArray[np.float32]:
        return np.asarray(outputs["up"][:, 0], np.float32)


@dataclass(frozen=True, slots=True)
class Published:
    """A full-size network: probabilities of up, down and unknown; `onset`, whether it picks as well. Adam at
    a constant rate."""

    module: ModuleType
    onset: bool
    input: PolarityInput
    description: dict[str, Any]

    def build(self) -> keras.Model:
        model: keras.Model = self.module.build()
        return model

    def compile(self, model: keras.Model, loss: str, rate: float, steps: int) -> None:
        losses = {"polarity": loss, **({"onset": "mean_squared_error"} if self.onset else {})}
        model.compile(
            keras.optimizers.Adam(rate), loss=losses, metrics={"polarity": ["accuracy"]}, jit_compile=False
        )

    def x(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        return windows[..., None]

    def y(self, batch: Batch) -> Arrays:
        told = 1 - batch.unknown
        target = {"polarity": np.stack([batch.up * told, (1 - batch.up) * told, batch.unknown], axis=1)}
        if self.onset:
            target["onset"] = curve(batch)
        return target

    def logits(self, outputs: Arrays) -> NDArray[np.float32]:
        up, down, _ = np.log(np.maximum(outputs["polarity"], 1e-30)).T
        return np.asarray(up - down, np.float32)


def curve(batch: Batch) -> NDArray[np.float32]:
    """A bell curve around each onset (n, window, 1), which ends five sigmas from it."""
    distance = (np.arange(batch.windows.shape[1]) - batch.onset[:, None]) / joint.SIGMA
    bell = np.where(np.abs(distance) <= 5, np.exp(-0.5 * distance**2), 0.0)
    return bell[..., None].astype(np.float32)


PUBLISHED = {"attention": attention, "ross": ross, "joint": joint, "attention2d": attention2d}
AFTER = 64
"""Samples from the onset on that the station's network is shown: 0.64 s."""


def form(network: str, attend: compact.Attention = "pool") -> Form:
    """The form of a network; `attend`: which attention the station's has."""
    if network == "polarity":
        config = compact.CompactConfig(attention=attend)
        spec = PolarityInput(100.0, config.window, config.window - AFTER, 1.0, MAX_ABS)
        return Compact(config, spec, {"network": network, **compact.describe(config)})
    spec = PolarityInput(100.0, attention.WINDOW, attention.WINDOW // 2, 1.0, MAX_ABS)
    return Published(PUBLISHED[network], network == "joint", spec, {"network": network})
