"""edge-pick killed at any moment: what it printed, and would have printed, arrives, each pick once."""

import subprocess
import sys
from random import Random

import numpy as np
import pytest
from pymseed import MS3TraceList, nslc2sourceid

from edge.pick import Pick
from firmware_bridge.synthetic import synthetic_earthquake

pytest.importorskip("paho.mqtt.client", reason="needs pip install 'edge-pick[mqtt]'")
from subscriber import Collector

from benchmarks.uplink.broker import Broker

KILLS = 3


@pytest.fixture
def record(tmp_path):
    ground = np.concatenate([synthetic_earthquake(seed).samples for seed in range(20)])
    with MS3TraceList() as traces:
        for letter, column in zip("ZNE", ground.T, strict=True):
            name = nslc2sourceid("XX", "SYN", "", f"HH{letter}")
            traces.add_data(name, np.ascontiguousarray(column), "i", 100.0, starttime=1_700_000_000 * 10**9)
        traces.to_file(tmp_path / "record.mseed")
    return tmp_path / "record.mseed"


@pytest.fixture
def broker(tmp_path):
    broker = Broker(tmp_path)
    try:
        broker.start()
    except RuntimeError as error:
        pytest.skip(str(error))
    yield broker
    broker.kill()


def printed(out):
    """Whole lines; a kill may have cut the last one."""
    return [Pick.from_json(line) for line in out.decode().splitlines(keepends=True) if line.endswith("\n")]


def test_killed_at_random_nothing_printed_is_lost(record, broker, tmp_path):
    chance = Random(0)
    collector = Collector(broker.port)
    command = [sys.executable, "-m", "edge.cli", "--replay", record, "--early", "--json"]
    straight = printed(subprocess.run(command, check=True, capture_output=True).stdout)
    command += ["--uplink", f"mqtt://127.0.0.1:{broker.port}", "--outbox", tmp_path / "outbox"]
    seen = []
    for _ in range(KILLS):
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as station:
            lines = [station.stdout.readline() for _ in range(chance.randrange(1, len(straight) // 2))]
            station.kill()
            seen += printed(b"".join([*lines, station.stdout.read()]))
    subprocess.run(command, check=True, capture_output=True)
    expected = {(pick.id, pick.update): pick for pick in [*straight, *seen]}
    arrived = {(pick.id, pick.update): pick for pick in collector.wait(len(expected))}
    collector.close()
    assert arrived == expected
    assert expected == {(pick.id, pick.update): pick for pick in straight}
