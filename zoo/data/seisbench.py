"""Reader of SeisBench data sets: `metadata.csv` beside `waveforms.hdf5`.

Layout after Woollam et al. (2022), SeisBench: one row of `metadata.csv` per trace; the samples in group
`data` of `waveforms.hdf5`, either one data set per trace or stacked in blocks, where `trace_name` says
which part: `bucket0$12,:3,:6000` is row 12, 3 components, 6000 samples of the data set `bucket0`.
"""

import csv
import re
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from edge.pick import Polarity

Row = dict[str, str]

_COMPONENT = {"Z": 0, "3": 0, "N": 1, "1": 1, "E": 2, "2": 2}
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
# Sets that tell crustal from head waves (Pg, Pn) give each its own column; a picker is asked for the first.
_ARRIVAL = {
    "P": re.compile(r"trace_(p|P|Pg|Pn|Pb)_arrival_sample"),
    "S": re.compile(r"trace_(s|S|Sg|Sn|Sb)_arrival_sample"),
}


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


def read_traces(
    folder: Path, split: str | None = None, names: Collection[str] | None = None
) -> Iterator[Trace]:
    """The traces of a SeisBench folder in the order of its metadata; `split=None` gives all of them,
    `names` only those.

    Only `trace_name` and a sampling rate (a column, or `data_format/sampling_rate`) are required; other
    columns that are absent get neutral values: `source` is the folder's name, `category` is "earthquake"
    where there is an onset and else "unknown", a component is present if it has a sample that is not zero.
    Files are checked when called, waveforms are read one by one as the result is walked through.

    Raises FileNotFoundError for a missing file, ValueError for a missing column or split or a bad value.
    """
    rows = read_rows(folder, split)
    waveforms = folder / "waveforms.hdf5"
    if not waveforms.is_file():
        raise FileNotFoundError(f"{folder} has no waveforms.hdf5; give a SeisBench data folder")
    chosen = rows if names is None else [row for row in rows if row["trace_name"] in names]
    return _walk(waveforms, chosen, folder.resolve().name)


def read_rows(folder: Path, split: str | None = None) -> list[Row]:
    """Rows of `metadata.csv` that belong to `split` (all for None); raises as `read_traces`."""
    metadata = folder / "metadata.csv"
    if not metadata.is_file():
        raise FileNotFoundError(f"{folder} has no metadata.csv; give a SeisBench data folder")
    with metadata.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        raise ValueError(f"{metadata} has no rows")
    if "trace_name" not in rows[0]:
        raise ValueError(f"{metadata} has no column trace_name; it is not SeisBench metadata")
    if split is None:
        return rows
    if "split" not in rows[0]:
        raise ValueError(f"{metadata} has no column split; leave the split out to use all traces")
    chosen = [row for row in rows if row["split"] == split]
    if not chosen:
        there = ", ".join(
            f"{name or '(empty)'} ({n})" for name, n in Counter(r["split"] for r in rows).items()
        )
        raise ValueError(f"{metadata} has no split {split!r}; it has {there}")
    return chosen


def _walk(waveforms: Path, rows: list[Row], folder: str) -> Iterator[Trace]:
    with h5py.File(waveforms, "r") as file:
        if "data" not in file:
            raise ValueError(f"{waveforms} has no group data; it is not a SeisBench waveform file")
        header = {key: _scalar(item[()]) for key, item in file.get("data_format", {}).items()}
        for row in rows:
            yield _trace(row, file["data"], header, folder)


def _trace(row: Row, data: Any, header: dict[str, Any], folder: str) -> Trace:
    name = row["trace_name"]
    order = row.get("trace_component_order") or header.get("component_order") or "ZNE"
    samples = _in_zne(_block(name, data), order, header.get("dimension_order", "CW"), name)
    marked = row.get("trace_components_present")
    there = marked if marked else "".join(c for c, x in zip("ZNE", samples.T, strict=True) if x.any())
    p, s = _onset(row, "P"), _onset(row, "S")
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
        p_unlabelled=_flag(row, "trace_p_unlabelled"),
        s_unlabelled=_flag(row, "trace_s_unlabelled"),
        polarity=_POLARITY.get((row.get("trace_polarity") or "").lower()),
        category=row.get("trace_category") or ("unknown" if p is None and s is None else "earthquake"),
        quality=row.get("label_quality") or "unknown",
        unit=row.get("trace_unit") or "counts",
    )


def _block(name: str, data: Any) -> NDArray[Any]:
    """Samples of one trace as stored: the data set `name`, or the part of a block `name` speaks of."""
    dataset, _, part = name.partition("$")
    if dataset not in data:
        raise ValueError(f"waveforms.hdf5 has no data set {dataset!r}, which metadata.csv names")
    if not part:
        return np.asarray(data[dataset])
    try:
        row, *ends = part.split(",")
        index = (int(row), *(slice(int(end.removeprefix(":"))) for end in ends))
        return np.asarray(data[dataset][index])
    except (ValueError, IndexError, TypeError) as error:
        raise ValueError(f"trace_name {name!r} does not fit its data set: {error}") from error


def _in_zne(stored: NDArray[Any], order: str, dimensions: str, name: str) -> NDArray[Any]:
    stored = stored.T if dimensions.endswith("WC") else stored
    if stored.ndim != 2 or stored.shape[0] != len(order) or any(c not in _COMPONENT for c in order):
        raise ValueError(f"trace {name!r} of shape {stored.shape} does not fit component order {order!r}")
    samples = np.zeros((stored.shape[1], 3), np.int32 if np.can_cast(stored.dtype, np.int32) else np.float64)
    for component, values in zip(order, stored, strict=True):
        samples[:, _COMPONENT[component]] = values
    return samples


def _rate(row: Row, header: dict[str, Any]) -> float:
    rate = row.get("trace_sampling_rate_hz") or header.get("sampling_rate")
    if not rate or float(rate) <= 0:
        raise ValueError(
            f"trace {row['trace_name']!r} has no trace_sampling_rate_hz above zero in metadata.csv"
        )
    return float(rate)


def _onset(row: Row, phase: str) -> float | None:
    onsets = [float(value) for key, value in row.items() if value and _ARRIVAL[phase].fullmatch(key)]
    return min((onset for onset in onsets if np.isfinite(onset)), default=None)


def _flag(row: Row, column: str) -> bool:
    return (row.get(column) or "").lower() in ("true", "1")


def _scalar(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value
