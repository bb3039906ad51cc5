"""Reader of labelled traces in SeisBench's layout, `metadata.csv` beside `waveforms.hdf5`, or in one of a
data set's own.

Layout after Woollam et al. (2022), SeisBench: one row of `metadata.csv` per trace; the samples in group
`data` of `waveforms.hdf5`, either one data set per trace or stacked in blocks, where `trace_name` says
which part: `bucket0$12,:3,:6000` is row 12, 3 components, 6000 samples of the data set `bucket0`. A data set
in chunks has `metadata_2020.csv` beside `waveforms_2020.hdf5` and so on, and may list the names ("_2020")
in a file `chunks`. What STEAD, INSTANCE, PNW and Hi-net have of their own is in `zoo.data.stead`, `instance`,
`pnw` and `hinet`.
"""

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from edge.components import component_slots
from edge.pick import Phase, Polarity
from zoo.data.hdf5 import reading
from zoo.data.hinet import hinet_tables
from zoo.data.instance import instance_tables
from zoo.data.pnw import pnw_tables
from zoo.data.stead import stead_tables
from zoo.data.tables import Layout, Row, Rows, Table, number

SEISBENCH = Layout("SeisBench", ("trace_name",), dict, {})

_POLARITY: dict[str, Polarity] = {
    "positive": "up",
    "up": "up",
    "u": "up",
    "negative": "down",
    "down": "down",
    "d": "down",
    "undecidable": "unknown",
    "unknown": "unknown",
}
# Sets that tell crustal from head waves (Pg, Pn), or leave it open (P1), give each its own columns; a picker
# is asked for the first.
_NAMES: dict[Phase, tuple[str, ...]] = {
    "P": ("p", "P", "P1", "Pg", "Pn", "Pb"),
    "S": ("s", "S", "S1", "Sg", "Sn", "Sb"),
}
ONSET_COLUMNS = "onsets are read from columns such as trace_P_arrival_sample and trace_S_arrival_sample"
"""For who finds none."""
_STATUS = {"manual": "analyst", "automatic": "automatic"}


@dataclass(frozen=True, slots=True)
class Trace:
    """One labelled record of one station.

    `rate`: samples per second. `samples`: (npts, 3), int32 or float64, in Z, N, E order, in `unit`; a
    component the station does not have is zero and its letter absent from `present` ("ZNE", "Z", "NE").
    `p_sample`, `s_sample`: onset in samples from the trace start at the trace's own rate (fractions are
    allowed), None without a label. `p_unlabelled`, `s_unlabelled`: the phase may well be there but nobody
    picked it, so it teaches and scores nothing. `polarity`: first motion of P, None if nobody looked.
    `category`: "earthquake", "noise", …; `quality`: who labelled it ("analyst", "correlation", …).
    """

    name: str
    source: str
    event: str
    station: str
    rate: float
    samples: NDArray[np.int32] | NDArray[np.float64]
    present: str
    p_sample: float | None
    s_sample: float | None
    p_unlabelled: bool
    s_unlabelled: bool
    polarity: Polarity | None
    category: str
    quality: str
    unit: str


def open_data(folder: Path) -> tuple[Table, ...]:
    """The tables of a data folder, recognised by what lies in it: `metadata_Instance_events*.csv` is
    INSTANCE's, any other `metadata*.csv` SeisBench's, `merge.csv` or `chunk*.csv` STEAD's,
    `comcat_metadata.csv` PNW's, `hinet*.csv` Hi-net's. FileNotFoundError where there is none of them, or a
    listed one is missing.
    """
    if own := instance_tables(folder) or pnw_tables(folder) or hinet_tables(folder):
        return own
    listed = folder / "chunks"
    chunks = listed.read_text(encoding="utf-8").split() if listed.is_file() else []
    if not chunks:
        single = (folder / "metadata.csv").is_file()
        found = sorted(path.stem.removeprefix("metadata") for path in folder.glob("metadata*.csv"))
        chunks = [""] if single else found
    tables = tuple(
        Table(folder / f"metadata{chunk}.csv", folder / f"waveforms{chunk}.hdf5", SEISBENCH, chunk)
        for chunk in chunks
    )
    for table in tables:
        if not table.path.is_file():
            raise FileNotFoundError(f"{folder} has no {table.path.name}, which its file chunks lists")
    tables = tables or stead_tables(folder)
    if not tables:
        raise FileNotFoundError(
            f"{folder} has no metadata.csv (SeisBench), merge.csv or chunk*.csv (STEAD), comcat_metadata.csv "
            "(PNW), metadata_Instance_events.csv or hinet.csv; give a data folder"
        )
    return tables


def read_traces(
    folder: Path, split: str | None = None, names: Collection[str] | None = None
) -> Iterator[Trace]:
    """The traces of a data folder, in any layout that `open_data` knows, in the order of its metadata;
    `split=None` gives all of them, `names` only those. A phase that an earthquake has no pick of counts as
    unlabelled, unless a column `trace_p_unlabelled` or `trace_s_unlabelled` says otherwise.

    Of SeisBench only `trace_name` and a sampling rate (a column, or `data_format/sampling_rate`) are
    required; other columns that are absent get neutral values: `source` is the folder's name, `category` is
    "earthquake" where there is an onset and else "unknown", `quality` follows from the picks' status
    columns, a component is present if it has a sample that is not zero. A name from a chunk has the chunk's
    before it ("_2020/bucket0$12,:3,:6000"), for every chunk counts its blocks anew.
    Files are checked when called; rows and waveforms are read one by one as the result is walked through.

    Raises FileNotFoundError for a missing file, ValueError for a missing column or split or a bad value.
    """
    rows = read_rows(folder, split)
    for table in rows.tables:
        if not table.waveforms.is_file():
            raise FileNotFoundError(f"{folder} has no {table.waveforms.name}, the waveforms of its metadata")
    return _walk(rows, names, folder.resolve().name)


def read_rows(folder: Path, split: str | None = None) -> Rows:
    """Rows in SeisBench's words that belong to `split` (all for None); raises as `read_traces`."""
    tables = open_data(folder)
    metadata = tables[0].path if len(tables) == 1 else folder
    splits = Counter(row.get("split") for table in tables for row in table.rows())
    if not splits:
        raise ValueError(f"{metadata} has no rows")
    if split is None:
        return Rows(tables, None, splits.total())
    if None in splits:
        raise ValueError(
            f"{metadata} has no column split: add one (train, dev, test), or leave --split out to score all"
        )
    if split not in splits:
        there = ", ".join(f"{name or '(empty)'} ({count})" for name, count in splits.items())
        raise ValueError(f"{metadata} has no split {split!r}; it has {there}")
    return Rows(tables, split, splits[split])


def _walk(rows: Rows, names: Collection[str] | None, folder: str) -> Iterator[Trace]:
    for table in rows.tables:
        with reading(table.waveforms):
            opened = h5py.File(table.waveforms, "r")
        with opened as file:
            with reading(table.waveforms):
                data = file.get("data")
                stored = {key: _scalar(item[()]) for key, item in file.get("data_format", {}).items()}
            if not isinstance(data, h5py.Group):
                raise ValueError(f"{table.waveforms} has no group data; it is not a file of waveforms")
            for row in rows.of(table):
                if names is None or row["trace_name"] in names:
                    with reading(table.waveforms):
                        samples = _block(table.stored_name(row), data)
                    yield _trace(row, samples, {**table.layout.data_format, **stored}, folder)


def _trace(row: Row, stored: NDArray[Any], header: dict[str, Any], folder: str) -> Trace:
    name = row["trace_name"]
    order = row.get("trace_component_order") or header.get("component_order") or "ZNE"
    samples = _in_zne(stored, order.upper(), header.get("dimension_order", "CW"), name)
    marked = row.get("trace_components_present")
    alive = "".join(c for c, x in zip("ZNE", samples.T, strict=True) if x.any())
    # Of a trace that is silent throughout all components count: none at all would be no trace.
    there = marked or alive or "ZNE"
    p, s = _onset(row, "P"), _onset(row, "S")
    category = row.get("trace_category") or ("unknown" if p is None and s is None else "earthquake")
    return Trace(
        name=name,
        source=row.get("source") or folder,
        event=row.get("source_id") or "",
        station=f"{row.get('station_network_code') or ''}.{row.get('station_code') or ''}",
        rate=_rate(row, header),
        samples=samples,
        present=there.replace("-", ""),
        p_sample=p,
        s_sample=s,
        p_unlabelled=_unlabelled(row, "p", p, category),
        s_unlabelled=_unlabelled(row, "s", s, category),
        polarity=_polarity(row),
        category=category,
        quality=row.get("label_quality") or _quality(row, category),
        unit=row.get("trace_unit") or "counts",
    )


def _block(name: str, data: Any) -> NDArray[Any]:
    """Samples of one trace as stored: the data set `name`, or the part of a block `name` speaks of, written
    as numpy writes slices."""
    dataset, _, part = name.partition("$")
    if dataset not in data:
        raise ValueError(
            f"{Path(data.file.filename).name} has no data set {dataset!r}, which its metadata name"
        )
    if not part:
        return np.asarray(data[dataset])
    try:
        return np.asarray(data[dataset][tuple(_index(text) for text in part.split(","))])
    except (ValueError, IndexError, TypeError) as error:
        raise ValueError(f"trace_name {name!r} does not fit its data set: {error}") from error


def _index(text: str) -> int | slice:
    ends = [int(end) if end.strip() else None for end in text.split(":")]
    return slice(*ends) if len(ends) > 1 else int(text)


def _in_zne(stored: NDArray[Any], order: str, dimensions: str, name: str) -> NDArray[Any]:
    """Shape (npts, 3): each letter of `order` where the station would put it, zeros where there is none. Of
    several components a hydrophone (H) is left out."""
    misfit = (
        f"trace {name!r} of shape {stored.shape} does not fit component order {order!r} "
        f"in dimension order {dimensions}"
    )
    stored = stored.T if dimensions.endswith("WC") else stored
    if stored.dtype.kind not in "iuf":
        raise ValueError(f"trace {name!r} has samples of type {stored.dtype}, no real numbers")
    if stored.ndim != 2 or stored.shape[0] != len(order):
        raise ValueError(misfit)
    try:
        slots = component_slots([letter for letter in order if letter != "H" or len(order) == 1])
    except ValueError as error:
        raise ValueError(f"{misfit}: {error}") from error
    samples = np.zeros((stored.shape[1], 3), np.int32 if np.can_cast(stored.dtype, np.int32) else np.float64)
    for slot, letter in enumerate(slots):
        if letter:
            samples[:, slot] = stored[order.index(letter)]
    return samples


def _rate(row: Row, header: dict[str, Any]) -> float:
    rate, interval = number(row, "trace_sampling_rate_hz"), number(row, "trace_dt_s")
    if not rate and interval and interval > 0:
        return 1 / interval
    rate = float(rate or header.get("sampling_rate") or 0)
    if not 0 < rate < inf:
        raise ValueError(
            f"trace {row['trace_name']!r} has no trace_sampling_rate_hz above zero in its metadata"
        )
    return rate


def has_onset(row: Row) -> bool:
    """Whether a row of a table has an onset of P or S."""
    return bool(_onsets(row, "P") or _onsets(row, "S"))


def _onset(row: Row, phase: Phase) -> float | None:
    return min(_onsets(row, phase), default=(None, ""))[0]


def _onsets(row: Row, phase: Phase) -> list[tuple[float, str]]:
    """All that a row has of a phase: sample, and which of its names it has."""
    samples = [(number(row, f"trace_{name}_arrival_sample"), name) for name in _NAMES[phase]]
    return [(sample, name) for sample, name in samples if sample is not None and np.isfinite(sample)]


def _polarity(row: Row) -> Polarity | None:
    """Of the trace, or of the arrival that its P is."""
    name = min(_onsets(row, "P"), default=(0.0, "P"))[1]
    told = row.get("trace_polarity") or row.get(f"trace_{name}_polarity") or ""
    return _POLARITY.get(told.lower())


def _quality(row: Row, category: str) -> str:
    """Who labelled a trace, as far as its status columns tell; one pick by a machine makes it automatic."""
    if category == "noise":
        return "noise"
    names = [name for names in _NAMES.values() for name in names if row.get(f"trace_{name}_arrival_sample")]
    made = {_STATUS.get((row.get(f"trace_{name}_status") or "").lower(), "unknown") for name in names}
    return next((quality for quality in ("automatic", "unknown", "analyst") if quality in made), "unknown")


def _unlabelled(row: Row, letter: str, onset: float | None, category: str) -> bool:
    """Whether a phase is there but unpicked: as the row says, else wherever an earthquake lacks a pick."""
    column = f"trace_{letter}_unlabelled"
    if row.get(column):
        return _flag(row, column)
    return onset is None and category == "earthquake"


def _flag(row: Row, column: str) -> bool:
    return (row.get(column) or "").lower() in ("true", "1")


def _scalar(value: Any) -> Any:
    """What is stored alone, or alone in an array."""
    value = value.item() if np.size(value) == 1 and isinstance(value, np.ndarray) else value
    return value.decode() if isinstance(value, bytes) else value
