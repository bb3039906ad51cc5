"""What holds for every protocol of the registry, whatever it looks like on the wire."""

import gc
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, reduce
from itertools import cycle
from operator import xor

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from firmware_bridge.packet import Packet
from firmware_bridge.protocols import PROTOCOLS, Protocol
from firmware_bridge.wire import Declared

NS = 1_000_000_000
START_NS = 1_700_000_000 * NS
RATES = (100.0, 125.0, 200.0, 250.0, 50.0, 31.25)

COUNT: Mapping[str, float] = {"openeew": 1e-3}
"""What one count becomes on the wire where it does not stay one."""
SETTLE_S: Mapping[str, float] = {"bridge": 2.1}
"""Seconds of intact data after which packets come again, where it is not the next packet or the one after."""
HELD_PACKETS = 3
"""So many packets may be held back at the end."""
HELD_BYTES = 70_000
"""Far more than any decoder may hold back, far less than what is fed to it in vain."""
FILLER = b"\xff" * 40_000
"""More than the longest packet of any protocol: after it, a header that was none keeps nothing back."""

every_protocol = pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.name)
seeds = st.integers(0, 2**32 - 1)


@dataclass(frozen=True, eq=False)
class Sent:
    """A stretch of signal, Z, N, E in int32 of shape (n, 3), and its packets on the wire."""

    rate: float
    start_ns: int
    samples: NDArray[np.int32]
    per_packet: int
    wires: tuple[bytes, ...]

    @property
    def line(self) -> bytes:
        return b"".join(self.wires)

    def time_ns(self, sample: int) -> int:
        return self.start_ns + round(sample * NS / self.rate)


def rates(protocol: Protocol) -> list[float]:
    """Those of `RATES` that the protocol has."""
    found = []
    for rate in RATES:
        try:
            protocol.encoder(rate)
        except ValueError:
            continue
        found.append(rate)
    return found


def whole_packets(protocol: Protocol, rate: float, seconds: float) -> int:
    return round(seconds * rate / protocol.encoder(rate).samples_per_packet)


def send(protocol: Protocol, rate: float, samples: NDArray[np.int32], start_ns: int = START_NS) -> Sent:
    """All whole packets of `samples`."""
    encoder = protocol.encoder(rate)
    n = encoder.samples_per_packet
    samples = samples[: len(samples) // n * n]
    wires = [
        encoder.encode(start_ns + round(first * NS / rate), samples[first : first + n])
        for first in range(0, len(samples), n)
    ]
    return Sent(rate, start_ns, samples, n, tuple(wires))


@lru_cache(maxsize=100)
def send_numbered(protocol: Protocol, seconds: float) -> Sent:
    """At the protocol's first rate; no value occurs twice, so that each tells which sample it was."""
    rate = rates(protocol)[0]
    n = whole_packets(protocol, rate, seconds) * protocol.encoder(rate).samples_per_packet
    values = np.random.default_rng(n).permutation(3 * n) - 3 * n // 2
    return send(protocol, rate, (values * 1001).astype(np.int32).reshape(n, 3))


def component(code: str) -> int:
    """Column of Z, N, E that came as this channel."""
    return "ZNEZXY".index(code[-1]) % 3


def received(protocol: Protocol, packets: list[Packet]) -> list[NDArray[np.float64]]:
    """All values of Z, of N and of E, in counts and in the order in which they came."""
    columns: list[list[NDArray[np.float64]]] = [[np.empty(0)] for _ in range(3)]
    for packet in packets:
        for code, values in zip(packet.stream.channels, packet.samples.T, strict=True):
            columns[component(code)].append(values / COUNT.get(protocol.name, 1.0))
    return [np.concatenate(column) for column in columns]


def key(packet: Packet) -> tuple[object, ...]:
    return packet.stream, packet.start_ns, packet.samples.dtype, packet.samples.tobytes()


def same(a: Packet, b: Packet) -> bool:
    return key(a) == key(b) and all(
        getattr(a, name) == getattr(b, name) for name in ("rate", "clock", "meta", "mark", "wire_bytes")
    )


def cut(line: bytes, sizes: list[int]) -> Iterator[bytes]:
    """The line in chunks of these sizes, over and over."""
    position = 0
    for size in cycle(sizes):
        if position >= len(line):
            return
        yield line[position : position + size]
        position += size


def assert_well_formed(packet: Packet) -> None:
    assert packet.samples.dtype in (np.int32, np.float64)
    assert packet.samples.shape == (len(packet.samples), len(packet.stream.channels))
    assert len(packet.samples) > 0
    assert packet.stream.channels
    assert np.isfinite(packet.samples).all()
    assert packet.rate is None or 0 < packet.rate < np.inf
    assert packet.start_ns is None or (type(packet.start_ns) is int and abs(packet.start_ns) < 2**63)
    assert packet.wire_bytes > 0


# --- What is sent


@every_protocol
@settings(max_examples=40)
@given(choice=st.data(), seed=seeds, amplitude=st.sampled_from([1, 100, 1 << 15, 1 << 22]))
def test_what_is_encoded_is_decoded(
    protocol: Protocol, choice: st.DataObject, seed: int, amplitude: int
) -> None:
    rate = choice.draw(st.sampled_from(rates(protocol)))
    n = whole_packets(protocol, rate, 6.0) * protocol.encoder(rate).samples_per_packet
    rng = np.random.default_rng(seed)
    sent = send(protocol, rate, rng.integers(-amplitude, amplitude, (n, 3)).astype(np.int32))
    decoder = protocol.decoder(Declared())
    packets = [packet for wire in sent.wires for packet in decoder.feed(wire)]
    for packet in packets:
        assert_well_formed(packet)
    for got, expected in zip(received(protocol, packets), sent.samples.T, strict=True):
        assert len(expected) - len(got) <= HELD_PACKETS * max(sent.per_packet, len(packets[0].samples))
        np.testing.assert_allclose(got, expected[: len(got)], rtol=0, atol=1e-6)
    assert_times(sent, packets)
    assert {packet.rate for packet in packets} in ({rate}, {None})
    assert decoder.stats.skipped_bytes == 0
    assert decoder.stats.bad_checksums == 0
    assert decoder.stats.time_jumps == 0
    assert decoder.stats.lost_packets == 0
    assert decoder.stats.good_packets >= protocol.packets_to_be_sure


def assert_times(sent: Sent, packets: list[Packet]) -> None:
    """Each packet's start is that of its first sample to a millisecond, the resolution of most protocols; a
    device clock counts from anywhere. Where the wire carries no time, no packet has one."""
    late_ns = []
    samples = [0, 0, 0]
    for packet in packets:
        places = {samples[component(code)] for code in packet.stream.channels}
        assert len(places) == 1
        if packet.start_ns is not None:
            late_ns.append(packet.start_ns - sent.time_ns(places.pop()))
        for code in packet.stream.channels:
            samples[component(code)] += len(packet.samples)
    assert len(late_ns) in (0, len(packets))
    if late_ns:
        origin_ns = late_ns[0] if packets[0].clock == "device" else 0
        assert all(abs(late - origin_ns) <= 1_000_000 for late in late_ns)


@every_protocol
def test_what_the_operator_declares_names_the_station_and_the_rate(protocol: Protocol) -> None:
    sent = send_numbered(protocol, 6.0)
    decoder = protocol.decoder(Declared(identity=("AB", "CDE", "07"), rate=sent.rate))
    packets = decoder.feed(sent.line)
    assert {packet.stream.station_id for packet in packets} == {"AB.CDE.07"}
    assert {packet.rate for packet in packets} == {sent.rate}


@every_protocol
def test_a_rate_that_the_protocol_has_not_is_refused_in_one_line(protocol: Protocol) -> None:
    with pytest.raises(ValueError, match=r"^.+$"):
        protocol.encoder(0.0)


# --- What happens on the way


Damage = tuple[str, int, bytes, int]
"""What happens, where, with which bytes, and up to or from where."""

damages: st.SearchStrategy[list[Damage]] = st.lists(
    st.tuples(
        st.sampled_from(["flip", "delete", "insert", "duplicate", "truncate", "splice"]),
        st.integers(0, 20_000),
        st.binary(min_size=1, max_size=40),
        st.integers(0, 20_000),
    ),
    max_size=8,
)


@lru_cache(maxsize=1)
def fragments() -> Mapping[str, bytes]:
    """Two seconds on the wire, by protocol."""
    return {protocol.name: send_numbered(protocol, 2.0).line for protocol in PROTOCOLS}


def damaged(protocol: Protocol, line: bytes, damage: list[Damage]) -> bytes:
    others = [wire for name, wire in fragments().items() if name != protocol.name] or [b"~"]
    out = bytearray(line)
    for kind, where, data, other in damage:
        place = where % (len(out) + 1)
        length = 1 + other % 300
        if kind == "flip":
            end = min(place + len(data), len(out))
            out[place:end] = bytes(map(xor, out[place:end], data))
        elif kind == "delete":
            del out[place : place + length]
        elif kind == "insert":
            out[place:place] = data
        elif kind == "duplicate":
            source = other % (len(out) + 1)
            out[place:place] = out[source : source + 7 * len(data)]
        elif kind == "truncate":
            del out[len(out) - len(out) // 4 * (other % 4 > 0) :]
        else:
            wire = others[other % len(others)]
            out[place:place] = wire[other % len(wire) :][:500]
    return bytes(out)


@every_protocol
@given(damage=damages, sizes=st.lists(st.integers(1, 700), min_size=1, max_size=20))
def test_any_chunking_gives_the_same_packets_and_stats(
    protocol: Protocol, damage: list[Damage], sizes: list[int]
) -> None:
    line = damaged(protocol, send_numbered(protocol, 4.0).line, damage)
    at_once, in_pieces = protocol.decoder(Declared()), protocol.decoder(Declared())
    whole = at_once.feed(line)
    pieces = [packet for chunk in cut(line, sizes) for packet in in_pieces.feed(chunk)]
    assert len(pieces) == len(whole)
    assert all(same(a, b) for a, b in zip(pieces, whole, strict=True))
    assert in_pieces.stats == at_once.stats
    assert in_pieces.feed(b"") == []


def xor_is_0(*parts: bytes) -> bool:
    return all(reduce(xor, part) == 0 for part in parts)


CHECKSUMS: Mapping[str, tuple[bytes, Callable[[bytes], bool]]] = {
    "anyshake3": (b"\x01\xfe", lambda wire: xor_is_0(wire[2:-2])),
    "anyshake2": (b"\xfa\xde", lambda wire: xor_is_0(wire[2:])),
    "anyshake1": (
        b"\xfc\x1b",
        lambda wire: xor_is_0(*(wire[2 + 20 * k : 22 + 20 * k] + wire[62 + k : 63 + k] for k in range(3))),
    ),
    "gcf": (
        b"G",
        lambda wire: int.from_bytes(wire[-2:]) in {sum(wire[skip:-2]) & 0xFFFF for skip in (0, 1, 4)},
    ),
}
"""Where damage can make up a checksum: how a frame begins, and whether its checksum holds."""


def forged(protocol: Protocol, packet: Packet, line: bytes, sent: bytes) -> bool:
    """Whether the damaged line holds a frame of this packet's length that was not sent and whose checksum
    happens to be right."""
    if protocol.name not in CHECKSUMS:
        return False
    header, checksum_holds = CHECKSUMS[protocol.name]
    place = line.find(header)
    while 0 <= place <= len(line) - packet.wire_bytes:
        frame = line[place : place + packet.wire_bytes]
        if frame not in sent and checksum_holds(frame):
            return True
        place = line.find(header, place + 1)
    return False


@lru_cache(maxsize=100)
def genuine(protocol: Protocol, sent: Sent) -> frozenset[tuple[object, ...]]:
    """The packets that undamaged bytes make."""
    return frozenset(key(packet) for packet in protocol.decoder(Declared()).feed(sent.line + FILLER))


@every_protocol
@settings(max_examples=200)
@given(damage=damages)
@example(damage=[("flip", 430, b"\x01", 0), ("delete", 1, b"\x00", 3)])  # a GCF frame lost its frame
def test_damage_makes_no_packets_and_those_behind_it_are_decoded(
    protocol: Protocol, damage: list[Damage]
) -> None:
    """A checksum of b bits lets damaged packets through with odds of 2**-b; with 8 bits (AnyShake) or a mere
    sum (GCF) any two changes that cancel do, so such packets are only called wrong if the bytes on the
    line do not bear their checksum out. Lines of text have none: any digit may become another."""
    sent = send_numbered(protocol, 8.0)
    half = len(sent.wires) // 2
    head = damaged(protocol, b"".join(sent.wires[:half]), damage)
    line = head + b"".join(sent.wires[half:]) + FILLER
    decoder = protocol.decoder(Declared())
    packets = decoder.feed(line)
    for packet in packets:
        assert_well_formed(packet)
    if protocol.checked:
        for packet in packets:
            assert key(packet) in genuine(protocol, sent) or forged(protocol, packet, line, sent.line)

    settle = max(2 * sent.per_packet, SETTLE_S.get(protocol.name, 0.0) * sent.rate)
    held = HELD_PACKETS * max(sent.per_packet, len(packets[-1].samples))
    for got, expected in zip(received(protocol, packets), sent.samples.T, strict=True):
        places = {int(value): place for place, value in enumerate(expected)}
        last_run = [places.get(round(value), -1) for value in got[::-1]]
        steps = np.flatnonzero(np.diff(last_run) != -1)
        first = last_run[steps[0]] if len(steps) else last_run[-1]
        assert last_run[0] >= len(expected) - held
        assert first <= half * sent.per_packet + settle


# --- What is none of it


def noise(n: int, seed: int = 0) -> bytes:
    return np.random.default_rng(seed).bytes(n)


@every_protocol
def test_noise_is_not_taken_for_this(protocol: Protocol) -> None:
    decoder = protocol.decoder(Declared())
    decoder.feed(noise(200_000))
    assert decoder.stats.good_packets < protocol.packets_to_be_sure


@pytest.mark.parametrize(
    ("protocol", "other"),
    [
        pytest.param(protocol, other, id=f"{other.name} for {protocol.name}")
        for protocol in PROTOCOLS
        for other in PROTOCOLS
        if other is not protocol
    ],
)
def test_another_protocol_is_not_taken_for_this(protocol: Protocol, other: Protocol) -> None:
    decoder = protocol.decoder(Declared())
    decoder.feed(send_numbered(other, 20.0).line)
    assert decoder.stats.good_packets < protocol.packets_to_be_sure


@every_protocol
@given(chunks=st.lists(st.binary(max_size=300), max_size=20))
def test_each_byte_of_garbage_is_counted(protocol: Protocol, chunks: list[bytes]) -> None:
    decoder = protocol.decoder(Declared())
    for chunk in chunks:
        decoder.feed(chunk)
    assume(decoder.stats.good_packets == 0)
    fed = sum(map(len, chunks))
    assert decoder.stats.skipped_bytes <= fed
    decoder.feed(FILLER)
    assert decoder.stats.skipped_bytes >= fed


@every_protocol
@given(place=st.integers(0, 20_000), garbage=st.binary(min_size=1, max_size=300))
def test_every_byte_is_either_skipped_or_of_a_good_packet(
    protocol: Protocol, place: int, garbage: bytes
) -> None:
    sent = send_numbered(protocol, 4.0)
    clean = protocol.decoder(Declared())
    unnamed = len(sent.line) - sum(packet.wire_bytes for packet in clean.feed(sent.line))
    place %= len(sent.line) + 1
    decoder = protocol.decoder(Declared())
    line = sent.line[:place] + garbage + sent.line[place:]
    good = sum(packet.wire_bytes for packet in decoder.feed(line))
    # What is neither is held back, or tells something other than samples.
    assert 0 <= len(line) - good - decoder.stats.skipped_bytes <= unnamed + HELD_PACKETS * len(sent.wires[-1])


GARBAGE: Mapping[str, Callable[[bytes], bytes]] = {
    "noise": lambda wire: noise(4096),
    "zeros": lambda wire: bytes(4096),
    "ones": lambda wire: b"\xff" * 4096,
    "headers": lambda wire: wire[:2] * 2048,
    "beginnings": lambda wire: wire[:18] * 227,
    "all but the end": lambda wire: wire[:-3] * (4096 // len(wire) + 1),
    "a line without an end": lambda wire: b"12,-345," * 512,
    "an object without an end": lambda wire: b'{"z":[1,{' * 455,
}


@every_protocol
@pytest.mark.parametrize("kind", GARBAGE)
def test_memory_stays_bounded_under_endless_garbage(
    protocol: Protocol, kind: str, traced_bytes: Callable[[], int]
) -> None:
    garbage = GARBAGE[kind](send_numbered(protocol, 4.0).wires[-1])
    decoder = protocol.decoder(Declared())
    before = traced_bytes()
    good = sum(packet.wire_bytes for _ in range(30) for packet in decoder.feed(garbage))
    assert traced_bytes() - before < HELD_BYTES
    assert decoder.stats.skipped_bytes + good >= 30 * len(garbage) - HELD_BYTES


@every_protocol
def test_memory_stays_the_same_over_a_week(protocol: Protocol, traced_bytes: Callable[[], int]) -> None:
    """Ten seconds of every other hour; a list that gains one entry a packet or a second would show."""
    rate = rates(protocol)[0]
    n = whole_packets(protocol, rate, 10.0) * protocol.encoder(rate).samples_per_packet
    samples = np.random.default_rng(0).integers(-999, 999, (n, 3)).astype(np.int32)
    lines = [send(protocol, rate, samples, START_NS + hour * 3600 * NS).line for hour in range(0, 7 * 24, 2)]
    decoder = protocol.decoder(Declared())

    def listen(hours: list[bytes]) -> int:
        """How many samples came."""
        return sum(packet.samples.size for line in hours for packet in decoder.feed(line))

    traced_bytes()
    first_day, rest = lines[:12], lines[12:]
    heard = listen(first_day)
    listened = traced_bytes()
    heard += listen(rest)
    assert traced_bytes() - listened < 10_000
    assert heard > 0.97 * len(lines) * samples.size


@pytest.fixture
def traced_bytes() -> Iterator[Callable[[], int]]:
    """How many bytes Python and numpy hold of those they took since the first call."""

    def held() -> int:
        if not tracemalloc.is_tracing():
            tracemalloc.start()
        gc.collect()  # gives back the tuples that Python keeps for the next ones as well
        return tracemalloc.get_traced_memory()[0]

    yield held
    tracemalloc.stop()
