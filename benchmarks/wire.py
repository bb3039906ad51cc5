"""Bytes per second on the wire of five ways to send the same samples, all in frames of the bridge protocol.

    python -m benchmarks.wire --data FOLDER

`--data`: a folder of MiniSEED files, each with the three components of one instrument; without it, the
synthetic earthquake. Every way has the same header, CRC, COBS and delimiter around it; what differs is how
the samples of one channel are written. Hellos, time and status frames, 60 bytes a second, are left out.
"""

import argparse
import math
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.bridge_frames import DATA, encode_data, encode_frame
from firmware_bridge.record import Record, read_record
from firmware_bridge.synthetic import synthetic_earthquake

PACKET_SAMPLES = (10, 25)
HEAD = bytes(6)
"""Stands for config, tick and number of samples."""


def raw(samples: NDArray[np.int32], width: int) -> bytes:
    """Every sample in `width` bytes; ValueError where one does not fit."""
    if bytes_needed(samples) > width:
        raise ValueError(f"counts do not fit {width} bytes")
    return framed(octets(column, width) for column in samples.T)


def byte_differences(samples: NDArray[np.int32]) -> bytes:
    """A width in bytes, the first sample, then the differences in the least whole number of bytes."""
    return framed(
        bytes([bytes_needed(differences)]) + first + octets(differences, bytes_needed(differences))
        for first, differences in firsts_and_differences(samples)
    )


def varint_differences(samples: NDArray[np.int32]) -> bytes:
    """The first sample, then each difference as a zigzag LEB128 number: 7 bits a byte."""
    return framed(
        first + b"".join(varint(int(difference)) for difference in differences)
        for first, differences in firsts_and_differences(samples)
    )


WAYS: tuple[tuple[str, Callable[[NDArray[np.int32]], bytes]], ...] = (
    ("raw int32", lambda samples: raw(samples, 4)),
    ("raw int24", lambda samples: raw(samples, 3)),
    ("whole bytes", byte_differences),
    ("varint", varint_differences),
    ("least bits", lambda samples: encode_data(1, 0, 0, samples)),
)


def firsts_and_differences(samples: NDArray[np.int32]) -> list[tuple[bytes, NDArray[np.int32]]]:
    return [(octets(column[:1], 4), np.diff(column)) for column in samples.T]


def framed(channels: Iterable[bytes]) -> bytes:
    return encode_frame(DATA, 1, HEAD + b"".join(channels))


def bytes_needed(values: NDArray[np.int32]) -> int:
    """Least number of bytes, 0 … 4, that holds every value in two's complement; 0 when all are 0."""
    if not values.any():
        return 0
    return math.ceil((int(np.max(values ^ (values >> 31))).bit_length() + 1) / 8)


def octets(values: NDArray[np.int32], width: int) -> bytes:
    wide = np.ascontiguousarray(values, "<i4").view(np.uint8).reshape(-1, 4)
    return wide[:, :width].tobytes()


def varint(value: int) -> bytes:
    zigzag = value << 1 if value >= 0 else ~(value << 1)
    encoded = bytearray()
    while zigzag > 0x7F:
        encoded.append(zigzag & 0x7F | 0x80)
        zigzag >>= 7
    encoded.append(zigzag)
    return bytes(encoded)


def bytes_per_second(record: Record, way: Callable[[NDArray[np.int32]], bytes], size: int) -> float:
    """Mean over the whole packets of a record; NaN where the way cannot carry it."""
    packets = len(record.samples) // size
    try:
        total = sum(len(way(record.samples[k * size : (k + 1) * size])) for k in range(packets))
    except ValueError:
        return math.nan
    return total * record.rate / (packets * size)


def table(records: Sequence[Record], size: int) -> str:
    """Markdown, one line per record."""
    rows = [[bytes_per_second(record, way, size) for _, way in WAYS] for record in records]
    lines = [
        f"Bytes per second, {size} samples a packet",
        "| record | sps | " + " | ".join(name for name, _ in WAYS) + " |",
        "|---|" + "---:|" * (len(WAYS) + 1),
    ]
    for record, row in zip(records, rows, strict=True):
        cells = " | ".join("–" if math.isnan(value) else f"{value:.0f}" for value in row)
        lines.append(f"| {record.instrument} | {record.rate:g} | {cells} |")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the tables; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.wire", description="Bytes per second on the wire"
    )
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="MiniSEED files, one instrument each")
    folder = parser.parse_args(argv).data
    try:
        records = read_records(folder)
    except ValueError as error:
        print(f"wire: {error}", file=sys.stderr)
        return 1
    print("\n\n".join(table(records, size) for size in PACKET_SAMPLES))
    return 0


def read_records(folder: Path | None) -> list[Record]:
    """Every record of a folder, or the synthetic one; ValueError where there is none to read."""
    if folder is None:
        made = synthetic_earthquake()
        return [Record("synthetic", made.samples, made.rate, made.start_ns)]
    paths = sorted(folder.glob("*.mseed"))
    if not paths:
        raise ValueError(f"{folder}: no .mseed files there")
    return [read_record([path]) for path in paths]


if __name__ == "__main__":
    sys.exit(main())
