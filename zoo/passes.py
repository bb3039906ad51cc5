"""Networks that answer best in large batches, behind a picker that asks window by window."""

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np

from edge.card import Card
from edge.model import Floats, Network

Result = TypeVar("Result")
PIECE = 4096
"""Windows handed to a network at once: 150 MB."""


@runtime_checkable
class BatchNetwork(Protocol):
    """A network that also takes many windows (b, T, 3) at once, as a Keras model does."""

    card: Card

    def infer_many(self, windows: Floats) -> tuple[Floats, Floats]: ...


class WindowRecorder:
    """A network that answers nothing and remembers what it was asked: the first of two passes.

    Windows do not depend on answers, so all windows of a data set can be collected, evaluated in large
    batches, and answered in a second pass by `WindowAnswerer`, through the very picker that streams.
    """

    def __init__(self, card: Card) -> None:
        self.card = card
        self.windows: list[Floats] = []

    def infer(self, window: Floats) -> tuple[Floats, Floats]:
        self.windows.append(window)
        cells = len(window) // self.card.cells.stride
        return np.zeros((cells, 3), np.float32), np.zeros(cells, np.float32)


class WindowAnswerer:
    """The second pass: gives the answers in the order in which the windows were asked for."""

    def __init__(self, card: Card, logits: Floats, offsets: Floats) -> None:
        self.card = card
        self._answers = iter(zip(logits, offsets, strict=True))

    def infer(self, window: Floats) -> tuple[Floats, Floats]:
        return next(self._answers)


def through(network: Network, run: Callable[[Network], Result]) -> Result:
    """`run(network)`, in two passes if the network takes batches: one invoke a window is slow there."""
    if not isinstance(network, BatchNetwork):
        return run(network)
    recorder = WindowRecorder(network.card)
    nothing = run(recorder)
    if not recorder.windows:
        return nothing
    pieces = (recorder.windows[i : i + PIECE] for i in range(0, len(recorder.windows), PIECE))
    answers = [network.infer_many(np.stack(piece)) for piece in pieces]
    logits, offsets = (np.concatenate(part) for part in zip(*answers, strict=True))
    return run(WindowAnswerer(network.card, logits, offsets))


def coarse(card: Card, windows_apart: int) -> Card:
    """The card with a longer hop, at most `windows_apart` samples and what the window allows, for scoring in
    passing: the same cells from fewer windows, as long as a network looks hardly farther back than ahead."""
    step = 8 * card.cells.stride
    longest = min(windows_apart, card.input.window - 2 * card.stream.lookahead - step)
    return replace(card, stream=replace(card.stream, hop=max(longest // step * step, card.stream.hop)))
