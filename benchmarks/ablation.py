"""What each part of the training bought: the same network trained without it, several seeds each.

    python -m benchmarks.ablation --runs runs/ablation --seeds 3 --jobs 2 \\
        -- --data labelled --data weak --teachers picks.json.gz --dev labelled -n 4

What stands after `--` goes to `edge-train`, whole for the row "as given" and changed in one thing for each
of the others. A row is the mean of the dev scores after the last epoch over the seeds, with the standard
deviation of one run: what differs by less has not been shown to differ.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.leave_one_out import pinned, training
from benchmarks.origin import Origin, command, written
from zoo import options
from zoo.runs import Run
from zoo.scores.table import markdown_table

AS_GIVEN = "as given"
OTHERS = (
    ("recipe", "station"),
    ("normalisation", "max-abs"),
    *(("backbone", backbone) for backbone in options.BACKBONES),
)
"""Options of edge-train and the values that take the place of what is given."""
CONTINUOUS = ("--continuous", "--continuous-source", "--continuous-from")


@dataclass(frozen=True, slots=True)
class Row:
    """A variant: by what the dev score calls them ("score", "P@0.1", …), mean and standard deviation of a
    run."""

    variant: str
    seeds: int
    mean: Mapping[str, float]
    std: Mapping[str, float]


def without(arguments: Sequence[str], *names: str, keep: int = 0) -> list[str]:
    """The arguments less those options of one value each, the first `keep` of them excepted."""
    left: list[str] = []
    words = iter(arguments)
    for word in words:
        if word in names and keep <= 0:
            next(words)
            continue
        keep -= word in names
        left.append(word)
    return left


def variants(
    arguments: Sequence[str], given: argparse.Namespace, teacher: Path | None
) -> dict[str, list[str]]:
    """Arguments of edge-train (`given`, when parsed) by variant; what would change nothing is left out."""
    every = {
        AS_GIVEN: list(arguments),
        "first --data only": without(arguments, "--data", keep=1),
        "no --teachers": without(arguments, "--teachers"),
        "no --continuous": without(arguments, *CONTINUOUS),
    }
    for option, value in OTHERS:
        if getattr(given, option) != value:
            every[f"--{option} {value}"] = [*arguments, f"--{option}", value]
    if teacher:
        every[f"--distil {teacher.name}"] = [*arguments, "--distil", str(teacher)]
    return {name: words for name, words in every.items() if name == AS_GIVEN or words != list(arguments)}


def folder_of(runs: Path, variant: str, seed: int) -> Path:
    """Where a variant is trained."""
    return runs / f"{variant.replace(' ', '-').strip('-')}-{seed}"


def rows_of(runs: Path, names: Sequence[str], seeds: int) -> list[Row]:
    """The table, from the logs of the runs."""
    rows = []
    for name in names:
        last = [Run(folder_of(runs, name, seed)).history()[-1] for seed in range(seeds)]
        scores = {key: [one[key] for one in last] for key in last[0] if key == "score" or "@" in key}
        mean = {key: round(float(np.mean(values)), 4) for key, values in scores.items()}
        std = {key: round(float(np.std(values, ddof=1)), 4) for key, values in scores.items()}
        rows.append(Row(name, seeds, mean, std))
    return rows


def table(rows: Sequence[Row]) -> str:
    """Markdown, a line by variant."""
    columns = list(rows[0].mean)
    cells = [(row.variant, *(f"{row.mean[key]:.3f} ± {row.std[key]:.3f}" for key in columns)) for row in rows]
    return markdown_table(("", *columns), cells)


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit status: 0, 1 after one line on stderr that says what is wrong, or 130
    where it was interrupted."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.ablation",
        description="Trains a network as given and with one thing changed, several seeds each; writes "
        "ablation.md and ablation.json: dev F1, mean and standard deviation. Interrupted, the same command "
        "goes on where it was.",
        epilog="example: python -m benchmarks.ablation --runs runs/ablation --jobs 2 -- --data labelled "
        "--data weak --dev labelled -n 4",
    )
    parser.add_argument("--runs", type=Path, required=True, help="folder for runs, output and the table")
    parser.add_argument("--steps", type=int, default=2000, help="batches of each run (default 2000)")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each variant, 2 or more (default 3)")
    parser.add_argument("--distil", type=Path, metavar="FILE", help="a larger network, to be taught by")
    parser.add_argument(
        "--jobs", type=int, default=1, help="runs at a time, each on its own CPUs (default 1)"
    )
    parser.add_argument("training", nargs="+", metavar="ARGUMENT", help="after --, for edge-train")
    args = parser.parse_args(argv)
    common = [*args.training, "--steps", str(args.steps), "--epoch", str(args.steps)]
    try:
        if args.seeds < 2:
            raise ValueError("--seeds must be 2 or more: one run tells nothing of the spread")
        given = options.parse(["lppn", *common, "--run", str(args.runs)])
        words = options.command(given).removeprefix("edge-train lppn ").split()
        distil: tuple[Path | str, ...] = ("--distil", args.distil) if args.distil else ()
        counts = ("--steps", str(args.steps), "--seeds", str(args.seeds))
        told = command("ablation", "--runs", args.runs, *counts, *distil, "--", *words)
        origin = Origin(told, given.dev.resolve().name, ("dev",))
        args.runs.mkdir(parents=True, exist_ok=True)
        changed = variants(common, given, args.distil)
        commands = {}
        for seed in range(args.seeds):
            for name, arguments in changed.items():
                run = folder_of(args.runs, name, seed)
                commands[Path(f"{run}.log")] = training(run, [*arguments, "--seed", str(seed)])
        pinned(commands, args.jobs)
        rows = rows_of(args.runs, list(changed), args.seeds)
        text = written(args.runs, "ablation", origin, rows, table(rows))
    except (OSError, ValueError, RuntimeError) as error:
        print(f"ablation: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("ablation: interrupted; the same command goes on", file=sys.stderr)
        return 130
    print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
