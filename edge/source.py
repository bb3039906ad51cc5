"""Bytes from a digitizer with their arrival times: a serial port, through unplugging, or UDP."""

import errno
import os
import socket
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from math import inf
from typing import Protocol

import serial
from serial.tools import list_ports

from edge.terminal import Report

_READ_TIMEOUT_S = 0.1  # how soon a stop is noticed
_FIRST_RETRY_S = 0.5
_LAST_RETRY_S = 30.0
_SILENCE_S = 10
_DATAGRAM_BYTES = 1 << 16

_LOST = (OSError, termios.error)
"""What an unplugged device raises: pyserial's "device reports readiness to read but returned no data"
(a SerialException, thus an OSError), EIO from a pty whose other end closed, or termios on opening."""


class DeviceError(Exception):
    """The device cannot be used; the message is one line that says what to do."""


class LineWatch:
    """Says, once each time, that a line is silent and that it is not any more.

    `silent`: nothing has come for 10 s.
    """

    def __init__(self, device: str) -> None:
        self.silent = False
        self._device = device
        self._heard_ns: int | None = None

    def feed(self, arrival_ns: int, n_bytes: int) -> list[str]:
        """How much came in one step of the source: lines for the operator, seldom any."""
        if self._heard_ns is None or n_bytes or arrival_ns < self._heard_ns:  # the clock was set back
            self._heard_ns = arrival_ns
        was_silent, self.silent = self.silent, arrival_ns - self._heard_ns >= _SILENCE_S * 1_000_000_000
        if self.silent and not was_silent:
            return [f"{self._device}: no data for {_SILENCE_S} s; is the digitizer on, the cable right?"]
        if was_silent and not self.silent:
            return [f"{self._device}: data again"]
        return []


class Source(Protocol):
    """Where bytes come from.

    Iterating yields (arrival_ns, data): what has arrived since, and when (UTC nanoseconds of this computer);
    empty data now and then on a silent line. It ends soon after the source's stop event is set.

    `baud`: the speed of a serial port, which may be set at any time; None where there is none.
    `bits_per_s`: how fast bytes come over the line, as far as that delays them.
    """

    baud: int | None

    @property
    def bits_per_s(self) -> float: ...

    def __iter__(self) -> Iterator[tuple[int, bytes]]: ...


class UdpSource:
    """Datagrams to `address` ("HOST:PORT", or ":PORT" for any network of this computer), one a step.

    DeviceError if nothing can listen there.
    """

    baud: int | None = None
    bits_per_s = inf

    def __init__(
        self,
        address: str,
        stop: threading.Event,
        report: Report,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        host, _, port = address.rpartition(":")
        self._address = address
        self._stop = stop
        self._report = report
        self._clock = clock
        try:
            self._place = (host, int(port))
            if self._place[1] == 0:
                raise ValueError("any port, which no digitizer would know")
        except ValueError:
            raise DeviceError(f"{address}: not HOST:PORT or :PORT, such as :8888") from None

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as port:
            port.settimeout(_READ_TIMEOUT_S)
            try:
                port.bind(self._place)
            except (OSError, OverflowError) as error:
                raise DeviceError(f"{self._address}: cannot listen there ({error})") from error
            self._report(f"{self._address}: listening")
            while not self._stop.is_set():
                try:
                    data = port.recv(_DATAGRAM_BYTES)
                except TimeoutError:
                    data = b""
                yield self._clock(), data


class SerialSource:
    """The serial port `device` at `baud`, 8N1, opened for exclusive use.

    A `Source` that ends within 0.2 s of `stop` being set; arrival times are read from `clock`. DeviceError
    if the port cannot be opened at first; once it has been open, any loss is waited out, with 0.5 s growing
    to 30 s between the attempts. `report` gets one line for every change: open, lost, open again.
    """

    def __init__(
        self,
        device: str,
        baud: int,
        stop: threading.Event,
        report: Report,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._device = device
        self._baud = baud
        self._stop = stop
        self._report = report
        self._clock = clock
        self._port: serial.Serial | None = None

    @property
    def baud(self) -> int | None:
        return self._baud

    @baud.setter
    def baud(self, baud: int | None) -> None:
        if baud == self._baud or baud is None:
            return
        self._baud = baud
        if self._port is not None:
            # A speed that the adapter does not know brings no packets; a port that is lost shows when read.
            with suppress(*_LOST, ValueError, OverflowError):
                self._port.baudrate = baud
                self._port.reset_input_buffer()  # what was received at the other speed is garbage

    @property
    def bits_per_s(self) -> float:
        # With USB all the way to the digitizer the speed is a formality.
        return inf if "ttyACM" in os.path.realpath(self._device) else float(self._baud)

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        try:
            port = self._open()
        except (*_LOST, ValueError, OverflowError) as error:
            raise DeviceError(self._advice(error)) from error
        self._report(f"{self._device}: open")
        retry_s = _FIRST_RETRY_S
        while True:
            try:
                with port:
                    while not self._stop.is_set():
                        data = port.read(1)
                        if data:
                            data += port.read(port.in_waiting)
                            retry_s = _FIRST_RETRY_S
                        yield self._clock(), data
                return
            except _LOST as error:
                self._report(f"{self._device}: lost ({error}), waiting for its return")
            while not self._stop.wait(retry_s):
                yield self._clock(), b""
                retry_s = min(2 * retry_s, _LAST_RETRY_S)
                try:
                    port = self._open()
                except (*_LOST, ValueError, OverflowError):  # ValueError: a speed that is refused
                    continue  # said once, when it was lost
                self._report(f"{self._device}: open again")
                break
            else:
                return

    def _open(self) -> serial.Serial:
        self._port = serial.Serial(self._device, self._baud, timeout=_READ_TIMEOUT_S, exclusive=True)
        return self._port

    def _advice(self, error: Exception) -> str:
        if isinstance(error, (ValueError, OverflowError)):
            return f"{self._device}: {self._baud} baud is not possible; take the digitizer's, often 115200"
        number = error.errno if isinstance(error, OSError) else None
        if number in (errno.ENOENT, errno.ENOTDIR, errno.ENODEV, errno.ENXIO):
            ports = ", ".join(port.device for port in list_ports.comports())
            choice = f"choose one of {ports}" if ports else "no serial port is here, is it plugged in?"
            return f"{self._device}: no such device; {choice}"
        if number in (errno.EACCES, errno.EPERM):
            return (
                f"{self._device}: permission denied; add yourself to group dialout: "
                "sudo usermod -aG dialout $USER, then log in again"
            )
        if number in (errno.EBUSY, errno.EAGAIN):
            return f"{self._device}: busy; stop the other program that has it open (fuser {self._device})"
        return f"{self._device}: not a serial port ({error})"
