"""The digitizer on a pseudo-terminal: real terminals, real MiniSEED, one line for bad input."""

import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import serial
from numpy.typing import NDArray
from pymseed import DataEncoding, MS3TraceList, nslc2sourceid

from firmware_bridge.anyshake import Decoder
from firmware_bridge.packet import Packet
from firmware_bridge.simulator import PtyDigitizer, main, packets_of, read_record
from firmware_bridge.synthetic import synthetic_earthquake

ROOT = Path(__file__).resolve().parents[2]
RIDGECREST = ROOT.parent / "shared" / "data" / "continuous" / "ridgecrest"
START_NS = 1_700_000_000_000_000_000
SIMULATE = [sys.executable, "-c", "from firmware_bridge.simulator import main; raise SystemExit(main())"]


def write_mseed(
    path: Path,
    channel: str,
    samples: NDArray[np.int32] | NDArray[np.float64],
    rate: float = 100.0,
    start_ns: int = START_NS,
    station: str = "STA",
) -> Path:
    with MS3TraceList() as traces:
        kind = "i" if samples.dtype == np.int32 else "d"
        traces.add_data(nslc2sourceid("XX", station, "00", channel), samples, kind, rate, starttime=start_ns)
        if kind == "i":
            traces.to_file(path)
        else:
            traces.to_file(path, encoding=DataEncoding.FLOAT64)
    return path


def ramp(n: int, first: int = 0) -> NDArray[np.int32]:
    return np.arange(first, first + n, dtype=np.int32)


def join(packets: list[Packet]) -> NDArray[np.int32]:
    return np.concatenate([packet.samples for packet in packets]).astype(np.int32)


def read_packets(device: str, n: int) -> list[Packet]:
    decoder = Decoder("XX", "STA", "")
    packets: list[Packet] = []
    with serial.Serial(device, timeout=10) as port:
        while len(packets) < n:
            data = port.read(max(port.in_waiting, 1))
            assert data, f"the line fell silent after {len(packets)} of {n} packets"
            packets += decoder.feed(data)
    assert decoder.stats.skipped_bytes == decoder.stats.time_jumps == 0
    return packets


def test_components_are_cut_to_their_common_time(tmp_path: Path) -> None:
    files = [
        write_mseed(tmp_path / "e", "HHE", ramp(500, 3000), start_ns=START_NS + 20_000_000),
        write_mseed(tmp_path / "z", "HHZ", ramp(500, 1000)),
        # 1 ms off the grid of the others: the same sampling instants, told a little differently.
        write_mseed(tmp_path / "n", "HHN", ramp(400, 2000), start_ns=START_NS + 11_000_000),
    ]
    record = read_record(files)
    assert record.instrument == "XX.STA.00.HH"
    assert record.rate == 100
    assert record.start_ns == START_NS + 20_000_000
    assert record.samples.dtype == np.int32
    assert record.samples.shape == (399, 3)
    assert record.samples[0].tolist() == [1002, 2001, 3000]


def test_horizontals_may_be_1_and_2(tmp_path: Path) -> None:
    files = [write_mseed(tmp_path / c, f"EH{c}", ramp(50, k)) for k, c in enumerate("12Z")]
    assert read_record(files).samples[0].tolist() == [2, 0, 1]


def test_packets_carry_the_record_and_fall_due_when_complete() -> None:
    samples = np.stack([ramp(57), ramp(57, 1000), ramp(57, -5000)], axis=1)
    sent = list(packets_of(samples, 100, START_NS + 1_600_000))
    assert [due_ns for due_ns, _ in sent] == [100_000_000 * k for k in range(1, 6)]
    decoder = Decoder("XX", "STA", "")
    packets = [packet for _, data in sent for packet in decoder.feed(data)]
    assert packets[0].start_ns == START_NS + 2_000_000
    assert decoder.stats.time_jumps == 0
    assert np.array_equal(join(packets), samples[:50])  # the last 7 samples fill no packet


@pytest.mark.skipif(not RIDGECREST.is_dir(), reason="needs ../shared/data/continuous/ridgecrest")
def test_a_real_record_passes_the_wire_unaltered() -> None:
    path = RIDGECREST / "2019.185.17.CI.CCC.HH.mseed"
    with MS3TraceList.from_file(path, unpack_data=True) as traces:
        truth = {trace.sourceid[-1]: trace[0].np_datasamples.copy() for trace in traces}
        start_ns = traces[0][0].starttime
    record = read_record([path])
    assert record.instrument == "CI.CCC..HH"
    # Ten minutes around the M 6.4.
    window = slice(260_000, 320_000)
    packets = []
    decoder = Decoder("CI", "CCC", "")
    for _, data in packets_of(record.samples[window], record.rate, record.start_ns + 2600 * 10**9):
        packets += decoder.feed(data)
    expected = np.stack([truth[c][window] for c in "ZNE"], axis=1)
    assert np.array_equal(join(packets), expected)
    assert packets[0].start_ns is not None
    assert abs(packets[0].start_ns - (start_ns + 2600 * 10**9)) <= 500_000
    assert decoder.stats.good_packets == len(packets) == 6000
    assert decoder.stats.skipped_bytes == decoder.stats.time_jumps == 0


def test_every_byte_value_passes_the_terminal_unaltered() -> None:
    data = bytes(range(256)) * 400  # several times what the terminal holds, so the writer must wait
    with PtyDigitizer([(0, data[:1000]), (0, data[1000:])], speed=0) as digitizer:
        with serial.Serial(digitizer.device, timeout=10) as port:
            assert port.read(len(data)) == data
            assert digitizer.wait(10)
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
        assert reader_left.wait(10)
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
        assert not digitizer.wait(1)
        got = 0
        while got < len(data):
            got += len(os.read(reader, 1000))
        assert digitizer.wait(10)
        os.close(reader)


def test_nothing_is_sent_before_a_reader_opens() -> None:
    with PtyDigitizer([(0, b"packet")], speed=0) as digitizer:
        assert not digitizer.wait(0)
    assert digitizer.sent == 0


def test_closing_stops_a_writer_whose_reader_does_not_read() -> None:
    with PtyDigitizer([(0, bytes(1_000_000))], speed=0) as digitizer:
        reader = os.open(digitizer.device, os.O_RDONLY | os.O_NOCTTY)
        readable, _, _ = select.select([reader], [], [], 10)
        assert readable
    assert digitizer.sent == 0
    os.close(reader)


def test_closing_stops_a_writer_that_waits_for_its_time() -> None:
    packets = [(0, b"first"), (3600 * 10**9, b"in an hour")]
    with PtyDigitizer(packets) as digitizer, serial.Serial(digitizer.device, timeout=10) as port:
        assert port.read(5) == b"first"
    assert digitizer.sent == 1


def test_a_fault_in_the_packets_reaches_the_caller() -> None:
    packets = packets_of(np.zeros((100, 3), np.int32), 100, start_ns=-1_000_000_000)
    with (
        pytest.raises(ValueError, match="start time"),
        PtyDigitizer(packets, speed=0) as digitizer,
        serial.Serial(digitizer.device),
    ):
        digitizer.wait(10)


def test_speed_must_not_be_negative() -> None:
    for speed in (-1.0, float("nan")):
        with pytest.raises(ValueError, match="speed"):
            PtyDigitizer([], speed=speed)


def bad_inputs(folder: Path) -> Iterator[tuple[list[str], str]]:
    """Arguments of edge-simulate that cannot work, and words its one line must hold."""
    z, n, e = (str(write_mseed(folder / c, f"HH{c}", ramp(300))) for c in "ZNE")
    yield [z, n], "XX.STA.00.HHN, XX.STA.00.HHZ"
    yield [z, n, e, str(write_mseed(folder / "ez", "EHZ", ramp(300)))], "EHZ"
    yield [z, n, str(write_mseed(folder / "other", "HHE", ramp(300), station="OTHER"))], "OTHER"
    yield [z, n, str(write_mseed(folder / "slow", "HHE", ramp(300), rate=50.0))], "different rates"
    yield [z, n, str(write_mseed(folder / "odd", "HHE", ramp(300), rate=40.0))], "40 Hz"
    yield [z, n, str(write_mseed(folder / "float", "HHE", np.ones(300)))], "integer"
    later = START_NS + 60_000_000_000
    yield [z, n, e, str(write_mseed(folder / "late", "HHE", ramp(300), start_ns=later))], "gap"
    yield [z, n, str(write_mseed(folder / "apart", "HHE", ramp(300), start_ns=later))], "share"
    (folder / "text").write_text("no seismogram at all")
    yield [str(folder / "text")], "not readable"
    yield [str(folder / "absent")], "absent"
    yield [z, n, e, "--synthetic"], "not both"
    yield ["--speed", "-1"], "speed"
    yield ["--link", str(folder)], "--link"


def test_bad_input_ends_with_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, words in bad_inputs(tmp_path):
        assert main(arguments) == 1, arguments
        message = capsys.readouterr().err
        assert words in message
        assert message.startswith("edge-simulate: ")
        assert message.count("\n") == 1


def test_command_replays_files_through_the_link(tmp_path: Path) -> None:
    samples = synthetic_earthquake(1).samples
    files = [write_mseed(tmp_path / c, f"HH{c}", samples[:, k]) for k, c in enumerate("ZNE")]
    link = tmp_path / "ttyTEST"
    link.symlink_to("/dev/pts/of-an-earlier-run")
    arguments = [*map(str, files), "--speed", "0", "--link", str(link)]
    with subprocess.Popen(
        [*SIMULATE, *arguments], cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as command:
        assert command.stdout is not None
        assert "XX.STA.00.HH, 100 Hz, 60.0 s" in command.stdout.readline()
        assert f"edge-pick --device {link}" in command.stdout.readline()
        packets = read_packets(str(link), 600)
        assert command.wait(10) == 0
    assert np.array_equal(join(packets), samples)
    assert not link.is_symlink()


def test_now_moves_the_record_to_the_present(tmp_path: Path) -> None:
    link = tmp_path / "ttyTEST"
    before_ns = time.time_ns()
    with subprocess.Popen(
        [*SIMULATE, "--now", "--speed", "0", "--link", str(link)], cwd=ROOT, text=True, stdout=subprocess.PIPE
    ) as command:
        assert command.stdout is not None
        command.stdout.readline()
        packets = read_packets(str(link), 600)
        assert command.wait(10) == 0
    assert packets[0].start_ns is not None
    assert before_ns - 1_000_000 <= packets[0].start_ns <= time.time_ns() + 1_000_000


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_command_cleanly(number: signal.Signals, tmp_path: Path) -> None:
    link = tmp_path / "ttyTEST"
    with subprocess.Popen(
        [*SIMULATE, "--link", str(link)], cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as command:
        assert command.stdout is not None
        command.stdout.readline()
        command.send_signal(number)
        _, complaint = command.communicate(timeout=10)
    assert command.returncode == 0
    assert complaint == "stopped\n"
    assert not link.is_symlink()
