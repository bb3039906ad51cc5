"""Accuracy against cost of several models: which one to ship.

    python -m benchmarks.pareto edge/models/lppn*.tflite --data labelled --split dev --out docs/pareto.png

Accuracy is the mean F1 of P and S at 0.1 and 0.5 s, at the best thresholds, by `edge-evaluate`'s rule;
cost the multiply-accumulates that a window takes for each second of signal it settles. int8 files with cards,
each called by its name without the ending.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from matplotlib.ticker import LogLocator

from benchmarks.origin import Origin, command
from convert.graph import multiplications
from edge.cells import PHASES
from zoo.evaluate import open_model, picker_for, run_traces
from zoo.scores import scoring
from zoo.scores.figure import GRID, new_figure, save
from zoo.scores.table import markdown_table

TOLERANCES_S = (0.1, 0.5)


@dataclass(frozen=True, slots=True)
class Point:
    """One model: kB of its file, millions of multiply-accumulates a window and a second of signal, and F1 by
    "P@0.1" and so on."""

    name: str
    kilobytes: float
    mmac_window: float
    mmac_second: float
    f1: dict[str, float]

    @property
    def mean_f1(self) -> float:
        return float(np.mean(list(self.f1.values())))


def point(model: Path, data: Path, split: str) -> Point:
    """Measures a .tflite with its card. Raises as the readers of models and data do."""
    network = open_model(model)
    if network is None or model.suffix != ".tflite":
        raise ValueError(f"{model.name}: int8 models (.tflite with a card) are compared")
    buffer = model.read_bytes()
    mmac = multiplications(buffer) / 1e6
    run = run_traces(picker_for(model, network, None), data, split)
    f1 = {
        f"{phase}@{tolerance:g}": scoring.best(run.comparisons[phase], tolerance).f1
        for phase in PHASES
        for tolerance in TOLERANCES_S
    }
    second = mmac * network.card.input.rate_hz / network.card.stream.hop
    return Point(model.stem, len(buffer) / 1000, mmac, second, f1)


def refuse_namesakes(models: Sequence[Path]) -> None:
    """ValueError with the files of one name: a table and a plot of them could not be read."""
    for model in models:
        alike = [str(other) for other in models if other.stem == model.stem]
        if len(alike) > 1:
            raise ValueError(f"{' and '.join(alike)} are all called {model.stem}; rename them")


def table(points: Sequence[Point]) -> str:
    """Markdown, a row each."""
    names = list(points[0].f1)
    rows = [
        (
            *(one.name, f"{one.kilobytes:.0f}", f"{one.mmac_window:.1f}", f"{one.mmac_second:.1f}"),
            *(f"{one.f1[name]:.3f}" for name in names),
            f"{one.mean_f1:.3f}",
        )
        for one in points
    ]
    return markdown_table(("model", "kB", "MMAC a call", "MMAC a second", *names, "mean"), rows)


def draw(path: Path, title: str, points: Sequence[Point]) -> None:
    """Mean F1 against multiply-accumulates, on a logarithmic axis."""
    figure, (axis,) = new_figure(title, 1, 1, (6.4, 4.2))
    axis.semilogx([one.mmac_second for one in points], [one.mean_f1 for one in points], "o")
    for one in points:
        axis.annotate(one.name, (one.mmac_second, one.mean_f1), xytext=(6, 4), textcoords="offset points")
    axis.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.xaxis.set_major_formatter("{x:g}")
    axis.xaxis.set_minor_formatter("")
    axis.set(xlabel="MMAC for a second of signal", ylabel="mean F1 of P and S at 0.1 and 0.5 s")
    axis.grid(color=GRID, linewidth=0.6)
    axis.margins(0.25)
    save(figure, path)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status: 0, or 1 after one line on stderr that says what is wrong."""
    parser = argparse.ArgumentParser(
        "pareto", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", type=Path, nargs="+", help="int8 .tflite files with their cards")
    parser.add_argument("--data", type=Path, required=True, help="labelled traces")
    parser.add_argument("--split", default="dev", help="of the data (default dev)")
    parser.add_argument("--out", type=Path, help="where to draw it, a .png")
    parser.add_argument("--json", type=Path, help="where to write the numbers")
    args = parser.parse_args(arguments)
    data = args.data.resolve().name
    made_by = command("pareto", *args.models, "--data", args.data, "--split", args.split)
    origin = Origin(made_by, data, (args.split,))
    try:
        refuse_namesakes(args.models)
        points = [point(model, args.data, args.split) for model in args.models]
        print(f"{table(points)}\n\n{origin.line()}")
        if args.out:
            draw(args.out, f"Accuracy against cost: {data}, {args.split}", points)
        if args.json:
            results = {**asdict(origin), "models": [asdict(one) for one in points]}
            content = json.dumps(results, indent=1, ensure_ascii=False)
            args.json.write_text(content + "\n", encoding="utf-8")
    except (OSError, ValueError, RuntimeError) as error:
        print(f"pareto: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
