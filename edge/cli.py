"""edge-pick: the station runtime on the command line."""

import argparse
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from heapq import merge
from itertools import takewhile
from pathlib import Path

from tqdm import tqdm

from edge import doctor, status
from edge.archive import holds_miniseed, open_archive
from edge.backend import BackendError
from edge.capture import by_record, find_capture, side_by_side
from edge.cells import PHASES
from edge.first_motion import Polariser
from edge.line import Line, declared
from edge.model import StationNetwork, load_model
from edge.options import parse
from edge.outbox import OutboxError
from edge.pick import Phase, Pick
from edge.polarity import load_polarity
from edge.portions import portions
from edge.sinks.lines import FileSink, LineSink, Sink
from edge.source import DeviceError
from edge.station import Station
from edge.terminal import printable
from edge.uplink import Uplink
from edge.vitals import Vitals

COMMANDS = {"doctor": doctor.main, "status": status.main}


def report(line: str) -> None:
    """One line for the operator, on standard error, around a progress bar if there is one."""
    tqdm.write(f"edge-pick: {printable(line)}", file=sys.stderr)


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0 at the end of the data or when told to stop, 2 after one line on what is wrong."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments and arguments[0] in COMMANDS:
        try:
            result = COMMANDS[arguments[0]](arguments[1:])
            sys.stdout.flush()
            return result
        except BrokenPipeError:
            return _unheard()
        except OSError as error:  # they tell their own
            report(str(_unprinted(error)))
            return 2
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
        return _unheard()
    except KeyboardInterrupt:
        report("stopped at once; picks may not have been written")
        return 2
    except (OSError, ValueError, BackendError, DeviceError, OutboxError) as error:
        report(str(error))
        return 2


def _unheard() -> int:
    """The reader of our output is gone (edge-pick … | head): nobody is left to tell."""
    _mute()
    return 0


def _unprinted(error: OSError) -> OSError:
    """An error of printing, in words."""
    _mute()
    return OSError(f"standard output cannot be written ({error.strerror}): make room, or send it elsewhere")


def _mute() -> None:
    """What is still to be printed goes nowhere: at the end Python would fail to write it once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def run(args: argparse.Namespace, stop: threading.Event) -> int:
    """Loads the model, opens source and sinks, and picks until the data end or `stop` is set: the exit
    status, 2 where picks went to a file or upstream and could not be printed."""
    result = 0
    network = load_model(args.model)
    given: dict[Phase, float | None] = {"P": args.p_threshold, "S": args.s_threshold}
    thresholds = {phase: given[phase] or network.card.thresholds[phase] for phase in PHASES}
    with ExitStack() as stack:
        described = network.describe()
        backend = f"{described.runtime}, {described.device}"
        station = None if args.station is None else ".".join(args.station)
        vitals = Vitals(network.card.identity, backend, station, live=not args.replay)
        stack.callback(vitals.close)
        sinks: list[Sink] = []

        def add(sink: Sink) -> None:
            sinks.append(sink)
            stack.callback(sink.close)

        if args.uplink:  # first: what is printed has been kept
            add(Uplink(args.uplink, args.outbox, station, vitals, report))
        if args.out:
            add(FileSink(args.out, report))
        add(LineSink(_print, args.json or not sys.stdout.isatty()))
        picks = (
            replay(args, network, thresholds, stop)
            if args.replay
            else listen(args, network, thresholds, stop, vitals)
        )
        for pick in picks:
            vitals.picked(pick)
            for sink in sinks[:]:
                try:
                    sink.send(pick)
                except OSError as error:  # of printing: the others keep what they cannot write yet
                    if len(sinks) == 1:
                        raise
                    sinks.remove(sink)  # the file, or the uplink, still wants its picks
                    if not isinstance(error, BrokenPipeError):  # then nobody reads what we print
                        report(str(error))
                        result = 2
        report(", ".join(f"{n} {phase}" for phase, n in vitals.picks.items()) + " picked")
    return result


def _print(line: str) -> None:
    try:
        tqdm.write(line, file=sys.stdout)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _unprinted(error) from error


def replay(
    args: argparse.Namespace, network: StationNetwork, thresholds: dict[Phase, float], stop: threading.Event
) -> Iterator[Pick]:
    """Picks of files, as fast as the CPU allows. ValueError if there is nothing to replay."""
    captures = [
        capture
        for path in dict.fromkeys(args.replay)
        if path.is_file()
        and not holds_miniseed(path)
        and (capture := find_capture(path, declared(args), args.protocol))
    ]
    captured = {capture.path for capture in captures}
    records = [path for path in args.replay if path not in captured]
    if records:
        yield from replay_records(records, args, network, thresholds, stop)
    for together in by_record(captures):
        protocol = together[0].protocol
        decoder = protocol.decoder(declared(args))
        station = station_of(args, network, thresholds)
        for packet in side_by_side(together, decoder):
            if stop.is_set():
                break
            yield from station.feed(packet)
        yield from station.flush()
        more = f" and {len(together) - 1} more" if len(together) > 1 else ""
        report(f"{together[0].path.name}{more}: {protocol.title}, {decoder.stats.summary()}")


def early(
    args: argparse.Namespace, network: StationNetwork, thresholds: Mapping[Phase, float]
) -> Mapping[Phase, float] | None:
    """The probabilities of early picks, if they are wanted, none below that of a final one. ValueError where
    the model's card has none."""
    if not args.early:
        return None
    least = network.card.stream.early
    if least is None:
        raise ValueError(f"{network.card.name} has no early picks: its card says nothing of them")
    return {phase: max(least[phase], thresholds[phase]) for phase in PHASES}


def polariser(args: argparse.Namespace, network: StationNetwork) -> Polariser | None:
    """What tells the first motions of this picker's P; None, which is reported, for a picker that does not
    hold the samples which the polarity model asks for."""
    reader = load_polarity()
    if not reader.card.input.held_by(network.card.input):
        report(f"{network.card.name}: picks without polarity, which asks for {reader.card.input}")
        return None
    return Polariser(reader, args.reversed)


def station_of(
    args: argparse.Namespace,
    network: StationNetwork,
    thresholds: Mapping[Phase, float],
    channels: Mapping[str, tuple[str, ...]] | None = None,
) -> Station:
    """The station that the operator asked for; `channels` as `Station`."""
    told = early(args, network, thresholds)
    return Station(network, thresholds, report, channels, told, polariser(args, network))


def in_order(picks: list[Pick]) -> Iterator[Pick]:
    """By time over all instruments, of each as it would have been live: a bank gives them one by one."""
    by_instrument: dict[tuple[str, ...], list[Pick]] = {}
    for pick in picks:
        by_instrument.setdefault((pick.station, *pick.channels), []).append(pick)
    return merge(*by_instrument.values(), key=lambda pick: pick.time_ns)


def replay_records(
    paths: list[Path],
    args: argparse.Namespace,
    network: StationNetwork,
    thresholds: dict[Phase, float],
    stop: threading.Event,
) -> Iterator[Pick]:
    """Picks of MiniSEED files, of all stations or one. ValueError if there is nothing to replay."""
    archive = open_archive(paths)
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
    station = station_of(args, network, thresholds, channels)
    bar = tqdm(
        archive.packets(), "replaying", archive.record_count, unit="record", disable=not sys.stderr.isatty()
    )
    for portion in portions(takewhile(lambda packet: not stop.is_set(), bar)):
        for packet in portion:
            if packet.stream.instrument in channels:
                station.take(packet)
        yield from in_order(station.run())
    yield from in_order(station.flush())
    for problem in archive.problems:
        if problem not in problems:  # found while decoding
            report(problem)


def listen(
    args: argparse.Namespace,
    network: StationNetwork,
    thresholds: dict[Phase, float],
    stop: threading.Event,
    vitals: Vitals,
) -> Iterator[Pick]:
    """Picks of a digitizer on a serial port or the network, until `stop` is set."""
    line = Line.from_arguments(args, stop, report)
    station = station_of(args, network, thresholds)
    described = network.describe()
    report(f"{network.card.identity} on {described.runtime}, {described.device}")
    for arrived in line:
        for arrival_ns, packet in arrived.packets:
            station.take(packet, arrival_ns)
        yield from station.rest(arrived.arrival_ns)
        vitals.heard(arrived, line.detector.stats, station.gaps)
    yield from station.flush()
    report(line.summary())
    for text in station.clocks():
        report(text)


if __name__ == "__main__":
    sys.exit(main())
