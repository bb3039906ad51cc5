"""STEAD, the Stanford Earthquake Dataset (Mousavi et al., 2019, doi:10.1109/ACCESS.2019.2947848), in
SeisBench's words.

Layout: `merge.csv` beside `merge.hdf5`, or the chunks as they are offered, `chunk1.csv` beside
`chunk1.hdf5` and so on. Group `data` of the HDF5 file holds one data set per trace, named by `trace_name`,
of shape (6000, 3) in order E, N, Z at 100 Hz, in counts.
"""

from pathlib import Path

from zoo.data.splits import split_by
from zoo.data.tables import Layout, Row, Table

LEAST_WEIGHT = 0.25
"""An analyst's pick to which its own bulletin gives less weight (0..1) is trusted like a machine's."""

NPTS, RATE_HZ = "6000", "100"
CATEGORIES = {"earthquake_local": "earthquake", "noise": "noise"}
COLUMNS = (
    "trace_name",
    "trace_category",
    "trace_start_time",
    "network_code",
    "receiver_code",
    "source_id",
    "p_arrival_sample",
    "s_arrival_sample",
)


def stead_tables(folder: Path) -> tuple[Table, ...]:
    """The tables of a STEAD folder, none where it is none. The chunks beside the merged file repeat it."""
    merged = [path for path in (folder / "merge.csv", folder / "merged.csv") if path.is_file()]
    tables = merged[:1] or sorted(folder.glob("chunk*.csv"))
    return tuple(Table(path, path.with_suffix(".hdf5"), STEAD) for path in tables)


def split_of(row: Row) -> str:
    """Which split a row of STEAD belongs to: all traces of an event go together, and so does all noise of a
    station and day."""
    event = event_of(row)
    return split_by(event or f"{row['network_code']}.{row['receiver_code']} {row['trace_start_time'][:10]}")


def event_of(row: Row) -> str:
    """The source's id, empty for noise. A table that pandas has rewritten may hold whole numbers as "7.0"."""
    return "" if row["trace_category"] == "noise" else _given(row, "source_id").removesuffix(".0")


def quality_of(row: Row) -> str:
    """ "noise"; "analyst" where every pick is manual and of some weight; "automatic" where a machine made one
    of them (`p_status`, `s_status` automatic or autopicker); "unknown" of an earthquake without picks."""
    if row["trace_category"] == "noise":
        return "noise"
    phases = [phase for phase in "ps" if _given(row, f"{phase}_arrival_sample")]
    if not phases:
        return "unknown"
    by_analyst = (
        _given(row, f"{phase}_status") == "manual"
        and float(_given(row, f"{phase}_weight") or 1.0) >= LEAST_WEIGHT
        for phase in phases
    )
    return "analyst" if all(by_analyst) else "automatic"


def translate(row: Row) -> Row:
    """A row of STEAD as SeisBench would name its columns, with split and label quality. An onset that an
    earthquake lacks is there but unpicked."""
    category = row["trace_category"]
    quake = category != "noise"
    p, s = (_given(row, column) if quake else "" for column in ("p_arrival_sample", "s_arrival_sample"))
    return {
        "trace_name": row["trace_name"],
        "split": split_of(row),
        "source": "stead",
        "source_id": event_of(row),
        "station_network_code": row["network_code"],
        "station_code": row["receiver_code"],
        "trace_start_time": row["trace_start_time"],
        "trace_npts": NPTS,
        "trace_sampling_rate_hz": RATE_HZ,
        "path_ep_distance_km": _given(row, "source_distance_km"),
        "trace_p_arrival_sample": p,
        "trace_s_arrival_sample": s,
        "trace_p_unlabelled": str(quake and not p),
        "trace_s_unlabelled": str(quake and not s),
        "trace_category": CATEGORIES.get(category, category),
        "label_quality": quality_of(row),
        "trace_unit": "counts",
    }


def _given(row: Row, column: str) -> str:
    """What a column says, empty where it says nothing in any of the ways tables have for that."""
    value = (row.get(column) or "").strip()
    return "" if value.lower() in ("nan", "none", "null") else value


STEAD = Layout(
    "STEAD",
    COLUMNS,
    translate,
    {"component_order": "ENZ", "dimension_order": "WC"},
)
