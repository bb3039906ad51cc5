"""What models answer to one and the same stream, as hashes: equal on another platform, runtime or version
where every integer is.

    python -m benchmarks.answers edge/models/*.tflite

For each model: "shown", the integers that go in; "default", what the kernels that the station uses make of
them, state handed on from hop to hop; "reference", the same by the plain kernels.
"""

import argparse
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.backend import LiteRT
from edge.card import Card, read_card
from edge.model import Floats, Network, network_on, quantise
from edge.preprocess import highpassed, normaliser
from firmware_bridge.synthetic import synthetic_earthquake

SECONDS = slice(16, 32)
"""Of the synthetic earthquake: noise, P at 20 s, S at 26 s."""
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+", type=Path, help=".tflite with their cards")
    for model in parser.parse_args().models:
        card = read_card(model)
        hops = shown(card)
        [x] = [spec for spec in LiteRT(model).describe().inputs if spec.name == "x"]
        _print(card, "shown", quantise(hops, x))
        for kernels in ("default", "reference"):
            backend = LiteRT(model, reference=kernels == "reference")
            _print(card, kernels, answers(network_on(backend, card), hops))


def _print(card: Card, what: str, values: NDArray[Any]) -> None:
    digest = hashlib.sha256(values.tobytes()).hexdigest()
    print(f"{card.identity:20} {what:10} {digest[:DIGITS]}")


if __name__ == "__main__":
    main()
