"""`edge-evaluate`: scores a picking model, or a file of picks, on labelled traces and continuous records, or
first motions (`zoo.evaluate_polarity`).

The rule is in `zoo.scores.scoring`; models, baselines and other pickers' picks go through the same lines.
"""

import argparse
import json
import math
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from edge.cells import PHASES
from edge.model import Network
from edge.pick import Phase
from edge.resample import check_rate
from zoo.data.seisbench import ONSET_COLUMNS, Trace, has_onset, read_rows, read_traces
from zoo.data.tables import Row, Rows, number
from zoo.evaluate_continuous import parse_span, record_picks, stored_record_picks
from zoo.evaluate_polarity import evaluate_polarity
from zoo.runner import MODELS, PICK_THRESHOLD, TOGETHER, batched, open_network, trace_picks
from zoo.scores import scoring
from zoo.scores.measure import (
    Run,
    measure,
    measure_continuous,
    measure_corroboration,
    measure_rates,
    rates_by_source,
)
from zoo.scores.pickfile import PickTraces, stored_picker
from zoo.scores.report import report
from zoo.scores.scoring import Comparison

TASKS = ("picking", "polarity")
DEFAULT_THRESHOLD = 0.5
"""For rates of false picks where neither a card nor labels give a threshold."""
DISTANCE_COLUMNS = ("path_ep_distance_km", "source_distance_km")
"""Where SeisBench metadata has the epicentral distance."""

DESCRIPTION = """\
Scores a picker on labelled traces and on continuous records, by one rule for every picker:
a label is found when a pick of its phase lies within 0.1, 0.2 or 0.5 s; the nearest counts once;
other picks from 20 s before to 40 s after the first label are false; unlabelled phases do not count.
"""
EPILOG = """\
examples:
  edge-evaluate edge/models/lppn.tflite --data labelled --split dev --out runs/dev
      a model with its card: scores at the card's thresholds and at the best ones; writes
      report.md with its plots, and metrics.json
  edge-evaluate picks.json --data labelled --split dev
      any other picker, from {trace: [[phase, sample, probability], …]}
  edge-evaluate peers.json.gz --picker PhaseNet --data labelled
      one picker of a file that holds several: {picker: {trace: …}}
  edge-evaluate edge/models/lppn.tflite --continuous continuous --out runs/quiet \\
                --records ridgecrest=/2019-07-04T17:33:00Z --records ipoc_chile
      false picks per hour against recall, beside other pickers; one source until a time, one whole
  edge-evaluate edge/models/polarity.tflite --task polarity --data labelled --split dev --out runs/polarity
      first motions at the analyst's onsets and at those of the shipped picker; or of any other picker, from
      {trace: [[phase, sample, probability, polarity, polarity's probability], …]}
  edge-pick --replay continuous/*/*.mseed --json > picks.jsonl
  edge-evaluate picks.jsonl --continuous continuous
      the same for picks that are already made

--data is a SeisBench folder (metadata.csv, waveforms.hdf5). --continuous is a folder with manifest.csv,
peer_picks_raw.csv and peer_consensus_picks.csv; pick all its records, for a record without picks counts.
"""


def open_model(path: Path) -> Network | None:
    """The model with its card, or None where the path is a file of picks."""
    return open_network(path) if path.suffix in MODELS else None


def picker_for(path: Path, network: Network | None, picker: str | None) -> PickTraces:
    """What picks labelled traces: the model, or a look-up in the picks file (one `picker` of several).

    Raises ValueError for a file of another kind, and, when called, for a trace that the file lacks.
    """
    if network is not None:
        return model_picker(network)
    if not path.name.endswith((".json", ".json.gz")):
        raise ValueError(
            f"{path.name}: --data takes a .tflite or .keras model, or picks in .json or .json.gz"
        )
    return stored_picker(path, picker)


def model_picker(network: Network) -> PickTraces:
    """What picks labelled traces by a model, and tells once of every sample rate that cannot be picked."""
    told: set[float] = set()

    def pick(traces: Sequence[Trace]) -> dict[str, list[scoring.TracePick]]:
        for trace in traces:
            try:
                check_rate(trace.rate)
            except ValueError as error:
                if trace.rate not in told:
                    told.add(trace.rate)
                    line = f"edge-evaluate: {trace.name} and what else is like it count as missed: {error}"
                    tqdm.write(line, file=sys.stderr)
        return trace_picks(network, traces, PICK_THRESHOLD)

    return pick


def run_traces(pick_traces: PickTraces, folder: Path, split: str | None) -> Run:
    """Picks every trace of a SeisBench folder and compares the picks with its labels. ValueError where there
    is nothing to compare with, or a name comes twice."""
    labels: list[scoring.Labels] = []
    picks: dict[str, list[scoring.TracePick]] = {}
    rows = read_rows(folder, split)
    distance_km = _distances_km(rows, folder)
    traces = tqdm(read_traces(folder, split), "picking", len(rows), disable=not sys.stderr.isatty())
    for some in batched(traces, TOGETHER):
        labels += [scoring.labels_of(trace, distance_km[trace.name]) for trace in some]
        picks |= pick_traces(some)
    return Run(labels, picks, {phase: scoring.compare(labels, picks, phase) for phase in PHASES})


def _distances_km(rows: Rows, folder: Path) -> dict[str, float]:
    """Epicentral distances by trace name. ValueError as `run_traces`."""
    distances: dict[str, float] = {}
    known = False
    for row in rows:
        name = row["trace_name"]
        if name in distances:
            raise ValueError(f"{folder} has the trace {name!r} twice; leave one row of it")
        distances[name] = _distance_km(row)
        known = known or row.get("trace_category") == "noise" or has_onset(row)
    if not known:
        raise ValueError(f"{folder} has neither onsets nor noise to score; {ONSET_COLUMNS}")
    return distances


def _distance_km(row: Row) -> float:
    known = (number(row, column) for column in DISTANCE_COLUMNS)
    return next((distance for distance in known if distance is not None), math.nan)


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


def evaluate(args: argparse.Namespace) -> dict[str, Any]:
    """Does what the command line asks for and returns all measurements; fills the folder `args.out`."""
    network = open_model(args.model)
    card = network.card.thresholds if network else {}
    # Without labels the picks of a file stand as they are: a threshold has been applied already.
    operating: dict[Phase, float] = dict.fromkeys(PHASES, 0.0) | dict(card)
    metrics: dict[str, Any] = {"command": _command(args), "model": args.picker or args.model.name}
    figures: list[str] = []
    if args.out:
        args.out.mkdir(parents=True, exist_ok=True)
    if args.data:
        run = run_traces(picker_for(args.model, network, args.picker), args.data, args.split)
        operating = operating_thresholds(run.comparisons, card)
        metrics["data"] = args.data.resolve().name + (f", {args.split}" if args.split else "")
        metrics |= measure(run, card, operating)
        if args.out:
            from zoo.scores.drawing import (
                draw_labelled,  # matplotlib is slow to load, and not every run draws
            )

            title = f"{metrics['model']} on {metrics['data']}"
            figures += draw_labelled(args.out, title, run, operating, args.data, args.split)
    metrics["operating_thresholds"] = operating
    if args.continuous:
        spans = [parse_span(text) for text in args.records]
        picks = record_picks(network, args.continuous, spans) if network else stored_record_picks(args.model)
        groups = rates_by_source(args.continuous, picks, spans)
        metrics["records"] = args.records
        metrics["continuous"] = measure_continuous(args.continuous, picks, operating, spans)
        metrics["false_against_recall"] = measure_rates(groups, operating)
        metrics["corroboration"] = measure_corroboration(args.continuous, picks, groups, operating, spans)
        if args.out:
            from zoo.scores.drawing import draw_continuous

            title = f"{metrics['model']} on {args.continuous.resolve().name} records"
            figures += draw_continuous(args.out, title, groups, operating)
    if args.out:
        content = json.dumps(metrics, indent=1, ensure_ascii=False, allow_nan=False)
        (args.out / "metrics.json").write_text(content + "\n", encoding="utf-8")
        (args.out / "report.md").write_text(report(metrics, figures) + "\n", encoding="utf-8")
    return metrics


def _command(args: argparse.Namespace) -> str:
    """The command line with names in place of paths, so that a report is the same on every machine."""
    words = ["edge-evaluate", args.model.name, *(["--task", args.task] if args.task != TASKS[0] else [])]
    for option in ("data", "split", "picker", "continuous", "out"):
        value = getattr(args, option)
        if value is not None:
            words += [f"--{option}", value.resolve().name if isinstance(value, Path) else value]
    for text in args.records:
        words += ["--records", text]
    return shlex.join(words)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "edge-evaluate",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", type=Path, metavar="MODEL_OR_PICKS", help="a model, or a file of picks")
    parser.add_argument("--task", choices=TASKS, default=TASKS[0], help="what is scored (default: picking)")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="labelled traces (SeisBench folder)")
    parser.add_argument("--split", help="only this split of --data, e.g. dev or test")
    parser.add_argument("--continuous", type=Path, metavar="FOLDER", help="continuous records")
    parser.add_argument(
        "--records",
        action="append",
        default=[],
        metavar="SOURCE[=FROM/UNTIL]",
        help="only this source of --continuous, between times in UTC; repeatable, either time may be empty",
    )
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help="where report.md, metrics.json and PNGs go"
    )
    parser.add_argument("--picker", metavar="NAME", help="which picker of a picks file with several")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit status: 0, or 1 after one line on stderr that says what is wrong."""
    args = _parser().parse_args(argv)
    try:
        if not (args.data or args.continuous):
            raise ValueError("nothing to score on: give --data FOLDER, --continuous FOLDER or both")
        if args.records and not args.continuous:
            raise ValueError("--records chooses among continuous records: give --continuous FOLDER")
        if args.split and not args.data:
            raise ValueError("--split chooses among labelled traces: give --data FOLDER")
        if args.picker and (args.model.suffix in MODELS or not args.data):
            raise ValueError("--picker chooses from a file of several pickers' picks on --data")
        if args.task == "polarity":
            if not args.data or args.continuous:
                raise ValueError("--task polarity is scored on labelled traces: give --data FOLDER alone")
            command = _command(args)
            print(evaluate_polarity(args.model, args.data, args.split, args.picker, args.out, command))
        else:
            print(report(evaluate(args), ()))
    except (OSError, ValueError, RuntimeError, EOFError) as error:
        print(f"edge-evaluate: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
