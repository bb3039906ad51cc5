"""First motions of Hi-net's catalogue (NIED, doi:10.17598/NIED.0003), in SeisBench's words.

Hi-net gives out continuous records and a catalogue, not a data set; this is the form that polarity networks
are trained from: `hinet*.csv`, each beside its `.hdf5`. Group `data` holds one data set per trace, named by
`trace_name`, of shape (npts, 3) in order E, N, Z at 100 Hz. The first motion is in `p_status`, the
catalogue's letter: P is up, k is unknown, any other is down; an empty one says that nobody looked.
"""

from pathlib import Path

from zoo.data.splits import split_by
from zoo.data.tables import Layout, Row, Table

COLUMNS = ("trace_name", "p_arrival_sample", "p_status")


def hinet_tables(folder: Path) -> tuple[Table, ...]:
    """The tables of a Hi-net folder, none where it is none."""
    return tuple(Table(path, path.with_suffix(".hdf5"), HINET) for path in sorted(folder.glob("hinet*.csv")))


def translate(row: Row) -> Row:
    """A row as SeisBench would name its columns. The split is by event where the row has one (`source_id`),
    by trace otherwise."""
    event = row.get("source_id") or ""
    return {
        "trace_name": row["trace_name"],
        "split": split_by(event or row["trace_name"]),
        "source": "hinet",
        "source_id": event,
        "station_network_code": row.get("network_code") or "",
        "station_code": row.get("receiver_code") or "",
        "trace_sampling_rate_hz": "100",
        "trace_p_arrival_sample": row["p_arrival_sample"],
        "trace_polarity": polarity(row["p_status"].strip()),
        "trace_category": "earthquake",
        "label_quality": "analyst",
    }


def polarity(letter: str) -> str:
    """The catalogue's letter in SeisBench's words."""
    if letter in ("", "nan"):
        return ""
    return {"P": "positive", "k": "undecidable"}.get(letter, "negative")


HINET = Layout("Hi-net", COLUMNS, translate, {"component_order": "ENZ", "dimension_order": "WC"})
