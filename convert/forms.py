"""The two forms in which a picker goes to the station, int8: a step of a stream, or whole windows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from convert.calibrate import StreamSampler, WindowSampler, sample
from convert.graph import for_one
from convert.quantize import to_int8, window_form
from edge.card import Card
from edge.model import Network
from zoo.network import KerasNetwork, KerasStream
from zoo.pickers.lppn import LPPNConfig
from zoo.pickers.polyphase import fill
from zoo.pickers.stream import build_stream

WINDOWS_SHARE, HOPS_SHARE = 0.02, 0.1
"""Of the hops of the calibration traces, so many are kept."""
TRACED_BATCH = 32
"""Streams for which the stream form is converted, before it is cut to one. Converted for one, the sums of
a single frame would be mistaken for a bias."""


@dataclass(frozen=True, slots=True)
class Form:
    """An int8 model, the card that goes with it but for what is measured later, and its float counterpart."""

    model: bytes
    card: Card
    float_: Network


def as_windows(trained: KerasNetwork, folders: Sequence[Path], count: int) -> Form:
    """By whole windows, calibrated on `count` of them. ValueError for a causal network, which would have no
    answer for the last cells of a segment."""
    config = LPPNConfig(**trained.card.training["network"])
    if config.causal:
        raise ValueError(
            "a causal network goes by hops: whole windows of it have no answer at a segment's end"
        )
    sampler = WindowSampler(trained.card, WINDOWS_SHARE)
    sample(sampler, folders)
    chosen = np.random.default_rng(0).permutation(len(sampler.kept))[:count]
    model = to_int8(window_form(trained.model, config), [{"x": sampler.kept[k][None, None]} for k in chosen])
    return Form(model, trained.card, trained)


def as_stream(trained: KerasNetwork, folders: Sequence[Path], count: int) -> Form:
    """Hop by hop, all heads, calibrated on `count` times as many hops as a batch has. ValueError for a
    network that is not causal."""
    config = replace(LPPNConfig(**trained.card.training["network"]), upsampling="polyphase")
    model = fill(build_stream(config, trained.card.stream.hop, TRACED_BATCH), trained.model)
    float_ = KerasStream(trained.card, trained.model)
    sampler = StreamSampler(float_, HOPS_SHARE)
    sample(sampler, folders)
    order = np.random.default_rng(0).permutation(len(sampler.kept))[: TRACED_BATCH * count]
    batches = [order[k : k + TRACED_BATCH] for k in range(0, len(order) - TRACED_BATCH + 1, TRACED_BATCH)]
    calibration = [
        {name: np.stack([sampler.kept[k][name] for k in batch]) for name in ("x", "state", "sums")}
        for batch in batches
    ]
    return Form(for_one(to_int8(model, calibration)), trained.card, float_)
