"""Representative windows: what the station would show the network, from real records."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.card import Card
from zoo.data.seisbench import read_traces
from zoo.passes import WindowRecorder, coarse
from zoo.runner import trace_picks

APART = 1024
"""Samples between windows of a trace: neighbouring windows add nothing to ranges."""


def representative_windows(
    card: Card, folders: list[Path], count: int, seed: int = 0
) -> list[NDArray[np.float32]]:
    """`count` windows (T, 3), drawn from the train splits of SeisBench folders as the picker sees them:
    event windows, noise, starts of segments, lost components."""
    recorder = WindowRecorder(coarse(card, APART))
    for folder in folders:
        for trace in read_traces(folder, "train"):
            trace_picks(recorder, trace, 0.5)
    chosen = np.random.default_rng(seed).permutation(len(recorder.windows))[:count]
    return [recorder.windows[i] for i in chosen]
