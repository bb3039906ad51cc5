"""`edge-evaluate --continuous`: picks on continuous records, the model's or those of a file."""

import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from edge.cells import PHASES
from edge.model import Network
from edge.pick import Phase, Pick, parse_time
from zoo.runner import PICK_THRESHOLD, archive_picks
from zoo.scores.continuous import Span, clipped
from zoo.scores.pickfile import read_records, read_station_picks


def parse_span(text: str) -> Span:
    """`SOURCE`, or `SOURCE=FROM/UNTIL` in UTC, where one time may be empty. ValueError if it is not so."""
    source, equals, times = text.partition("=")
    from_time, slash, until_time = times.partition("/")
    expected = f"--records {text}: expected SOURCE, or SOURCE=FROM/UNTIL with times in UTC"
    if not source or (equals and not slash):
        raise ValueError(expected)
    try:
        ends = [parse_time(time) if time else None for time in (from_time, until_time)]
    except ValueError as error:
        raise ValueError(f"{expected}, as 2019-07-04T17:33:00Z ({error})") from error
    return Span(source, *ends)


def files_of(folder: Path, spans: Sequence[Span]) -> list[Path]:
    """The files of the sources that the spans want, whole. Raises as `read_records` and `clipped`."""
    records = read_records(folder)
    wanted = {record.source for record in clipped(records, spans)}
    return [path for record, path in records.items() if record.source in wanted]


def record_picks(network: Network, folder: Path, spans: Sequence[Span]) -> list[Pick]:
    """The model's picks on the records that the spans want. Raises as `files_of` and `archive_picks`."""
    low: dict[Phase, float] = dict.fromkeys(PHASES, PICK_THRESHOLD)
    files = tqdm(files_of(folder, spans), "replaying", disable=not sys.stderr.isatty())
    return [pick for file in files for pick in archive_picks(network, [file], low)]


def stored_record_picks(path: Path) -> list[Pick]:
    """The picks on continuous records that a file of JSON lines holds. ValueError for a file of another kind,
    else as `read_station_picks`."""
    if path.suffix != ".jsonl":
        raise ValueError(f"{path.name}: --continuous takes a .tflite or .keras model, or picks in .jsonl")
    return read_station_picks(path)
