"""INSTANCE, the Italian data set (Michelini et al., 2021, doi:10.5194/essd-13-5509-2021), in SeisBench's
words.

Layout: `metadata_Instance_events*.csv` beside `Instance_events_counts.hdf5` (or `Instance_events_gm.hdf5`).
Group `data` holds one data set per trace, named by `trace_name`, of shape (3, 12000) in order E, N, Z at 100
Hz. First motions are in `trace_polarity`: positive, negative, undecidable.
"""

from pathlib import Path

from zoo.data.splits import split_by
from zoo.data.tables import Layout, Row, Table

COLUMNS = ("trace_name", "source_id", "station_code", "trace_P_arrival_sample", "trace_polarity")
WAVEFORMS = ("Instance_events_counts.hdf5", "Instance_events_gm.hdf5")


def instance_tables(folder: Path) -> tuple[Table, ...]:
    """The table of an INSTANCE folder, none where it is none: of several versions of the metadata the latest,
    and waveforms in counts rather than in units of ground motion."""
    metadata = sorted(folder.glob("metadata_Instance_events*.csv"))
    waveforms = next(
        (folder / name for name in WAVEFORMS if (folder / name).is_file()), folder / WAVEFORMS[0]
    )
    return tuple(Table(path, waveforms, INSTANCE) for path in metadata[-1:])


def translate(row: Row) -> Row:
    """A row with what SeisBench adds: a split by event; all picks are from the analysts' bulletin."""
    return {
        **row,
        "split": row.get("split") or split_by(row["source_id"]),
        "source": "instance",
        "trace_npts": "12000",
        "trace_sampling_rate_hz": "100",
        "trace_category": "earthquake",
        "label_quality": "analyst",
    }


INSTANCE = Layout("INSTANCE", COLUMNS, translate, {"component_order": "ENZ", "dimension_order": "CW"})
