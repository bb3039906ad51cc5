"""The files for a station and its broker are what systemd, Mosquitto and edge-pick take."""

import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from benchmarks.uplink.broker import free_port
from edge.options import parse
from firmware_bridge.simulator import packets_of
from firmware_bridge.synthetic import synthetic_earthquake

REPOSITORY = Path(__file__).parents[1]
DEPLOY = REPOSITORY / "deploy"
UNIT = DEPLOY / "edge-pick@.service"
PR_SET_MDWE = 65  # <linux/prctl.h>: what MemoryDenyWriteExecute= asks for
SKIP = 77
MOST_EXPOSED = 20  # tenths; systemd calls up to 2 OK, and a unit without any hardening has 96


@pytest.fixture
def systemd_analyze():
    """systemd_analyze(argument, …) is what it prints and its exit status."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze")

    def run(*arguments):
        done = subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True)
        return done.stdout + done.stderr, done.returncode

    return run


def test_the_unit_is_hardened(systemd_analyze):
    said, status = systemd_analyze("security", "--offline=true", f"--threshold={MOST_EXPOSED}", UNIT)
    assert status == 0, said


def test_the_unit_is_understood(systemd_analyze, tmp_path):
    unit = tmp_path / UNIT.name
    unit.write_text(re.sub("ExecStart=[^ ]+", f"ExecStart={shutil.which('true')}", UNIT.read_text()))
    said, _ = systemd_analyze("verify", "--man=no", unit)
    assert not [line for line in said.splitlines() if UNIT.stem in line], said


def test_the_network_runs_where_no_memory_is_writable_and_executable(tmp_path):
    restricted = (
        "import ctypes, sys\n"
        f"if ctypes.CDLL(None).prctl({PR_SET_MDWE}, 1, 0, 0, 0): sys.exit({SKIP})\n"
        "from edge.cli import main\n"
        "sys.exit(main())"
    )
    quake = synthetic_earthquake()
    capture = tmp_path / "datacast.txt"
    capture.write_bytes(b"".join(data for _, data in packets_of(quake.samples, 100, quake.start_ns, "shake")))
    command = [sys.executable, "-c", restricted, "--replay", capture]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode == SKIP:
        pytest.skip("this kernel cannot deny it (Linux 6.3 can)")
    assert done.returncode == 0, done.stderr
    assert re.search("[1-9] P, [0-9]+ S picked", done.stderr)


def test_the_example_of_a_station_is_taken():
    assert parse(["--config", str(DEPLOY / "station.toml")]).station == ("AM", "SHED", "00")


def test_certificates_are_for_whom_they_say_and_are_not_made_twice(tmp_path):
    make = [DEPLOY / "make-certificates.sh", tmp_path, "broker.example.org", "AM.SHED.00"]
    subprocess.run(make, check=True)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    subprocess.run([*make, "AM.BARN."], check=True)
    for name, content in before.items():
        assert (tmp_path / name).read_bytes().startswith(content) or name == "ca.srl"
    assert "topic write seis/v1/AM/BARN/--/#" in (tmp_path / "acl").read_text().splitlines()
    for name in ("broker", "collector", "AM.SHED.00", "AM.BARN."):
        verify = ["openssl", "verify", "-CAfile", tmp_path / "ca.crt", tmp_path / f"{name}.crt"]
        subprocess.run(verify, check=True, capture_output=True)
    assert not (tmp_path / "AM.SHED.00.key").stat().st_mode & 0o077
    assert subprocess.run([*make, "a station"], capture_output=True).returncode == 2


@pytest.fixture
def open_folder():
    """One that every user may enter, unlike those of pytest."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_mosquitto_as_its_own_user_reads_what_was_installed_as_told(open_folder):
    if os.geteuid() or "mosquitto" not in {user.pw_name for user in pwd.getpwall()}:
        pytest.skip("needs root, and Mosquitto with its user")
    installed = open_folder / "seis"
    page = (REPOSITORY / "docs" / "uplink.md").read_text()
    told = re.findall("^(?:sudo )?(install .*/seis/?|deploy/make-certificates.*)$", page, re.M)
    assert len(told) == 4
    for command in told:
        there = command.replace("/etc/mosquitto/seis", str(installed)).replace("deploy/", f"{DEPLOY}/")
        subprocess.run(there, shell=True, check=True, cwd=open_folder, capture_output=True)
    example = (DEPLOY / "mosquitto.conf").read_text().replace("/etc/mosquitto/seis", str(installed))
    example = example.replace("/var/lib/mosquitto", str(open_folder))
    settings = open_folder / "mosquitto.conf"
    settings.write_text(re.sub("(?m)^listener .*", f"listener {free_port()} 127.0.0.1", example))
    program = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    with subprocess.Popen([program, "-c", settings], stderr=subprocess.PIPE, text=True) as broker:
        said = []
        for line in broker.stderr:
            said.append(line)
            if line.endswith(" running\n"):
                broker.kill()
    assert any(line.endswith(" running\n") for line in said), said
