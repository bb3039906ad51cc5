"""edge-pick: the station runtime on the command line."""

import argparse
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path

from tqdm import tqdm

from edge.archive import open_archive
from edge.backend import BackendError
from edge.cells import PHASES
from edge.model import DEFAULT_MODEL, TFLiteNetwork, load_model
from edge.pick import Phase, Pick
from edge.sinks import FileSink, LineSink, Sink
from edge.source import DeviceError, LineWatch, SerialSource
from edge.station import Station
from firmware_bridge.anyshake import Decoder

DESCRIPTION = """\
Picks P and S onsets from a digitizer on a serial port, or from MiniSEED files.
Picks are printed as readable lines on a terminal and as JSON lines when piped.
"""
EPILOG = """\
examples:
  edge-pick --device /dev/ttyUSB0 --station AM.SHED.00
      an AnyShake Explorer (protocol v3); the wire carries no station code, so give it
  edge-pick --device /dev/ttyUSB0 --out picks.jsonl
      the same, and every pick appended to a file
  edge-pick --replay day/*.mseed --json > picks.jsonl
      files of any number of stations, components in any order, 20 to 1000 samples a second
  edge-pick --replay event.mseed --p-threshold 0.2
      more P picks, more of them false; the model's card gives the default

Stations with one or two components are picked with the others at zero. Ctrl-C or SIGTERM ends cleanly:
what has arrived is picked before the program returns.
"""


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "edge-pick",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--device", help="serial port of the digitizer, e.g. /dev/ttyUSB0")
    source.add_argument("--replay", type=Path, nargs="+", metavar="FILE", help="MiniSEED files")
    parser.add_argument("--baud", type=int, default=115_200, help="serial speed (default 115200)")
    parser.add_argument(
        "--station", type=_station, default=None, metavar="NET.STA.LOC",
        help="name of the digitizer's station (default XX.EDGE.00); with --replay, pick only this one",
    )  # fmt: skip
    parser.add_argument("--p-threshold", type=_probability, help="least probability of a P pick, 0..1")
    parser.add_argument("--s-threshold", type=_probability, help="least probability of an S pick, 0..1")
    parser.add_argument("--json", action="store_true", help="JSON lines on a terminal too")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="append every pick to this file, as JSON lines"
    )
    parser.add_argument("--model", type=Path, default=DEFAULT_MODEL, help="a .tflite with its card beside it")
    parser.add_argument("--version", action="version", version=f"edge-pick {version('edge-pick')}")
    return parser.parse_args(arguments)


def _station(text: str) -> tuple[str, str, str]:
    parts = text.upper().split(".")
    if len(parts) != 3 or not parts[0] or not parts[1]:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not NET.STA.LOC, such as AM.SHED.00 (LOC may be empty)"
        )
    return parts[0], parts[1], parts[2]


def _probability(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 < value < 1.0:
        raise argparse.ArgumentTypeError(f"{text!r} is not between 0 and 1")
    return value


def report(line: str) -> None:
    """One line for the operator, on standard error, around a progress bar if there is one."""
    tqdm.write(f"edge-pick: {line}", file=sys.stderr)


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0 at the end of the data or when told to stop, 2 after one line on what is wrong."""
    args = parse(arguments)
    stop = threading.Event()

    def end(number: int, frame: object) -> None:
        if stop.is_set():  # told twice: something blocks, a reader of our output that has stalled, say
            raise KeyboardInterrupt
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    try:
        return run(args, stop)
    except BrokenPipeError:
        # The reader of our output is gone (edge-pick … | head): nobody is left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        report("stopped at once; picks may not have been written")
        return 2
    except (OSError, ValueError, BackendError, DeviceError) as error:
        report(str(error))
        return 2


def run(args: argparse.Namespace, stop: threading.Event) -> int:
    """Loads the model, opens source and sinks, and picks until the data end or `stop` is set."""
    network = load_model(args.model)
    given: dict[Phase, float | None] = {"P": args.p_threshold, "S": args.s_threshold}
    thresholds = {phase: given[phase] or network.card.thresholds[phase] for phase in PHASES}
    with ExitStack() as stack:
        printer = LineSink(_print, args.json or not sys.stdout.isatty())
        sinks: list[Sink] = [FileSink(args.out, report), printer] if args.out else [printer]
        for sink in sinks:
            stack.callback(sink.close)
        picks = (
            replay(args, network, thresholds, stop)
            if args.replay
            else listen(args, network, thresholds, stop)
        )
        counts = dict.fromkeys(PHASES, 0)
        for pick in picks:
            counts[pick.phase] += 1
            for sink in sinks[:]:
                try:
                    sink.send(pick)
                except BrokenPipeError:
                    if len(sinks) == 1:
                        raise
                    sinks.remove(sink)  # nobody reads what we print; the file still wants its picks
        report(", ".join(f"{n} {phase}" for phase, n in counts.items()) + " picked")
    return 0


def _print(line: str) -> None:
    tqdm.write(line, file=sys.stdout)
    sys.stdout.flush()


def replay(
    args: argparse.Namespace, network: TFLiteNetwork, thresholds: dict[Phase, float], stop: threading.Event
) -> Iterator[Pick]:
    """Picks of MiniSEED files, as fast as the CPU allows. ValueError if there is nothing to replay."""
    archive = open_archive(args.replay)
    problems = archive.problems
    if not archive.instruments:
        raise ValueError("; ".join(["nothing to replay", *problems]))
    for problem in problems:
        report(problem)
    wanted = None if args.station is None else ".".join(args.station)
    channels = {
        key: stream.channels
        for key, stream in archive.instruments.items()
        if wanted is None or stream.station_id == wanted
    }
    if not channels:
        there = ", ".join(sorted({stream.station_id for stream in archive.instruments.values()}))
        raise ValueError(f"no records of {wanted} here; there are {there}")
    station = Station(network, thresholds, report, channels)
    bar = tqdm(
        archive.packets(), "replaying", archive.record_count, unit="record", disable=not sys.stderr.isatty()
    )
    for packet in bar:
        if stop.is_set():
            break
        if packet.stream.instrument in channels:
            yield from station.feed(packet)
    yield from station.flush()
    for problem in archive.problems:
        if problem not in problems:  # found while decoding
            report(problem)


def listen(
    args: argparse.Namespace, network: TFLiteNetwork, thresholds: dict[Phase, float], stop: threading.Event
) -> Iterator[Pick]:
    """Picks of a digitizer on a serial port, until `stop` is set."""
    decoder = Decoder(*(args.station or ("XX", "EDGE", "00")))
    station = Station(network, thresholds, report)
    described = network.describe()
    report(f"{network.card.identity} on {described.runtime}, {described.device}")
    watch = LineWatch(args.device)
    for arrival_ns, data in SerialSource(args.device, args.baud, stop, report):
        packets = decoder.feed(data)
        for line in watch.feed(arrival_ns, len(data), len(packets)):
            report(line)
        for packet in packets:
            yield from station.feed(packet, arrival_ns)
        if watch.silent:  # a pick must not wait for data that may never come
            yield from station.flush()
    yield from station.flush()
    stats = decoder.stats
    report(
        f"{stats.good_packets} packets, {stats.bad_checksums} bad checksums, {stats.skipped_bytes} bytes "
        f"skipped, {stats.time_jumps} time jumps"
    )


if __name__ == "__main__":
    sys.exit(main())
