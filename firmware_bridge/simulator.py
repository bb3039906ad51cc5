"""A digitizer without the hardware: a record in the bytes of any protocol, on a pseudo-terminal or by UDP.

What is left at the end of a record and does not fill a packet is not sent.
"""

import socket
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.faults import Events, Jump
from firmware_bridge.protocols import protocol_named
from firmware_bridge.pseudo_terminal import PseudoTerminal
from firmware_bridge.uart import Line, on_the_line
from firmware_bridge.wire import Encoder

_NS = 1_000_000_000


def packets_of(
    samples: NDArray[np.int32],
    rate: float,
    start_ns: int,
    protocol: str = "anyshake3",
    *,
    repeat: bool = False,
    jumps: Sequence[Jump] = (),
) -> Iterator[tuple[int, bytes]]:
    """A record in the bytes of a protocol, with the time at which a digitizer would send them.

    `samples`: int32 counts of shape (n, 3) in Z, N, E order; `rate`: Hz; `start_ns`: UTC nanoseconds.
    `repeat`: again and again, without a gap, times going on. `jumps`: of the digitizer's clock.
    Yields (due_ns, bytes), each due when its last sample is complete, counted in nanoseconds from the
    record's start. Raises ValueError for a protocol that there is not, a rate that the protocol has not
    and a record that fills no packet; and later where the protocol cannot carry a sample or a time.
    """
    encoder = _encoder_for(samples, rate, protocol)
    return _encoded(encoder, samples, rate, start_ns, repeat, jumps)


def packets_from_now(
    samples: NDArray[np.int32],
    rate: float,
    protocol: str = "anyshake3",
    *,
    repeat: bool = False,
    jumps: Sequence[Jump] = (),
) -> Iterator[tuple[int, bytes]]:
    """As `packets_of`, with the record moved to start at the first whole second after one is asked for.

    Some protocols have packets start on whole seconds only.
    """
    encoder = _encoder_for(samples, rate, protocol)

    def packets() -> Iterator[tuple[int, bytes]]:
        now_ns = time.time_ns()
        early_ns = -now_ns % _NS
        for due_ns, data in _encoded(encoder, samples, rate, now_ns + early_ns, repeat, jumps):
            yield due_ns + early_ns, data

    return packets()


def _encoder_for(samples: NDArray[np.int32], rate: float, protocol: str) -> Encoder:
    encoder = protocol_named(protocol).encoder(rate)
    needed = encoder.samples_per_packet
    if len(samples) < needed:
        raise ValueError(f"the record has {len(samples)} samples, a packet {needed}: give a longer record")
    return encoder


def _encoded(
    encoder: Encoder,
    samples: NDArray[np.int32],
    rate: float,
    start_ns: int,
    repeat: bool,
    jumps: Sequence[Jump],
) -> Iterator[tuple[int, bytes]]:
    size = encoder.samples_per_packet
    for k in count() if repeat else range(len(samples) // size):
        first = k * size
        elapsed_ns = round(first * _NS / rate)
        jumped_s = sum(jump.by_s for jump in jumps if elapsed_ns >= jump.at_s * _NS)
        block = samples.take(range(first, first + size), axis=0, mode="wrap")
        data = encoder.encode(start_ns + elapsed_ns + round(jumped_s * _NS), block)
        yield round((first + size) * _NS / rate), data


def one_line_each(packets: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    """Each line of text on its own, without its newline, as a Raspberry Shake puts it into a datagram."""
    for due_ns, data in packets:
        for line in data.splitlines():
            yield due_ns, line


def send_datagrams(packets: Iterable[tuple[int, bytes | None]], address: str, speed: float = 1.0) -> None:
    """Send each packet as one datagram when it is due, whether someone listens or not.

    Returns after the last one. `packets`: (due_ns, bytes) in order, as from `packets_of`; None is passed
    over. `address`: "HOST:PORT". `speed`: 1 for real time, N for N times as fast. Raises ValueError for an
    address that is none and for speed 0, as nobody tells how fast datagrams are read.
    """
    if not speed > 0:
        raise ValueError(f"speed {speed:g}: give more than 0, as nobody tells how fast datagrams are read")
    host, _, port = address.rpartition(":")
    if not (host and port.isdecimal() and 0 < int(port) < 65_536):
        raise ValueError(f"UDP address {address!r}: give HOST:PORT, such as 127.0.0.1:8888")
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError) as error:
        raise ValueError(f"UDP address {address!r}: {error}") from error
    family, kind, _, _, destination = found[0]
    with socket.socket(family, kind) as port_of_ours:
        started_ns = time.monotonic_ns()
        for due_ns, data in packets:
            time.sleep(max(started_ns + due_ns / speed - time.monotonic_ns(), 0) / _NS)
            if data:
                port_of_ours.sendto(data, destination)


class PtyDigitizer:
    """A serial digitizer without the hardware: a pseudo-terminal in raw mode and a writing thread.

    `packets`: (due_ns, bytes) in order, as from `packets_of`; None instead of bytes takes the device away
    until the next bytes. `speed`: 1 for real time, N for N times as fast, 0 for as fast as the reader
    drains. `link`: a steady name for the device while it is there; a link left by an earlier run is
    replaced. `baud`: what its UART is set to: bytes come no faster, and a reader that has set the terminal
    to another speed reads what a UART would make of them (`uart.Receiver`); None: any speed reads well.

    Use it as a context manager; inside, `device` is the path a reader opens. The clock starts, and the
    first packet is asked for, once a reader has opened it. The digitizer drops nothing: a slow reader
    gets packets late, and when the reader leaves the replay waits for the next one (what lay unread in
    the terminal may be lost then: pyserial flushes when it opens). `sent` counts packets written. Leaving
    the context stops within a fraction of a second and hangs up; bytes not read by then are lost, so
    `wait` first.

    Raises ValueError for a negative speed, a baud rate below 1, and on entry where something that is no
    link is in the place of `link`.
    """

    device: str

    def __init__(
        self,
        packets: Iterable[tuple[int, bytes | None]],
        speed: float = 1.0,
        *,
        link: Path | None = None,
        baud: int | None = None,
    ) -> None:
        if not speed >= 0:
            raise ValueError(f"speed {speed:g}: give 0 (as fast as the reader drains) or more")
        if baud is not None and baud < 1:
            raise ValueError(f"baud {baud}: give a speed such as 115200")
        self.sent = 0
        self._packets: Events = ((round(due / speed) if speed else 0, data) for due, data in packets)
        if baud is not None:
            self._packets = on_the_line(self._packets, baud)
        self._link = link
        self._line = None if baud is None else Line(baud)
        self._terminal: PseudoTerminal | None = None
        self._stop = threading.Event()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="pty-digitizer", daemon=True)

    def __enter__(self) -> Self:
        self._plugged_in()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._unplug()
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
            self._plugged_in().await_reader(self._stop)
            started_ns = time.monotonic_ns()
            for wall_ns, data in self._packets:
                if self._stop.wait(max(started_ns + wall_ns - time.monotonic_ns(), 0) / _NS):
                    return
                if data is None:
                    self._drain()
                    self._unplug()
                    continue
                terminal = self._plugged_in()
                if not data:
                    continue
                terminal.await_reader(self._stop)
                if self._line is not None:
                    data = self._line.as_read(wall_ns, data, terminal.baud())
                if not terminal.write(data, self._stop):
                    return
                self.sent += 1
            self._drain()
        except Exception as error:  # handed to the caller by wait() or at the end of the context
            self._error = error

    def _drain(self) -> None:
        if self._terminal is not None:
            self._terminal.drain(self._stop)

    def _plugged_in(self) -> PseudoTerminal:
        if self._terminal is None:
            if self._link is not None and self._link.exists() and not self._link.is_symlink():
                raise ValueError(f"{self._link}: something that is no link is there: give another path")
            self._terminal = PseudoTerminal()
            self.device = self._terminal.name
            if self._link is not None:
                self._link.unlink(missing_ok=True)
                self._link.symlink_to(self.device)
                self.device = str(self._link)
        return self._terminal

    def _unplug(self) -> None:
        if self._terminal is not None:
            if self._link is not None:
                self._link.unlink(missing_ok=True)
            self._terminal.close()
            self._terminal = None
