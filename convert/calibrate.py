"""What quantisation takes its ranges from: what the station would show the network, from real records."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edge.card import Card
from edge.cells import SILENCE
from edge.model import Floats, Memory, moved_on
from edge.preprocess import normaliser
from zoo.data.seisbench import read_rows, read_traces
from zoo.network import KerasStream
from zoo.runner import TOGETHER, batched, trace_picks

Inputs = dict[str, Floats]
TRACES = 256
"""Read for calibration, or all of fewer."""


class WindowSampler:
    """A network of windows that answers nothing, and keeps a share of what it is asked."""

    def __init__(self, card: Card, share: float) -> None:
        self.card = card
        self.kept: list[Floats] = []
        self._share, self._rng = share, np.random.default_rng(0)
        self._rule = normaliser(card.input.normalisation)

    def begin(self, streams: int) -> Memory:
        """As `Network`."""
        return [np.zeros((streams, self.card.input.window, 3), np.float32)]

    def step(self, samples: Floats, memory: Memory) -> Floats:
        """As `Network`."""
        windows = moved_on(memory, samples)
        self.kept += list(self._rule.window(windows[self._rng.random(len(windows)) < self._share]))
        frames = self.card.stream.hop // self.card.cells.stride
        return np.tile(SILENCE, (len(samples), len(self.card.stream.delays), frames, 1))


class StreamSampler:
    """A network in its stream form that keeps a share of its inputs: the states of real streams, for zeros
    alone would teach the ranges of silence."""

    def __init__(self, network: KerasStream, share: float) -> None:
        self.card = network.card
        self.kept: list[Inputs] = []
        self._network, self._share, self._rng = network, share, np.random.default_rng(0)

    def begin(self, streams: int) -> Memory:
        """As `Network`."""
        memory: Memory = self._network.begin(streams)
        return memory

    def step(self, samples: Floats, memory: Memory) -> Floats:
        """As `Network`."""
        inputs = self._network.inputs(samples, memory)
        for row in np.flatnonzero(self._rng.random(len(samples)) < self._share):
            self.kept.append({name: values[row] for name, values in inputs.items()})
        words: Floats = self._network.step(samples, memory)
        return words


def sample(network: WindowSampler | StreamSampler, folders: Sequence[Path]) -> None:
    """Shows a sampler traces of the train splits of SeisBench folders as the station would: event windows,
    noise, starts of segments, lost components."""
    names = [(folder, row["trace_name"]) for folder in folders for row in read_rows(folder, "train")]
    order = np.random.default_rng(0).permutation(len(names))[:TRACES]
    for folder in folders:
        chosen = {names[k][1] for k in order if names[k][0] == folder}
        for some in batched(read_traces(folder, "train", chosen), TOGETHER):
            trace_picks(network, some, 0.5)
