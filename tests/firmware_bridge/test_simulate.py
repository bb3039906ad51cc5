"""The command: what it replays, where a reader finds it, and one line for what cannot work."""

import os
import pty
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import serial
from numpy.typing import NDArray
from pymseed import MS3TraceList, nslc2sourceid

from firmware_bridge.faults import FAULTS
from firmware_bridge.packet import Packet
from firmware_bridge.protocols import PROTOCOLS, protocol_named
from firmware_bridge.simulate import main
from firmware_bridge.synthetic import synthetic_earthquake
from firmware_bridge.wire import Declared

ROOT = Path(__file__).resolve().parents[2]
AS_ON_A_TERMINAL = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
from firmware_bridge.simulate import main
raise SystemExit(main())
"""
SIMULATE = [sys.executable, "-c", AS_ON_A_TERMINAL]
BOUND_S = 90
"""Everything here takes seconds at most; so much only on a computer that hangs."""
NS = 1_000_000_000
START_NS = 1_700_000_000 * NS
PACKETS = 600
"""In the 60 s of the synthetic earthquake, as the AnyShake v3 sends them."""


@contextmanager
def simulate(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [*SIMULATE, *map(str, arguments)],
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as command:
        try:
            yield command
        finally:
            command.kill()


def line_of(command: subprocess.Popen[str]) -> str:
    assert command.stdout is not None
    return command.stdout.readline()


def read_bytes(device: Path, n: int, baud: int = 9600) -> bytes:
    with serial.Serial(str(device), baud, timeout=BOUND_S) as port:
        data = port.read(n)
    assert len(data) == n
    return data


def decode(data: bytes, protocol: str = "anyshake3") -> list[Packet]:
    return protocol_named(protocol).decoder(Declared()).feed(data)


def record_in(folder: Path, samples: NDArray[np.int32], rate: float = 100.0) -> list[str]:
    files = []
    for k, component in enumerate("ZNE"):
        with MS3TraceList() as traces:
            channel = nslc2sourceid("XX", "STA", "00", f"HH{component}")
            traces.add_data(channel, samples[:, k].copy(), "i", rate, starttime=START_NS)
            files.append(str(folder / f"{component}-{rate:g}-{len(samples)}"))
            traces.to_file(files[-1])
    return files


def test_files_are_replayed_through_the_link(tmp_path: Path) -> None:
    samples = synthetic_earthquake(1).samples
    link = tmp_path / "ttyTEST"
    with simulate(*record_in(tmp_path, samples), "--speed", 0, "--link", link) as command:
        assert line_of(command) == f"digitizer on {link}: XX.STA.00.HH, 100 Hz, 60.0 s, AnyShake v3\n"
        assert line_of(command) == f"read it with: edge-pick --device {link}\n"
        packets = decode(read_bytes(link, PACKETS * 141))
        assert command.wait(BOUND_S) == 0
        assert command.stderr is not None
        assert command.stderr.read() == "all sent\n"
    assert np.array_equal(np.concatenate([packet.samples for packet in packets]), samples)
    assert not link.is_symlink()


def test_now_moves_the_record_to_the_present(tmp_path: Path) -> None:
    link = tmp_path / "ttyTEST"
    before_ns = time.time_ns()
    with simulate("--now", "--speed", 0, "--link", link) as command:
        line_of(command)
        first = decode(read_bytes(link, 141))[0]
    assert before_ns <= (first.start_ns or 0) < time.time_ns() + NS


def test_repeat_goes_on_beyond_the_end(tmp_path: Path) -> None:
    link = tmp_path / "ttyTEST"
    with simulate("--repeat", "--speed", 0, "--link", link) as command:
        line_of(command)
        packets = decode(read_bytes(link, 2 * PACKETS * 141))
        assert command.poll() is None
    starts = [packet.start_ns for packet in packets]
    assert starts == [START_NS + k * NS // 10 for k in range(2 * PACKETS)]
    got = np.concatenate([packet.samples for packet in packets])
    assert np.array_equal(got, np.tile(synthetic_earthquake().samples, (2, 1)))


def test_another_protocol_at_the_speed_of_its_uart(tmp_path: Path) -> None:
    link = tmp_path / "ttyTEST"
    arguments = ("--protocol", "anyshake1", "--baud", 460_800, "--speed", 0, "--link", link)
    with simulate(*arguments) as command:
        assert "AnyShake v1" in line_of(command)
        assert line_of(command).endswith(f"--device {link} --baud 460800\n")
        data = read_bytes(link, 66 * 100, baud=460_800)
    samples = np.concatenate([packet.samples for packet in decode(data, "anyshake1")])
    assert np.array_equal(samples, synthetic_earthquake().samples[: len(samples)])
    assert len(samples) == 500


def test_faults_are_the_same_again_with_the_same_seed(tmp_path: Path) -> None:
    def run(seed: int) -> bytes:
        link = tmp_path / "ttyTEST"
        faults = ("--fault", "flip=0.001", "--fault", "lose=0.5", "--fault", "clock=30:100")
        with simulate(*faults, "--seed", seed, "--speed", 0, "--link", link) as command:
            line_of(command)
            return read_bytes(link, PACKETS * 141 // 3)

    first = run(1)
    assert run(1) == first
    assert run(2) != first
    starts = [packet.start_ns or 0 for packet in decode(first)]
    assert 50 < len(starts) < 150  # a third of a packet's bytes and more are good
    assert max(starts) > START_NS + 130 * NS


def test_an_unplugged_device_comes_back_under_its_link(tmp_path: Path) -> None:
    link = tmp_path / "ttyTEST"
    with simulate("--fault", "unplug=20:10", "--speed", 0, "--link", link) as command:
        line_of(command)
        before = decode(read_until_gone(link))
        while not link.exists():
            assert command.poll() is None
        after = decode(read_bytes(link, 301 * 141))
    assert [(packet.start_ns or 0) - START_NS for packet in (before[-1], after[0])] == [19.8 * NS, 29.9 * NS]


def read_until_gone(device: Path) -> bytes:
    data = b""
    with serial.Serial(str(device), timeout=BOUND_S) as port:
        try:
            while more := port.read(141):
                data += more
        except serial.SerialException:
            return data
    raise AssertionError("the device stayed")


def test_a_raspberry_shake_by_udp() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(10)
        address = "{}:{}".format(*receiver.getsockname())
        with simulate("--protocol", "shake", "--udp", address, "--speed", 20) as command:
            first = line_of(command)
            datagrams = [receiver.recv(65_536) for _ in range(3 * 240)]
            assert command.wait(BOUND_S) == 0
    assert first == f"digitizer to {address}: synthetic, 100 Hz, 60.0 s, Raspberry Shake datacast\n"
    packets = decode(b"\n".join(datagrams), "shake")
    for k, code in enumerate(("EHZ", "EHN", "EHE")):
        column = np.concatenate([p.samples[:, 0] for p in packets if p.stream.channels == (code,)])
        assert np.array_equal(column, synthetic_earthquake().samples[:, k])


def test_a_terminal_sees_how_far_it_has_come() -> None:
    screen, stderr = pty.openpty()
    arguments = ("--udp", "127.0.0.1:9", "--speed", "40")
    with subprocess.Popen(
        [*SIMULATE, *arguments], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=stderr
    ) as command:
        os.close(stderr)
        shown = b""
        while b"all sent" not in shown:
            assert select.select([screen], [], [], BOUND_S)[0]
            shown += os.read(screen, 1000)
        assert command.wait(BOUND_S) == 0
    os.close(screen)
    assert b" of 60.0 s sent" in shown


def test_help_names_every_protocol_and_every_fault(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    assert end.value.code == 0
    told = capsys.readouterr().out
    for words in [*(p.name for p in PROTOCOLS), *(p.title for p in PROTOCOLS), *(f.usage for f in FAULTS)]:
        assert words in told


def test_what_cannot_work_ends_with_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    samples = synthetic_earthquake().samples
    files = record_in(tmp_path, samples)
    for arguments, words in [
        (files[:2], "XX.STA.00.HHN, XX.STA.00.HHZ"),
        (record_in(tmp_path, samples, rate=40.0), "40 Hz"),
        (record_in(tmp_path, samples[:9]), "9 samples"),
        (["absent"], "absent"),
        ([*files, "--synthetic"], "not both"),
        (["--protocol", "morse"], "there are"),
        (["--speed", "-1"], "speed"),
        (["--link", str(tmp_path)], "no link"),
        (["--link", str(tmp_path / "no" / "folder")], "folder"),
        (["--baud", "-1"], "baud"),
        (["--fault", "gremlins"], "flip=P"),
        (["--fault", "flip=2"], "from 0 to 1"),
        (["--fault", "unplug=10:5"], "--link"),
        (["--seed", "-1"], "--seed"),
        (["--udp", "127.0.0.1:8888", "--speed", "0"], "speed 0"),
        (["--udp", "127.0.0.1:8888", "--link", "here"], "--link"),
        (["--udp", "127.0.0.1:8888", "--baud", "9600"], "--baud"),
    ]:
        assert main(arguments) == 1, arguments
        message = capsys.readouterr().err
        assert words in message
        assert message.startswith("edge-simulate: ")
        assert message.count("\n") == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
@pytest.mark.parametrize("arguments", [(), ("--udp", "127.0.0.1:9")], ids=["pty", "udp"])
def test_a_signal_ends_the_command_cleanly(
    number: signal.Signals, arguments: tuple[str, ...], tmp_path: Path
) -> None:
    link = tmp_path / "ttyTEST"
    with simulate(*(arguments or ("--link", link))) as command:
        line_of(command)
        command.send_signal(number)
        _, complaint = command.communicate(timeout=BOUND_S)
        assert command.returncode == 0
    assert complaint == "stopped\n"
    assert not link.is_symlink()
