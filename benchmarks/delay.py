"""How long an answer is worth waiting for: F1 of a causal network's heads against their delays.

    python -m benchmarks.delay runs/delays/best.keras --data labelled --out docs/delay.png

The network is one that was trained with several heads (`edge-train --delays 3 6 12 25 50`), so that all of
them share their features and stand on the same traces. F1 at the threshold that is best for each, float, by
the picker that streams.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import keras

from benchmarks.origin import Origin, command
from edge.card import Card
from edge.cells import PHASES
from zoo.dev_score import DevScore, dev_traces
from zoo.network import KerasNetwork, load_keras
from zoo.scores.figure import COLOUR, GRID, new_figure, save
from zoo.scores.table import markdown_table


@dataclass(frozen=True, slots=True)
class Point:
    """One head: its delay and dev F1 as `DevScore` calls them ("score" their mean, "P@0.1", …)."""

    delay_s: float
    f1: Mapping[str, float]


def points(network: KerasNetwork, data: Path) -> list[Point]:
    """Every head on the dev split. ValueError if there is but one."""
    delays = network.card.training["network"].get("delays", [0])
    if len(delays) < 2:
        raise ValueError(f"{network.card.name} has one head; train with several --delays to compare")
    traces = dev_traces(data)
    found = []
    for k, delay in enumerate(delays):
        card = _with_delay(network.card, delay)
        outputs = {name: heads[:, k : k + 1] for name, heads in network.model.output.items()}
        f1 = DevScore(card, traces)(keras.Model(network.model.inputs, outputs))
        seconds = delay * card.cells.stride / card.input.rate_hz
        found.append(Point(seconds, {key: round(value, 4) for key, value in f1.items()}))
    return found


def _with_delay(card: Card, delay: int) -> Card:
    return replace(card, stream=replace(card.stream, delays=[delay]))


def table(found: Sequence[Point]) -> str:
    """Markdown, a line by delay."""
    rows = [(f"{p.delay_s:g} s", *(f"{value:.3f}" for value in p.f1.values())) for p in found]
    return markdown_table(("delay", *found[0].f1), rows)


def draw(found: Sequence[Point], path: Path, title: str) -> None:
    """F1 by phase and tolerance against delay."""
    figure, (axis,) = new_figure(title, 1, 1, (6.4, 4.2))
    delays = [point.delay_s for point in found]
    for phase in PHASES:
        for tolerance, line in (("0.5", "o-"), ("0.1", "o--")):
            f1 = [point.f1[f"{phase}@{tolerance}"] for point in found]
            axis.semilogx(delays, f1, line, color=COLOUR[phase], label=f"{phase} within {tolerance} s")
    axis.set_xticks(delays, [f"{delay:g}" for delay in delays])
    axis.minorticks_off()
    axis.set(xlabel="seconds after which it answers", ylabel="best F1")
    axis.grid(color=GRID, linewidth=0.6)
    axis.legend(fontsize=8)
    save(figure, path)


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit status: 0, or 1 after one line on stderr that says what is wrong."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.delay",
        description="Scores each head of a causal network on a dev split.",
    )
    parser.add_argument("model", type=Path, help=".keras file with its card, trained with several --delays")
    parser.add_argument("--data", type=Path, required=True, help="folder of labelled traces")
    parser.add_argument("--out", type=Path, help="where to draw it, a .png")
    parser.add_argument("--json", type=Path, help="where to write the numbers")
    args = parser.parse_args(argv)
    try:
        found = points(load_keras(args.model), args.data)
        origin = Origin(command("delay", args.model, "--data", args.data), args.data.resolve().name, ("dev",))
        if args.out:
            draw(found, args.out, f"What waiting buys: {origin.data}, dev")
        if args.json:
            results = {**asdict(origin), "points": [asdict(p) for p in found]}
            args.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    except (OSError, ValueError) as error:
        print(f"delay: {error}", file=sys.stderr)
        return 1
    print(f"{table(found)}\n\n{origin.line()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
