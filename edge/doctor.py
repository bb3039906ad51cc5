"""`edge-pick doctor`: what a digitizer's line brings, and what to do if that is not good enough to pick."""

import argparse
import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from math import inf, isinf
from statistics import median

import numpy as np
from tqdm import tqdm

from edge.host_clock import host_clock
from edge.line import Arrived, Line, add_line_arguments
from edge.resample import check_rate
from edge.source import DeviceError
from firmware_bridge.packet import Clock, Packet
from firmware_bridge.protocols import Protocol
from firmware_bridge.stats import DecoderStats

_S = 1_000_000_000

DESCRIPTION = """\
Listens to a digitizer for some seconds and says what arrives: bytes, packets, damage, rate, channels,
clock and delay. Ends with a verdict: exit status 0 if edge-pick can work with it, 1 if something should be
done first, 2 if the line cannot be opened.
"""
_FULL_LINE = 0.9
_DAMAGED_SHARE = 0.01
_RATE_TOLERANCE = 5e-3
_CLOCK_OFF_S = 0.5
_CLOCK_WORDS: dict[Clock | None, str] = {
    "device": "the digitizer's own, without UTC",
    "gnss": "UTC from GNSS",
    "host": "this computer's",
    "ntp": "UTC from NTP",
    "unknown": "UTC, the wire does not say from where",
    None: "no time on the wire",
}


@dataclass(slots=True)
class Channel:
    """What came of one channel: the range of its samples, when it came first and last (UTC nanoseconds), and
    how many samples came after the first time."""

    began_ns: int
    ended_ns: int
    samples: int = 0
    lowest: float = np.inf
    highest: float = -np.inf

    @property
    def rate(self) -> float | None:
        """Samples per second by their arrival; None from too little data."""
        span_ns = self.ended_ns - self.began_ns
        return None if span_ns < 3 * _S else self.samples * _S / span_ns


@dataclass(slots=True)
class Examination:
    """What was heard of a line in `seconds`, from the first byte on.

    `clocks`: None where packets have no time. `rates` in Hz, None where the wire does not tell. `delays_s`:
    from the last sample of each packet with UTC to its arrival.
    """

    seconds: float = 0.0
    n_bytes: int = 0
    began_ns: int | None = None
    marks: int = 0
    clocks: set[Clock | None] = field(default_factory=set)
    rates: set[float | None] = field(default_factory=set)
    channels: dict[str, Channel] = field(default_factory=dict)
    delays_s: list[float] = field(default_factory=list)

    def take(self, arrived: Arrived) -> None:
        """One step of the line."""
        if self.began_ns is None and arrived.n_bytes:
            self.began_ns = arrived.arrival_ns
        if self.began_ns is not None:
            self.seconds = (arrived.arrival_ns - self.began_ns) / _S
        self.n_bytes += arrived.n_bytes
        for arrival_ns, packet in arrived.packets:
            self.clocks.add(None if packet.start_ns is None else packet.clock)
            self.marks += packet.mark is not None
            self.rates.add(packet.rate)
            for code, column in zip(packet.stream.channels, packet.samples.T, strict=True):
                now_ns = arrived.arrival_ns
                name = f"{packet.stream.station_id}.{code}"
                channel = self.channels.setdefault(name, Channel(now_ns, now_ns))
                if now_ns > channel.began_ns:  # what came at first may have waited for its rate to be known
                    channel.samples += len(column)
                    channel.ended_ns = now_ns
                channel.lowest = min(channel.lowest, float(column.min()))
                channel.highest = max(channel.highest, float(column.max()))
            self._take_delay(arrival_ns, packet)

    def _take_delay(self, arrival_ns: int, packet: Packet) -> None:
        if packet.start_ns is not None and packet.rate is not None and packet.clock != "device":
            end_ns = packet.start_ns + len(packet.samples) * _S / packet.rate
            self.delays_s.append((arrival_ns - end_ns) / _S)

    @property
    def measured_rate(self) -> float | None:
        """Samples per second and channel by their arrival; None from too little data."""
        rates = [channel.rate for channel in self.channels.values() if channel.rate is not None]
        return median(rates) if rates else None


def examine(line: Iterable[Arrived], seconds: float) -> Examination:
    """Listens for `seconds`, by arrival times."""
    heard = Examination()
    began_ns: int | None = None
    shape = "{desc} {n:.0f} of {total:.0f} s {bar}"
    with tqdm(total=seconds, desc="listening", disable=not sys.stderr.isatty(), bar_format=shape) as bar:
        for arrived in line:
            began_ns = arrived.arrival_ns if began_ns is None else began_ns
            passed_s = (arrived.arrival_ns - began_ns) / _S
            heard.take(arrived)
            bar.update(min(passed_s, seconds) - bar.n)
            if passed_s >= seconds:
                break
    return heard


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """An examination, and what else is known when it ends, in words.

    `protocol`: what was recognised. `baud`: at which the line was read last. `bits_per_s`: of the line,
    infinite where it has no speed. `host`: who keeps this computer's clock.
    """

    heard: Examination
    stats: DecoderStats
    protocol: Protocol | None
    baud: int | None
    bits_per_s: float
    host: Clock

    def lines(self) -> Iterator[str]:
        """The findings, a label and a value each."""
        heard, stats, seconds = self.heard, self.stats, max(self.heard.seconds, 1e-9)
        speed = f" at {self.baud} baud" if self.baud else ""
        yield f"protocol  {self.protocol.title if self.protocol else 'not recognised'}{speed}"
        share = "" if isinf(self.bits_per_s) else f", {self._share():.0%} of what the line carries"
        yield f"bytes     {heard.n_bytes / seconds:.0f}/s{share}"
        yield (
            f"packets   {stats.good_packets / seconds:.1f}/s, {stats.bad_checksums} bad checksums, "
            f"{stats.skipped_bytes} bytes skipped, {stats.lost_packets} lost, {stats.time_jumps} time jumps"
        )
        if not heard.channels:
            return
        told = ", ".join(f"{rate:g} Hz" if rate else "not told" for rate in heard.rates)
        measured = "too little to measure" if self._rate() is None else f"{self._rate():.2f} Hz by arrivals"
        yield f"rate      {told} by the wire, {measured}"
        for name, channel in heard.channels.items():
            yield f"channel   {name}  {channel.lowest:g} … {channel.highest:g}"
        words = ", ".join(said for clock, said in _CLOCK_WORDS.items() if clock in heard.clocks)
        marks = f", {heard.marks} PPS marks" if heard.marks else ""
        synchronised = "synchronised" if self.host == "ntp" else "not synchronised"
        yield f"clock     {words}{marks}; this computer is {synchronised}"
        if heard.delays_s:
            low, middle, high = np.percentile(heard.delays_s, (0, 50, 100))
            yield f"delay     {middle:.3f} s from the last sample to here ({low:.3f} … {high:.3f})"

    def problems(self) -> Iterator[str]:
        """What should be done before picking, the worst first."""
        heard, stats = self.heard, self.stats
        if heard.n_bytes == 0:
            yield (
                "no data arrives: is the digitizer on, does its TX go to our RX, are both RS-232 or both "
                "3.3 V, is it the right port?"
            )
            return
        if self.protocol is None or not heard.channels:
            yield (
                "bytes arrive, but nothing that is known: without --baud and --protocol all are tried; for "
                "an unusual speed give --baud, for firmware of your own see docs/bridge-protocol.md"
            )
            return
        if stats.bad_checksums > _DAMAGED_SHARE * stats.good_packets:
            yield (
                f"{stats.bad_checksums} damaged to {stats.good_packets} good packets: shorten or shield the "
                "cable, join the grounds, or lower the baud rate on both ends"
            )
        elif stats.skipped_bytes > max(_DAMAGED_SHARE * heard.n_bytes, 4096):
            yield f"{stats.skipped_bytes} of {heard.n_bytes} bytes are no packet: does something else talk?"
        if stats.lost_packets:
            yield f"{stats.lost_packets} packets were lost on their way: is the line too slow or too noisy?"
        if self._share() > _FULL_LINE:
            yield f"the line is full ({self._share():.0%}): raise the baud rate or lower the sample rate"
        yield from self._rate_problems()
        for name, channel in heard.channels.items():
            if channel.lowest == channel.highest:
                yield f"{name} is constant at {channel.lowest:g}: is the sensor connected?"
        yield from self._clock_problems()

    def _rate_problems(self) -> Iterator[str]:
        told, measured = {rate for rate in self.heard.rates if rate}, self._rate()
        for rate in told:
            try:
                check_rate(rate)
            except ValueError as error:
                yield str(error)
        if len(told) == 1 and measured is not None and self.heard.seconds >= 5:
            (rate,) = told
            if abs(measured / rate - 1) > 3 * _RATE_TOLERANCE:
                yield f"{rate:g} Hz announced, {measured:.2f} Hz arrive: is data lost, or the rate set wrong?"

    def _clock_problems(self) -> Iterator[str]:
        timed = self.heard.marks or self.heard.clocks - {None, "device"}
        if not timed and self.host != "ntp":
            yield (
                "nobody knows the time: the digitizer sends none and this computer's clock is not "
                "synchronised; turn NTP on (timedatectl set-ntp true) or connect a GNSS receiver"
            )
        if self.heard.delays_s and self.host == "ntp":
            middle = float(np.median(self.heard.delays_s))
            if not -_CLOCK_OFF_S < middle < 60:
                yield f"the digitizer's clock is off by {-middle:+.1f} s: has it a GNSS fix?"

    def _rate(self) -> float | None:
        return self.heard.measured_rate

    def _share(self) -> float:
        return self.heard.n_bytes * 10 / max(self.heard.seconds, 1e-9) / self.bits_per_s


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0.0 < seconds < inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no time to listen, such as 10")
    return seconds


def main(arguments: list[str]) -> int:
    """Exit status 0 if nothing is wrong, 1 if something is, 2 if the line cannot be opened."""
    parser = argparse.ArgumentParser(
        "edge-pick doctor", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_line_arguments(parser, parser.add_mutually_exclusive_group(required=True))
    parser.add_argument("--seconds", type=_seconds, default=10.0, help="how long to listen (default 10)")
    args = parser.parse_args(arguments)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: stop.set())
    try:
        line = Line.from_arguments(args, stop, lambda text: tqdm.write(text, file=sys.stderr))
        heard = examine(line, args.seconds)
    except (DeviceError, ValueError) as error:
        print(f"verdict   {error}")
        return 2
    detector = line.detector
    found = Diagnosis(heard, detector.stats, detector.protocol, detector.baud, line.bits_per_s, host_clock())
    for text in found.lines():
        print(text)
    problems = list(found.problems())
    for problem in problems:
        print(f"verdict   {problem}")
    if not problems:
        print("verdict   fine, edge-pick can work with this")
    return 1 if problems else 0
