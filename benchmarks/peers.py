"""Several pickers on the same labelled traces in one table: models beside the stored picks of peers.

    python -m benchmarks.peers --model edge/models/lppn.tflite --data labelled \\
        --picks peers/labelled_picks.json.gz --split dev --split test --out runs/peers

F1 at 0.1 and 0.5 s by the rule of `zoo.scores.scoring`, over all traces and by source, at the best threshold
by phase and tolerance over the whole table; for a model also at the thresholds of its card. Thresholds that
are best on the traces they are scored on flatter every picker alike. Those of a card were set on the dev
split by `convert`: only the test split is independent of them.
"""

import argparse
import json
import math
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks.origin import Origin, command
from edge.cells import PHASES
from edge.pick import Phase
from zoo.data.seisbench import read_rows, read_traces
from zoo.evaluate import open_model, picker_for
from zoo.runner import TOGETHER, batched
from zoo.scores.breakdown import by_source
from zoo.scores.pickfile import PickTraces, picker_names, stored_picker
from zoo.scores.scoring import Comparison, Labels, TracePick, best, compare, labels_of, residuals, score
from zoo.scores.table import markdown_table

TOLERANCES_S = (0.1, 0.5)
RATIO_OF_CERTAINTY = 20.0


@dataclass(frozen=True, slots=True)
class Row:
    """One picker and phase at thresholds by tolerance. `f1`: by source and over "all", by tolerance;
    `std_s`: standard deviation of the residuals at the threshold of 0.5 s, nan where nothing was found.
    """

    picker: str
    phase: Phase
    thresholds: Mapping[float, float]
    f1: Mapping[str, Mapping[float, float]]
    std_s: float

    def as_dict(self) -> dict[str, Any]:
        """As plain numbers."""
        return {
            "picker": self.picker,
            "phase": self.phase,
            "thresholds": {f"{tol:g}": round(at, 4) for tol, at in self.thresholds.items()},
            "f1": {part: {f"{t:g}": round(x, 4) for t, x in of.items()} for part, of in self.f1.items()},
            "std_s": None if math.isnan(self.std_s) else round(self.std_s, 4),
        }


def ratio_probability(ratio: float) -> float:
    """An STA/LTA energy ratio r as a probability: log r / log 20, within 0..1."""
    return min(math.log(max(ratio, 1.0)) / math.log(RATIO_OF_CERTAINTY), 1.0)


def row(picker: str, comparison: Comparison, card: float | None = None) -> Row:
    """Scores at the best thresholds over the whole comparison, or at the `card`'s."""
    at = {tol: best(comparison, tol).threshold if card is None else card for tol in TOLERANCES_S}
    parts = {"all": comparison, **by_source(comparison)}
    f1 = {name: {tol: score(part, tol, at[tol]).f1 for tol in TOLERANCES_S} for name, part in parts.items()}
    return Row(picker, comparison.phase, at, f1, residuals(comparison, at[0.5]).std_s)


def pickers_of(
    models: Sequence[Path], picks: Path | None
) -> dict[str, tuple[PickTraces, Mapping[Phase, float]]]:
    """By name what picks a trace, and the thresholds of its card, none for a peer: models first, then the
    pickers of `picks`; the one of a file `{trace: picks}` goes by the file's name.

    Raises as the readers of models and picks do, and ValueError for two of one name.
    """
    pickers: list[tuple[str, PickTraces, Mapping[Phase, float]]] = []
    for model in models:
        network = open_model(model)
        if network is None:
            raise ValueError(f"{model.name}: --model takes a .tflite or .keras model")
        name = f"{network.card.name} ({model.resolve().parent.name}/{model.name})"
        pickers.append((name, picker_for(model, network, None), network.card.thresholds))
    if picks:
        peers = picker_names(picks)
        for peer in peers:
            probability = ratio_probability if "STA/LTA" in peer else float
            pickers.append((peer, stored_picker(picks, peer, probability), {}))
        if not peers:
            pickers.append((picks.name, stored_picker(picks), {}))
    again = [name for name, count in Counter(name for name, _, _ in pickers).items() if count > 1]
    if again:
        raise ValueError(f"more than one picker is called {', '.join(again)}; rename a file or its folder")
    return {name: (pick, card) for name, pick, card in pickers}


def rows_of(models: Sequence[Path], picks: Path | None, data: Path, splits: Sequence[str]) -> list[Row]:
    """The rows of the table: models first, at their cards' thresholds and at the best, then peers.

    Raises as `pickers_of` and the reader of traces do, and ValueError for a trace that a peer lacks.
    """
    pickers = pickers_of(models, picks)
    labels: list[Labels] = []
    made: dict[str, dict[str, list[TracePick]]] = {name: {} for name in pickers}
    for split in splits:
        total = len(read_rows(data, split))
        traces = tqdm(read_traces(data, split), "picking", total, disable=not sys.stderr.isatty())
        for some in batched(traces, TOGETHER):
            labels += map(labels_of, some)
            for name, (pick, _) in pickers.items():
                made[name] |= pick(some)
    rows = []
    for name, (_, card) in pickers.items():
        for phase in PHASES:
            comparison = compare(labels, made[name], phase)
            if phase in card:
                rows.append(row(f"{name}, card", comparison, card[phase]))
            rows.append(row(f"{name}, best" if card else name, comparison))
    return rows


def table(rows: Sequence[Row]) -> str:
    """Markdown: F1 at 0.1/0.5 s over all and by source, thresholds, and standard deviation of residuals."""
    sources = sorted({name for one in rows for name in one.f1} - {"all"})
    cells = []
    for one in rows:
        scores = {name: "/".join(f"{x:.2f}" for x in f1.values()) for name, f1 in one.f1.items()}
        cells.append(
            (
                *(one.picker, one.phase, "/".join(f"{f1:.3f}" for f1 in one.f1["all"].values())),
                *(scores.get(source, "–") for source in sources),
                "/".join(f"{threshold:.2f}" for threshold in one.thresholds.values()),
                "–" if math.isnan(one.std_s) else f"{one.std_s:.3f}",
            )
        )
    return markdown_table(("picker", "phase", "all", *sources, "threshold", "std, s"), cells)


def draw(path: Path, rows: Sequence[Row]) -> None:
    """F1 over all traces, a line by picker from 0.1 s (open) to 0.5 s (full); models in colour."""
    from zoo.scores.figure import (  # matplotlib, which only --out needs
        COLOUR,
        GRID,
        INK,
        MUTED,
        new_figure,
        save,
    )

    names = list(dict.fromkeys(one.picker for one in rows))
    order = sorted(names, key=lambda name: sum(one.f1["all"][0.5] for one in rows if one.picker == name))
    figure, axes = new_figure(
        "F1 over all labelled traces: open at 0.1 s, full at 0.5 s", 1, 2, (11.0, 1.3 + 0.3 * len(order))
    )
    for axis, phase in zip(axes, PHASES, strict=True):
        for one in rows:
            if one.phase != phase:
                continue
            place = order.index(one.picker)
            narrow, wide = (one.f1["all"][tol] for tol in TOLERANCES_S)
            colour = COLOUR[phase] if one.picker.endswith((", card", ", best")) else MUTED
            axis.plot((narrow, wide), (place, place), color=colour, linewidth=1.5, zorder=2)
            axis.plot(wide, place, "o", color=colour, zorder=3)
            axis.plot(narrow, place, "o", color=colour, markerfacecolor="white", zorder=3)
            axis.text(wide + 0.02, place, f"{narrow:.3f} / {wide:.3f}", color=INK, fontsize=8, va="center")
        axis.set_yticks(range(len(order)), order if phase == PHASES[0] else [])
        axis.tick_params(axis="y", labelcolor=INK, length=0)
        axis.set(xlim=(0, 1.12), ylim=(-0.6, len(order) - 0.4), xlabel="F1")
        axis.set_xticks([0, 0.2, 0.4, 0.6, 0.8, 1.0])
        axis.set_title(phase, loc="left", fontsize=10)
        axis.grid(axis="x", color=GRID, linewidth=0.6)
        axis.set_axisbelow(True)
    save(figure, path)


def origin_of(args: argparse.Namespace) -> Origin:
    """Command, data set and splits of a run."""
    words: list[Path | str] = [word for model in args.model for word in ("--model", model)]
    words += ["--picks", args.picks] if args.picks else []
    words += ["--data", args.data, *(word for split in args.split for word in ("--split", split))]
    return Origin(command("peers", *words), args.data.resolve().name, tuple(args.split))


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit status: 0, or 1 after one line on stderr that says what is wrong."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.peers", description="Several pickers on the same labelled traces in one table."
    )
    parser.add_argument("--model", type=Path, action="append", default=[], help="a model; repeatable")
    parser.add_argument(
        "--picks",
        type=Path,
        help="picks of peers, {picker: {trace: [[phase, sample, prob]]}}, or of one, {trace: …}",
    )
    parser.add_argument("--data", type=Path, required=True, help="labelled traces (SeisBench folder)")
    parser.add_argument("--split", action="append", required=True, help="of the data; repeatable")
    parser.add_argument("--out", type=Path, help="where peers.md, peers.json and peers.png go")
    args = parser.parse_args(argv)
    try:
        if not (args.model or args.picks):
            raise ValueError("nothing to compare: give --model, --picks or both")
        if args.out:
            args.out.mkdir(parents=True, exist_ok=True)
        rows = rows_of(args.model, args.picks, args.data, args.split)
        origin = origin_of(args)
        text = f"{table(rows)}\n\n{origin.line()}\n"
        print(text, end="")
        if args.out:
            results = {**asdict(origin), "rows": [one.as_dict() for one in rows]}
            content = json.dumps(results, indent=1, ensure_ascii=False)
            (args.out / "peers.json").write_text(content + "\n", encoding="utf-8")
            (args.out / "peers.md").write_text(text + "\n![peers](peers.png)\n", encoding="utf-8")
            draw(args.out / "peers.png", rows)
    except (OSError, ValueError, RuntimeError) as error:
        print(f"peers: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
