"""Float against int8 on labelled traces, both through the station's own picker."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from convert.operating import best_threshold
from edge.cells import PHASES, Floats, OffsetKind, softmax, within_cell
from edge.model import Memory, Network
from edge.pick import Phase
from zoo.data.seisbench import read_rows, read_traces
from zoo.runner import compared
from zoo.scores import scoring
from zoo.scores.calibration import reliability
from zoo.scores.rates import Rates
from zoo.scores.scoring import Comparison


@dataclass(frozen=True, slots=True)
class Difference:
    """Probabilities of cells, int8 minus float, over all windows: mean, 99.9th percentile and worst of the
    absolute value, and the same worst of the onset within the cell where either says 0.1 or more (cells)."""

    cells: int
    mean: float
    p999: float
    worst: float
    worst_onset: float


@dataclass(frozen=True, slots=True)
class Verification:
    """Comparisons by phase for both models, on the same traces and windows."""

    traces: int
    float_: Mapping[Phase, Comparison]
    int8: Mapping[Phase, Comparison]
    difference: Difference

    def thresholds(self, rates: Mapping[Phase, Rates] | None) -> dict[Phase, float]:
        """By phase the int8 model's best threshold; without the phases that are not labelled, or never
        found. `rates`: its false picks on continuous records, if it was run there."""
        best = {phase: best_threshold(self.int8[phase], rates[phase] if rates else None) for phase in PHASES}
        return {
            phase: threshold
            for phase, threshold in best.items()
            if all(scoring.residuals(model[phase], threshold).count for model in (self.float_, self.int8))
        }

    def sigma_s(self, thresholds: Mapping[Phase, float]) -> dict[Phase, float]:
        """By phase the standard deviation of the int8 model's residuals within 0.5 s, at least 1 ms."""
        return {
            phase: max(0.001, round(scoring.residuals(self.int8[phase], threshold).std_s, 3))
            for phase, threshold in thresholds.items()
        }

    def metrics(self, thresholds: Mapping[Phase, float]) -> dict[str, Any]:
        """All as plain numbers, for the card and the report."""
        return {
            "traces": self.traces,
            "float": {p: _numbers(self.float_[p], threshold) for p, threshold in thresholds.items()},
            "int8": {p: _numbers(self.int8[p], threshold) for p, threshold in thresholds.items()},
            "int8_minus_float": {k: round(v, 4) for k, v in asdict(self.difference).items()},
        }


def _numbers(comparison: Comparison, threshold: float) -> dict[str, Any]:
    residual = scoring.residuals(comparison, threshold)
    scores = {f"{tol:g}": scoring.score(comparison, tol, threshold) for tol in scoring.TOLERANCES_S}
    return {
        "threshold": threshold,
        "labels": len(comparison.names),
        **{f"f1_{tol}s": round(score.f1, 4) for tol, score in scores.items()},
        **{f"best_f1_{tol}s": round(scoring.best(comparison, float(tol)).f1, 4) for tol in scores},
        "precision_0.5s": round(scores["0.5"].precision, 4),
        "recall_0.5s": round(scores["0.5"].recall, 4),
        "calibration_error": round(reliability(comparison).ece, 4),
        "residual_mean_s": round(residual.mean_s, 4),
        "residual_std_s": round(residual.std_s, 4),
        "residual_mae_s": round(residual.mae_s, 4),
    }


class Overheard:
    """A network whose final words are kept as they are given."""

    def __init__(self, network: Network) -> None:
        self.card = network.card
        self._network = network
        self._given: list[Floats] = []

    def begin(self, streams: int) -> Memory:
        """As `Network`."""
        return self._network.begin(streams)

    def step(self, samples: Floats, memory: Memory) -> Floats:
        """As `Network`."""
        words = self._network.step(samples, memory)
        self._given.append(words[:, -1].reshape(-1, 4))
        return words

    def final(self) -> Floats:
        """All that the final head has given (n, 4)."""
        return np.concatenate(self._given)


def picked(network: Network, folder: Path, split: str, quiet: bool) -> dict[Phase, Comparison]:
    """The network's picks on the traces of a split against their labels, by phase."""
    total = len(read_rows(folder, split))
    traces = tqdm(read_traces(folder, split), f"{network.card.name}, {split}", total, disable=quiet)
    found: dict[Phase, Comparison] = compared(network, traces)
    return found


def verify(float_: Network, int8: Network, folder: Path, split: str, quiet: bool) -> Verification:
    """Picks every trace of a split with both models."""
    heard = {"float": Overheard(float_), "int8": Overheard(int8)}
    comparisons = {name: picked(network, folder, split, quiet) for name, network in heard.items()}
    return Verification(
        len(read_rows(folder, split)),
        comparisons["float"],
        comparisons["int8"],
        _difference(int8.card.cells.offset, {name: network.final() for name, network in heard.items()}),
    )


def _difference(offset: OffsetKind, words: Mapping[str, Floats]) -> Difference:
    prob = {name: softmax(given[:, :3])[:, 1:] for name, given in words.items()}
    apart = np.abs(prob["int8"] - prob["float"]).ravel()
    onset = {name: within_cell(given[:, 3], offset) for name, given in words.items()}
    asked = np.maximum(prob["int8"], prob["float"]).max(axis=-1) >= 0.1
    onset_apart = np.abs(onset["int8"] - onset["float"])[asked]
    return Difference(
        cells=len(apart) // 2,
        mean=float(apart.mean()),
        p999=float(np.percentile(apart, 99.9)),
        worst=float(apart.max()),
        worst_onset=float(onset_apart.max(initial=0.0)),
    )
