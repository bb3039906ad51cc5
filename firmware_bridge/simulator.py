"""A digitizer on a pseudo-terminal that replays a record as AnyShake v3 bytes (`edge-simulate`).

Whole-millisecond wire times, so a record's start is rounded to the millisecond; what is left at the
end of a record and does not fill a packet is not sent.
"""

import argparse
import fcntl
import os
import select
import signal
import struct
import sys
import termios
import threading
import time
import tty
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pymseed import MS3TraceList, nstime2timestr, sourceid2nslc
from pymseed.exceptions import MiniSEEDError

from firmware_bridge.anyshake import RATES, Encoder
from firmware_bridge.synthetic import synthetic_earthquake

_NS = 1_000_000_000
_INTERVAL_MS = 100
# pyserial throws away what it finds in a port just after opening it: give it time to do so.
_SETTLE_S = 0.25
_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Record:
    """A gapless record of one instrument.

    `instrument`: NET.STA.LOC.BI. `samples`: int32 counts of shape (n, 3) in Z, N, E (or Z, 1, 2) order.
    `rate`: Hz, one of `anyshake.RATES`. `start_ns`: int64 UTC nanoseconds of the first sample.
    """

    instrument: str
    samples: NDArray[np.int32]
    rate: int
    start_ns: int


def read_record(paths: Sequence[Path]) -> Record:
    """Read the three components of one instrument from MiniSEED, cut to the time they share.

    Components whose sampling instants differ by less than half a sample are taken as simultaneous.
    Raises ValueError, in one line, for anything a digitizer could not have sent.
    """
    traces = MS3TraceList()
    for path in paths:
        try:
            traces.add_file(path, unpack_data=True)
        except MiniSEEDError as error:
            reason = str(error).partition(" :: ")[0]
            raise ValueError(f"{path}: not readable as MiniSEED ({reason})") from error
    by_component = {}
    names = []
    for trace in traces:
        network, station, location, channel = sourceid2nslc(trace.sourceid)
        name = f"{network}.{station}.{location}.{channel}"
        names.append(name)
        first, *others = trace
        if others:
            gap = nstime2timestr(first.endtime)
            raise ValueError(f"{name} has a gap or an overlap after {gap}: give a stretch without")
        if first.sampletype != "i":
            raise ValueError(f"{name} does not hold integers: scale it to integer counts first")
        if first.samprate not in RATES:
            known = ", ".join(map(str, RATES))
            raise ValueError(f"{name} has {first.samprate:g} Hz: resample it to one of {known} Hz first")
        by_component[channel[-1]] = first
    keys = next((k for k in ("ZNE", "Z12") if set(k) == set(by_component)), None)
    if keys is None or len(names) != 3 or len({name[:-1] for name in names}) != 1:
        raise ValueError(
            f"need Z, N, E (or Z, 1, 2) of one instrument, found {', '.join(sorted(names)) or 'nothing'}"
        )
    components = [by_component[key] for key in keys]
    if len({c.samprate for c in components}) != 1:
        rates = ", ".join(f"{c.samprate:g}" for c in components)
        raise ValueError(f"{names[0][:-1]}? has components of different rates ({rates} Hz): give equal ones")
    rate = int(components[0].samprate)
    latest = max(c.starttime for c in components)
    offsets = [round((latest - c.starttime) * rate / _NS) for c in components]
    length = min(c.numsamples - offset for c, offset in zip(components, offsets, strict=True))
    if length < rate * _INTERVAL_MS // 1000:
        raise ValueError(f"{names[0][:-1]}? has components that share less than {_INTERVAL_MS} ms")
    columns = [
        c.np_datasamples[offset : offset + length] for c, offset in zip(components, offsets, strict=True)
    ]
    return Record(
        instrument=names[0][:-1],
        samples=np.stack(columns, axis=1),
        rate=rate,
        start_ns=components[0].starttime + offsets[0] * _NS // rate,
    )


def packets_of(samples: NDArray[np.int32], rate: int, start_ns: int) -> Iterator[tuple[int, bytes]]:
    """AnyShake v3 bytes of a record with the time at which a digitizer would send them.

    `samples`: int32 counts of shape (n, 3) in Z, N, E order; `rate`: Hz; `start_ns`: UTC nanoseconds.
    Yields (due_ns, bytes): one packet each 100 ms, due when its last sample is complete, counted in
    nanoseconds from the record's start. Raises ValueError as `Encoder` does.
    """
    encoder = Encoder(rate, interval_ms=_INTERVAL_MS)
    size = encoder.samples_per_packet
    wire_order = samples[:, [0, 2, 1]]
    start_ms = (start_ns + 500_000) // 1_000_000
    for k in range(len(samples) // size):
        wire = encoder.encode(start_ms + k * _INTERVAL_MS, wire_order[k * size : (k + 1) * size])
        yield (k + 1) * _INTERVAL_MS * 1_000_000, wire


def packets_from_now(samples: NDArray[np.int32], rate: int) -> Iterator[tuple[int, bytes]]:
    """As `packets_of`, with the record moved to start when the first packet is asked for."""
    yield from packets_of(samples, rate, time.time_ns())


class PtyDigitizer:
    """A serial digitizer without the hardware: a pseudo-terminal in raw mode and a writing thread.

    `packets`: (due_ns, bytes) in order, as from `packets_of`. `speed`: 1 for real time, N for N times
    as fast, 0 for as fast as the reader drains.

    Use it as a context manager; inside, `device` is the path a reader opens. The clock starts, and the
    first packet is asked for, once a reader has opened it. The digitizer drops nothing: a slow reader
    gets packets late, and when the reader leaves the replay waits for the next one (what lay unread in
    the terminal may be lost then: pyserial flushes when it opens). `sent` counts packets written. Leaving
    the context stops within a fraction of a second and hangs up; bytes not read by then are lost, so
    `wait` first.
    """

    device: str

    def __init__(self, packets: Iterable[tuple[int, bytes]], speed: float = 1.0) -> None:
        if not speed >= 0:
            raise ValueError(f"speed {speed}: give 0 (as fast as the reader drains) or more")
        self.sent = 0
        self._packets = packets
        self._speed = speed
        self._stop = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="pty-digitizer", daemon=True)

    def __enter__(self) -> Self:
        self._master, slave = os.openpty()
        tty.setraw(slave)
        self.device = os.ttyname(slave)
        # Only with our own end closed does the master see whether a reader has the other one open.
        os.close(slave)
        os.set_blocking(self._master, False)
        self._hang_up = select.poll()
        self._hang_up.register(self._master, 0)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        os.close(self._master)
        if self._error is not None and error is None:
            raise self._error

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until the reader has taken every byte (or has left after the last one was written).

        False if that took longer than `timeout_s`. Raises what `packets` raised.
        """
        self._thread.join(timeout_s)
        if self._error is not None:
            raise self._error
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._await_reader()
            started_ns = time.monotonic_ns()
            for due_ns, data in self._packets:
                if self._speed > 0:
                    early_ns = started_ns + due_ns / self._speed - time.monotonic_ns()
                    self._stop.wait(max(early_ns, 0) / _NS)
                self._await_reader()
                if not self._write(data):
                    return
                self.sent += 1
            self._drain()
        except Exception as error:  # handed to the caller by wait() or at the end of the context
            self._error = error

    def _has_reader(self) -> bool:
        return not self._hang_up.poll(0)

    def _await_reader(self) -> None:
        if self._has_reader():
            return
        while not self._has_reader() and not self._stop.is_set():
            self._stop.wait(_POLL_S)
        self._stop.wait(_SETTLE_S)

    def _write(self, data: bytes) -> bool:
        while data and not self._stop.is_set():
            if select.select([], [self._master], [], 0.1)[1]:
                data = data[os.write(self._master, data) :]
        return not data

    def _drain(self) -> None:
        # The kernel refills the reader's queue in steps: only twice empty is empty.
        empty = 0
        while empty < 2 and self._has_reader() and not self._stop.wait(_POLL_S):
            slave = os.open(self.device, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
            (waiting,) = struct.unpack("i", fcntl.ioctl(slave, termios.FIONREAD, b"\0" * 4))
            os.close(slave)
            empty = empty + 1 if waiting == 0 else 0


@contextmanager
def _linked(link: Path | None, device: str) -> Iterator[str]:
    """A steady name for the device while it lives; a link left by an earlier run is replaced."""
    if link is None:
        yield device
        return
    if link.is_symlink():
        link.unlink()
    elif link.exists():
        raise ValueError(f"--link {link}: something that is no link is there: give another path")
    link.symlink_to(device)
    try:
        yield str(link)
    finally:
        link.unlink(missing_ok=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `edge-simulate`; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="edge-simulate",
        description="A digitizer on a pseudo-terminal: replays MiniSEED, or a synthetic earthquake when "
        "no file is given, as AnyShake Explorer v3 bytes. It begins when a reader opens the device.",
    )
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="MiniSEED, three components")
    parser.add_argument("--synthetic", action="store_true", help="60 s of synthetic ground motion")
    parser.add_argument(
        "--speed", type=float, default=1.0, metavar="N", help="times real time; 0: as fast as it is read"
    )
    parser.add_argument("--link", type=Path, metavar="PATH", help="also reach the device under this name")
    parser.add_argument("--now", action="store_true", help="move the record in time to start now")
    arguments = parser.parse_args(argv)
    try:
        _simulate(arguments)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
    except (ValueError, OSError) as error:
        print(f"edge-simulate: {error}", file=sys.stderr)
        return 1
    return 0


def _simulate(arguments: argparse.Namespace) -> None:
    if arguments.files and arguments.synthetic:
        raise ValueError("give files or --synthetic, not both")
    if arguments.files:
        record = read_record(arguments.files)
    else:
        made = synthetic_earthquake()
        record = Record("synthetic", made.samples, made.rate, made.start_ns)
    if arguments.now:
        packets = packets_from_now(record.samples, record.rate)
    else:
        packets = packets_of(record.samples, record.rate, record.start_ns)
    seconds = len(record.samples) / record.rate
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does
    with (
        PtyDigitizer(packets, arguments.speed) as digitizer,
        _linked(arguments.link, digitizer.device) as name,
    ):
        print(f"digitizer on {name}: {record.instrument}, {record.rate} Hz, {seconds:.1f} s")
        print(f"read it with: edge-pick --device {name}", flush=True)
        while not digitizer.wait(0.5):
            if sys.stderr.isatty():
                done = digitizer.sent * _INTERVAL_MS / 1000
                print(f"\r{done:.1f} of {seconds:.1f} s sent", end="", file=sys.stderr, flush=True)
        if sys.stderr.isatty():
            print(file=sys.stderr)
        print("all sent", file=sys.stderr)
