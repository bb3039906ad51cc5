"""How good a network is in passing: F1 on labelled traces through the picker that streams."""

from pathlib import Path

import keras
import numpy as np

from edge.card import Card
from edge.picker import Picker
from edge.timeline import Block, Timeline
from zoo.data.seisbench import Trace, read_rows, read_traces
from zoo.network import predict
from zoo.passes import WindowAnswerer, WindowRecorder, coarse
from zoo.runner import packet_of
from zoo.scores.scoring import TOLERANCES_S, Labels, TracePick, best, compare, labels_of

MOST_DEV_TRACES = 2000
"""Of a larger dev split so many at most, spread over it: it is scored every epoch and held in memory."""
EVALUATION_THRESHOLD = 0.1
EVALUATION_HOP = 1536


def dev_traces(folder: Path) -> list[Trace]:
    """The dev split, of a large one every n-th trace. Errors as `read_traces`."""
    names = [row["trace_name"] for row in read_rows(folder, "dev")]
    return list(read_traces(folder, "dev", set(names[:: -(-len(names) // MOST_DEV_TRACES)])))


class DevScore:
    """F1 on labelled traces, by the picker that streams, quick enough to be asked every epoch."""

    def __init__(self, card: Card, traces: list[Trace]) -> None:
        self._card = coarse(card, EVALUATION_HOP)
        self._labels: list[Labels] = [labels_of(trace) for trace in traces]
        self._blocks: list[list[Block]] = []
        for trace in traces:
            packet = packet_of(trace)
            timeline = Timeline(packet.stream.channels, card.input.rate_hz)
            self._blocks.append([*timeline.feed(packet), *timeline.flush()])
        recorder = WindowRecorder(self._card)
        self._walk(recorder)
        self._windows = np.stack(recorder.windows)[:, None]

    def __len__(self) -> int:
        """Traces."""
        return len(self._labels)

    def _walk(self, network: WindowRecorder | WindowAnswerer) -> dict[str, list[TracePick]]:
        thresholds = dict.fromkeys(self._card.thresholds, EVALUATION_THRESHOLD)
        picks = {}
        for labels, blocks in zip(self._labels, self._blocks, strict=True):
            picker = Picker(network, thresholds)
            found = [pick for block in blocks for pick in picker.feed(block)] + picker.flush()
            picks[labels.name] = [TracePick(p.phase, p.time_ns / 1e9, p.prob) for p in found]
        return picks

    def __call__(self, model: keras.Model) -> dict[str, float]:
        """F1 by phase and tolerance at the best threshold, e.g. "P@0.5", and their mean as "score"."""
        out = predict(model, self._windows)
        answerer = WindowAnswerer(self._card, out["cls"][:, -1], out["ofs"][:, -1, :, 0])
        picks = self._walk(answerer)
        scores = {}
        for phase in self._card.thresholds:
            comparison = compare(self._labels, picks, phase)
            for tolerance in (TOLERANCES_S[0], TOLERANCES_S[-1]):
                scores[f"{phase}@{tolerance}"] = best(comparison, tolerance).f1
        return {"score": float(np.mean(list(scores.values()))), **scores}
