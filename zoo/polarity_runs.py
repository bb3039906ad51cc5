"""The checkpoints of polarity training, its curve, and the temperature of its probabilities."""

import json
from argparse import Namespace
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from edge.card import card_path
from edge.polarity import PolarityCard
from zoo.runs import Run

LAST = "last"
"""The monitor by which every epoch is better than the one before."""


class PolarityCheckpoint(keras.callbacks.Callback):
    """After each epoch keeps the last and, by the monitored value, the best, draws the curve, and writes the
    log last, so that a log line always has its checkpoint. Stops training when patience is at an end."""

    def __init__(self, run: Run, card: PolarityCard, args: Namespace) -> None:
        super().__init__()
        self._run, self._card, self._args = run, card, args
        less = args.mode == "min" or (args.mode == "auto" and "loss" in args.monitor)
        self._sign = -1.0 if less else 1.0

    @property
    def done(self) -> int:
        """Epochs."""
        return len(self._run.history())

    @property
    def patient_no_more(self) -> bool:
        """Whether the best epoch is too long ago."""
        values = self._values()
        return bool(values) and len(values) - 1 - int(np.argmax(values)) >= self._args.patience

    def _values(self) -> list[float]:
        """By epoch, the more the better."""
        if self._args.monitor == LAST:
            return [float(line["epoch"]) for line in self._run.history()]
        return [self._sign * line[self._args.monitor] for line in self._run.history()]

    def describe(self) -> str:
        """How much it trains on and stops by."""
        data = ", ".join(f"{count} {name}" for name, count in self._card.training["data"].items())
        return f"training on {data}; dev {self._card.training['dev']}"

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        line = {"epoch": epoch + 1, **{key: round(float(value), 5) for key, value in (logs or {}).items()}}
        if self._args.monitor != LAST and self._args.monitor not in line:
            raise ValueError(f"--monitor {self._args.monitor}: there are {', '.join(line)}")
        value = line["epoch"] if self._args.monitor == LAST else self._sign * line[self._args.monitor]
        if value > max(self._values(), default=-np.inf):
            card_path(self._run.best).write_text(self._card.to_json())
            self._save(self._run.best)
        self._save(self._run.last)
        with self._run.log.open("a") as log:
            log.write(json.dumps(line) + "\n")
        draw(self._run)
        self.model.stop_training = self.patient_no_more

    def _save(self, path: Any) -> None:
        """In one step, so that an interruption leaves the old file or the new one."""
        partial = path.with_suffix(".partial.keras")
        self.model.save(partial)
        partial.replace(path)


def draw(run: Run) -> None:
    """Loss and accuracy by epoch, training and dev, as `curve.png` in the run's folder."""
    from matplotlib.figure import Figure

    history = run.history()
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    for axis, kind in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for name in sorted(key for key in history[0] if key.endswith(kind)):
            axis.plot([line["epoch"] for line in history], [line[name] for line in history], label=name)
        axis.set(xlabel="epoch", ylabel=kind)
        axis.grid(alpha=0.3)
        axis.legend()
    figure.savefig(run.folder / "curve.png", dpi=110)


def temperature(logits: NDArray[np.float64], up: NDArray[np.floating[Any]]) -> float:
    """By which logits (n,) are to be divided so that they fit what was up (n,) best, after Guo et al. (2017):
    the least cross-entropy of 0.2 to 20."""
    tried = np.geomspace(0.2, 20.0, 401)
    z = logits[:, None] / tried
    loss = np.logaddexp(0.0, -z) * up[:, None] + np.logaddexp(0.0, z) * (1 - up[:, None])
    return round(float(tried[np.argmin(loss.mean(axis=0))]), 3)
