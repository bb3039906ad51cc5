"""What a station says of itself: to systemd, in its status file, and on `edge-pick status`."""

import json
import os
import signal
import socket
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from some_pick import PICK

from edge import status
from edge.line import Arrived
from edge.systemd import notify
from edge.vitals import Vitals
from firmware_bridge.packet import Packet, Stream
from firmware_bridge.simulator import PtyDigitizer, packets_from_now
from firmware_bridge.stats import DecoderStats
from firmware_bridge.synthetic import synthetic_earthquake

STREAM = Stream("XX", "TEST", "00", ("HHZ", "HHN", "HHE"))
NOTHING = Arrived(0, 0, [])


def arrived(start_ns=0, meta=None):
    packet = Packet(STREAM, start_ns, 100.0, np.zeros((100, 3), np.int32), "gnss", meta or {})
    return Arrived(start_ns, 500, [(start_ns, packet)])


class Clock:
    s = 0.0

    def __call__(self):
        return self.s


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def runtime(tmp_path, monkeypatch):
    """Where systemd would have statuses written."""
    monkeypatch.setenv("RUNTIME_DIRECTORY", str(tmp_path / "run"))
    return tmp_path / "run" / "status.json"


@pytest.fixture
def systemd(tmp_path, monkeypatch):
    """The socket that systemd listens on."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(tmp_path / "notify"))
        channel.settimeout(60)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield channel


def test_waiting_streaming_stalled_and_streaming_again(clock, runtime):
    vitals = Vitals("lppn@01234567", "litert, cpu", None, monotonic=clock)
    states = [vitals.state]
    for seconds, step in ((1, NOTHING), (1, arrived()), (9, NOTHING), (2, NOTHING), (1, arrived())):
        clock.s += seconds
        vitals.heard(step, DecoderStats(), 0)
        states.append(vitals.state)
    assert states == ["waiting", "waiting", "streaming", "streaming", "stalled", "streaming"]


def test_counts_are_told(clock, runtime):
    vitals = Vitals("lppn@01234567", "litert, cpu", None, monotonic=clock)
    wire = DecoderStats(good_packets=2, bad_checksums=3, skipped_bytes=4, lost_packets=5)
    vitals.heard(arrived(meta={"temperature": 21.5}), wire, 6)
    clock.s = 7
    told = vitals.status()
    assert (told.state, told.station, told.clock) == ("streaming", "XX.TEST.00", "gnss")
    assert (told.packets, told.bytes, told.crc_errors, told.skipped_bytes) == (2, 500, 3, 4)
    assert (told.lost_packets, told.gaps, told.silence_s, told.digitizer_temperature_c) == (5, 6, 7.0, 21.5)
    assert json.loads(told.to_json())["picks"] == {"P": 0, "S": 0}


def test_a_final_pick_that_is_told_again_for_its_polarity_is_one_pick(clock, runtime):
    vitals = Vitals("lppn@01234567", "litert, cpu", None, monotonic=clock)
    early = replace(PICK, status="preliminary", id="early")
    told = [
        PICK,
        early,
        replace(PICK, polarity="up", update=1),
        replace(early, status="final", update=1),
        replace(early, status="final", update=2, polarity="down"),
        replace(PICK, phase="S", id="s"),
    ]
    for pick in told:
        vitals.picked(pick)
    assert vitals.status().picks == {"P": 2, "S": 1}


def test_the_status_command_shows_what_runs_here(clock, runtime, capsys):
    assert status.main([]) == 2
    assert "no edge-pick" in capsys.readouterr().err
    assert status.main([str(runtime)]) == 2
    assert "No such file" in capsys.readouterr().err
    vitals = Vitals("lppn@01234567", "litert, cpu", "XX.TEST.00", monotonic=clock)
    vitals.heard(NOTHING, DecoderStats(), 0)
    assert status.main([str(runtime)]) == 1
    assert "waiting" in capsys.readouterr().out
    clock.s = 6
    vitals.heard(arrived(), DecoderStats(), 0)
    assert status.main(["--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(runtime.read_text())
    os.utime(runtime, (0, 0))
    assert status.main(["--json"]) == 1
    assert json.loads(capsys.readouterr().out)["state"] == "gone"
    vitals.close()
    assert status.main([]) == 2


def test_each_edge_pick_of_a_user_has_a_status_of_its_own(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    vitals = Vitals("lppn@01234567", "litert, cpu", "XX.TEST.00")
    vitals.heard(arrived(), DecoderStats(), 0)
    other = tmp_path / "edge-pick" / "1" / "status.json"
    other.parent.mkdir()
    other.write_text(vitals.status().to_json())
    assert status.main(["--json"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    vitals.close()
    assert [*tmp_path.glob("**/status.json")] == [other]


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff"])
def test_a_file_that_is_no_status_is_named_in_one_line(tmp_path, capsys, content):
    path = tmp_path / "status.json"
    path.write_bytes(content)
    assert status.main([str(path)]) == 2
    assert capsys.readouterr().err.startswith(f"edge-pick status: {path}: no status")


def test_one_that_cannot_be_read_does_not_hide_the_others(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    vitals = Vitals("lppn@01234567", "litert, cpu", "XX.TEST.00")
    vitals.heard(arrived(), DecoderStats(), 0)
    bad = tmp_path / "edge-pick" / "1" / "status.json"
    bad.parent.mkdir()
    bad.write_text('{"state": "strea')
    assert status.main(["--json"]) == 2
    out, err = capsys.readouterr()
    assert json.loads(out)["station"] == "XX.TEST.00"
    (line,) = err.splitlines()
    assert line.startswith(f"edge-pick status: {bad}: no status")
    vitals.close()


def test_what_a_peer_said_cannot_steer_the_terminal(tmp_path, capsys):
    path = tmp_path / "status.json"
    queues = {
        "http://x": {"depth": 1, "problem": "answered 503 \x1b[2J", "unfit": 0},
        "http://y": {"depth": 0, "problem": None, "unfit": 0},
    }
    path.write_text(json.dumps({"state": "streaming", "queues": queues}))
    assert status.main([str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.endswith("depth 1, problem answered 503 ?[2J, unfit 0") for line in lines)
    assert any(line.endswith("http://y: depth 0, problem –, unfit 0") for line in lines)
    assert all(line.isprintable() for line in lines)


def test_what_a_killed_one_left_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    vitals = Vitals("lppn@01234567", "litert, cpu", "XX.TEST.00")
    vitals.heard(arrived(), DecoderStats(), 0)
    left = tmp_path / "edge-pick" / "1" / "status.json"
    left.parent.mkdir()
    left.write_text(vitals.status().to_json())
    os.utime(left, (0, 0))
    assert status.main(["--json"]) == 1
    out, err = capsys.readouterr()
    assert sorted(json.loads(line)["state"] for line in out.splitlines()) == ["gone", "streaming"]
    (line,) = err.splitlines()
    assert f"{left}: not written for 60 s" in line
    vitals.close()


def test_systemd_is_told_by_a_socket_of_either_kind(systemd, monkeypatch):
    notify("READY=1")
    assert systemd.recv(100) == b"READY=1"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(f"\0edge-pick-{os.getpid()}")
        monkeypatch.setenv("NOTIFY_SOCKET", f"@edge-pick-{os.getpid()}")
        notify("STOPPING=1")
        assert channel.recv(100) == b"STOPPING=1"
    notify("STOPPING=1")  # nobody listens there any more


def test_no_ping_while_the_loop_stands_still(clock, runtime, systemd):
    vitals = Vitals("lppn@01234567", "litert, cpu", None, monotonic=clock)
    vitals.heard(arrived(), DecoderStats(), 0)
    assert [systemd.recv(100) for _ in range(2)] == [b"READY=1", b"WATCHDOG=1\nSTATUS=streaming"]
    clock.s = 100  # nothing was handled in between
    systemd.setblocking(False)
    with pytest.raises(BlockingIOError):
        systemd.recv(100)
    vitals.heard(NOTHING, DecoderStats(), 0)
    assert systemd.recv(100) == b"WATCHDOG=1\nSTATUS=stalled"


def test_a_station_on_a_line_says_ready_streaming_and_stopping(runtime, systemd):
    quake = synthetic_earthquake()
    packets = packets_from_now(quake.samples, quake.rate, "anyshake3", repeat=True)
    with PtyDigitizer(packets) as digitizer:
        command = [sys.executable, "-m", "edge.cli", "--device", digitizer.device, "--protocol", "anyshake3"]
        process = subprocess.Popen(
            [*command, "--baud", "115200", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        told = [systemd.recv(100)]
        while told[-1] != b"WATCHDOG=1\nSTATUS=streaming":
            told.append(systemd.recv(100))
        shown = json.loads(runtime.read_text())
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)
        assert systemd.recv(100) == b"STOPPING=1"
    assert told[0] == b"READY=1"
    assert (shown["state"], shown["crc_errors"]) == ("streaming", 0)
    assert shown["bytes"] > 141 * shown["packets"] / 2
    assert shown["backend"].endswith("cpu")
    assert not runtime.exists()
