"""A digitizer's line, live: bytes from its source, through detection, to packets with their arrival times."""

import argparse
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from edge.pick import NS
from edge.reorder import Reorder
from edge.resample import check_rate
from edge.source import LineWatch, SerialSource, Source, UdpSource
from edge.terminal import Report
from firmware_bridge.detect import Detector
from firmware_bridge.packet import Packet
from firmware_bridge.protocols import PROTOCOLS
from firmware_bridge.wire import Declared

_ANY_BAUD = 115_200


@dataclass(frozen=True, slots=True)
class Arrived:
    """What one step of a line brought.

    `arrival_ns`: UTC nanoseconds of this computer. `n_bytes`: as many came. `packets`: each with the time at
    which its last byte would have come if bytes took no time on the line, nor waited for those of the next.
    """

    arrival_ns: int
    n_bytes: int
    packets: list[tuple[int, Packet]]


class Line:
    """Iterating yields `Arrived` until the source ends.

    `report` gets a line for whatever changes: silence, what was recognised, what no longer is.
    """

    def __init__(self, name: str, source: Source, detector: Detector, report: Report) -> None:
        self.detector = detector
        self._reorder = Reorder()
        self._source = source
        self._watch = LineWatch(name)
        self._name = name
        self._report = report

    @classmethod
    def from_arguments(cls, args: argparse.Namespace, stop: threading.Event, report: Report) -> Self:
        """The line that `add_line_arguments` describes; ValueError or DeviceError for an impossible one."""
        detector = Detector(declared(args), args.protocol, args.baud, serial=args.udp is None)
        if args.udp is not None:
            return cls(args.udp, UdpSource(args.udp, stop, report), detector, report)
        source = SerialSource(args.device, detector.baud or _ANY_BAUD, stop, report)
        return cls(args.device, source, detector, report)

    @property
    def bits_per_s(self) -> float:
        """How fast bytes come over the line, as far as that delays them."""
        return self._source.bits_per_s

    def __iter__(self) -> Iterator[Arrived]:
        arrival_ns = 0
        for arrival_ns, data in self._source:
            packets = self.detector.feed(arrival_ns, data)
            for text in self._watch.feed(arrival_ns, len(data)):
                self._report(text)
            while self.detector.events:
                self._report(f"{self._name}: {self.detector.events.popleft()}")
            self._source.baud = self.detector.baud
            sent = [(at_ns - self._on_the_line_ns(packet), packet) for at_ns, packet in packets]
            if len(sent) > 1:
                sent = held_back(sent)
            yield Arrived(arrival_ns, len(data), self._reorder.feed(arrival_ns, sent))
        yield Arrived(arrival_ns, 0, self._reorder.flush())

    def _on_the_line_ns(self, packet: Packet) -> int:
        # 8N1: ten bits a byte.
        return round(packet.wire_bytes * 10 * NS / self._source.bits_per_s)

    def summary(self) -> str:
        """One line of what the decoder has met."""
        return self.detector.stats.summary()


def held_back(packets: list[tuple[int, Packet]]) -> list[tuple[int, Packet]]:
    """Packets that came together, as while their rate was found out, with the times at which each could have
    come: none of them later than the one behind it, less the time which that one lasts."""
    out = packets[-1:]
    for at_ns, packet in packets[-2::-1]:
        behind_ns, behind = out[-1]
        if _is_behind(behind, packet):
            at_ns = min(at_ns, behind_ns - round(len(behind.samples) * NS / (behind.rate or 1.0)))
        out.append((at_ns, packet))
    return out[::-1]


def _is_behind(packet: Packet, before: Packet) -> bool:
    if packet.rate is None or packet.rate != before.rate or packet.stream != before.stream:
        return False
    if packet.start_ns is None or before.start_ns is None:
        return packet.start_ns is before.start_ns
    end_ns = before.start_ns + len(before.samples) * NS / packet.rate
    return abs(packet.start_ns - end_ns) < NS / packet.rate


def add_line_arguments(parser: argparse.ArgumentParser, source: argparse._MutuallyExclusiveGroup) -> None:
    """`--device` and `--udp` in `source`, and what can be said of either in `parser`."""
    source.add_argument("--device", help="serial port of the digitizer, e.g. /dev/ttyUSB0")
    source.add_argument("--udp", metavar="[HOST]:PORT", help="datagrams of a digitizer, e.g. :8888")
    parser.add_argument(
        "--station", type=_identity, metavar="NET.STA.LOC",
        help="name of the digitizer's station (default: what the wire says, or XX.EDGE.00)",
    )  # fmt: skip
    names = ", ".join(f"{protocol.name} ({protocol.title})" for protocol in PROTOCOLS)
    parser.add_argument(
        "--protocol", choices=[protocol.name for protocol in PROTOCOLS], metavar="NAME",
        help=f"what the digitizer speaks (default: listen and find out): {names}",
    )  # fmt: skip
    parser.add_argument("--baud", type=_baud, help="serial speed (default: listen and find out)")
    parser.add_argument(
        "--rate", type=_rate, help="samples per second, where the wire does not tell (default: measured)"
    )
    parser.add_argument(
        "--columns", type=_columns, metavar="NAME,NAME,…",
        help="of plain lines: millis, micros, seconds, z, n, e (x, y), - to pass over (default: found out)",
    )  # fmt: skip
    parser.add_argument("--unit", help="of the samples, where the wire does not tell, e.g. m/s")


def declared(args: argparse.Namespace) -> Declared:
    """What the operator said of the wire."""
    return Declared(args.station, args.rate, args.columns, args.unit)


def _identity(text: str) -> tuple[str, str, str]:
    parts = text.upper().split(".")
    if len(parts) != 3 or not parts[0] or not parts[1]:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not NET.STA.LOC, such as AM.SHED.00 (LOC may be empty)"
        )
    return parts[0], parts[1], parts[2]


def _baud(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no speed, such as 115200")
    return int(text)


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from error
    try:
        check_rate(rate)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return rate


def _columns(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(","))
