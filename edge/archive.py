"""Replay of MiniSEED files: an index of their records, then one packet a record in time order."""

import mmap
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pymseed import DataEncoding, MiniSEEDError, MS3Record, get_error_messages, sourceid2nslc

from edge.resample import check_rate
from firmware_bridge.packet import COMPONENT_ORDER, Packet, Stream

_HEADER = re.compile(rb"MS\x03|[0-9 \0]{6}[DRQM][ \0]")
"""How a MiniSEED 3 or 2 record begins: where reading goes on behind bytes that are no record."""

_INDEX = np.dtype([("start_ns", "i8"), ("offset", "i8"), ("length", "i4"), ("file", "i4"), ("stream", "i4")])


@dataclass(slots=True)
class _File:
    """What was found in one file."""

    path: Path
    size: int
    records: int = 0
    corrupt_parts: int = 0  # stretches that hold no record
    corrupt_bytes: int = 0
    corrupt_records: dict[int, int] = field(default_factory=dict)  # length by offset, found when decoding

    def problem(self) -> str | None:
        if self.size == 0:
            return f"{self.path.name}: empty file"
        if self.records == 0:
            return f"{self.path.name}: not MiniSEED"
        parts = self.corrupt_parts + len(self.corrupt_records)
        if parts == 0:
            return None
        lost = self.corrupt_bytes + sum(self.corrupt_records.values())
        return f"{self.path.name}: {parts} corrupt part{'s' * (parts > 1)} skipped ({lost} bytes)"


class Archive:
    """MiniSEED files by their records' headers; the samples are decoded one record at a time.

    `instruments`: by Stream.instrument, the stream of each with all its channels in Z, N, E order.
    `record_count`: how many records `packets` goes through, for a progress bar.
    """

    def __init__(
        self, files: list[_File], streams: list[Stream], index: NDArray[np.void], left_out: Sequence[str]
    ) -> None:
        self._files = files
        self._streams = streams
        self._index = index
        self._left_out = left_out
        self.record_count = len(index)
        codes = defaultdict(list)
        for stream in streams:
            codes[replace(stream, channels=(stream.channels[0][:2],))].append(stream.channels[0])
        self.instruments = {
            key.instrument: replace(key, channels=tuple(sorted(channels, key=_component_rank)))
            for key, channels in codes.items()
        }

    @property
    def problems(self) -> list[str]:
        """One line per file that is empty, not MiniSEED or corrupt in part, or stream that was left out.

        Records that do not decode come to light, and are added, only while `packets` runs.
        """
        return [line for file in self._files if (line := file.problem())] + list(self._left_out)

    def packets(self) -> Iterator[Packet]:
        """One packet of one channel a record, in order of start time over all files; clock "unknown".

        int32 samples stay int32, floating point becomes float64. OSError if a file has gone meanwhile.
        """
        for row in self._index[np.argsort(self._index["start_ns"], kind="stable")]:
            start_ns, offset, length, file_number, stream_number = row.tolist()
            file = self._files[file_number]
            with file.path.open("rb") as source:
                source.seek(offset)
                record = _decode(source.read(length))
            if record is None:
                file.corrupt_records[offset] = length
                continue
            kind = np.int32 if record.sampletype == "i" else np.float64
            samples = record.np_datasamples.astype(kind)[:, np.newaxis]
            yield Packet(self._streams[stream_number], start_ns, record.samprate, samples, "unknown")


def open_archive(paths: Sequence[Path]) -> Archive:
    """Index the records of MiniSEED files (version 2 or 3) in any order, of any number of stations.

    Left out: text records, and streams outside 20…1000 Hz or without a three-letter channel code.
    A file given twice is read once. FileNotFoundError for one that is not there.
    """
    files: list[_File] = []
    streams: dict[str, int] = {}
    left_out: dict[str, str] = {}
    parts = [np.empty(0, _INDEX)]
    for path in dict.fromkeys(path.resolve() for path in paths):
        if not path.exists():
            raise FileNotFoundError(f"{path}: no such file")
        file = _File(path, path.stat().st_size)
        rows = []
        for offset, record in _headers(file):
            file.records += 1
            if record.samplecnt == 0 or record.encoding == DataEncoding.TEXT:
                continue
            name = record.sourceid
            if name not in left_out:
                if reason := _unfit(record):
                    left_out[name] = f"{name}: {reason}"
                    continue
                number = streams.setdefault(name, len(streams))
                rows.append((record.starttime, offset, record.reclen, len(files), number))
        parts.append(np.array(rows, _INDEX))
        files.append(file)
    named = [_stream(name) for name in streams]
    return Archive(files, named, np.concatenate(parts), list(left_out.values()))


def _headers(file: _File) -> Iterator[tuple[int, MS3Record]]:
    """Offset and header of every record; what lies between them is counted."""
    if file.size == 0:
        return
    with file.path.open("rb") as source:
        data = memoryview(mmap.mmap(source.fileno(), 0, access=mmap.ACCESS_READ))
    offset = 0
    resumed = -1
    while offset < len(data):
        try:
            for record in MS3Record.from_buffer(data[offset:]):
                yield offset, record
                offset += record.reclen
        except MiniSEEDError:
            header = _HEADER.search(data, offset + 1)
            following = header.start() if header else len(data)
            file.corrupt_parts += offset != resumed  # what looked like a header was none: still the same part
            file.corrupt_bytes += following - offset
            offset = resumed = following


def _decode(raw: bytes) -> MS3Record | None:
    """A record with its samples, or None where they are damaged."""
    try:
        record = MS3Record.parse(raw, unpack_data=True)
    except MiniSEEDError:
        return None
    # A wrong last sample is only a warning to libmseed; the samples before it are wrong as well.
    return None if any("integrity check" in message for message in get_error_messages()) else record


def _unfit(record: MS3Record) -> str | None:
    """Why a stream cannot be replayed."""
    try:
        check_rate(record.samprate)
        _stream(record.sourceid)
    except ValueError as error:
        return str(error)
    return None


def _stream(sourceid: str) -> Stream:
    network, station, location, channel = sourceid2nslc(sourceid)
    if len(channel) != 3:
        raise ValueError(f"channel {channel} has no three-letter SEED code")
    return Stream(network, station, location, (channel,))


def _component_rank(channel: str) -> tuple[int, str]:
    rank = COMPONENT_ORDER.find(channel[-1])
    return (rank if rank >= 0 else len(COMPONENT_ORDER)), channel
