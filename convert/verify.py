"""Float against int8 on labelled traces, both through the station's own picker."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from edge.card import Card
from edge.cells import PHASES, softmax
from edge.model import Network
from edge.pick import Phase
from zoo.data.seisbench import Trace, read_rows, read_traces
from zoo.network import KerasNetwork
from zoo.passes import WindowAnswerer, WindowRecorder, coarse
from zoo.runner import trace_picks
from zoo.scores import scoring
from zoo.scores.calibration import reliability
from zoo.scores.scoring import Comparison

PICK_THRESHOLD = 0.05
BIAS_THRESHOLD = 0.3
APART = 1152
"""Samples between windows where the bias is measured: cells are the same, at less cost."""

Answers = tuple[NDArray[np.float32], NDArray[np.float32]]


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

    def thresholds(self) -> dict[Phase, float]:
        """By phase the int8 model's threshold of the highest mean F1 over 0.1 and 0.5 s; without the phases
        that are not labelled, or never found."""
        best = {phase: _best_threshold(self.int8[phase]) for phase in PHASES}
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


def _best_threshold(comparison: Comparison) -> float:
    def mean_f1(threshold: float) -> float:
        return float(np.mean([scoring.score(comparison, tol, threshold).f1 for tol in (0.1, 0.5)]))

    threshold: float = max(scoring.THRESHOLDS, key=mean_f1)
    return threshold


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


class Rehearsal:
    """A split of labelled traces, and every window that a card's picker asks for on them: each model answers
    them once, and the picker turns either's answers into picks."""

    def __init__(self, card: Card, folder: Path, split: str, quiet: bool) -> None:
        self._folder, self._split, self._quiet = folder, split, quiet
        self.total = len(read_rows(folder, split))
        self.labels: list[scoring.Labels] = []
        recorder = WindowRecorder(card)
        for trace in self._traces(f"{split} windows"):
            self.labels.append(scoring.labels_of(trace))
            trace_picks(recorder, trace, PICK_THRESHOLD)
        self.windows = np.stack(recorder.windows)

    def _traces(self, what: str) -> Iterable[Trace]:
        return tqdm(read_traces(self._folder, self._split), what, self.total, disable=self._quiet)

    def answers(self, network: Network) -> Answers:
        """The network's logits (b, cells, 3) and raw offsets (b, cells) of all windows."""
        many = [network.infer(window) for window in tqdm(self.windows, "int8 windows", disable=self._quiet)]
        return np.stack([logits for logits, _ in many]), np.stack([offsets for _, offsets in many])

    def compare(self, card: Card, answers: Answers) -> dict[Phase, Comparison]:
        """The picks that a picker under this card makes of a network's answers, against the labels."""
        answerer = WindowAnswerer(card, *answers)
        picks = {trace.name: trace_picks(answerer, trace, PICK_THRESHOLD) for trace in self._traces("picks")}
        return {phase: scoring.compare(self.labels, picks, phase) for phase in PHASES}


def onset_bias(network: Network, folder: Path, split: str, quiet: bool) -> dict[Phase, float]:
    """By phase how late the network's onsets are in the middle: the median of pick minus label over the
    labels of a split that it finds within 0.5 s, in seconds; 0 where it finds none."""
    card = coarse(network.card, APART)
    rehearsal = Rehearsal(card, folder, split, quiet)
    late = {}
    for phase, comparison in rehearsal.compare(card, rehearsal.answers(network)).items():
        nearest = scoring.nearest_residuals(comparison, BIAS_THRESHOLD)
        found = nearest[~np.isnan(nearest)]
        late[phase] = round(float(np.median(found)), 4) if len(found) else 0.0
    return late


def verify(float_model: KerasNetwork, int8: Network, folder: Path, split: str, quiet: bool) -> Verification:
    """Picks every trace of a split with both models."""
    rehearsal = Rehearsal(int8.card, folder, split, quiet)
    answers = {"float": float_model.infer_many(rehearsal.windows), "int8": rehearsal.answers(int8)}
    comparisons = {name: rehearsal.compare(int8.card, answer) for name, answer in answers.items()}
    return Verification(
        rehearsal.total,
        comparisons["float"],
        comparisons["int8"],
        _difference(int8.card.cells.offset, answers),
    )


def _difference(offset: str, answers: Mapping[str, tuple[Any, Any]]) -> Difference:
    prob = {name: softmax(logits)[..., 1:] for name, (logits, _) in answers.items()}
    apart = np.abs(prob["int8"] - prob["float"]).ravel()
    onset = {
        name: 1 / (1 + np.exp(-offsets)) if offset == "sigmoid" else offsets
        for name, (_, offsets) in answers.items()
    }
    asked = np.maximum(prob["int8"], prob["float"]).max(axis=-1) >= 0.1
    onset_apart = np.abs(onset["int8"] - onset["float"])[asked]
    return Difference(
        cells=len(apart) // 2,
        mean=float(apart.mean()),
        p999=float(np.percentile(apart, 99.9)),
        worst=float(apart.max()),
        worst_onset=float(onset_apart.max(initial=0.0)),
    )
