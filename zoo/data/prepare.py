"""Data folders made into stores of training records: labelled traces, and continuous records."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tqdm import tqdm

from edge.card import InputSpec
from zoo.data.overlaps import is_placed, overlapping
from zoo.data.records import record_of
from zoo.data.seisbench import open_data, read_rows, read_traces
from zoo.data.store import Labelled, RecordStore, stored
from zoo.data.streams import stream_records
from zoo.data.teachers import read_teachers
from zoo.scores.pickfile import CONSENSUS, MANIFEST, PEERS, read_records

SPLIT = "train"
CONTINUOUS = "continuous"
"""The label quality of continuous records."""


def trace_store(folder: Path, teachers: Sequence[Path], spec: InputSpec, cache: Path) -> RecordStore:
    """The train split of a labelled folder, without the traces that overlap one of another split, and with
    the labels of `teachers` (files of picks, none for none) for phases that nobody picked. How many traces
    cannot be told to overlap is said on stderr. Errors as `read_traces` and `read_teachers`."""
    tables = open_data(folder)
    for path in teachers:
        if not path.is_file():  # without it, the store would be that of fewer teachers
            raise FileNotFoundError(f"no picks file at {path}")
    key = {
        "name": folder.resolve().name,
        "split": SPLIT,
        "highpass_hz": spec.highpass_hz,
        "files": _files(path for table in tables for path in (table.path, table.waveforms)),
        "teachers": _files(teachers),
    }

    def prepare() -> Iterator[Labelled]:
        taught = read_teachers(teachers) if teachers else None
        rows, all_rows = read_rows(folder, SPLIT), read_rows(folder)
        others = (row for row in all_rows if row.get("split", SPLIT) != SPLIT)
        names = {row["trace_name"] for row in rows} - overlapping(rows, others)
        unplaced = sum(not is_placed(row) for row in rows)
        if unplaced and len(rows) < len(all_rows):
            print(
                f"{folder}: {unplaced} of {len(rows)} training traces do not say where, when and how long "
                "they are (station_code, trace_start_time, trace_npts, trace_sampling_rate_hz): whether they "
                "show what dev or test show is not known",
                file=sys.stderr,
            )
        traces = read_traces(folder, SPLIT, names)
        quiet = not sys.stderr.isatty()
        for trace in tqdm(traces, f"preparing {key['name']}", len(names), unit=" traces", disable=quiet):
            yield trace.quality, record_of(trace, spec, taught.arrivals(trace) if taught else ())

    return stored(cache, key, spec.rate_hz, prepare)


def stream_store(folder: Path, source: str, from_ns: int, spec: InputSpec, cache: Path) -> RecordStore:
    """The continuous records of one source from `from_ns` (UTC) on. Errors as `stream_records`."""
    records = [path for record, path in read_records(folder).items() if record.source == source]
    key = {
        "name": folder.resolve().name,
        "source": source,
        "from_ns": from_ns,
        "highpass_hz": spec.highpass_hz,
        "files": _files([folder / name for name in (MANIFEST, CONSENSUS, PEERS)] + records),
    }
    return stored(
        cache,
        key,
        spec.rate_hz,
        lambda: ((CONTINUOUS, record) for record in stream_records(folder, source, from_ns, spec)),
    )


def _files(paths: Iterable[Path]) -> list[tuple[str, int, int]]:
    """Name, size and time of change (ns) of each; a file that is missing is left for its reader to tell."""
    return [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in paths if path.is_file()]
