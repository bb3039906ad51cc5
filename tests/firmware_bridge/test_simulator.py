"""The digitizer without the hardware: real terminals, real sockets, the bytes of every protocol."""

import os
import select
import socket
import termios
import threading
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import serial
from numpy.typing import NDArray

from firmware_bridge.faults import Jump
from firmware_bridge.packet import Packet
from firmware_bridge.protocols import PROTOCOLS, Protocol, protocol_named
from firmware_bridge.pseudo_terminal import PseudoTerminal
from firmware_bridge.record import read_record
from firmware_bridge.simulator import (
    PtyDigitizer,
    one_line_each,
    packets_from_now,
    packets_of,
    send_datagrams,
)
from firmware_bridge.synthetic import synthetic_earthquake
from firmware_bridge.wire import Declared, Decoder

ROOT = Path(__file__).resolve().parents[2]
RIDGECREST = ROOT.parent / "shared" / "data" / "continuous" / "ridgecrest"
BOUND_S = 90
"""Everything here takes seconds at most; so much only on a computer that hangs."""
NS = 1_000_000_000
START_NS = 1_700_000_000 * NS


def decoder_of(protocol: str) -> Decoder:
    return protocol_named(protocol).decoder(Declared(identity=("XX", "STA", "")))


def ramps(n: int) -> NDArray[np.int32]:
    return np.arange(n, dtype=np.int32)[:, None] + np.array([0, 1000, -5000], np.int32)


def join(packets: list[Packet]) -> NDArray[np.int32]:
    return np.concatenate([packet.samples for packet in packets]).astype(np.int32)


def decode(sent: list[tuple[int, bytes]], protocol: str = "anyshake3") -> list[Packet]:
    decoder = decoder_of(protocol)
    return [packet for _, data in sent for packet in decoder.feed(data)]


def read_packets(device: str, n: int, baud: int = 9600) -> list[Packet]:
    decoder = decoder_of("anyshake3")
    packets: list[Packet] = []
    with serial.Serial(device, baud, timeout=BOUND_S) as port:
        while len(packets) < n:
            data = port.read(max(port.in_waiting, 1))
            assert data, f"the line fell silent after {len(packets)} of {n} packets"
            packets += decoder.feed(data)
    assert decoder.stats.skipped_bytes == decoder.stats.time_jumps == 0
    return packets


def test_packets_carry_the_record_and_fall_due_when_complete() -> None:
    sent = list(packets_of(ramps(57), 100, START_NS + 1_600_000))
    assert [due_ns for due_ns, _ in sent] == [NS // 10 * k for k in range(1, 6)]
    packets = decode(sent)
    assert packets[0].start_ns == START_NS + 2_000_000
    assert np.array_equal(join(packets), ramps(57)[:50])  # the last 7 samples fill no packet


def test_a_record_that_repeats_goes_on_without_a_gap() -> None:
    sent = list(islice(packets_of(ramps(57), 100, START_NS, repeat=True), 17))
    packets = decode(sent)
    assert np.array_equal(join(packets), np.concatenate([ramps(57)] * 3)[:170])
    assert [p.start_ns for p in packets] == [START_NS + NS // 10 * k for k in range(17)]


def test_a_clock_jumps_while_the_packets_fall_due_as_ever() -> None:
    jumps = [Jump(at_s=0.3, by_s=2.0), Jump(at_s=0.4, by_s=-0.5)]
    sent = list(packets_of(ramps(60), 100, START_NS, jumps=jumps))
    assert [due_ns for due_ns, _ in sent] == [NS // 10 * k for k in range(1, 7)]
    told = [(packet.start_ns or 0) - START_NS for packet in decode(sent)]
    assert [ns / NS for ns in told] == pytest.approx([0.0, 0.1, 0.2, 2.3, 1.9, 2.0])


def test_a_record_of_now_starts_on_the_second_after_it_is_asked_for() -> None:
    sent = packets_from_now(ramps(20), 100)
    before_ns = time.time_ns()
    due_ns, data = next(sent)
    after_ns = time.time_ns()
    start_ns = decode([(due_ns, data)])[0].start_ns
    assert start_ns is not None
    assert start_ns % NS == 0
    assert before_ns <= start_ns < after_ns + NS
    # Due when its last sample is complete, a tenth of a second after its first.
    assert start_ns - after_ns <= due_ns - NS // 10 <= start_ns - before_ns


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.name)
def test_every_protocol_carries_a_record(protocol: Protocol) -> None:
    record = synthetic_earthquake()
    rate = next(rate for rate in (100.0, 125.0, 50.0) if takes(protocol, rate))
    sent = list(packets_of(record.samples, rate, record.start_ns, protocol.name))
    due = [due_ns for due_ns, _ in sent]
    assert due == sorted(due)
    assert due[-1] <= len(record.samples) / rate * NS
    decoder = protocol.decoder(Declared(rate=rate))
    vertical = np.concatenate(
        [
            packet.samples[:, packet.stream.channels.index(code)]
            for _, data in sent
            for packet in decoder.feed(data)
            for code in packet.stream.channels
            if code.endswith("Z")
        ]
    )
    assert len(vertical) > 0.9 * len(record.samples)
    # In whatever unit it is told.
    assert np.corrcoef(vertical, record.samples[: len(vertical), 0])[0, 1] > 0.999


def takes(protocol: Protocol, rate: float) -> bool:
    try:
        protocol.encoder(rate)
    except ValueError:
        return False
    return True


def test_what_cannot_be_sent_is_refused_before_anything_is() -> None:
    with pytest.raises(ValueError, match=r"no protocol 'morse': there are .*anyshake3"):
        packets_of(ramps(100), 100, START_NS, "morse")
    with pytest.raises(ValueError, match="40 Hz"):
        packets_of(ramps(100), 40.0, START_NS)
    with pytest.raises(ValueError, match="9 samples, a packet 10"):
        packets_from_now(ramps(9), 100)


@pytest.mark.skipif(not RIDGECREST.is_dir(), reason="needs ../shared/data/continuous/ridgecrest")
def test_a_real_record_passes_the_wire_unaltered() -> None:
    record = read_record([RIDGECREST / "2019.185.17.CI.CCC.HH.mseed"])
    storm = record.samples[260_000:320_000]  # ten minutes around the M 6.4
    packets = decode(list(packets_of(storm, record.rate, record.start_ns + 2600 * NS)))
    assert len(packets) == 6000
    assert np.array_equal(join(packets), storm)
    assert abs((packets[0].start_ns or 0) - (record.start_ns + 2600 * NS)) <= 500_000


def test_every_byte_value_passes_the_terminal_unaltered() -> None:
    data = bytes(range(256)) * 400  # several times what the terminal holds, so the writer must wait
    with PtyDigitizer([(0, data[:1000]), (0, data[1000:])], speed=0) as digitizer:
        with serial.Serial(digitizer.device, timeout=BOUND_S) as port:
            assert port.read(len(data)) == data
            assert digitizer.wait(BOUND_S)
        assert digitizer.sent == 2


def test_the_reader_gets_the_packets_that_were_sent() -> None:
    record = synthetic_earthquake()
    packets = packets_of(record.samples, record.rate, record.start_ns)
    with PtyDigitizer(packets, speed=0) as digitizer:
        got = read_packets(digitizer.device, 600)
    assert np.array_equal(join(got), record.samples)
    assert [p.start_ns for p in got] == [record.start_ns + k * 100_000_000 for k in range(600)]


def test_paced_replay_gives_the_same_packets() -> None:
    record = synthetic_earthquake()
    samples = record.samples[:500]
    with PtyDigitizer(packets_of(samples, record.rate, record.start_ns), speed=20) as digitizer:
        assert np.array_equal(join(read_packets(digitizer.device, 50)), samples)


def test_the_replay_waits_for_a_reader_that_left() -> None:
    record = synthetic_earthquake()
    sent = list(packets_of(record.samples[:100], record.rate, record.start_ns))
    reader_left = threading.Event()

    def packets() -> Iterator[tuple[int, bytes]]:
        yield from sent[:4]
        assert reader_left.wait(BOUND_S)
        yield from sent[4:]

    with PtyDigitizer(packets(), speed=0) as digitizer:
        first = read_packets(digitizer.device, 4)
        reader_left.set()
        assert not digitizer.wait(1)  # held back while nobody listens
        second = read_packets(digitizer.device, 6)
    assert np.array_equal(join(first + second), record.samples[:100])


def test_wait_lasts_until_the_last_byte_is_read() -> None:
    data = bytes(6000)  # the terminal takes it all, in two steps
    with PtyDigitizer([(0, data)], speed=0) as digitizer:
        reader = os.open(digitizer.device, os.O_RDONLY | os.O_NOCTTY)
        termios.tcflush(reader, termios.TCIFLUSH)
        assert not digitizer.wait(1)
        got = 0
        while got < len(data):
            got += len(os.read(reader, 1000))
        assert digitizer.wait(BOUND_S)
        os.close(reader)


def test_a_reader_that_is_slow_to_throw_away_what_it_finds_loses_nothing() -> None:
    """pyserial on a busy computer."""
    with PtyDigitizer([(0, b"packet")], speed=0) as digitizer:
        reader = os.open(digitizer.device, os.O_RDONLY | os.O_NOCTTY)
        assert not digitizer.wait(0.5)
        termios.tcflush(reader, termios.TCIFLUSH)
        assert select.select([reader], [], [], BOUND_S)[0]
        assert os.read(reader, 100) == b"packet"
        os.close(reader)


class SeenLate(PseudoTerminal):
    """Its reader opens it, and throws away what it finds, right after it was looked for in vain."""

    reader: int | None = None

    def _has_reader(self) -> bool:
        there = super()._has_reader()
        if not there:
            self.reader = os.open(self.name, os.O_RDWR | os.O_NOCTTY)
            termios.tcflush(self.reader, termios.TCIFLUSH)
        return there


class Counted(threading.Event):
    """Counts how often it was waited for."""

    waits = 0

    def wait(self, timeout: float | None = None) -> bool:
        self.waits += 1
        return super().wait(timeout)


def test_a_reader_that_opens_just_after_it_was_looked_for_is_not_waited_for_again() -> None:
    terminal, stop = SeenLate(), Counted()
    terminal.await_reader(stop)
    assert terminal.reader is not None
    os.close(terminal.reader)
    terminal.close()
    assert stop.waits == 1


def test_nothing_is_sent_before_a_reader_opens() -> None:
    with PtyDigitizer([(0, b"packet")], speed=0) as digitizer:
        assert not digitizer.wait(0)
    assert digitizer.sent == 0


def test_closing_stops_a_writer_whose_reader_does_not_read() -> None:
    with PtyDigitizer([(0, bytes(1_000_000))], speed=0) as digitizer:
        reader = os.open(digitizer.device, os.O_RDONLY | os.O_NOCTTY)
        readable, _, _ = select.select([reader], [], [], BOUND_S)
        assert readable
    assert digitizer.sent == 0
    os.close(reader)


def test_closing_stops_a_writer_that_waits_for_its_time() -> None:
    packets = [(0, b"first"), (3600 * 10**9, b"in an hour")]
    with PtyDigitizer(packets) as digitizer, serial.Serial(digitizer.device, timeout=BOUND_S) as port:
        assert port.read(5) == b"first"
    assert digitizer.sent == 1


def test_a_fault_in_the_packets_reaches_the_caller() -> None:
    packets = packets_of(np.zeros((100, 3), np.int32), 100, start_ns=-1_000_000_000)
    with (
        pytest.raises(ValueError, match="start time"),
        PtyDigitizer(packets, speed=0) as digitizer,
        serial.Serial(digitizer.device),
    ):
        digitizer.wait(BOUND_S)


def test_a_device_that_was_unplugged_comes_back_under_its_name(tmp_path: Path) -> None:
    link = tmp_path / "ttyTEST"
    link.symlink_to("/dev/pts/of-an-earlier-run")
    gone = threading.Event()

    def packets() -> Iterator[tuple[int, bytes | None]]:
        yield 0, b"before"
        yield 0, None
        assert gone.wait(BOUND_S)
        yield 0, b""
        yield 0, b"after"

    with PtyDigitizer(packets(), speed=0, link=link) as digitizer:
        assert digitizer.device == str(link)
        with serial.Serial(digitizer.device, timeout=BOUND_S) as port:
            assert port.read(6) == b"before"
            with pytest.raises(serial.SerialException):
                port.read(1)
        assert not link.is_symlink()
        gone.set()
        while not link.exists():
            assert not digitizer.wait(0.01)
        with serial.Serial(digitizer.device, timeout=BOUND_S) as port:
            assert port.read(5) == b"after"
            assert digitizer.wait(BOUND_S)
        assert digitizer.sent == 2
    assert not link.is_symlink()


def test_a_device_that_stays_away_is_waited_for_by_nobody(tmp_path: Path) -> None:
    link = tmp_path / "ttyTEST"
    with PtyDigitizer([(0, b"all"), (0, None)], speed=0, link=link) as digitizer:
        with serial.Serial(digitizer.device, timeout=BOUND_S) as port:
            assert port.read(3) == b"all"
        assert digitizer.wait(BOUND_S)
        assert not link.is_symlink()


def test_a_reader_at_the_speed_of_the_digitizer_reads_well() -> None:
    record = synthetic_earthquake()
    packets = packets_of(record.samples[:500], record.rate, record.start_ns)
    with PtyDigitizer(packets, speed=0, baud=460_800) as digitizer:
        assert np.array_equal(join(read_packets(digitizer.device, 50, baud=460_800)), record.samples[:500])


def test_a_reader_at_another_speed_reads_garbage_until_it_finds_the_right_one() -> None:
    text = b"The quick brown fox jumps over the lazy dog."
    found = threading.Event()

    def packets() -> Iterator[tuple[int, bytes]]:
        yield 0, text
        assert found.wait(BOUND_S)
        yield 0, text

    with (
        PtyDigitizer(packets(), speed=0, baud=57_600) as digitizer,
        serial.Serial(digitizer.device, 115_200, timeout=BOUND_S) as port,
    ):
        assert text[:4] not in port.read(len(text))
        while digitizer.sent == 0:
            assert not digitizer.wait(0.01)
        port.baudrate = 57_600
        port.reset_input_buffer()
        found.set()
        assert port.read(len(text)) == text


def test_a_speed_without_a_name_is_told_to_the_caller() -> None:
    with (
        pytest.raises(ValueError, match="speed that is not usual"),
        PtyDigitizer([(0, b"packet")], baud=57_600) as digitizer,
        serial.Serial(digitizer.device, 250_000),
    ):
        digitizer.wait(BOUND_S)


def test_arguments_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    for speed in (-1.0, float("nan")):
        with pytest.raises(ValueError, match="speed"):
            PtyDigitizer([], speed=speed)
    with pytest.raises(ValueError, match="baud"):
        PtyDigitizer([], baud=0)
    with pytest.raises(ValueError, match="no link"), PtyDigitizer([], link=tmp_path):
        pass


@pytest.fixture
def receiver() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.settimeout(10)
        yield listening


def address_of(listening: socket.socket) -> str:
    return "{}:{}".format(*listening.getsockname())


def test_each_packet_is_a_datagram(receiver: socket.socket) -> None:
    sent = list(packets_of(ramps(100), 100, START_NS))
    send_datagrams([*sent[:5], (NS // 2, None), (NS // 2, b""), *sent[5:]], address_of(receiver), speed=50)
    assert [receiver.recv(65_536) for _ in sent] == [data for _, data in sent]


def test_a_raspberry_shake_sends_each_channel_on_its_own(receiver: socket.socket) -> None:
    record = synthetic_earthquake()
    packets = packets_of(record.samples[:500], record.rate, record.start_ns, "shake")
    send_datagrams(one_line_each(packets), address_of(receiver), speed=50)
    datagrams = [receiver.recv(65_536) for _ in range(60)]
    assert all(data.startswith(b"{'EH") and data.endswith(b"}") for data in datagrams)
    decoded = decode([(0, data) for data in datagrams], "shake")
    vertical = [packet for packet in decoded if packet.stream.channels == ("EHZ",)]
    assert np.array_equal(join(vertical)[:, 0], record.samples[:500, 0])


@pytest.mark.parametrize(
    ("address", "speed", "words"),
    [
        ("8888", 1.0, "HOST:PORT"),
        (":8888", 1.0, "HOST:PORT"),
        ("127.0.0.1:many", 1.0, "HOST:PORT"),
        ("127.0.0.1:65536", 1.0, "HOST:PORT"),
        (f"{'x' * 64}:8888", 1.0, "UDP address 'xxx"),
        ("127.0.0.1:8888", 0.0, "speed 0"),
        ("127.0.0.1:8888", float("nan"), "speed nan"),
    ],
)
def test_datagrams_to_nowhere_are_refused(address: str, speed: float, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        send_datagrams([(0, b"packet")], address, speed)
