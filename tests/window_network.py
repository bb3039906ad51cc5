"""What answers window by window as the station's network: for tests that look at windows."""

import numpy as np

from edge.model import due, moved_on
from edge.preprocess import normaliser


class ByWindow:
    """A network that asks `infer` of every window: (T, 3) to logits (T / S, 3) and offsets (T / S,)."""

    card = None

    def begin(self, streams):
        return [np.zeros((streams, self.card.input.window, 3), np.float32)]

    def step(self, samples, memory):
        windows = normaliser(self.card.input.normalisation).window(moved_on(memory, samples))
        answers = [self.infer(window) for window in windows]
        words = [np.column_stack([logits, offsets]) for logits, offsets in answers]
        return due(np.stack(words)[:, None].astype(np.float32), self.card)
