"""The checkpoints of polarity training and its curve."""

from argparse import Namespace
from typing import Any

import keras
import numpy as np

from edge.polarity import PolarityCard
from zoo.runs import Run

LAST = "last"
"""The monitor by which every epoch is better than the one before."""


class PolarityCheckpoint(keras.callbacks.Callback):
    """After each epoch keeps the best by the monitored value, and draws the curve. Stops training when
    patience is at an end."""

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
        """ValueError, and nothing is written, for a loss that is no number: no later epoch would have one."""
        line: dict[str, float] = {"epoch": epoch + 1}
        for key, value in (logs or {}).items():  # of several outputs Keras says which one is accurate
            line[key.replace("polarity_accuracy", "accuracy")] = round(float(value), 5)
        if not np.isfinite(list(line.values())).all():
            raise ValueError(f"the loss of epoch {epoch + 1} is no number: lower --learning-rate")
        value = line["epoch"] if self._args.monitor == LAST else self._sign * line[self._args.monitor]
        self._run.keep(self.model, self._card, line, best=value > max(self._values(), default=-np.inf))
        draw(self._run)
        self.model.stop_training = self.patient_no_more


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
