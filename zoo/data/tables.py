"""Tables of labelled traces: CSV files, each beside the HDF5 file with its waveforms, read row by row.

Every layout's rows come out in SeisBench's words, so that one reader makes traces of them all.
"""

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

Row = dict[str, str]
Parsed = TypeVar("Parsed")


def read_csv(
    path: Path, columns: Sequence[str], kind: str, parse: Callable[[Row], Parsed]
) -> Iterator[Parsed]:
    """Row by row what `parse` makes of a CSV in UTF-8, with a byte order mark or without. ValueError, which
    names the file, for one that lacks one of `columns` (it is not `kind` then), and, with the line, for what
    is no CSV, lacks a value of these columns, or is a ValueError to `parse`."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        try:
            lacks = [column for column in columns if column not in (reader.fieldnames or ())]
            for row in () if lacks else reader:
                cut = [column for column in columns if row[column] is None]
                if cut:
                    raise ValueError(f"it ends before the column {cut[0]}")
                yield parse(row)
        except UnicodeDecodeError as error:
            raise ValueError(f"{path} is not UTF-8: {error}") from error
        except (csv.Error, ValueError) as error:
            raise ValueError(f"{path}, line {reader.reader.line_num}: {error}") from error
    if lacks:
        raise ValueError(f"{path} has no column {lacks[0]}; it is not {kind}")


def number(row: Row, column: str) -> float | None:
    """What a column says, None where it says nothing. ValueError that names trace and column where that is no
    number."""
    text = row.get(column)
    try:
        return float(text) if text else None
    except ValueError as error:
        raise ValueError(f"trace {row['trace_name']!r}: {column} is {text!r}, no number") from error


@dataclass(frozen=True, slots=True)
class Layout:
    """A way to store labelled traces. `columns`: those its tables must have; `translate`: one row in
    SeisBench's words; `data_format`: what holds of waveforms whose file does not say (SeisBench's keys)."""

    name: str
    columns: tuple[str, ...]
    translate: Callable[[Row], Row]
    data_format: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Table:
    """One table of a data set and its waveforms. `chunk`: which part of a data set, where the parts may use
    the same trace names; else empty."""

    path: Path
    waveforms: Path
    layout: Layout
    chunk: str = ""

    def rows(self) -> Iterator[Row]:
        """Row by row, each `trace_name` with the chunk's name before it ("_2020/…"). ValueError as
        `read_csv`."""
        layout = self.layout
        for row in read_csv(self.path, layout.columns, f"{layout.name} metadata", layout.translate):
            yield row | {"trace_name": self._prefix + row["trace_name"]}

    def stored_name(self, row: Row) -> str:
        """What the waveforms call a trace."""
        return row["trace_name"].removeprefix(self._prefix)

    @property
    def _prefix(self) -> str:
        return f"{self.chunk}/" if self.chunk else ""


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a split, `count` of them, `split=None` for all. Walking through them reads the tables anew:
    the million rows of a large data set are never in memory together."""

    tables: tuple[Table, ...]
    split: str | None
    count: int

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Row]:
        return (row for table in self.tables for row in self.of(table))

    def of(self, table: Table) -> Iterator[Row]:
        """Those of one table."""
        return (row for row in table.rows() if self.split is None or row["split"] == self.split)
