"""Bytes from a serial digitizer, with their arrival times, through unplugging and replugging."""

import errno
import termios
import threading
import time
from collections.abc import Callable, Iterator

import serial
from serial.tools import list_ports

_READ_TIMEOUT_S = 0.1  # how soon a stop is noticed
_FIRST_RETRY_S = 0.5
_LAST_RETRY_S = 30.0
_SILENCE_S = 10
_UNREAD_BYTES = 1 << 15  # longer than any packet: something would have been read

_LOST = (OSError, termios.error)
"""What an unplugged device raises: pyserial's "device reports readiness to read but returned no data"
(a SerialException, thus an OSError), EIO from a pty whose other end closed, or termios on opening."""


class DeviceError(Exception):
    """The device cannot be used; the message is one line that says what to do."""


class LineWatch:
    """Says, once each time, that a line is silent or that what it brings are no packets.

    `silent`: nothing has come for 10 s.
    """

    def __init__(self, device: str) -> None:
        self.silent = False
        self._device = device
        self._heard_ns: int | None = None
        self._unread = 0
        self._told_unread = False

    def feed(self, arrival_ns: int, n_bytes: int, n_packets: int) -> list[str]:
        """What came in one step of the source: lines for the operator, seldom any."""
        if self._heard_ns is None or n_bytes:
            self._heard_ns = arrival_ns
        lines = []
        silent = arrival_ns - self._heard_ns >= _SILENCE_S * 1_000_000_000
        if silent and not self.silent:
            lines.append(f"{self._device}: no data for {_SILENCE_S} s; is the digitizer on, the cable right?")
        if self.silent and not silent:
            lines.append(f"{self._device}: data again")
        self.silent = silent
        if n_packets:
            self._unread, self._told_unread = 0, False
        self._unread += n_bytes
        if self._unread >= _UNREAD_BYTES and not self._told_unread:
            self._told_unread = True
            lines.append(
                f"{self._device}: {self._unread} bytes and no AnyShake v3 packet; try another --baud "
                "(57600, 230400, 460800), or is it another protocol?"
            )
        return lines


class SerialSource:
    """The serial port `device` at `baud`, 8N1, opened for exclusive use.

    Iterating yields (arrival_ns, data): what has arrived since, and when (`clock`, by default UTC
    nanoseconds of this computer); empty data now and then on a silent or lost line. It ends within 0.2 s of
    `stop` being set. DeviceError if the port cannot be opened at first; once it has been open, any loss is
    waited out, with 0.5 s growing to 30 s between the attempts. `report` gets one line for every change:
    open, lost, open again.
    """

    def __init__(
        self,
        device: str,
        baud: int,
        stop: threading.Event,
        report: Callable[[str], None],
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._device = device
        self._baud = baud
        self._stop = stop
        self._report = report
        self._clock = clock

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        try:
            port = self._open()
        except (*_LOST, ValueError, OverflowError) as error:
            raise DeviceError(self._advice(error)) from error
        self._report(f"{self._device}: open at {self._baud} baud")
        retry_s = _FIRST_RETRY_S
        while True:
            try:
                with port:
                    while not self._stop.is_set():
                        data = port.read(port.in_waiting or 1)
                        if data:
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
                except _LOST:
                    continue  # said once, when it was lost
                self._report(f"{self._device}: open again")
                break
            else:
                return

    def _open(self) -> serial.Serial:
        return serial.Serial(self._device, self._baud, timeout=_READ_TIMEOUT_S, exclusive=True)

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
