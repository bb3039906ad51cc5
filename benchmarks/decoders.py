"""How fast the decoders are, and what they cost a station while its digitizer runs.

    python -m benchmarks.decoders [--out decoders.json] [--plot decoders.png]

For every protocol: a minute of three channels at 250 samples per second (or the nearest rate it has), fed
packet by packet as it would arrive, and noise, as from a wrong baud rate, fed in pieces of 4 KiB.
`core_percent` is what of one core the decoding takes in real time; less than 1 is the aim. `peak_bytes` is
the most memory that decoder and packets in hand took at a time. The last row is a plain state machine for
AnyShake v3 that takes one byte at a time, for comparison: what it costs to do without `find`, `struct` and
numpy (it does less: no plausibility, and a damaged packet may take good ones with it). Times are CPU time
of this process alone, the best of several runs.
"""

import argparse
import json
import sys
import time
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.bench.machine import describe
from firmware_bridge.anyshake import INTERVALS_MS, RATES
from firmware_bridge.packet import Packet, Stream, channel_codes
from firmware_bridge.protocols import PROTOCOLS, Protocol
from firmware_bridge.stats import DecoderStats
from firmware_bridge.synthetic import synthetic_earthquake
from firmware_bridge.wire import NO_IDENTITY, Declared, Decoder

NS = 1_000_000_000
START_NS = 1_700_000_000 * NS
SECONDS = 60
RATES_BY_PREFERENCE = (250.0, 200.0, 125.0, 100.0)
NOISE_BYTES = 1 << 18
PIECE = 4096
AIM_PERCENT = 1.0


@dataclass(frozen=True, slots=True)
class Row:
    """One decoder. `rate`: samples per second and channel; `packets_per_s` counts what `feed` returned;
    `noise_mb_per_s`: how fast bytes that hold no packet are searched."""

    decoder: str
    rate: float
    wire_bytes_per_s: float
    mb_per_s: float
    packets_per_s: float
    core_percent: float
    noise_mb_per_s: float
    peak_bytes: int


class StateMachine:
    """AnyShake v3, one byte at a time: header, length, body, checksum, trailer."""

    def __init__(self) -> None:
        self.stats = DecoderStats()
        self._state = 0
        self._body = bytearray()
        self._missing = 0
        self._checksum = 0

    def feed(self, data: bytes) -> list[Packet]:
        packets = []
        for byte in data:
            if self._state == 0:
                self._state = 1 if byte == 0x01 else 0
            elif self._state == 1:
                self._state = 2 if byte == 0xFE else 0
                self._body, self._missing, self._checksum = bytearray(), 16, 0
            elif self._state in (2, 3):
                self._body.append(byte)
                self._checksum ^= byte
                self._missing -= 1
                if self._missing == 0 and self._state == 2:
                    word = int.from_bytes(self._body[8:12], "little")
                    interval_ms, rate = INTERVALS_MS[word >> 30], RATES[word >> 27 & 7]
                    self._missing = 12 * (interval_ms * rate // 1000)  # three channels of int32
                    self._rate = float(rate)
                    self._state = 3
                elif self._missing == 0:
                    self._state = 4
            elif self._state == 4:
                self._state = 5 if byte == self._checksum else 0
            elif self._state == 5:
                self._state = 6 if byte == 0xEF else 0
            else:
                if byte == 0x10:
                    packets.append(self._packet())
                self._state = 0
        return packets

    def _packet(self) -> Packet:
        n = (len(self._body) - 16) // 12
        samples = np.empty((n, 3), np.int32)
        for column, block in enumerate((0, 2, 1)):  # Z, E, N on the wire
            for k in range(n):
                place = 16 + 4 * (block * n + k)
                samples[k, column] = int.from_bytes(self._body[place : place + 4], "little", signed=True)
        self.stats.good_packets += 1
        return Packet(
            stream=Stream(*NO_IDENTITY, channel_codes(self._rate, "H", "ZNE")),
            start_ns=int.from_bytes(self._body[:8], "little") * 1_000_000,
            rate=self._rate,
            samples=samples,
            clock="gnss",
            wire_bytes=len(self._body) + 5,
        )


def nearest_rate(protocol: Protocol) -> float:
    """The first of `RATES_BY_PREFERENCE` that the protocol has."""
    for rate in RATES_BY_PREFERENCE:
        try:
            protocol.encoder(rate)
        except ValueError:
            continue
        return rate
    raise ValueError(f"{protocol.name}: has none of {RATES_BY_PREFERENCE} Hz")


def wires_of(protocol: Protocol, rate: float) -> list[bytes]:
    """A synthetic earthquake of `SECONDS`, packet by packet."""
    encoder = protocol.encoder(rate)
    n = encoder.samples_per_packet
    total = round(SECONDS * rate) // n * n
    ground: NDArray[np.int32] = synthetic_earthquake().samples
    samples = np.resize(ground, (total, 3))
    return [
        encoder.encode(START_NS + round(first * NS / rate), samples[first : first + n])
        for first in range(0, total, n)
    ]


def seconds_to_decode(make: Callable[[], Decoder], pieces: Sequence[bytes]) -> tuple[float, int]:
    """CPU seconds, and how many packets came."""
    decoder = make()
    began = time.process_time()
    packets = sum(len(decoder.feed(piece)) for piece in pieces)
    return time.process_time() - began, packets


def peak_bytes(make: Callable[[], Decoder], pieces: Sequence[bytes]) -> int:
    tracemalloc.start()
    decoder = make()
    for piece in pieces:
        decoder.feed(piece)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


def measure(name: str, rate: float, make: Callable[[], Decoder], wires: Sequence[bytes], repeats: int) -> Row:
    noise = np.random.default_rng(0).bytes(NOISE_BYTES)
    pieces = [noise[place : place + PIECE] for place in range(0, len(noise), PIECE)]
    seconds, packets = min(seconds_to_decode(make, wires) for _ in range(repeats))
    noise_seconds = min(seconds_to_decode(make, pieces)[0] for _ in range(repeats))
    size = sum(map(len, wires))
    return Row(
        decoder=name,
        rate=rate,
        wire_bytes_per_s=size / SECONDS,
        mb_per_s=size / seconds / 1e6,
        packets_per_s=packets / seconds,
        core_percent=100 * seconds / SECONDS,
        noise_mb_per_s=NOISE_BYTES / noise_seconds / 1e6,
        peak_bytes=peak_bytes(make, wires),
    )


def measure_all(repeats: int) -> list[Row]:
    rows = []
    for protocol in PROTOCOLS:
        rate = nearest_rate(protocol)
        wires = wires_of(protocol, rate)
        rows.append(measure(protocol.name, rate, partial(protocol.decoder, Declared()), wires, repeats))
        if protocol.name == "anyshake3":
            by_byte = measure("anyshake3, byte by byte", rate, StateMachine, wires, repeats)
    return [*rows, by_byte]


def table(rows: Sequence[Row]) -> str:
    lines = ["| decoder | Hz | wire B/s | MB/s | packets/s | % of a core | noise MB/s | peak kB |"]
    lines.append("|---|---|---|---|---|---|---|---|")
    lines += [
        f"| {row.decoder} | {row.rate:g} | {row.wire_bytes_per_s:,.0f} | {row.mb_per_s:.2f} "
        f"| {row.packets_per_s:,.0f} | {row.core_percent:.3f} | {row.noise_mb_per_s:.2f} "
        f"| {row.peak_bytes / 1000:.0f} |"
        for row in rows
    ]
    return "\n".join(lines)


def plot(rows: Sequence[Row], title: str, path: Path) -> None:
    """What of one core each decoder takes, as bars on a logarithmic scale, with the aim as a line."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 1 + 0.4 * len(rows)), layout="constrained")
    axes = figure.subplots()
    names = [f"{row.decoder} ({row.rate:g} Hz)" for row in rows]
    colours = ["0.6" if row.decoder.endswith("byte by byte") else "tab:blue" for row in rows]
    bars = axes.barh(names, [row.core_percent for row in rows], color=colours)
    axes.bar_label(bars, [f"{row.core_percent:.2g} %" for row in rows], padding=3)
    axes.axvline(AIM_PERCENT, color="tab:red", linewidth=1)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.margins(x=0.2)
    axes.set_xlabel("% of one core to decode three channels in real time (aim: below the red line)")
    axes.set_title(title, fontsize="small")
    figure.savefig(path, dpi=150)


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit status: 0, or 1 after one line on stderr that says what is wrong."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.decoders", description="Speed and memory of every decoder."
    )
    parser.add_argument("--repeats", type=int, default=5, help="runs of which the best counts")
    parser.add_argument("--out", type=Path, help="figures to write, .json")
    parser.add_argument("--plot", type=Path, help="bars to draw, .png (needs matplotlib)")
    args = parser.parse_args(argv)
    rows = measure_all(args.repeats)
    here = describe()
    where = {"cpu": here.cpu, "python": here.python, "numpy": here.packages["numpy"]}
    title = f"{where['cpu']}, Python {where['python']}, numpy {where['numpy']}"
    print(f"{title}\n\n{table(rows)}")
    try:
        if args.out:
            figures = {"machine": where, "rows": [asdict(row) for row in rows]}
            args.out.write_text(json.dumps(figures, indent=2) + "\n")
        if args.plot:
            plot(rows, title, args.plot)
    except (OSError, ImportError) as error:
        print(f"decoders: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
