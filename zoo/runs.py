"""Training runs on disk: a folder with the best and the last weights, and a log."""

import json
import math
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from edge.card import Card, card_path
from edge.polarity import PolarityCard
from zoo.dev_score import DevScore


@dataclass(frozen=True, slots=True)
class Run:
    """The files of one training run: `last` with its optimizer to go on from, `best` by the dev score,
    `log` one JSON object an epoch."""

    folder: Path

    @property
    def last(self) -> Path:
        return self.folder / "last.keras"

    @property
    def best(self) -> Path:
        return self.folder / "best.keras"

    @property
    def log(self) -> Path:
        return self.folder / "log.jsonl"

    def open(self, card: Card | PolarityCard) -> None:
        """Makes the folder; ValueError if the run begun there was another one, or its files are damaged."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.history():
            if not zipfile.is_zipfile(self.last):
                raise ValueError(f"{self.last} is missing or damaged: name another --run")
            try:
                begun = type(card).from_json(card_path(self.best).read_bytes())
            except (OSError, ValueError) as error:
                raise ValueError(f"{card_path(self.best)}: {error}; name another --run") from error
            if begun.training != card.training:
                command = begun.training["command"]
                raise ValueError(f"{self.folder} holds another run ({command}); name another --run")

    def keep(self, model: keras.Model, card: Card | PolarityCard, line: dict[str, float], best: bool) -> None:
        """After an epoch: its weights as the last, and as the best if they are, with their card; the line of
        the log last, so that each one always has its checkpoint."""
        if best:
            card_path(self.best).write_text(card.to_json())
            self._save(model, self.best)
        self._save(model, self.last)
        with self.log.open("a") as log:
            log.write(json.dumps(line) + "\n")

    def _save(self, model: keras.Model, path: Path) -> None:
        """In one step, so that an interruption leaves the old file or the new one."""
        partial = path.with_suffix(".partial.keras")
        model.save(partial)
        partial.replace(path)

    def history(self) -> list[dict[str, float]]:
        """The lines of the log; ValueError if it is damaged."""
        try:
            lines = self.log.read_text().splitlines() if self.log.exists() else []
            return [{**json.loads(line)} for line in lines]
        except (ValueError, TypeError) as error:
            raise ValueError(f"{self.log} is damaged ({error}): name another --run") from error


class Checkpoint(keras.callbacks.Callback):
    """Scores on dev after each epoch, by which it keeps the best."""

    def __init__(self, run: Run, card: Card, dev: DevScore) -> None:
        super().__init__()
        self._run, self._card, self._dev = run, card, dev

    def describe(self) -> str:
        """How much it trains on and is scored on."""
        traces = sum(self._card.training["data"].values())
        return f"{traces} training traces, {len(self._dev)} dev traces"

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """ValueError, and nothing is written, for a loss that is no number: no later epoch would have one."""
        if not all(math.isfinite(value) for value in (logs or {}).values()):
            raise ValueError(f"the loss of epoch {epoch + 1} is no number: lower --learning-rate")
        scores = self._dev(self.model)
        best_before = max((line["score"] for line in self._run.history()), default=-1.0)
        line = {"epoch": epoch + 1, **{k: round(float(v), 5) for k, v in {**(logs or {}), **scores}.items()}}
        self._run.keep(self.model, self._card, line, best=scores["score"] > best_before)
        print("  dev " + "  ".join(f"{k} {v:.3f}" for k, v in scores.items()), flush=True)
