"""edge-pick killed at any moment, with a network or without: what it printed arrives."""

import subprocess
import sys
from random import Random

import numpy as np
import pytest
from pymseed import MS3TraceList, nslc2sourceid

from edge.pick import Pick
from edge.uplink import Uplink
from edge.vitals import Vitals
from firmware_bridge.synthetic import synthetic_earthquake

pytest.importorskip("paho.mqtt.client", reason="needs pip install 'edge-pick[mqtt]'")
from subscriber import Collector

from benchmarks.uplink.broker import Broker
from benchmarks.uplink.line import Network

KILLS = 3
DAY_NS = 86_400 * 10**9


def write_record(path, day):
    """The same earthquakes on a day of their own: other picks."""
    ground = np.concatenate([synthetic_earthquake(seed).samples for seed in range(20)])
    with MS3TraceList() as traces:
        for letter, column in zip("ZNE", ground.T, strict=True):
            name = nslc2sourceid("XX", "SYN", "", f"HH{letter}")
            start_ns = 1_700_000_000 * 10**9 + day * DAY_NS
            traces.add_data(name, np.ascontiguousarray(column), "i", 100.0, starttime=start_ns)
        traces.to_file(path)


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
    return keyed(Pick.from_json(line) for line in out.decode().splitlines(keepends=True) if line[-1] == "\n")


def keyed(picks):
    return {(pick.id, pick.update): pick for pick in picks}


def test_killed_at_random_nothing_printed_is_lost(broker, tmp_path):
    chance = Random(0)
    collector = Collector(broker.port)
    network = Network(broker.port)
    url, outbox = f"mqtt://127.0.0.1:{network.port}", tmp_path / "outbox"
    possible, seen = {}, {}
    for day in range(KILLS):
        record = tmp_path / f"record-{day}.mseed"
        write_record(record, day)
        command = [sys.executable, "-m", "edge.cli", "--replay", record, "--early", "--json"]
        straight = printed(subprocess.run(command, check=True, capture_output=True).stdout)
        possible |= straight
        if day % 2:
            network.mend()
        else:
            network.cut()  # what this run prints is in the outbox alone
        with subprocess.Popen(
            [*command, "--uplink", url, "--outbox", outbox], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as station:
            lines = [station.stdout.readline() for _ in range(chance.randrange(2, len(straight) // 2))]
            station.kill()
            seen |= printed(b"".join([*lines, station.stdout.read()]))
    network.mend()
    uplink = Uplink([url], outbox, "XX.SYN.", Vitals("test@00000000", "none", "XX.SYN."), print)
    arrived = {}
    while not seen.keys() <= arrived.keys():
        arrived = keyed(collector.wait(len(arrived) + 1))
    uplink.close()
    network.close()
    collector.close()
    assert len({key[0] for key in seen}) > KILLS
    assert {key: arrived[key] for key in seen} == seen
    assert all(possible[key] == pick for key, pick in arrived.items())
