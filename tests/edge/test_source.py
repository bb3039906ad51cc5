"""The serial source on real pseudo-terminals: unplugged, plugged in again, refused, stopped."""

import errno
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import serial

from edge.source import DeviceError, LineWatch, SerialSource


class Pty:
    """A digitizer's end of a pseudo-terminal, reached by a symlink as udev's by-id names are."""

    def __init__(self, link: Path) -> None:
        self.link = link
        self.master, slave = os.openpty()
        self.name = os.ttyname(slave)
        os.close(slave)
        link.symlink_to(self.name)

    def unplug(self) -> None:
        self.link.unlink()
        os.close(self.master)


class Station:
    """A SerialSource read in its own thread until `stop`."""

    def __init__(self, device: str, clock: Callable[[], int] = lambda: 7) -> None:
        self.stop = threading.Event()
        self.changed = threading.Condition()
        self.lines: list[str] = []
        self.data = b""
        self.arrivals: set[int] = set()
        self.source = SerialSource(device, 115200, self.stop, self.report, clock)
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        for arrival_ns, data in self.source:
            with self.changed:
                self.data += data
                self.arrivals.add(arrival_ns)
                self.changed.notify_all()

    def report(self, line: str) -> None:
        with self.changed:
            self.lines.append(line)
            self.changed.notify_all()

    def wait(self, condition: Callable[[], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, timeout=20), (self.lines, self.data)


@pytest.fixture
def pty(tmp_path: Path) -> Iterator[Pty]:
    one = Pty(tmp_path / "digitizer")
    yield one
    if one.link.is_symlink():
        one.unplug()


@pytest.fixture
def station(pty: Pty) -> Iterator[Station]:
    one = Station(str(pty.link))
    one.wait(lambda: len(one.lines) == 1)
    yield one
    one.stop.set()
    one.thread.join(timeout=20)
    assert not one.thread.is_alive()


def test_bytes_come_as_sent_with_their_arrival_time(pty: Pty, station: Station) -> None:
    sent = bytes(range(256)) * 8
    os.write(pty.master, sent)
    station.wait(lambda: station.data == sent)
    assert station.arrivals == {7}
    assert station.lines == [f"{pty.link}: open at 115200 baud"]


def test_unplugged_and_plugged_in_again(pty: Pty, station: Station) -> None:
    os.write(pty.master, b"before")
    station.wait(lambda: station.data == b"before")
    pty.unplug()
    station.wait(lambda: len(station.lines) == 2)
    again = Pty(pty.link)
    station.wait(lambda: len(station.lines) == 3)
    os.write(again.master, b" after")
    station.wait(lambda: station.data == b"before after")
    lost, back = station.lines[1:]
    assert lost.startswith(f"{pty.link}: lost (")
    assert back == f"{pty.link}: open again"


def test_a_stop_ends_the_wait_for_a_lost_device(pty: Pty, station: Station) -> None:
    pty.unplug()
    station.wait(lambda: len(station.lines) == 2)
    station.stop.set()
    station.thread.join(timeout=20)
    assert not station.thread.is_alive()
    assert len(station.lines) == 2


def test_the_wait_between_attempts_doubles_up_to_half_a_minute(pty: Pty) -> None:
    waits: list[float] = []
    lines: list[str] = []

    class Stop(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            assert timeout is not None
            waits.append(timeout)
            return len(waits) == 9

    def report(line: str) -> None:
        lines.append(line)
        if line.endswith("baud"):
            os.write(pty.master, b"x")

    reading = iter(SerialSource(str(pty.link), 115200, Stop(), report))
    assert next(reading)[1] == b"x"
    pty.unplug()
    assert all(data == b"" for _, data in reading)
    assert waits == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert len(lines) == 2


def test_stop_before_the_first_byte(pty: Pty) -> None:
    stop = threading.Event()
    stop.set()
    assert list(SerialSource(str(pty.link), 115200, stop, lambda line: None)) == []


def refusal(device: str, baud: int = 115200) -> str:
    with pytest.raises(DeviceError) as refused:
        next(iter(SerialSource(device, baud, threading.Event(), lambda line: None)))
    line = str(refused.value)
    assert line.startswith(device)
    assert "\n" not in line
    return line


def test_no_such_device_names_those_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ports: list[object] = []
    monkeypatch.setattr("edge.source.list_ports.comports", lambda: ports)
    assert refusal(str(tmp_path / "ttyUSB9")).endswith(
        "no such device; no serial port is here, is it plugged in?"
    )
    ports += [type("Port", (), {"device": name}) for name in ("/dev/ttyUSB0", "/dev/ttyACM0")]
    assert refusal(str(tmp_path / "ttyUSB9")).endswith(
        "no such device; choose one of /dev/ttyUSB0, /dev/ttyACM0"
    )


def test_permission_denied_names_the_group(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise serial.SerialException(errno.EACCES, "could not open port")

    monkeypatch.setattr("edge.source.serial.Serial", refuse)
    assert "sudo usermod -aG dialout $USER, then log in again" in refusal("/dev/ttyUSB0")


def test_a_port_in_use_is_busy(pty: Pty, station: Station) -> None:
    assert "busy; stop the other program" in refusal(str(pty.link))


def test_a_file_is_not_a_serial_port(tmp_path: Path) -> None:
    file = tmp_path / "record.mseed"
    file.touch()
    assert "not a serial port" in refusal(str(file))
    assert "not a serial port" in refusal(str(tmp_path))


@pytest.mark.parametrize("baud", [-1, 10**12])
def test_an_impossible_baud_rate_is_refused(pty: Pty, baud: int) -> None:
    assert f"{baud} baud is not possible" in refusal(str(pty.link), baud)


def test_a_silent_line_is_told_once_and_once_when_it_speaks_again() -> None:
    watch = LineWatch("/dev/ttyX")
    told = [watch.feed(second * 1_000_000_000, 0, 0) for second in range(30)]
    assert [second for second, lines in enumerate(told) if lines] == [10]
    assert watch.silent
    (line,) = watch.feed(30_000_000_000, 100, 1)
    assert "data again" in line
    assert not watch.silent


def test_bytes_that_are_no_packets_are_told_once_until_packets_come() -> None:
    watch = LineWatch("/dev/ttyX")
    lines = [line for _ in range(200) for line in watch.feed(0, 1000, 0)]
    assert len(lines) == 1
    assert "--baud" in lines[0]
    watch.feed(0, 1000, 1)
    assert any(watch.feed(0, 1000, 0) for _ in range(200))
