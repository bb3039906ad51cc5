"""What tests of the receiving end have in common: stations that send, the program, its broker and its
database."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from some_pick import PICK

from benchmarks.uplink.broker import Broker
from edge.pick import NS, Pick

PATIENCE_S = 120


def picks_of(number: int, station: str = "XX.TEST.00") -> list[Pick]:
    """So many, a second apart."""
    return [
        replace(PICK, id=f"{n:016x}", station=station, time_ns=PICK.time_ns + n * NS) for n in range(number)
    ]


def topic_of(station: str, kind: str = "pick") -> str:
    network, code, location = station.split(".")
    return f"seis/v1/{network}/{code}/{location or '--'}/{kind}"


def wait_for(condition: Callable[[], object]) -> None:
    """Until it holds; fails after `PATIENCE_S`."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def mosquitto(folder: Path, settings: str) -> Broker:
    """One that runs; the test is skipped where there is none."""
    broker = Broker(folder, settings)
    try:
        broker.start()
    except RuntimeError as error:
        if "apt-get" in str(error):
            pytest.skip(str(error))
        raise
    return broker


class Publisher:
    """A station, or one who pretends to be."""

    def __init__(self, port: int, certificate: Path | None = None) -> None:
        from paho.mqtt import client

        self.client = client.Client(client.CallbackAPIVersion.VERSION2, protocol=client.MQTTv5)
        if certificate:
            authority = certificate.parent / "ca.crt"
            self.client.tls_set(str(authority), f"{certificate}.crt", f"{certificate}.key")
        self.client.max_queued_messages_set(0)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        wait_for(self.client.is_connected)

    def send(self, topic: str, payload: bytes | str, qos: int = 1) -> None:
        self.client.publish(topic, payload, qos).wait_for_publish(PATIENCE_S)

    def send_picks(self, picks: list[Pick]) -> None:
        sent = [self.client.publish(topic_of(pick.station), pick.to_json(), 1) for pick in picks]
        for one in sent:
            one.wait_for_publish(PATIENCE_S)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@contextmanager
def publisher(port: int, certificate: Path | None = None) -> Iterator[Publisher]:
    """`certificate`: its file without .crt, for a broker that asks for one."""
    one = Publisher(port, certificate)
    try:
        yield one
    finally:
        one.close()


class Collecting:
    """The program itself, its words to the operator in a file."""

    def __init__(self, folder: Path, *arguments: str, **environment: str) -> None:
        self._log = folder / f"collect{len(list(folder.glob('collect*.log')))}.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "collect.cli", *arguments],
                stderr=log,
                cwd=folder,
                env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])} | environment,
            )

    def said(self) -> str:
        return self._log.read_text()

    def wait_until_connected(self) -> None:
        wait_for(lambda: "connected as" in self.said() or self.process.poll() is not None)
        assert self.process.poll() is None, self.said()

    def stop(self) -> str:
        """What it said, having ended as told."""
        self.process.terminate()
        assert self.process.wait(PATIENCE_S) == 0, self.said()
        return self.said()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@dataclass(frozen=True)
class Postgres:
    """A cluster that this session began, in a folder of its own, on a socket there."""

    folder: Path
    bin: Path
    user: str | None

    def run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [self.bin / program, *arguments], check=True, capture_output=True, user=self.user, cwd=self.folder
        )

    def control(self, *arguments: str) -> None:
        options = f"-k {self.folder} -c listen_addresses= -c fsync=off"
        log = self.folder / "log"
        self.run("pg_ctl", "-D", str(self.folder / "data"), "-w", "-l", str(log), "-o", options, *arguments)

    def url(self, database: str) -> str:
        """Of a database that is made for it."""
        self.run("createdb", "-h", str(self.folder), "-U", "postgres", database)
        return f"postgresql+psycopg://postgres@/{database}?host={self.folder}"
