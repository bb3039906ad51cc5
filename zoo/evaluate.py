"""`edge-evaluate`: scores a picking model, or a file of picks, on labelled traces and continuous records.

The rule is in `zoo.scoring`; models, baselines and the picks of other pickers go through the same lines.
"""

import argparse
import json
import math
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from edge.cells import PHASES
from edge.model import Network
from edge.pick import Phase, Pick
from zoo import scoring
from zoo.continuous import score_continuous
from zoo.data.seisbench import Trace, read_rows, read_traces
from zoo.pickfile import on_trace, read_peer_picks, read_records, read_station_picks, read_trace_picks
from zoo.report import report
from zoo.scoring import TOLERANCES_S, Comparison, Labels, TracePick

PickTrace = Callable[[Trace], list[TracePick]]

MODELS = (".tflite", ".keras")
"""File name endings of models; a .tflite has its card beside it."""
PICK_THRESHOLD = 0.1
"""Models pick from here up, so that every threshold above can be scored from one run."""
DEFAULT_THRESHOLD = 0.5
"""For rates of false picks where neither a card nor labels give a threshold."""
EXAMPLES = 4
"""Traces drawn of each kind: best, typical, worst."""

DESCRIPTION = """\
Scores a picker on labelled traces and on continuous records, by one rule for every picker:
a label is found when a pick of its phase lies within 0.1, 0.2 or 0.5 s; the nearest counts once;
other picks from 20 s before to 40 s after the first label are false; unlabelled phases do not count.
"""
EPILOG = """\
examples:
  edge-evaluate edge/models/lppn.tflite --data labelled --split dev --out runs/dev
      a model with its card: scores at the card's thresholds and at the best ones; writes
      metrics.json, residuals.png, precision_recall.png, f1_by_snr.png, examples.png
  edge-evaluate picks.json --data labelled --split dev
      any other picker, from {trace: [[phase, sample, probability], …]}
  edge-evaluate peers.json.gz --picker PhaseNet --data labelled
      one picker of a file that holds several: {picker: {trace: …}}
  edge-pick --replay continuous/*/*.mseed --json > picks.jsonl
  edge-evaluate picks.jsonl --continuous continuous
      picks on continuous records against those of other pickers: false picks per hour, agreement

--data is a SeisBench folder (metadata.csv, waveforms.hdf5). --continuous is a folder with manifest.csv,
peer_picks_raw.csv and peer_consensus_picks.csv; pick all its records, for a record without picks counts.
"""


@dataclass(frozen=True, slots=True)
class Run:
    """What was made of a labelled folder: labels, picks by trace name, and their comparison by phase."""

    labels: list[Labels]
    picks: dict[str, list[TracePick]]
    comparisons: dict[Phase, Comparison]


def open_model(path: Path) -> Network | None:
    """The model with its card, or None where the path is a file of picks."""
    if path.suffix not in MODELS:
        return None
    from zoo.runner import open_network  # brings TensorFlow with a .keras model

    network: Network = open_network(path)
    return network


def picker_for(path: Path, network: Network | None, picker: str | None) -> PickTrace:
    """What picks a labelled trace: the model, or a look-up in the picks file (one `picker` of several).

    Raises ValueError for a file of another kind, and, when called, for a trace that the file lacks.
    """
    if network is not None:
        from zoo.runner import trace_picks

        return lambda trace: trace_picks(network, trace, PICK_THRESHOLD)
    if not path.name.endswith((".json", ".json.gz")):
        raise ValueError(
            f"{path.name}: --data takes a .tflite or .keras model, or picks in .json or .json.gz"
        )
    stored = read_trace_picks(path, picker)

    def look_up(trace: Trace) -> list[TracePick]:
        if trace.name not in stored:
            raise ValueError(
                f"{path.name} lacks trace {trace.name!r}; a trace without picks has an empty list"
            )
        return on_trace(stored[trace.name], trace.rate)

    return look_up


def run_traces(pick_trace: PickTrace, folder: Path, split: str | None) -> Run:
    """Picks every trace of a SeisBench folder and compares the picks with its labels."""
    labels, picks = [], {}
    total = len(read_rows(folder, split))
    for trace in tqdm(read_traces(folder, split), "picking", total, disable=not sys.stderr.isatty()):
        labels.append(scoring.labels_of(trace))
        picks[trace.name] = pick_trace(trace)
    return Run(labels, picks, {phase: scoring.compare(labels, picks, phase) for phase in PHASES})


def run_records(path: Path, network: Network | None, files: Sequence[Path]) -> list[Pick]:
    """Picks on continuous records: the model's, or those that a file of JSON lines already holds.

    Raises ValueError for a file of another kind.
    """
    if network is None and path.suffix != ".jsonl":
        raise ValueError(f"{path.name}: --continuous takes a .tflite or .keras model, or picks in .jsonl")
    if network is None:
        return read_station_picks(path)
    from zoo.runner import archive_picks

    low: dict[Phase, float] = dict.fromkeys(PHASES, PICK_THRESHOLD)
    watched = tqdm(files, "replaying", disable=not sys.stderr.isatty())
    return [pick for file in watched for pick in archive_picks(network, [file], low)]


def operating_thresholds(
    comparisons: Mapping[Phase, Comparison], card: Mapping[Phase, float]
) -> dict[Phase, float]:
    """By phase the card's threshold, else that of the best F1 at 0.5 s, else (no labels) 0.5."""
    best: dict[Phase, float] = {
        phase: scoring.best(comparison, scoring.RESIDUAL_TOLERANCE_S).threshold
        for phase, comparison in comparisons.items()
        if len(comparison.names)
    }
    return dict.fromkeys(PHASES, DEFAULT_THRESHOLD) | best | dict(card)


def measure(run: Run, card: Mapping[Phase, float], operating: Mapping[Phase, float]) -> dict[str, Any]:
    """All scores as plain numbers: by phase, at the best thresholds and, with a card, at its own."""
    return {
        "traces": len(run.labels),
        "phases": {
            phase: _phase(comparison, card.get(phase))
            for phase, comparison in run.comparisons.items()
            if len(comparison.names)
        },
        "noise_false_per_hour": {
            phase: {
                f"{threshold:g}": scoring.noise_rate(run.labels, run.picks, phase, threshold)
                for threshold in sorted({*scoring.THRESHOLDS, operating[phase]})
            }
            for phase in PHASES
            if any(one.category == "noise" for one in run.labels)
        },
    }


def _phase(comparison: Comparison, card: float | None) -> dict[str, Any]:
    best = {tol: scoring.best(comparison, tol).threshold for tol in TOLERANCES_S}
    curves = {f"{tol:g}": [_numbers(s) for s in scoring.curve(comparison, tol)] for tol in TOLERANCES_S}
    measured = {"labels": len(comparison.names), "best": _at(comparison, best), "curve": curves}
    if card is not None:
        measured["card"] = _at(comparison, dict.fromkeys(TOLERANCES_S, card))
    return measured


def _at(comparison: Comparison, thresholds: Mapping[float, float]) -> dict[str, Any]:
    def scores(part: Comparison) -> dict[str, Any]:
        return {f"{tol:g}": _numbers(scoring.score(part, tol, at)) for tol, at in thresholds.items()}

    def each(parts: Mapping[str, Comparison]) -> dict[str, Any]:
        return {
            name: {"labels": len(part.names), "scores": scores(part)}
            for name, part in parts.items()
            if len(part.names)
        }

    residual = asdict(scoring.residuals(comparison, thresholds[scoring.RESIDUAL_TOLERANCE_S]))
    return {
        "scores": scores(comparison),
        "residual": {key: None if math.isnan(x) else round(x, 4) for key, x in residual.items()},
        "by_source": each(scoring.by_source(comparison)),
        "by_snr_db": each(scoring.by_snr(comparison)),
    }


def _numbers(one: scoring.Score) -> dict[str, float]:
    counts = {"threshold": one.threshold, "tp": one.tp, "fp": one.fp, "fn": one.fn}
    rates = {"precision": one.precision, "recall": one.recall, "f1": one.f1}
    return counts | {key: round(value, 4) for key, value in rates.items()}


def measure_continuous(
    folder: Path, picks: Sequence[Pick], thresholds: Mapping[Phase, float]
) -> list[dict[str, Any]]:
    """Picks on the records of `folder` against those of other pickers, by source and phase, as numbers."""
    scores = score_continuous(
        list(read_records(folder)),
        read_peer_picks(folder / "peer_picks_raw.csv"),
        read_peer_picks(folder / "peer_consensus_picks.csv"),
        picks,
        thresholds,
    )
    return [
        asdict(one) | {"hours": round(one.hours, 4), "false_per_hour": round(one.false_per_hour, 2)}
        for one in scores
    ]


def draw(run: Run, title: str, args: argparse.Namespace, operating: Mapping[Phase, float]) -> None:
    """The PNGs of an evaluation, into `args.out`."""
    from zoo import plots  # matplotlib is slow to load, and not every run draws

    kinds = scoring.rank(run.comparisons, operating, EXAMPLES)
    chosen = {name for names in kinds.values() for name in names}
    traces = {trace.name: trace for trace in read_traces(args.data, args.split, chosen)}
    examples = [
        plots.Example(kind, traces[name], [p for p in run.picks[name] if p.prob >= operating[p.phase]])
        for kind, names in kinds.items()
        for name in names
    ]
    plots.draw_residuals(args.out / "residuals.png", title, run.comparisons, operating)
    plots.draw_precision_recall(args.out / "precision_recall.png", title, run.comparisons, operating)
    plots.draw_f1_by_snr(args.out / "f1_by_snr.png", title, run.comparisons, operating)
    plots.draw_examples(args.out / "examples.png", title, examples)


def evaluate(args: argparse.Namespace) -> dict[str, Any]:
    """Does what the command line asks for and returns all measurements; fills the folder `args.out`."""
    network = open_model(args.model)
    card = network.card.thresholds if network else {}
    # Without labels the picks of a file stand as they are: a threshold has been applied already.
    operating: dict[Phase, float] = dict.fromkeys(PHASES, 0.0) | dict(card)
    metrics: dict[str, Any] = {"command": _command(args), "model": args.picker or args.model.name}
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
    if args.data:
        run = run_traces(picker_for(args.model, network, args.picker), args.data, args.split)
        operating = operating_thresholds(run.comparisons, card)
        metrics["data"] = args.data.resolve().name + (f", {args.split}" if args.split else "")
        metrics |= measure(run, card, operating)
        if args.out:
            draw(run, f"{metrics['model']} on {metrics['data']}", args, operating)
    metrics["operating_thresholds"] = operating
    if args.continuous:
        picks = run_records(args.model, network, list(read_records(args.continuous).values()))
        metrics["continuous"] = measure_continuous(args.continuous, picks, operating)
    if args.out:
        content = json.dumps(metrics, indent=1, ensure_ascii=False, allow_nan=False)
        (args.out / "metrics.json").write_text(content + "\n", encoding="utf-8")
    return metrics


def _command(args: argparse.Namespace) -> str:
    """The command line with names in place of paths, so that a report is the same on every machine."""
    words = ["edge-evaluate", args.model.name]
    for option in ("data", "split", "picker", "continuous", "out"):
        value = getattr(args, option)
        if value is not None:
            words += [f"--{option}", value.resolve().name if isinstance(value, Path) else value]
    return shlex.join(words)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "edge-evaluate",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", type=Path, metavar="MODEL_OR_PICKS", help="a model, or a file of picks")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="labelled traces (SeisBench folder)")
    parser.add_argument("--split", help="only this split of --data, e.g. dev or test")
    parser.add_argument("--continuous", type=Path, metavar="FOLDER", help="continuous records")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where metrics.json and the PNGs go")
    parser.add_argument("--picker", metavar="NAME", help="which picker of a picks file with several")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit status: 0, or 1 after one line on stderr that says what is wrong."""
    args = _parser().parse_args(argv)
    try:
        if not (args.data or args.continuous):
            raise ValueError("nothing to score on: give --data FOLDER, --continuous FOLDER or both")
        print(report(evaluate(args)))
    except (OSError, ValueError, RuntimeError, EOFError) as error:
        print(f"edge-evaluate: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
