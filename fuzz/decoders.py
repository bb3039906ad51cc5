"""Coverage-guided fuzzing of one protocol's decoder with Atheris (`pip install atheris`, on Python 3.11).

    python -m fuzz.decoders anyshake3 -max_total_time=60

What follows the name goes to libFuzzer. Whatever the bytes, a decoder must not raise, must give the same
packets and stats whole and in pieces, must give well-formed packets only, and must not hold back more
than `HELD_BYTES`. Corpus and inputs that break a rule lie in a new folder within the system's temporary one,
which is named at the start; to try such an input again: `python -m fuzz.decoders anyshake3 FILE`.

A fuzzer left to itself never gets past a checksum. So its bytes are read as a list of parts, each led by a
byte for its kind and one for a quarter of its length: bytes for the line as they are; bytes that get the
protocol's header and checksum (`SEALS`); samples for its encoder. Before all parts comes one byte that
picks how the line is cut and what the operator has declared.
"""

import gc
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import reduce
from operator import xor
from pathlib import Path
from types import FunctionType, ModuleType

import atheris
import numpy as np
from numpy.typing import NDArray

with atheris.instrument_imports(include=["firmware_bridge"]):
    from firmware_bridge import brp, cobs
    from firmware_bridge.packet import Packet
    from firmware_bridge.protocols import PROTOCOLS, Protocol
    from firmware_bridge.wire import Declared, Decoder

NS = 1_000_000_000
START_NS = 1_700_000_000 * NS
RATES = (100.0, 125.0)
PLAIN, SEALED, SAMPLES = range(3)
LONGEST_PART = 4 * 255
HELD_BYTES = 100_000
"""Python's objects included; packets that wait for their rate may be most of them."""
ENDLESS_BYTES = 200_000
DECLARED = (
    Declared(),
    Declared(identity=("AB", "CDE", "07"), rate=100.0, columns=("millis", "z", "n", "e"), unit="m/s"),
)


def _xor(data: bytes) -> bytes:
    return bytes([reduce(xor, data, 0)])


def _seal_anyshake1(body: bytes) -> bytes:
    blocks = [body[place : place + 20] for place in (0, 20, 40)]
    return b"\xfc\x1b" + body + b"".join(map(_xor, blocks)) + b"\0"


SEALS: Mapping[str, Callable[[bytes], bytes]] = {
    "bridge": lambda payload: cobs.encode(payload + zlib.crc32(payload).to_bytes(4, "little")) + b"\0",
    "anyshake3": lambda body: b"\x01\xfe" + body + _xor(body) + b"\xef\x10",
    "anyshake2": lambda body: b"\xfa\xde" + body[:72].ljust(72, b"\0") + _xor(body[:72]),
    "anyshake1": lambda body: _seal_anyshake1(body[:60].ljust(60, b"\0")),
    "gcf": lambda block: brp.frame(len(block), block),
}
"""What makes a good frame of any bytes."""


def main(argv: Sequence[str]) -> None:
    """The command; ends the process."""
    protocols = {protocol.name: protocol for protocol in PROTOCOLS}
    if not argv or argv[0] not in protocols:
        sys.exit(f"python -m fuzz.decoders NAME [libFuzzer's options]: NAME is one of {', '.join(protocols)}")
    protocol = protocols[argv[0]]
    folder = Path(tempfile.mkdtemp(prefix=f"fuzz-{protocol.name}-"))
    corpus = folder / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(seeds(protocol)):
        (corpus / f"seed{number}").write_bytes(seed)
    print(f"corpus and findings: {folder}", file=sys.stderr)
    replays = any(not argument.startswith("-") for argument in argv[1:])
    options = [] if replays else [str(corpus), f"-artifact_prefix={folder}/", "-max_len=3000", "-timeout=20"]
    atheris.Setup([sys.argv[0], *options, *argv[1:]], lambda data: check(protocol, data))
    atheris.Fuzz()


def seeds(protocol: Protocol) -> Iterator[bytes]:
    """A second of signal: as samples, as plain bytes, and as the insides of sealed frames."""
    rate, samples_per_packet = rate_of(protocol)
    samples = np.random.default_rng(0).integers(-9999, 9999, (round(rate), 3)).astype("<i4").tobytes()
    wires = list(encoded(protocol, [samples]))
    yield b"\0" + b"".join(
        part(SAMPLES, samples[k : k + 600]) for k in range(0, 12 * samples_per_packet, 600)
    )
    line = b"".join(wires)[: 2 * LONGEST_PART]
    for first in (0, 1, 60):
        pieces = [line[k : k + LONGEST_PART] for k in range(0, len(line), LONGEST_PART)]
        yield bytes([first]) + b"".join(part(PLAIN, piece) for piece in pieces)
    for ends in ((2, 1), (2, 3), (4, 2)):  # what goes around the insides, as far as it is of fixed length
        yield b"\0" + b"".join(part(SEALED, wire[ends[0] : -ends[1]][:LONGEST_PART]) for wire in wires[:6])


def part(kind: int, content: bytes) -> bytes:
    quarters = -(-len(content) // 4)
    return bytes([kind, quarters]) + content.ljust(4 * quarters, b"\0")


def rate_of(protocol: Protocol) -> tuple[float, int]:
    """A rate that the protocol has, and its samples per packet."""
    for rate in RATES:
        try:
            return rate, protocol.encoder(rate).samples_per_packet
        except ValueError:
            continue
    raise ValueError(f"{protocol.name} has none of {RATES} Hz")


def encoded(protocol: Protocol, contents: Sequence[bytes]) -> Iterator[bytes]:
    """The packets of samples given as bytes, each content going on where the one before ended."""
    rate, n = rate_of(protocol)
    encoder = protocol.encoder(rate)
    first = 0
    for content in contents:
        values: NDArray[np.int32] = np.frombuffer(content[: len(content) // 4 * 4], "<i4").astype(np.int32)
        whole = max(len(values) // (3 * n), 1)
        for samples in np.resize(values, (whole, n, 3)):
            try:
                yield encoder.encode(START_NS + round(first * NS / rate), samples)
            except ValueError:  # values that the protocol cannot carry
                continue
            finally:
                first += n


def line_of(protocol: Protocol, data: bytes) -> bytes:
    """What the fuzzer's bytes put on the line; see the module's text."""
    seal = SEALS.get(protocol.name, lambda content: content)
    line = bytearray()
    waiting: list[bytes] = []
    place = 0
    while place + 2 <= len(data):
        kind, quarters = data[place] % 3, data[place + 1]
        content = data[place + 2 : place + 2 + 4 * quarters]
        place += 2 + 4 * quarters
        if kind == SAMPLES:
            waiting.append(content)
            continue
        line += b"".join(encoded(protocol, waiting))
        waiting.clear()
        line += seal(content) if kind == SEALED else content
    return bytes(line) + b"".join(encoded(protocol, waiting))


def check(protocol: Protocol, data: bytes) -> None:
    """AssertionError, or whatever the decoder raises, where a rule is broken."""
    first = data[0] if data else 0
    declared = DECLARED[first % len(DECLARED)]
    line = line_of(protocol, data[1:])
    size = 1 + first // len(DECLARED)
    at_once, in_pieces = protocol.decoder(declared), protocol.decoder(declared)
    whole = at_once.feed(line)
    pieces = [
        packet for place in range(0, len(line), size) for packet in in_pieces.feed(line[place : place + size])
    ]
    assert in_pieces.stats == at_once.stats, f"{in_pieces.stats} in pieces, {at_once.stats} at once"
    assert len(pieces) == len(whole), f"{len(pieces)} packets in pieces, {len(whole)} at once"
    for packet, other in zip(whole, pieces, strict=True):
        assert same(packet, other), f"{other} in pieces, {packet} at once"
        check_packet(packet)
    check_held(at_once, line, endless=first == 255 and len(line) > 64)


def same(a: Packet, b: Packet) -> bool:
    fields = ("stream", "start_ns", "rate", "clock", "meta", "mark", "wire_bytes")
    return (
        all(getattr(a, name) == getattr(b, name) for name in fields)
        and a.samples.dtype == b.samples.dtype
        and np.array_equal(a.samples, b.samples)
    )


def check_packet(packet: Packet) -> None:
    assert packet.samples.dtype in (np.int32, np.float64), packet
    assert packet.samples.ndim == 2, packet
    assert packet.samples.shape[0] > 0, packet
    assert packet.samples.shape[1] == len(packet.stream.channels) > 0, packet
    assert np.isfinite(packet.samples).all(), packet
    assert packet.stream.instrument, packet
    assert packet.rate is None or 0 < packet.rate < np.inf, packet
    assert packet.start_ns is None or (
        type(packet.start_ns) is int and -(2**63) <= packet.start_ns < 2**63
    ), packet
    assert packet.wire_bytes > 0, packet


def check_held(decoder: Decoder, line: bytes, *, endless: bool) -> None:
    for _ in range(ENDLESS_BYTES // len(line) if endless else 0):
        decoder.feed(line)
    held = held_bytes(decoder)
    assert held < HELD_BYTES, f"{held} bytes held back"


def held_bytes(decoder: Decoder) -> int:
    """All that the decoder refers to."""
    seen: dict[int, object] = {}
    waiting: list[object] = [decoder]
    while waiting:
        thing = waiting.pop()
        if id(thing) not in seen and not isinstance(thing, type | ModuleType | FunctionType):
            seen[id(thing)] = thing
            waiting += gc.get_referents(thing)
    return sum(map(sys.getsizeof, seen.values()))


if __name__ == "__main__":
    main(sys.argv[1:])
