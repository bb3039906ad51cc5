"""What may fail between a station and its collector, done to a real broker, a real `edge-collect`, and to
edge-pick: the program, or its uplink alone.

Every function does one of them and returns how often, and the picks that the collector must hold in the end.
"""

import resource
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from unittest import mock

from benchmarks.uplink.broker import Broker
from benchmarks.uplink.line import Network
from benchmarks.uplink.record import printed, replay, straight_replay, write_record
from edge.pick import Pick
from edge.uplink import Uplink
from edge.vitals import Vitals

DEPLOY = Path(__file__).parents[2] / "deploy"
STATION = "XX.SYN.00"
_YEARS_NS = 10 * 365 * 86_400 * 1_000_000_000
_HOURS_S = 12 * 3600.0
_PACE_S = 0.01


@dataclass
class Site:
    """Where a fault happens. `url` is the broker through `network`. `picks`: those of a straight replay.
    `possible`: picks that may arrive, as edge-pick has them in the outbox before it prints them."""

    folder: Path
    picks: Sequence[Pick]
    broker: Broker
    network: Network
    url: str
    kills: int
    random: Random
    said: list[str] = field(default_factory=list)
    possible: list[Pick] = field(default_factory=list)

    @contextmanager
    def uplink(
        self, name: str = "outbox", monotonic: Callable[[], float] = time.monotonic
    ) -> Iterator[Uplink]:
        vitals = Vitals("faults@00000000", "none", STATION)
        uplink = Uplink([self.url], self.folder / name, STATION, vitals, self.said.append, monotonic)
        try:
            yield uplink
        finally:
            uplink.close()

    def paced(self) -> Iterator[tuple[int, Pick]]:
        """The picks, numbered, some milliseconds between them."""
        for n, pick in enumerate(self.picks):
            time.sleep(self.random.uniform(0, 2 * _PACE_S))
            yield n, pick

    def now_and_then(self, n: int) -> bool:
        """Ten times in all."""
        return n % (len(self.picks) // 10) == 5


def none(site: Site) -> tuple[int, list[Pick]]:
    """nothing fails"""
    with site.uplink() as uplink:
        for _, pick in site.paced():
            uplink.send(pick)
    return 0, list(site.picks)


def station_killed(site: Site) -> tuple[int, list[Pick]]:
    """kill -9 of edge-pick, at any moment, every other time with the network cut"""
    due = []
    for n in range(1, site.kills + 1):
        record = write_record(site.folder / f"record-{n}.mseed", day=n)
        began_s = time.monotonic()
        site.possible += straight_replay(record)
        whole_s = time.monotonic() - began_s
        if n % 2:
            site.network.cut()
        else:
            site.network.mend()
        command = [*replay(record), "--uplink", site.url, "--outbox", site.folder / "outbox"]
        with (site.folder / "out").open("wb") as out, (site.folder / "edge-pick.log").open("ab") as log:
            process = subprocess.Popen(command, stdout=out, stderr=log)
            time.sleep(site.random.uniform(0, whole_s))
            process.kill()
            process.wait()
        due += printed((site.folder / "out").read_bytes())
    site.network.mend()
    return site.kills, due


def broker_killed(site: Site) -> tuple[int, list[Pick]]:
    """kill -9 of the broker, which keeps nothing"""
    count = 0
    with site.uplink() as uplink:
        for n, pick in site.paced():
            uplink.send(pick)
            if site.now_and_then(n):
                count += 1
                site.broker.kill()
                site.broker.start()
    with site.uplink():
        return count, list(site.picks)


def network_cut(site: Site) -> tuple[int, list[Pick]]:
    """the network is cut, for moments"""
    count = 0
    with site.uplink() as uplink:
        for n, pick in site.paced():
            uplink.send(pick)
            if site.now_and_then(n):
                count += 1
                site.network.cut()
            elif n % 7 == 0:
                site.network.mend()
        site.network.mend()
    return count, list(site.picks)


def network_silent(site: Site) -> tuple[int, list[Pick]]:
    """the network swallows everything, and breaks no connection"""
    with site.uplink() as uplink:
        for n, pick in site.paced():
            site.network.silent = n >= len(site.picks) // 3
            uplink.send(pick)
        while not any("connection lost" in line for line in site.said):
            time.sleep(_PACE_S)
        site.network.silent = False
    return 1, list(site.picks)


def network_gone_for_hours(site: Site) -> tuple[int, list[Pick]]:
    """the network is cut for 12 h (by the uplink's clock)"""
    count, ahead_s = 0, 0.0
    with site.uplink(monotonic=lambda: time.monotonic() + ahead_s) as uplink:
        for n, pick in site.paced():
            uplink.send(pick)
            if site.now_and_then(n):
                count += 1
                site.network.cut()
                ahead_s += _HOURS_S
            elif n % 20 == 0:
                site.network.mend()
        site.network.mend()
    return count, list(site.picks)


def broker_slow(site: Site) -> tuple[int, list[Pick]]:
    """the broker stands still for 2 s now and then, at 20 kB/s"""
    count = 0
    site.network.bytes_per_s = 20_000
    with site.uplink() as uplink:
        for n, pick in site.paced():
            uplink.send(pick)
            if site.now_and_then(n):
                count += 1
                site.broker.stop(2.0)
    return count, list(site.picks)


def disk_full(site: Site) -> tuple[int, list[Pick]]:
    """the disk of the outbox is full"""
    count = 0
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    site.network.cut()
    with site.uplink() as uplink:
        for n, pick in site.paced():
            if site.now_and_then(n):
                count += 1
                full = (site.folder / "outbox").stat().st_size if count % 2 else before[0]
                resource.setrlimit(resource.RLIMIT_FSIZE, (full, before[1]))
            uplink.send(pick)
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        site.network.mend()
    signal.signal(signal.SIGXFSZ, handler)
    if not any("memory" in line for line in site.said):
        raise RuntimeError("the disk was never full")
    return count, list(site.picks)


def clock_set(site: Site) -> tuple[int, list[Pick]]:
    """this computer's clock is set by ten years, back and forth"""
    count = 0
    with site.uplink() as uplink:
        true_ns = time.time_ns
        for n, pick in site.paced():
            if site.now_and_then(n):
                count += 1
            off_ns = _YEARS_NS * (count % 3 - 1)
            with (
                mock.patch("time.time_ns", lambda off_ns=off_ns: true_ns() + off_ns),
                mock.patch("time.time", lambda off_ns=off_ns: (true_ns() + off_ns) / 1e9),
            ):
                uplink.send(pick)
                time.sleep(_PACE_S)
    return count, list(site.picks)


def delivered_again(site: Site) -> tuple[int, list[Pick]]:
    """every pick is delivered three times"""
    for n in range(3):
        with site.uplink(f"outbox-{n}") as uplink:
            for _, pick in site.paced():
                uplink.send(pick)
    return 2, list(site.picks)


def one_name_twice(site: Site) -> tuple[int, list[Pick]]:
    """two stations have one name, picks of their own and some alike"""
    others = [replace(pick, id=f"{int(pick.id, 16) ^ 1:016x}") for pick in site.picks[1::2]]
    with site.uplink() as one, site.uplink("other") as other:
        for n, pick in site.paced():
            one.send(pick)
            other.send(others[n // 2] if n % 2 else pick)
    return 1, [*site.picks, *others]


FAULTS = (
    none,
    station_killed,
    broker_killed,
    network_cut,
    network_silent,
    network_gone_for_hours,
    broker_slow,
    disk_full,
    clock_set,
    delivered_again,
    one_name_twice,
)
