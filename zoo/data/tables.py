"""Tables of labelled traces: CSV files, each beside the HDF5 file with its waveforms, read row by row.

Every layout's rows come out in SeisBench's words, so that one reader makes traces of them all.
"""

import csv
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

Row = dict[str, str]


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
        """Row by row, each `trace_name` with the chunk's name before it ("_2020/…"). ValueError for a file
        that lacks a column of the layout."""
        with self.path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            for column in self.layout.columns:
                if column not in (reader.fieldnames or ()):
                    raise ValueError(
                        f"{self.path} has no column {column}; it is not {self.layout.name} metadata"
                    )
            for stored in reader:
                row = self.layout.translate(stored)
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
