"""A bank under test: a network whose every P is known, blocks of one stream, and its picks."""

from itertools import pairwise

import numpy as np

from edge.bank import Bank
from edge.block import Block
from edge.card import Card, CellSpec, InputSpec, StreamSpec
from edge.model import due, moved_on
from edge.pick import NS
from firmware_bridge.packet import Stream

STREAM = Stream("XX", "TEST", "00", ("EHZ", "EHN", "EHE"))
START_NS = 1_700_000_000 * NS
RATE = 100
CARD = Card(
    name="spikes",
    task="picking",
    licence="MIT",
    input=InputSpec(100.0, 1024, None, {"name": "max-abs"}),
    cells=CellSpec(16, "linear"),
    stream=StreamSpec(hop=128, delays=[0, 16], separation_s=1.0),
    thresholds={"P": 0.5, "S": 0.5},
    sigma_s={"P": 0.01, "S": 0.01},
    sha256="0" * 64,
)


class SpikeNetwork:
    """Says P for every cell in which the vertical exceeds a half, with the exact offset: a bank on top of it
    must find every spike once, wherever hops begin and end."""

    def __init__(self, card: Card = CARD) -> None:
        self.card = card

    def begin(self, streams):
        return [np.zeros((streams, self.card.input.window, 3), np.float32)]

    def step(self, samples, memory):
        windows = moved_on(memory, samples)
        cells = np.abs(windows[..., 0]).reshape(len(windows), 1, -1, self.card.cells.stride)
        words = np.tile(np.float32([30.0, 0.0, 0.0, 0.0]), (*cells.shape[:-1], 1))
        words[..., 1] = np.where(cells.max(axis=-1) > 0.5, 60.0, 0.0)
        words[..., 3] = cells.argmax(axis=-1) / self.card.cells.stride
        return due(words, self.card)


def blocks_of(samples, cuts=(), starts=True, start_ns=START_NS):
    edges = [0, *sorted(cuts), len(samples)]
    blocks = []
    for a, b in pairwise(edges):
        if b > a:
            begin = start_ns + a * NS // RATE
            blocks.append(Block(STREAM, begin, samples[a:b], 100.0, "gnss", starts and not blocks))
    return blocks


def run(network, blocks, thresholds=None, at_once=False, early=None, polariser=None):
    """The picks of one stream, each block picked as it comes, or all of them at the end."""
    bank = Bank(network, thresholds, early, polariser)
    picker = bank.open()
    picks = []
    for block in blocks:
        picker.feed(block)
        picks += [] if at_once else bank.run()
    picker.end()
    return picks + bank.run()
