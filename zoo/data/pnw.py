"""PNW, the curated data set of the Pacific Northwest (Ni et al., 2023, doi:10.26443/seismica.v2i1.368), in
SeisBench's words.

Layout: `comcat_metadata.csv` beside `comcat_waveforms.hdf5`. The waveforms are SeisBench's blocks, of shape
(n, 3, 15001) in order E, N, Z at 100 Hz, and a `trace_name` like `bucket1$0,:3,:15001` says which part of
which. First motions are in `trace_P_polarity`: positive, negative, undecidable.
"""

from pathlib import Path

from zoo.data.splits import split_by
from zoo.data.tables import Layout, Row, Table

COLUMNS = ("trace_name", "event_id", "station_code", "trace_P_arrival_sample", "trace_P_polarity")


def pnw_tables(folder: Path) -> tuple[Table, ...]:
    """The table of a PNW folder, none where it is none."""
    metadata = folder / "comcat_metadata.csv"
    return (Table(metadata, folder / "comcat_waveforms.hdf5", PNW),) if metadata.is_file() else ()


def translate(row: Row) -> Row:
    """A row with what SeisBench calls its event, and a split by event; all picks are analysts'."""
    return {
        **row,
        "split": row.get("split") or split_by(row["event_id"]),
        "source": "pnw",
        "source_id": row["event_id"],
        "trace_npts": row.get("trace_npts") or "15001",
        "trace_category": "earthquake",
        "label_quality": "analyst",
        "trace_sampling_rate_hz": row.get("trace_sampling_rate_hz") or "100",
    }


PNW = Layout("PNW", COLUMNS, translate, {"component_order": "ENZ", "dimension_order": "NCW"})
