"""What it is worth not to tell an S in the coda of another: a model with that rule of the picker and without.

    python -m benchmarks.coda edge/models/lppn.tflite --data labelled --split train \\
        --continuous continuous --records ridgecrest=/2019-07-04T17:33:00Z --records ipoc_chile

F1 of S on labelled traces, and on continuous records how many S are told, how many of them no peer confirms,
and how many of those on which all peers agree are among them; all at the card's thresholds.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from edge import coda
from edge.model import Network
from zoo.data.seisbench import read_traces
from zoo.evaluate_continuous import files_of, parse_span
from zoo.runner import archive_picks, compared, open_network
from zoo.scores import scoring
from zoo.scores.continuous import Span
from zoo.scores.measure import measure_continuous
from zoo.scores.table import markdown_table


@dataclass(frozen=True, slots=True)
class Told:
    """S on the records of one source: `picks`, those of them that no peer confirms, and how many of `agreed`
    were found."""

    source: str
    picks: int
    unconfirmed: int
    found: int
    agreed: int


def f1(network: Network, folder: Path, split: str) -> list[float]:
    """F1 of S at each tolerance on the traces of a split."""
    threshold = network.card.thresholds["S"]
    comparison = compared(network, read_traces(folder, split), threshold)["S"]
    return [scoring.score(comparison, tolerance, threshold).f1 for tolerance in scoring.TOLERANCES_S]


def told(network: Network, folder: Path, spans: Sequence[Span]) -> list[Told]:
    """By source what is told on continuous records."""
    thresholds = network.card.thresholds
    picks = archive_picks(network, files_of(folder, spans), thresholds)
    scores = measure_continuous(folder, picks, thresholds, spans)
    return [
        Told(
            one["source"],
            one["picks"],
            one["false"],
            one["recalled"][max(one["recalled"])],
            one["agreed"][max(one["agreed"])],
        )
        for one in scores
        if one["phase"] == "S"
    ]


def table(model: Path, data: Path | None, split: str, continuous: Path | None, spans: Sequence[Span]) -> str:
    """Both ways side by side, in Markdown."""
    network = open_network(model)
    rows = []
    for name, seconds in (("without", 0.0), ("with", coda.CODA_S)):
        with patch("edge.coda.CODA_S", seconds):
            if data:
                scores = " / ".join(f"{score:.3f}" for score in f1(network, data, split))
                rows.append([f"{data.name}, {split}", name, scores, "", "", ""])
            for one in told(network, continuous, spans) if continuous else []:
                counts = [str(one.picks), str(one.unconfirmed), f"{one.found} of {one.agreed}"]
                rows.append([one.source, name, "", *counts])
    tolerances = " / ".join(f"{tolerance:g}" for tolerance in scoring.TOLERANCES_S)
    head = ["", "rule", f"F1 of S, {tolerances} s", "S told", "unconfirmed", "of those all agree on"]
    return markdown_table(head, sorted(rows, key=lambda row: row[0]))


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit status: 0, or 1 after one line on stderr that says what is wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.coda", description=__doc__)
    parser.add_argument("model", type=Path, help="a .tflite or .keras with its card")
    parser.add_argument("--data", type=Path, help="labelled traces (SeisBench folder)")
    parser.add_argument("--split", default="train")
    parser.add_argument("--continuous", type=Path, help="continuous records with peers' picks")
    parser.add_argument(
        "--records", action="append", default=[], metavar="SOURCE[=FROM/UNTIL]", help="of them, repeated"
    )
    args = parser.parse_args(argv)
    try:
        spans = [parse_span(text) for text in args.records]
        print(table(args.model, args.data, args.split, args.continuous, spans))
    except (OSError, ValueError) as error:
        print(f"coda: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
