"""The sources on real pseudo-terminals and sockets: unplugged and plugged in again, refused, stopped."""

import errno
import os
import socket
import termios
import threading
from collections.abc import Callable, Iterator
from math import inf
from pathlib import Path

import pytest
import serial

from edge.source import DeviceError, LineWatch, SerialSource, Source, UdpSource


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

    def speed(self) -> int:
        """The code of the speed to which the reader has set its end."""
        code: int = termios.tcgetattr(self.master)[4]
        return code


Making = Callable[[threading.Event, Callable[[str], None], Callable[[], int]], Source]


class Station:
    """A source read in its own thread until `stop`; everything arrives at 7."""

    def __init__(self, making: Making) -> None:
        self.stop = threading.Event()
        self.changed = threading.Condition()
        self.lines: list[str] = []
        self.chunks: list[bytes] = []
        self.arrivals: set[int] = set()
        self.source = making(self.stop, self.report, lambda: 7)
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        for arrival_ns, data in self.source:
            with self.changed:
                self.arrivals.add(arrival_ns)
                if data:
                    self.chunks.append(data)
                self.changed.notify_all()

    @property
    def data(self) -> bytes:
        return b"".join(self.chunks)

    def report(self, line: str) -> None:
        with self.changed:
            self.lines.append(line)
            self.changed.notify_all()

    def wait(self, condition: Callable[[], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, timeout=90), (self.lines, self.data)

    def end(self) -> None:
        self.stop.set()
        self.thread.join(timeout=90)
        assert not self.thread.is_alive()


@pytest.fixture
def pty(tmp_path: Path) -> Iterator[Pty]:
    one = Pty(tmp_path / "digitizer")
    yield one
    if one.link.is_symlink():
        one.unplug()


@pytest.fixture
def station(pty: Pty) -> Iterator[Station]:
    one = Station(lambda stop, report, clock: SerialSource(str(pty.link), 115200, stop, report, clock))
    one.wait(lambda: len(one.lines) == 1)
    yield one
    one.end()


def test_bytes_come_as_sent_with_their_arrival_time(pty: Pty, station: Station) -> None:
    sent = bytes(range(256)) * 8
    os.write(pty.master, sent)
    station.wait(lambda: station.data == sent)
    assert station.arrivals == {7}
    assert station.lines == [f"{pty.link}: open"]


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
    station.end()
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
        if line.endswith("open"):
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


def test_a_speed_set_while_open_reaches_the_port_and_holds_after_unplugging(
    pty: Pty, station: Station
) -> None:
    assert (station.source.baud, station.source.bits_per_s) == (115_200, 115_200.0)
    assert pty.speed() == termios.B115200
    station.source.baud = 57_600
    assert pty.speed() == termios.B57600
    assert (station.source.baud, station.source.bits_per_s) == (57_600, 57_600.0)
    os.write(pty.master, b"read on")
    station.wait(lambda: station.data == b"read on")
    pty.unplug()
    station.wait(lambda: len(station.lines) == 2)
    again = Pty(pty.link)
    station.wait(lambda: len(station.lines) == 3)
    assert again.speed() == termios.B57600


def test_a_speed_set_before_the_port_is_open_is_the_one_it_is_opened_with(pty: Pty) -> None:
    stop = threading.Event()
    source = SerialSource(str(pty.link), 115_200, stop, lambda line: None)
    source.baud = 9600
    reading = iter(source)
    next(reading)
    assert pty.speed() == termios.B9600
    stop.set()
    assert list(reading) == []


def test_no_speed_leaves_the_port_as_it_is(pty: Pty, station: Station) -> None:
    station.source.baud = None
    assert station.source.baud == 115_200
    assert pty.speed() == termios.B115200


@pytest.mark.parametrize("refused", [-1, 10**12])
def test_a_speed_that_an_adapter_refuses_does_not_end_the_source(
    pty: Pty, station: Station, refused: int
) -> None:
    station.source.baud = refused
    os.write(pty.master, b"still read")
    station.wait(lambda: station.data == b"still read")
    station.source.baud = 19_200
    assert pty.speed() == termios.B19200
    os.write(pty.master, b", and again")
    station.wait(lambda: station.data == b"still read, and again")
    assert len(station.lines) == 1


def test_usb_all_the_way_delays_no_bytes(tmp_path: Path) -> None:
    by_id = tmp_path / "usb-digitizer"
    by_id.symlink_to("/dev/ttyACM0")
    stop = threading.Event()
    for device, bits_per_s in ((str(by_id), inf), ("/dev/ttyACM1", inf), ("/dev/ttyUSB0", 9600.0)):
        assert SerialSource(device, 9600, stop, lambda line: None).bits_per_s == bits_per_s


# --- UDP


@pytest.fixture
def sender() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        yield one


@pytest.fixture
def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
    return port


@pytest.fixture
def listener(free_port: int) -> Iterator[Station]:
    one = Station(lambda stop, report, clock: UdpSource(f"127.0.0.1:{free_port}", stop, report, clock))
    one.wait(lambda: len(one.lines) == 1)
    yield one
    one.end()


def test_datagrams_come_whole_with_their_arrival_time(
    listener: Station, sender: socket.socket, free_port: int
) -> None:
    datagrams = [b"{'EHZ', 1.0, 5}", bytes(range(256)) * 100, b"x"]
    for datagram in datagrams:
        sender.sendto(datagram, ("127.0.0.1", free_port))
    listener.wait(lambda: len(listener.chunks) == 3)
    assert listener.chunks == datagrams
    assert listener.arrivals == {7}
    assert listener.lines == [f"127.0.0.1:{free_port}: listening"]
    assert (listener.source.baud, listener.source.bits_per_s) == (None, inf)


def test_without_a_host_every_network_is_listened_to(sender: socket.socket, free_port: int) -> None:
    station = Station(lambda stop, report, clock: UdpSource(f":{free_port}", stop, report, clock))
    station.wait(lambda: len(station.lines) == 1)
    sender.sendto(b"here", ("127.0.0.1", free_port))
    station.wait(lambda: station.data == b"here")
    station.end()


def test_a_stop_ends_the_wait_for_datagrams(listener: Station) -> None:
    listener.wait(lambda: listener.arrivals == {7})  # time passes without data too
    listener.end()
    assert listener.chunks == []


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("127.0.0.1", "not HOST:PORT or :PORT, such as :8888"),
        (":", "not HOST:PORT or :PORT, such as :8888"),
        ("127.0.0.1:shake", "not HOST:PORT or :PORT, such as :8888"),
        ("127.0.0.1:99999", "cannot listen there"),
        ("127.0.0.1:-1", "cannot listen there"),
        ("192.0.2.1:8888", "cannot listen there"),  # an address for documentation: never ours
    ],
)
def test_an_address_that_is_none_is_named_in_one_line(address: str, said: str) -> None:
    with pytest.raises(DeviceError) as refused:
        next(iter(UdpSource(address, threading.Event(), lambda line: None)))
    line = str(refused.value)
    assert line.startswith(f"{address}: {said}")
    assert "\n" not in line


def test_an_address_that_is_taken_is_named_in_one_line(listener: Station, free_port: int) -> None:
    with pytest.raises(DeviceError, match=rf"^127\.0\.0\.1:{free_port}: cannot listen there \(.*in use\)$"):
        next(iter(UdpSource(f"127.0.0.1:{free_port}", threading.Event(), lambda line: None)))


# --- Silence


def test_a_silent_line_is_told_once_and_once_when_it_speaks_again() -> None:
    watch = LineWatch("/dev/ttyX")
    told = [watch.feed(second * 1_000_000_000, 0) for second in range(30)]
    assert [second for second, lines in enumerate(told) if lines] == [10]
    assert told[10] == ["/dev/ttyX: no data for 10 s; is the digitizer on, the cable right?"]
    assert watch.silent
    assert watch.feed(30_000_000_000, 100) == ["/dev/ttyX: data again"]
    assert not watch.silent
    assert [watch.feed(second * 1_000_000_000, 1) for second in range(31, 90)] == [[]] * 59
