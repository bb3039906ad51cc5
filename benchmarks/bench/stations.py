"""Many stations in one process: how many a core serves, what each holds, what a flood does to the others."""

import gc
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.bench.ground import RATE, START_NS, Counts
from benchmarks.bench.memory import peak_rss_mb, rss_mb
from edge.first_motion import Polariser
from edge.model import load_model
from edge.polarity import load_polarity
from edge.station import Station
from firmware_bridge.packet import Packet, Stream

WARM_UP_S = 8
"""Packets: chains are set up, arrays reach their size, the first interpreters are made."""
FLOOD_S = 60
FLOODED = 64
_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Served:
    """So many `stations`, each with a packet of 3 x 100 samples a second, over `seconds` of their signal.

    `cpu_us_per_station_s`: CPU time for a second of one station's signal. `stations_per_core`: as many a core
    serves in real time. `slowest_s`: the longest that one second of all stations took. `kb_per_station`: what
    the process grew by for each; `peak_rss_mb`: of the whole process.
    """

    stations: int
    seconds: int
    cpu_us_per_station_s: float
    stations_per_core: float
    median_s: float
    slowest_s: float
    kb_per_station: float
    peak_rss_mb: float
    picks: int


@dataclass(frozen=True, slots=True)
class Flood:
    """One of `stations` delivers `flood_s` seconds at once: how long until all of them have their picks of
    that second, beside how long it takes without."""

    stations: int
    flood_s: int
    quiet_ms: float
    flooded_ms: float


class Fleet:
    """Stations that hear the same ground, each from another time on."""

    def __init__(self, stations: int, ground: Counts) -> None:
        self._ground = np.concatenate([ground, ground[:RATE]])
        starts = np.linspace(0, len(ground), stations, endpoint=False).astype(int)
        self._starts = starts.tolist()
        self._length = len(ground)
        self._streams = [Stream("XX", f"S{k:04}", "00", ("HHZ", "HHN", "HHE")) for k in range(stations)]

    def packets(self, second: int) -> list[Packet]:
        """One of each station."""
        return [self.packet(k, second) for k in range(len(self._streams))]

    def packet(self, station: int, second: int) -> Packet:
        first = (self._starts[station] + second * RATE) % self._length
        samples = self._ground[first : first + RATE]
        return Packet(self._streams[station], START_NS + second * _NS, float(RATE), samples, "gnss")


def serve(model: Path, ground: Counts, stations: int, seconds: int) -> Served:
    """Serves them in this process, which should have done nothing else before."""
    network = load_model(model)
    fleet = Fleet(stations, ground)
    gc.collect()
    before_mb = rss_mb()
    polariser = Polariser(load_polarity())
    station = Station(network, network.card.thresholds, _unheard, polariser=polariser)
    for second in range(WARM_UP_S):
        second_of(station, fleet.packets(second))
    cpu_ns, walls_s, picks = 0, [], 0
    for second in range(WARM_UP_S, WARM_UP_S + seconds):
        packets = fleet.packets(second)
        began_s, began_ns = time.perf_counter(), time.process_time_ns()
        picks += second_of(station, packets)
        cpu_ns += time.process_time_ns() - began_ns
        walls_s.append(time.perf_counter() - began_s)
    per_s = cpu_ns / 1000 / (stations * seconds)
    return Served(
        stations=stations,
        seconds=seconds,
        cpu_us_per_station_s=per_s,
        stations_per_core=1e6 / per_s,
        median_s=float(np.median(walls_s)),
        slowest_s=max(walls_s),
        kb_per_station=(rss_mb() - before_mb) * 1024 / stations,
        peak_rss_mb=peak_rss_mb(),
        picks=picks,
    )


def flood(model: Path, ground: Counts) -> Flood:
    """What the others wait when one of `FLOODED` stations delivers `FLOOD_S` at once."""
    network = load_model(model)
    fleet = Fleet(FLOODED, ground)
    polariser = Polariser(load_polarity())
    station = Station(network, network.card.thresholds, _unheard, polariser=polariser)
    quiet_ms = []
    for second in range(4 * WARM_UP_S):
        began_s = time.perf_counter()
        second_of(station, fleet.packets(second))
        quiet_ms.append(1000 * (time.perf_counter() - began_s))
    second = 4 * WARM_UP_S
    packets = fleet.packets(second) + [fleet.packet(0, second + 1 + k) for k in range(FLOOD_S)]
    began_s = time.perf_counter()
    second_of(station, packets)
    flooded_ms = 1000 * (time.perf_counter() - began_s)
    return Flood(FLOODED, FLOOD_S, float(np.median(quiet_ms[WARM_UP_S:])), flooded_ms)


def second_of(station: Station, packets: Sequence[Packet]) -> int:
    """Takes packets and picks; how many picks."""
    for packet in packets:
        station.take(packet)
    return len(station.run())


def _unheard(line: str) -> None:
    """What an operator would read is not measured."""
