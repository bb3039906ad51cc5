"""Replay of MiniSEED files: an index of their records, then one packet a record in time order."""

import mmap
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from pymseed import DataEncoding, MiniSEEDError, MS3Record, get_error_messages, sourceid2nslc

from edge.components import that_go_together
from edge.pick import NS
from edge.resample import check_rate
from edge.twice import RECORD, told_already
from firmware_bridge.packet import Packet, Stream, component_rank

_HEADER = re.compile(rb"MS\x03|[0-9 \0]{6}[DRQM][ \0]")
"""How a MiniSEED 3 or 2 record begins: where reading goes on behind bytes that are no record."""

_HEADER_BYTES = 8

_NAMED = 3
"""Channels of those that are left out for one reason: an archive with states of health has hundreds."""

_OPEN_FILES = 100
"""Are kept open at once: records of many files take turns."""

_INDEX = np.dtype([*RECORD.descr, ("offset", "i8"), ("length", "i4"), ("file", "i4")])


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

    `instruments`: by Stream.instrument, the stream of each with its channels in Z, N, E order. Of more
    than three, those that go together (Z and a horizontal pair) and have the most records.
    `record_count`: how many records `packets` goes through, for a progress bar.
    """

    def __init__(
        self, files: list[_File], streams: list[Stream], index: NDArray[np.void], left_out: Sequence[str]
    ) -> None:
        self._files = files
        self._streams = streams
        self._left_out = list(left_out)
        self.instruments: dict[str, Stream] = {}
        records = np.bincount(index["stream"], minlength=len(streams))
        numbers = defaultdict(list)
        for number, stream in enumerate(streams):
            numbers[stream.instrument].append(number)
        delivered = np.zeros(len(streams), np.bool)
        for instrument, members in numbers.items():
            codes = {streams[number].channels[0]: int(records[number]) for number in members}
            kept = that_go_together(codes)
            delivered[[number for number in members if streams[number].channels[0] in kept]] = True
            if kept:
                channels = tuple(sorted(kept, key=component_rank))
                self.instruments[instrument] = replace(streams[members[0]], channels=channels)
            if rest := codes.keys() - kept:
                named = ", ".join(f"{code} ({_records(codes[code])})" for code in sorted(rest))
                self._left_out.append(
                    f"{instrument}: {named} left out: more channels than Z and one pair of horizontals"
                )
        self._index = index[delivered[index["stream"]]]
        self.record_count = len(self._index)

    @property
    def problems(self) -> list[str]:
        """One line per file that is empty, not MiniSEED or corrupt in part, and what else was left out.

        Records that do not decode come to light, and are added, only while `packets` runs.
        """
        return [line for file in self._files if (line := file.problem())] + self._left_out

    def packets(self) -> Iterator[Packet]:
        """One packet of one channel a record, in order of start time over all files; clock "unknown".

        int32 samples stay int32, floating point becomes float64. OSError if a file has gone meanwhile.
        """
        sources: dict[int, BinaryIO] = {}
        with ExitStack() as stack:
            for row in self._index[np.argsort(self._index["start_ns"], kind="stable")]:
                stream_number, start_ns, _, _, offset, length, file_number = row.tolist()
                file = self._files[file_number]
                if file_number not in sources:
                    if len(sources) == _OPEN_FILES:
                        stack.close()
                        sources.clear()
                    sources[file_number] = stack.enter_context(file.path.open("rb"))
                sources[file_number].seek(offset)
                record = _decode(sources[file_number].read(length))
                if record is None:
                    file.corrupt_records[offset] = length
                    continue
                kind = np.int32 if record.sampletype == "i" else np.float64
                samples = record.np_datasamples.astype(kind)[:, np.newaxis]
                yield Packet(self._streams[stream_number], start_ns, record.samprate, samples, "unknown")


def holds_miniseed(path: Path) -> bool:
    """Whether a file begins as MiniSEED does. OSError if it cannot be read."""
    with path.open("rb") as file:
        return _HEADER.match(file.read(_HEADER_BYTES)) is not None


def open_archive(paths: Sequence[Path]) -> Archive:
    """Index the records of MiniSEED files (version 2 or 3) in any order, of any number of stations.

    Left out: text records, records outside 20…1000 Hz or without a three-letter channel code, and those of a
    time of which a channel has records at another, more usual rate.
    A file given twice is read once. FileNotFoundError for one that is not there, IsADirectoryError for
    a folder.
    """
    files: list[_File] = []
    streams: dict[str, int] = {}
    left_out: defaultdict[str, Counter[str]] = defaultdict(Counter)  # by reason, records by channel
    unfit: dict[tuple[str, float], tuple[str, str] | None] = {}
    parts = [np.empty(0, _INDEX)]
    for path in dict.fromkeys(path.resolve() for path in paths):
        if not path.exists():
            raise FileNotFoundError(f"{path}: no such file")
        if path.is_dir():
            raise IsADirectoryError(f"{path}: a folder, give the files in it")
        file = _File(path, path.stat().st_size)
        rows = []
        for offset, record in _headers(file):
            file.records += 1
            if record.samplecnt == 0 or record.encoding == DataEncoding.TEXT:
                continue
            kind = record.sourceid, record.samprate
            if kind not in unfit:
                unfit[kind] = _unfit(*kind)
            if problem := unfit[kind]:
                name, reason = problem
                left_out[reason][name] += 1
                continue
            number = streams.setdefault(kind[0], len(streams))
            start_ns, rate = record.starttime, record.samprate
            end_ns = start_ns + round(record.samplecnt * NS / rate)
            rows.append((number, start_ns, end_ns, rate, offset, record.reclen, len(files)))
        parts.append(np.array(rows, _INDEX))
        files.append(file)
    named = [_stream(name) for name in streams]
    lines = [
        f"{_some(list(names))}: {reason}; {_records(names.total())} left out"
        for reason, names in left_out.items()
    ]
    index = np.concatenate(parts)
    doubled = told_already(index)
    for number in np.unique(index["stream"][doubled]).tolist():
        stream, own = named[number], doubled & (index["stream"] == number)
        rates = " and ".join(f"{rate:g}" for rate in np.unique(index["rate"][own]))
        lines.append(
            f"{stream.station_id}.{stream.channels[0]}: {_records(int(own.sum()))} at {rates} Hz left out: "
            "there are others of the same time at another rate"
        )
    return Archive(files, named, index[~doubled], lines)


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


def _unfit(sourceid: str, rate: float) -> tuple[str, str] | None:
    """Whose records these are and why they cannot be replayed, None if they can."""
    name = sourceid
    try:
        name = ".".join(sourceid2nslc(name))
        _stream(sourceid)
        check_rate(rate)
    except ValueError as error:
        return name, str(error)
    return None


def _some(names: Sequence[str]) -> str:
    """All of a few names, of many the first ones and how many more there are."""
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _records(n: int) -> str:
    return f"{n} record{'s' * (n > 1)}"


def _stream(sourceid: str) -> Stream:
    network, station, location, channel = sourceid2nslc(sourceid)
    if len(channel) != 3 or "_" in channel:  # "Z" of MiniSEED 2 is Z__ here
        raise ValueError(f"channel {channel} has no three-letter SEED code")
    return Stream(network, station, location, (channel,))
