"""How good a network is in passing: F1 on labelled traces through the picker that streams."""

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np

from edge.card import Card
from edge.cells import PHASES
from zoo.data.seisbench import Trace, read_rows, read_traces
from zoo.network import KerasNetwork
from zoo.runner import TOGETHER, batched, trace_picks
from zoo.scores.scoring import TOLERANCES_S, Labels, TracePick, best, compare, labels_of

MOST_DEV_TRACES = 2000
"""Of a larger dev split so many at most, spread over it: it is scored every epoch and held in memory."""
EVALUATION_THRESHOLD = 0.1
EVALUATION_HOP = 1536


def dev_traces(folder: Path) -> list[Trace]:
    """The dev split, of a large one every n-th trace. Errors as `read_traces`."""
    names = [row["trace_name"] for row in read_rows(folder, "dev")]
    return list(read_traces(folder, "dev", set(names[:: -(-len(names) // MOST_DEV_TRACES)])))


def coarse(card: Card, hop: int) -> Card:
    """The card with a longer hop, at most this and what the window allows: the same cells from fewer
    windows, as long as a network looks hardly farther back than ahead."""
    step = 8 * card.cells.stride
    longest = min(hop, card.input.window - 2 * card.stream.delays[-1] * card.cells.stride - step)
    return replace(card, stream=replace(card.stream, hop=max(longest // step * step, card.stream.hop)))


class DevScore:
    """F1 on labelled traces, by the picker that streams, quick enough to be asked every epoch."""

    def __init__(self, card: Card, traces: list[Trace]) -> None:
        self._card = coarse(card, EVALUATION_HOP)
        self._traces = traces
        self._labels: list[Labels] = [labels_of(trace) for trace in traces]

    def __len__(self) -> int:
        """Traces."""
        return len(self._labels)

    def __call__(self, model: keras.Model) -> dict[str, float]:
        """F1 by phase and tolerance at the best threshold, e.g. "P@0.5", and their mean as "score"."""
        network = KerasNetwork(self._card, model)
        picks: dict[str, list[TracePick]] = {}
        for some in batched(self._traces, TOGETHER):
            picks |= trace_picks(network, some, EVALUATION_THRESHOLD)
        scores = {}
        for phase in PHASES:
            comparison = compare(self._labels, picks, phase)
            for tolerance in (TOLERANCES_S[0], TOLERANCES_S[-1]):
                scores[f"{phase}@{tolerance}"] = best(comparison, tolerance).f1
        return {"score": float(np.mean(list(scores.values()))), **scores}
