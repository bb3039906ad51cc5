"""What models answer to the same ground motion, as hashes: equal on another platform, runtime or version
where every integer is.

    python -m benchmarks.answers edge/models/*.tflite

For each model: "shown", the integers that go in; "default", what the kernels that the station uses make of
them, state handed on from hop to hop; "reference", the same by the plain kernels.
"""

import argparse
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.backend import LiteRT
from edge.card import Card, card_path, read_card
from edge.model import Floats, Network, network_on, quantise
from edge.pick import NS
from edge.polarity import PolarityCard, PolarityNetwork, cut, normalised, read_polarity_card
from edge.preprocess import highpassed, normaliser
from firmware_bridge.synthetic import synthetic_earthquake

SECONDS = slice(16, 32)
"""Of the synthetic earthquake: noise, P at 20 s, S at 26 s."""
EARTHQUAKES = 16
"""As many first motions are shown."""
DIGITS = 16


def shown(card: Card) -> Floats:
    """Hops (n, 1, hop, 3) of the synthetic earthquake as a station shows them to the model."""
    record = synthetic_earthquake()
    samples = record.samples[SECONDS.start * record.rate : SECONDS.stop * record.rate].astype(np.float64)
    if card.input.highpass_hz is not None:
        samples = highpassed(samples, card.input.highpass_hz, record.rate)
    whole = samples[: len(samples) // card.stream.hop * card.stream.hop]
    return normaliser(card.input.normalisation).feed(whole[None]).reshape(-1, 1, card.stream.hop, 3)


def answers(network: Network, hops: Floats) -> Floats:
    """Words (n, 1, heads, hop / S, 4) on hops from a beginning."""
    memory = network.begin(1)
    return np.stack([network.step(hop, memory) for hop in hops])


def first_motions(card: PolarityCard) -> Floats:
    """Windows (n, L) around the P of synthetic earthquakes."""
    windows = []
    for seed in range(EARTHQUAKES):
        record = synthetic_earthquake(seed)
        vertical = highpassed(record.samples.astype(np.float64), card.input.highpass_hz, record.rate)[:, 0]
        windows.append(cut(vertical, (record.p_ns - record.start_ns) * record.rate / NS, card.input))
    return np.stack([window for window in windows if window is not None])


def _picker(model: Path) -> tuple[str, Floats, Callable[[LiteRT], Floats]]:
    card = read_card(model)
    hops = shown(card)
    return card.identity, hops, lambda backend: answers(network_on(backend, card), hops)


def _polarity(model: Path) -> tuple[str, Floats, Callable[[LiteRT], Floats]]:
    card = read_polarity_card(model)
    windows = first_motions(card)
    return card.identity, normalised(windows), lambda backend: PolarityNetwork(card, backend).logits(windows)


TASKS = {"picking": _picker, "polarity": _polarity}
"""By task a model's identity, what goes in, and what comes out of it by a backend."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+", type=Path, help=".tflite with their cards")
    for model in parser.parse_args().models:
        task = json.loads(card_path(model).read_text())["task"]
        identity, given, answered = TASKS[task](model)
        [x] = [spec for spec in LiteRT(model).describe().inputs if spec.name == "x"]
        _print(identity, "shown", quantise(given, x))
        for kernels in ("default", "reference"):
            _print(identity, kernels, answered(LiteRT(model, reference=kernels == "reference")))


def _print(identity: str, what: str, values: NDArray[Any]) -> None:
    print(f"{identity:20} {what:10} {hashlib.sha256(values.tobytes()).hexdigest()[:DIGITS]}")


if __name__ == "__main__":
    main()
