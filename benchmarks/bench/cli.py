"""edge-bench on the command line."""

import argparse
import multiprocessing
import shlex
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from benchmarks.bench import footprint, machine
from benchmarks.bench.compare import compare
from benchmarks.bench.ground import RATE, ground_motion, lasting
from benchmarks.bench.process import replay, replay_made, start
from benchmarks.bench.report import Report, markdown, write
from benchmarks.bench.stages import measure_stages
from benchmarks.bench.stations import flood, serve
from edge.backend import BackendError
from edge.card import read_card
from edge.model import DEFAULT_MODEL, model_path

DESCRIPTION = """\
What the station costs on this computer: every stage of one station's path from bytes to picks, many stations
in one process, the program's start and memory, the replay of an archive day; with --compare, its peers on the
same ground motion. Everything is pinned to one core. Prints tables.
"""
EPILOG = """\
examples:
  edge-bench --out results/pi5
      writes results/pi5.json, pi5.md and, where matplotlib is installed, pi5.png
  edge-bench --compare --out results/laptop
      also PhaseNet, EQTransformer, LPPN by windows, ObsPy: pip install 'edge-pick[host]' torch
  edge-bench --records day.Z.mseed day.N.mseed day.E.mseed
      on a record of your own: three components of one station, 100 Hz, without gaps
  edge-bench --quick
      does it work here? Its figures tell nothing.

Stop other programs first: figures of a busy computer are marked provisional, and those of a Raspberry Pi that
was throttled invalid. What each figure means: docs/benchmarks.md
"""
STATIONS_HEAR_S = 600
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is measured: steady hops of one station; stations at once, each for `station_s` seconds in all
    and at least `least_s`; seconds of archive, and the sizes of its records; rounds of the comparison."""

    hops: int
    stations: Sequence[int]
    station_s: int
    least_s: int
    archive_s: int
    record_bytes: Sequence[int]
    rounds: int


FULL = Extent(2000, (1, 8, 64, 512, 4096), 64_000, 16, 86_400, (4096, 512), 20)
QUICK = Extent(50, (1, 8), 64, 8, 600, (4096,), 2)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status: 0, or 1 after one line on stderr that says what is wrong."""
    arguments = sys.argv[1:] if arguments is None else arguments
    args = _parser().parse_args(arguments)
    try:
        command = shlex.join(["edge-bench", *_named(arguments)])
        report = measure(args.model, args.records, args.compare, args.quick, command)
        if args.out:
            args.out.parent.mkdir(parents=True, exist_ok=True)
            picture(report, args.out.with_suffix(".png"))
            write(report, args.out)
        print(markdown(report), end="")
    except (OSError, ValueError, RuntimeError, BackendError) as error:
        print(f"edge-bench: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "edge-bench",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--model", type=model_path, default=DEFAULT_MODEL,
        help="lppn-tiny, lppn (default), lppn-large, or a .tflite with its card beside it",
    )  # fmt: skip
    parser.add_argument(
        "--records", type=Path, nargs="+", default=[], metavar="FILE", help="ground motion, MiniSEED"
    )
    parser.add_argument("--compare", action="store_true", help="other pickers too")
    parser.add_argument("--out", type=Path, metavar="NAME", help="write NAME.json, NAME.md and NAME.png")
    parser.add_argument("--quick", action="store_true", help="a minute, to see whether it works")
    return parser


def _named(arguments: Sequence[str]) -> list[str]:
    """The command with names in place of paths: the same on every computer."""
    return [Path(word).name if "/" in word else word for word in arguments]


def measure(model: Path, records: Sequence[Path], with_peers: bool, quick: bool, command: str) -> Report:
    """All parts, one after another, each in a process of its own. Raises as readers of models and records
    do, and RuntimeError where a part fails."""
    ground = ground_motion(records)
    extent = QUICK if quick else FULL
    archives = 1 if records else len(extent.record_bytes)
    report = Report(
        command=command,
        quick=quick,
        records=[path.name for path in records],
        machine=machine.describe(),
        model=footprint.model_size(model, read_card(model)),
        install=footprint.install(),
        health=[machine.look()],
    )
    parts = 3 + len(extent.stations) + archives + with_peers
    with tqdm(total=parts, unit="part", disable=not sys.stderr.isatty()) as bar:

        def part(name: str, measured: Callable[..., Result], *given: Any) -> Result:
            bar.set_description(name)
            result = measured(*given)
            report.health.append(machine.look())
            bar.update()
            return result

        report.stages = part("one station", alone, measure_stages, model, ground, extent.hops)
        minutes = lasting(ground, STATIONS_HEAR_S)
        for stations in extent.stations:
            seconds = max(extent.least_s, min(extent.hops // 2, extent.station_s // stations))
            served = part(f"{stations} stations", alone, serve, model, minutes, stations, seconds)
            report.served.append(served)
        report.flood = part("flood", alone, flood, model, minutes)
        report.started = part("start", start, model, ground)
        if records:
            seconds = len(ground) // RATE
            report.replayed.append(part("replay", replay, model, records, seconds, None))
        for size in () if records else extent.record_bytes:
            report.replayed.append(part("replay", replay_made, model, ground, extent.archive_s, size))
        if with_peers:
            report.comparison = part("peers", alone, compare, model, ground, extent.rounds)
    if report.comparison:
        report.skipped |= report.comparison.missing
    return report


def alone(measured: Callable[..., Result], *given: Any) -> Result:
    """Calls it in a fresh process, pinned to one core, in which nothing else has left anything."""
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=fresh, initializer=machine.pin) as pool:
        return pool.submit(measured, *given).result()


def picture(report: Report, path: Path) -> None:
    """Draws it, where matplotlib is installed; else the report says so."""
    try:
        from benchmarks.bench.plot import draw
    except ImportError as error:
        report.skipped["picture"] = f"{error.name} is not installed; pip install 'edge-pick[demo]'"
        return
    draw(report, path)
