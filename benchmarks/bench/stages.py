"""The station's path, hop by hop: a digitizer's bytes in, picks out, with a stop-watch at every seam.

It is the path that `edge-pick --device` runs, with bytes from memory. The network is handed to the station,
and the runtime to the network, so both are timed in place.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import inf
from pathlib import Path

from benchmarks.bench.ground import RATE, START_NS, Counts
from benchmarks.bench.timing import Meter, Times
from edge.backend import Backend, Description, LiteRT, Tensor
from edge.card import Card, read_card
from edge.first_motion import Polariser
from edge.line import Arrived, Line
from edge.model import Floats, Memory, Network, network_on
from edge.pick import Pick
from edge.polarity import PolarityNetwork, cut, load_polarity, read
from edge.preprocess import HighPass, normaliser
from edge.station import Station
from firmware_bridge.detect import Detector
from firmware_bridge.protocols import protocol_named
from firmware_bridge.simulator import packets_of
from firmware_bridge.wire import Declared

PROTOCOL = "anyshake3"
WARM_UP = 50
"""Hops: the channels are learned, the noise level settles, buffers reach their size."""
WHOLE = "whole path, bytes to picks"
PICK = "pick: blocks to picks"
NETWORK = "network with its memory, part of pick"
INVOKE = "invoke, part of the network"
POLARITY = "first motion of a P, on a busy day one a minute"
BUSY_S = 60.0
"""From one P to the next on a busy day."""


class MeteredBackend:
    """A backend with a stop-watch."""

    def __init__(self, backend: Backend, meter: Meter) -> None:
        self._backend = backend
        self._meter = meter

    def invoke(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        with self._meter:
            return self._backend.invoke(tensors)

    def describe(self) -> Description:
        return self._backend.describe()


class MeteredNetwork:
    """A network with a stop-watch."""

    def __init__(self, network: Network, meter: Meter) -> None:
        self.card = network.card
        self._network = network
        self._meter = meter

    def begin(self, streams: int) -> Memory:
        return self._network.begin(streams)

    def step(self, samples: Floats, memory: Memory) -> Floats:
        with self._meter:
            return self._network.step(samples, memory)


class MemorySource:
    """A line whose bytes are there already, each packet with the time at which a digitizer would send it."""

    baud: int | None = None
    bits_per_s = inf

    def __init__(self) -> None:
        self.ready: deque[tuple[int, bytes]] = deque()

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        while self.ready:
            yield self.ready.popleft()


class StationPath:
    """One station that hears `ground` (n, 3), counts at 100 Hz, over and over.

    `encode` makes the bytes of some hops, which is the digitizer's work and no station's; `hop` does what one
    hop of them asks for, in the three parts of which it consists.
    """

    def __init__(self, network: Network, ground: Counts) -> None:
        self._hop = network.card.stream.hop
        self._per_packet = protocol_named(PROTOCOL).encoder(RATE).samples_per_packet
        self._packets = packets_of(ground, RATE, START_NS, PROTOCOL, repeat=True)
        self._source = MemorySource()
        detector = Detector(Declared(), PROTOCOL, serial=False)
        self._line = iter(Line(PROTOCOL, self._source, detector, _unheard))
        polariser = Polariser(load_polarity())
        self._station = Station(network, network.card.thresholds, _unheard, polariser=polariser)
        self._sent = self._due = 0

    def encode(self, hops: int) -> None:
        """Bytes for so many hops more."""
        end = self._due + (hops + 1) * self._hop
        while self._sent < end:
            due_ns, data = next(self._packets)
            self._source.ready.append((START_NS + due_ns, data))
            self._sent += self._per_packet

    def hop(self) -> list[Pick]:
        arrived = self.decode()
        self.take(arrived)
        return self.pick(arrived)

    def decode(self) -> list[Arrived]:
        """Bytes to packets, as many as complete the next hop."""
        before = self._due // self._per_packet
        self._due += self._hop
        return [next(self._line) for _ in range(self._due // self._per_packet - before)]

    def take(self, arrived: list[Arrived]) -> None:
        """Packets onto the time line."""
        for one in arrived:
            for arrival_ns, packet in one.packets:
                self._station.take(packet, arrival_ns)

    def pick(self, arrived: list[Arrived]) -> list[Pick]:
        """Filter, normalisation, network, cells and picks."""
        return [pick for one in arrived for pick in self._station.rest(one.arrival_ns)]


def _unheard(line: str) -> None:
    """What an operator would read is not measured."""


@dataclass(frozen=True, slots=True)
class Stages:
    """`times` by stage, in order of the path; `picks` made meanwhile; what runs the model."""

    times: dict[str, Times]
    picks: int
    runtime: str
    device: str

    @property
    def polarity_share(self) -> float:
        """CPU of first motions on a busy day, as a share of what picking takes."""
        polarity, pick = (self.times[name].cpu_s_per_station_day for name in (POLARITY, PICK))
        return float(polarity / pick)


def measure_stages(model: Path, ground: Counts, hops: int) -> Stages:
    """Every stage and the whole path over so many steady hops. Raises as readers of models do."""
    card = read_card(model)
    whole, decode, take, pick, step, invoke = (Meter() for _ in range(6))
    path = StationPath(network_on(LiteRT(model), card), ground)
    path.encode(WARM_UP + hops)
    for _ in range(WARM_UP + hops):
        with whole:
            path.hop()
    backend = MeteredBackend(LiteRT(model), invoke)
    path = StationPath(MeteredNetwork(network_on(backend, card), step), ground)
    path.encode(WARM_UP + hops)
    picks = 0
    for _ in range(WARM_UP + hops):
        with decode:
            arrived = path.decode()
        with take:
            path.take(arrived)
        with pick:
            picks += len(path.pick(arrived))
    hop_s = card.stream.hop / card.input.rate_hz
    meters = {
        "decode: bytes to packets": decode,
        "time line: packets to blocks": take,
        PICK: pick,
        "high-pass and normalisation, part of pick": prepared(card, ground, WARM_UP + hops),
        NETWORK: step,
        INVOKE: invoke,
        WHOLE: whole,
    }
    described = backend.describe()
    times = {name: meter.times(hop_s, WARM_UP) for name, meter in meters.items()}
    times[POLARITY] = polarised(load_polarity(), ground, WARM_UP + hops).times(BUSY_S, WARM_UP)
    return Stages(times, picks, described.runtime, described.device)


def prepared(card: Card, ground: Counts, hops: int) -> Meter:
    """High-pass and normalisation of one station on their own."""
    hop, corner = card.stream.hop, card.input.highpass_hz
    highpass = None if corner is None else HighPass(corner, card.input.rate_hz)
    rule = normaliser(card.input.normalisation)
    meter = Meter()
    for k in range(hops):
        samples = ground.take(range(k * hop, (k + 1) * hop), axis=0, mode="wrap").astype(float)[None]
        with meter:
            rule.feed(samples if highpass is None else highpass.feed(samples))
    return meter


def polarised(network: PolarityNetwork, ground: Counts, calls: int) -> Meter:
    """First motions on their own, each of another stretch of the vertical."""
    spec = network.card.input
    places = [spec.before + k * (len(ground) - spec.window) // calls for k in range(calls)]
    vertical = ground[:, 0].astype("float32")
    meter = Meter()
    for place in places:
        with meter:
            window = cut(vertical, place, spec)
            assert window is not None
            read(network, window[None])
    return meter
