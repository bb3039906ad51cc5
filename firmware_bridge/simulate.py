"""`edge-simulate`: a digitizer without the hardware, with all that can go wrong on the way from it."""

import argparse
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from firmware_bridge.faults import FAULTS, Jump, Unplug, apply_faults, parse_fault
from firmware_bridge.protocols import PROTOCOLS, protocol_named
from firmware_bridge.record import Record, read_record
from firmware_bridge.simulator import (
    PtyDigitizer,
    one_line_each,
    packets_from_now,
    packets_of,
    send_datagrams,
)
from firmware_bridge.synthetic import synthetic_earthquake

_NS = 1_000_000_000
_SHOW_EVERY_S = 0.5
_ONE_LINE_A_DATAGRAM = "shake"

_EXAMPLES = """\
examples:
  edge-simulate
      a synthetic earthquake from an AnyShake v3; prints the device to read
  edge-simulate day.mseed --now --link ./digitizer
      a record as if it happened now, on a device whose name is known beforehand
  edge-simulate day.mseed --protocol shake --udp 127.0.0.1:8888
      the datacast of a Raspberry Shake
  edge-simulate --baud 57600 --fault flip=1e-5 --fault garbage=0.1 --seed 7
      a noisy line of 57600 baud, which reads as garbage at any other speed; the same noise each time
  edge-simulate --repeat --now --link ./digitizer --fault stall=600:20 --fault unplug=3600:60
      a soak test: runs until stopped
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `edge-simulate`; returns the exit status."""
    arguments = _parser().parse_args(argv)
    try:
        _simulate(arguments)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
    except (ValueError, OSError) as error:
        print(f"edge-simulate: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="edge-simulate",
        description="A digitizer without the hardware: replays MiniSEED, or a synthetic earthquake when no "
        "file\nis given, on a pseudo-terminal that a program reads like a serial port, or by UDP. On a\n"
        "pseudo-terminal it begins when a reader opens the device.",
        epilog=f"protocols:\n{_table((p.name, p.title) for p in PROTOCOLS)}\n"
        f"faults:\n{_table((kind.usage, kind.says) for kind in FAULTS)}\n{_EXAMPLES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("files", nargs="*", type=Path, metavar="FILE", help="MiniSEED, three components without gaps")
    add("--synthetic", action="store_true", help="60 s of synthetic ground motion (also without FILE)")
    add("--protocol", default="anyshake3", metavar="NAME", help="default anyshake3; names are below")
    add("--speed", type=float, default=1.0, metavar="N", help="times real time; 0: as fast as it is read")
    add("--now", action="store_true", help="move the record in time to start at the next second")
    add("--repeat", action="store_true", help="play the record again and again, times going on")
    add("--link", type=Path, metavar="PATH", help="also reach the device under this name")
    add("--baud", type=int, metavar="B", help="speed of the digitizer's UART; without, any speed reads well")
    add("--udp", metavar="HOST:PORT", help="send each packet as a datagram instead")
    add(
        "--fault", action="append", default=[], metavar="NAME=VALUE",
        help="what goes wrong, one after the other where given again; names are below",
    )  # fmt: skip
    add("--seed", type=int, default=0, metavar="N", help="of the faults' random numbers (default 0)")
    return parser


def _table(rows: Iterable[tuple[str, str]]) -> str:
    return "".join(f"  {left:20} {right}\n" for left, right in rows)


def _simulate(arguments: argparse.Namespace) -> None:
    faults = [parse_fault(text) for text in arguments.fault]
    if arguments.files and arguments.synthetic:
        raise ValueError("give files or --synthetic, not both")
    if arguments.udp and (arguments.link or arguments.baud):
        raise ValueError("--link and --baud belong to a serial line: give neither with --udp")
    if any(isinstance(fault, Unplug) for fault in faults) and not (arguments.udp or arguments.link):
        raise ValueError("--fault unplug: give --link PATH too, so that a reader finds the device again")
    if arguments.seed < 0:
        raise ValueError(f"--seed {arguments.seed}: give 0 or more")
    record = _record(arguments.files)
    jumps = [fault for fault in faults if isinstance(fault, Jump)]
    if arguments.now:
        packets = packets_from_now(
            record.samples, record.rate, arguments.protocol, repeat=arguments.repeat, jumps=jumps
        )
    else:
        packets = packets_of(
            record.samples,
            record.rate,
            record.start_ns,
            arguments.protocol,
            repeat=arguments.repeat,
            jumps=jumps,
        )
    seconds = len(record.samples) / record.rate
    if sys.stderr.isatty():
        packets = _shown(packets, "" if arguments.repeat else f" of {seconds:.1f}")
    if arguments.udp and arguments.protocol == _ONE_LINE_A_DATAGRAM:
        packets = one_line_each(packets)
    arriving = apply_faults(packets, faults, arguments.seed)
    title = protocol_named(arguments.protocol).title
    what = f"{record.instrument}, {record.rate:g} Hz, {seconds:.1f} s, {title}"
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does
    if arguments.udp:
        print(f"digitizer to {arguments.udp}: {what}", flush=True)
        send_datagrams(arriving, arguments.udp, arguments.speed)
    else:
        with PtyDigitizer(arriving, arguments.speed, link=arguments.link, baud=arguments.baud) as digitizer:
            print(f"digitizer on {digitizer.device}: {what}")
            speed = f" --baud {arguments.baud}" if arguments.baud else ""
            print(f"read it with: edge-pick --device {digitizer.device}{speed}", flush=True)
            digitizer.wait()
    if sys.stderr.isatty():
        print(file=sys.stderr)
    print("all sent", file=sys.stderr)


def _record(files: Sequence[Path]) -> Record:
    if files:
        return read_record(files)
    made = synthetic_earthquake()
    return Record("synthetic", made.samples, made.rate, made.start_ns)


def _shown(packets: Iterable[tuple[int, bytes]], total: str) -> Iterator[tuple[int, bytes]]:
    """The packets, with how far the record has come on the terminal as they pass."""
    shown_s = time.monotonic()
    for due_ns, data in packets:
        if time.monotonic() - shown_s >= _SHOW_EVERY_S:
            shown_s = time.monotonic()
            print(f"\r{due_ns / _NS:.1f}{total} s sent", end="", file=sys.stderr, flush=True)
        yield due_ns, data
