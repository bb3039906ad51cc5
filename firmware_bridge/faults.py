"""What goes wrong between a digitizer and its reader, as transformations of its packets; does no I/O.

A packet is (due_ns, bytes): due so many nanoseconds after the record's start. All faults draw from
seeded generators, so that a run can be repeated bit for bit.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

_NS = 1_000_000_000
_LONGEST_GARBAGE = 64

Packets = Iterator[tuple[int, bytes]]
Events = Iterator[tuple[int, bytes | None]]
"""Packets, with None from where the device is gone until the next bytes, which may be empty."""


class Fault(ABC):
    """`usage`: how it is written, with one argument per field. `says`: for people."""

    usage: ClassVar[str]
    says: ClassVar[str]


class LineFault(Fault):
    """Something that happens to the bytes or to when they arrive."""

    @abstractmethod
    def apply(self, packets: Packets, rng: np.random.Generator) -> Packets:
        """The packets as they arrive, in the order in which they are due."""


@dataclass(frozen=True, slots=True)
class Flip(LineFault):
    usage = "flip=P"
    says = "each bit flips with probability P"
    probability: float

    def apply(self, packets: Packets, rng: np.random.Generator) -> Packets:
        for due_ns, data in packets:
            flipped = np.packbits(rng.random(8 * len(data)) < self.probability)
            yield due_ns, (np.frombuffer(data, np.uint8) ^ flipped).tobytes()


@dataclass(frozen=True, slots=True)
class Drop(LineFault):
    usage = "drop=P"
    says = "each byte is lost with probability P"
    probability: float

    def apply(self, packets: Packets, rng: np.random.Generator) -> Packets:
        for due_ns, data in packets:
            kept = rng.random(len(data)) >= self.probability
            yield due_ns, np.frombuffer(data, np.uint8)[kept].tobytes()


@dataclass(frozen=True, slots=True)
class Lose(LineFault):
    usage = "lose=P"
    says = "each packet is lost with probability P"
    probability: float

    def apply(self, packets: Packets, rng: np.random.Generator) -> Packets:
        for packet in packets:
            if rng.random() >= self.probability:
                yield packet


@dataclass(frozen=True, slots=True)
class Duplicate(LineFault):
    usage = "duplicate=P"
    says = "each packet is sent twice with probability P"
    probability: float

    def apply(self, packets: Packets, rng: np.random.Generator) -> Packets:
        for packet in packets:
            yield packet
            if rng.random() < self.probability:
                yield packet


@dataclass(frozen=True, slots=True)
class Reorder(LineFault):
    usage = "reorder=P"
    says = "a packet changes place with the next one with probability P"
    probability: float

    def apply(self, packets: Packets, rng: np.random.Generator) -> Packets:
        for due_ns, data in packets:
            if rng.random() < self.probability:
                for next_ns, overtaking in packets:
                    yield next_ns, overtaking
                    due_ns = next_ns
                    break
            yield due_ns, data


@dataclass(frozen=True, slots=True)
class Garbage(LineFault):
    usage = "garbage=P"
    says = f"1 to {_LONGEST_GARBAGE} random bytes come before a packet with probability P"
    probability: float

    def apply(self, packets: Packets, rng: np.random.Generator) -> Packets:
        for due_ns, data in packets:
            if rng.random() < self.probability:
                yield due_ns, rng.bytes(int(rng.integers(1, _LONGEST_GARBAGE + 1)))
            yield due_ns, data


@dataclass(frozen=True, slots=True)
class Stall(LineFault):
    usage = "stall=EVERY:SECONDS"
    says = "every so many seconds nothing comes for SECONDS, then all at once"
    every_s: float
    seconds: float

    def apply(self, packets: Packets, rng: np.random.Generator) -> Packets:
        every_ns, stalled_ns = round(self.every_s * _NS), round(self.seconds * _NS)
        for due_ns, data in packets:
            begin_ns = due_ns // every_ns * every_ns
            if begin_ns > 0:  # the line begins well
                due_ns = max(due_ns, begin_ns + stalled_ns)
            yield due_ns, data


@dataclass(frozen=True, slots=True)
class Jitter(LineFault):
    usage = "jitter=MS"
    says = "each packet arrives 0 to MS milliseconds late, the order kept"
    most_ms: float

    def apply(self, packets: Packets, rng: np.random.Generator) -> Packets:
        last_ns = 0
        for due_ns, data in packets:
            last_ns = max(last_ns, due_ns + round(rng.uniform(0.0, self.most_ms) * 1e6))
            yield last_ns, data


@dataclass(frozen=True, slots=True)
class Drift(LineFault):
    """A crystal that is fast: the digitizer samples and counts time by it, so that its packets say what
    they always say but come sooner."""

    usage = "drift=PPM"
    says = "the digitizer's crystal is fast by PPM (negative: slow), its times and its pace with it"
    ppm: float

    def apply(self, packets: Packets, rng: np.random.Generator) -> Packets:
        for due_ns, data in packets:
            yield due_ns - round(due_ns * self.ppm / (1e6 + self.ppm)), data


@dataclass(frozen=True, slots=True)
class Jump(Fault):
    """Acts before the encoder: see `simulator.packets_of`."""

    usage = "clock=AT:BY"
    says = "the digitizer's clock jumps BY seconds (negative: back), AT seconds into the record"
    at_s: float
    by_s: float


@dataclass(frozen=True, slots=True)
class Unplug(Fault):
    usage = "unplug=AT:SECONDS"
    says = "the device is gone for SECONDS, AT seconds into the record; what it makes meanwhile is lost"
    at_s: float
    seconds: float

    def apply(self, packets: Events) -> Events:
        gone_ns = round(self.at_s * _NS)
        back_ns = gone_ns + round(self.seconds * _NS)
        last_ns = 0
        for due_ns, data in packets:
            if last_ns < gone_ns <= due_ns:
                yield gone_ns, None
            if last_ns < back_ns <= due_ns:
                yield back_ns, b""
            if not gone_ns <= due_ns < back_ns:
                yield due_ns, data
            last_ns = due_ns
        if gone_ns <= last_ns < back_ns:
            yield back_ns, b""


FAULTS: tuple[type[Fault], ...] = (
    Flip, Drop, Lose, Duplicate, Reorder, Garbage, Stall, Jitter, Drift, Jump, Unplug
)  # fmt: skip

_FOREVER_S = 1e9
_RANGES = {
    "P": (0.0, 1.0),
    "EVERY": (0.001, _FOREVER_S),
    "SECONDS": (0.0, _FOREVER_S),
    "AT": (0.001, _FOREVER_S),
    "BY": (-_FOREVER_S, _FOREVER_S),
    "MS": (0.0, 1e6),
    "PPM": (-1e5, 1e5),
}


def parse_fault(text: str) -> Fault:
    """One fault as written on a command line, such as "flip=0.001" or "stall=60:5".

    Raises ValueError, in one line, that names the faults there are or the range of an argument.
    """
    name, _, values = text.partition("=")
    kind = next((kind for kind in FAULTS if kind.usage.partition("=")[0] == name), None)
    if kind is None:
        known = ", ".join(kind.usage for kind in FAULTS)
        raise ValueError(f"no fault {name!r}: there are {known}")
    arguments = kind.usage.partition("=")[2].split(":")
    try:
        numbers = [float(value) for value in values.split(":")]
    except ValueError:
        numbers = []
    if len(numbers) != len(arguments):
        raise ValueError(f"{text!r} is no fault: write {kind.usage} with numbers")
    for argument, number in zip(arguments, numbers, strict=True):
        low, high = _RANGES[argument]
        if not low <= number <= high:
            raise ValueError(f"{text!r}: {argument} is a number from {low:g} to {high:g}")
    make: Callable[..., Fault] = kind  # each kind has as many fields as arguments
    return make(*numbers)


def apply_faults(packets: Packets, faults: Sequence[Fault], seed: int) -> Events:
    """The packets as they arrive: through the faults of the line in the order given, then unplugged.

    Clock jumps are passed over, as they act before the encoder. Nothing is asked of `packets` before the
    first one is asked for here. The same seed gives the same bytes at the same times.
    """
    for k, fault in enumerate(faults):
        if isinstance(fault, LineFault):
            packets = fault.apply(packets, np.random.default_rng((seed, k)))
    events: Events = ((due_ns, data) for due_ns, data in packets)
    for fault in faults:
        if isinstance(fault, Unplug):
            events = fault.apply(events)
    return events
