"""How much a picker loses where it has never been: each source left out of training, then scored on.

    python -m benchmarks.leave_one_out --labelled labelled --runs runs/leave-one-out --jobs 2 \\
        -- --data labelled --data weak --teachers picks.json.gz

What stands after `--` goes to `edge-train` as it is. For every source of the labelled folder's train split a
network is trained without it, and one with everything. The network without a source is scored on all of its
traces, whatever their split, and on those of dev and test, where the one trained with everything is scored
too. Thresholds, by phase and tolerance, are those of best F1 on dev traces of the other sources. The last
checkpoint is scored, not the best: that was chosen with dev traces of the source left out.

Two sources of one region share stations and earthquakes, and leaving out one of them leaves the other in;
read such rows with care.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

import keras
from tqdm import tqdm

from benchmarks.origin import Origin, command, written
from edge.card import Card, card_path
from edge.cells import PHASES
from edge.model import Network
from edge.pick import Phase
from zoo import options
from zoo.data.seisbench import read_rows, read_traces
from zoo.network import LAYERS, KerasNetwork, by_hop
from zoo.runner import compared
from zoo.runs import Run
from zoo.scores.breakdown import by_source
from zoo.scores.scoring import Comparison, best, score
from zoo.scores.table import markdown_table

TOLERANCES_S = (0.1, 0.5)
SPLITS = ("train", "dev", "test")
LEFT_OUT_ALL, LEFT_OUT, INCLUDED = "left out, all traces", "left out, dev and test", "included, dev and test"


@dataclass(frozen=True, slots=True)
class Row:
    """One source and phase. `labels`: how many, in all splits and in dev and test; `f1`: by what was scored
    and tolerance in seconds, None where there is no label."""

    source: str
    phase: Phase
    traces: int
    labels: tuple[int, int]
    f1: Mapping[str, Mapping[str, float | None]]


def sources_of(folder: Path) -> list[str]:
    """The sources of a folder's train split. ValueError if there are not two."""
    names = sorted({row.get("source") or folder.resolve().name for row in read_rows(folder, "train")})
    if len(names) < 2:
        raise ValueError(f"{folder} has one source only, {names[0]}: left out, it leaves nothing")
    return names


def pinned(commands: Mapping[Path, Sequence[str]], jobs: int) -> None:
    """Runs the commands, `jobs` at a time, each on its own share of the CPUs and with its output in its file.

    ValueError for more jobs than CPUs, RuntimeError with the file's name where a command fails; the ones that
    run are waited for, the others are not begun.
    """
    cpus = sorted(os.sched_getaffinity(0))
    if not 1 <= jobs <= len(cpus):
        raise ValueError(f"--jobs must be 1 to {len(cpus)}, the CPUs that there are")
    shares: SimpleQueue[list[int]] = SimpleQueue()
    for k in range(jobs):
        shares.put(cpus[k::jobs])

    def run(log: Path) -> None:
        with log.open("w") as file:
            status = subprocess.run(commands[log], stdout=file, stderr=subprocess.STDOUT).returncode
        if status:
            raise RuntimeError(f"{log.stem}: exit status {status}, see {log}")

    # A thread hands the CPUs that it is bound to on to the processes that it starts.
    pool = ThreadPoolExecutor(jobs, initializer=lambda: os.sched_setaffinity(0, shares.get()))
    try:
        quiet = not sys.stderr.isatty()
        list(tqdm(pool.map(run, commands), "training", len(commands), unit=" runs", disable=quiet))
    finally:
        pool.shutdown(cancel_futures=True)


def training(folder: Path, arguments: Sequence[str]) -> list[str]:
    """The command line of one training run."""
    return [sys.executable, "-m", "zoo.train", "lppn", *arguments, "--run", str(folder)]


def network_of(run: Run) -> Network:
    """The last checkpoint of a run, under the card of its best one, which differs in nothing but weights."""
    card = Card.from_json(card_path(run.best).read_text())
    return by_hop(KerasNetwork(card, keras.saving.load_model(run.last, LAYERS, compile=False)))


def f1_of(source: str, phase: Phase, dev: Comparison, scored: Comparison) -> dict[str, float | None]:
    """F1 on one source's traces, by tolerance, at the thresholds that are best on dev without them."""
    others = dev.subset(dev.sources != source)
    own = by_source(scored).get(source)
    if own is None:
        return {f"{tolerance:g}": None for tolerance in TOLERANCES_S}
    at = {tolerance: best(others, tolerance).threshold for tolerance in TOLERANCES_S}
    return {f"{tol:g}": round(score(own, tol, threshold).f1, 4) for tol, threshold in at.items()}


def rows_of(labelled: Path, runs: Path, sources: Sequence[str]) -> list[Row]:
    """The table, from the runs in `runs`."""
    splits = {split: list(read_traces(labelled, split)) for split in SPLITS}
    unseen = splits["dev"] + splits["test"]
    everything = network_of(Run(runs / "everything"))
    included = compared(everything, unseen)
    included_dev = compared(everything, splits["dev"])
    rows = []
    for source in tqdm(sources, "scoring", disable=not sys.stderr.isatty()):
        network = network_of(Run(runs / f"without-{source}"))
        dev = compared(network, splits["dev"])
        own = {
            name: [trace for trace in traces if trace.source == source]
            for name, traces in (("all", splits["train"] + unseen), ("unseen", unseen))
        }
        all_of_it, unseen_of_it = (compared(network, traces) for traces in own.values())
        for phase in PHASES:
            f1 = {
                LEFT_OUT_ALL: f1_of(source, phase, dev[phase], all_of_it[phase]),
                LEFT_OUT: f1_of(source, phase, dev[phase], unseen_of_it[phase]),
                INCLUDED: f1_of(source, phase, included_dev[phase], included[phase]),
            }
            labels = len(all_of_it[phase].names), len(unseen_of_it[phase].names)
            rows.append(Row(source, phase, len(own["all"]), labels, f1))
    return rows


def table(rows: Sequence[Row]) -> str:
    """Markdown: a line by source and phase, F1 at 0.1/0.5 s."""
    columns = (LEFT_OUT_ALL, LEFT_OUT, INCLUDED)
    cells = [
        (
            *(one.source, str(one.traces), one.phase, f"{one.labels[0]} / {one.labels[1]}"),
            *(
                " / ".join("–" if x is None else f"{x:.3f}" for x in one.f1[name].values())
                for name in columns
            ),
        )
        for one in rows
    ]
    return markdown_table(("source", "traces", "phase", "labels: all / dev and test", *columns), cells)


def origin_of(labelled: Path, runs: Path, steps: int, arguments: Sequence[str]) -> Origin:
    """Command, data set and splits of a run; `arguments` are edge-train's, which ends the program where it
    does not take them."""
    trained = options.command(options.parse(["lppn", *arguments, "--run", str(runs)]))
    settings = trained.removeprefix("edge-train lppn ").split()
    words: tuple[Path | str, ...] = ("--labelled", labelled, "--runs", runs, "--steps", str(steps))
    return Origin(command("leave_one_out", *words, "--", *settings), labelled.resolve().name, SPLITS)


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit status: 0, 1 after one line on stderr that says what is wrong, or 130
    where it was interrupted."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.leave_one_out",
        description="Trains a network without each source of a labelled folder, and one with everything; "
        "writes leave_one_out.md and leave_one_out.json: F1 at 0.1 and 0.5 s, source left out and included. "
        "Interrupted, the same command goes on where it was.",
        epilog="example: python -m benchmarks.leave_one_out --labelled labelled --runs runs/loo --jobs 2 "
        "-- --data labelled --data weak -S 8",
    )
    parser.add_argument("--labelled", type=Path, required=True, help="labelled traces; also the dev split")
    parser.add_argument(
        "--runs", type=Path, required=True, help="folder for runs, their output and the table"
    )
    parser.add_argument("--steps", type=int, default=2000, help="batches of each run (default 2000)")
    parser.add_argument(
        "--jobs", type=int, default=1, help="runs at a time, each on its own CPUs (default 1)"
    )
    parser.add_argument(
        "training", nargs="+", metavar="ARGUMENT", help="after --, for edge-train: --data and what you like"
    )
    args = parser.parse_args(argv)
    common = [*args.training, "--dev", str(args.labelled), "--steps", str(args.steps)]
    try:
        sources = sources_of(args.labelled)
        origin = origin_of(args.labelled, args.runs, args.steps, common)
        args.runs.mkdir(parents=True, exist_ok=True)
        left_out = {"everything": [], **{f"without-{name}": ["--without", name] for name in sources}}
        commands = {
            args.runs / f"{name}.log": training(args.runs / name, [*common, *without])
            for name, without in left_out.items()
        }
        pinned(commands, args.jobs)
        rows = rows_of(args.labelled, args.runs, sources)
        text = written(args.runs, "leave_one_out", origin, rows, table(rows))
    except (OSError, ValueError, RuntimeError) as error:
        print(f"leave_one_out: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("leave_one_out: interrupted; the same command goes on", file=sys.stderr)
        return 130
    print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
