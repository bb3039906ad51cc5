"""SeisBench folders in both layouts, and what is said about folders that are not."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

h5py = pytest.importorskip("h5py", reason="the host side needs the [host] extra")

from zoo.data.seisbench import read_traces

LABELLED = Path(__file__).parents[3] / "shared" / "data" / "labelled"


def write_folder(
    folder: Path, rows: list[dict[str, Any]], data: dict[str, Any], data_format: dict[str, Any] | None = None
) -> Path:
    folder.mkdir(exist_ok=True)
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with (folder / "metadata.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    with h5py.File(folder / "waveforms.hdf5", "w") as file:
        for name, values in data.items():
            file[f"data/{name}"] = values
        for name, value in (data_format or {}).items():
            file[f"data_format/{name}"] = value
    return folder


def test_one_data_set_per_trace_with_everything_known(tmp_path: Path) -> None:
    waveform = np.array([[1, 2, 3, 4], [0, 0, 0, 0], [-1, -2, -3, -4]], np.int32)
    row = {
        "trace_name": "a.0",
        "split": "dev",
        "source": "valley",
        "source_id": "ev1",
        "station_network_code": "XX",
        "station_code": "ABC",
        "trace_sampling_rate_hz": 50.0,
        "trace_component_order": "ZNE",
        "trace_components_present": "Z-E",
        "trace_p_arrival_sample": 1.5,
        "trace_s_arrival_sample": "",
        "trace_p_unlabelled": False,
        "trace_s_unlabelled": True,
        "trace_polarity": "negative",
        "trace_category": "earthquake",
        "label_quality": "analyst",
        "trace_unit": "counts",
    }
    (trace,) = read_traces(write_folder(tmp_path, [row], {"a.0": waveform}), "dev")
    np.testing.assert_array_equal(trace.samples, waveform.T)
    assert trace.samples.dtype == np.int32
    assert (trace.name, trace.source, trace.event, trace.station) == ("a.0", "valley", "ev1", "XX.ABC")
    assert (trace.rate, trace.present, trace.p_sample, trace.s_sample) == (50.0, "ZE", 1.5, None)
    assert (trace.p_unlabelled, trace.s_unlabelled) == (False, True)
    assert (trace.polarity, trace.quality, trace.unit) == ("down", "analyst", "counts")


def test_plain_set_in_blocks_with_the_fewest_columns(tmp_path: Path) -> None:
    block = np.zeros((2, 3, 8))
    block[1, :, :5] = np.arange(15).reshape(3, 5)
    block[1, 2] = 0
    rows: list[dict[str, Any]] = [
        {"trace_name": "bucket0$1,:3,:5", "trace_p_arrival_sample": 2},
        {"trace_name": "bucket0$0,:3,:8", "trace_p_arrival_sample": ""},
    ]
    folder = write_folder(
        tmp_path / "plain",
        rows,
        {"bucket0": block},
        {"component_order": "ENZ", "dimension_order": "NCW", "sampling_rate": 100.0},
    )
    quake, rest = read_traces(folder)
    assert quake.samples.shape == (5, 3)
    np.testing.assert_array_equal(quake.samples, block[1, ::-1, :5].T)  # stored E, N, Z
    assert (quake.rate, quake.present, quake.source, quake.category) == (100.0, "NE", "plain", "earthquake")
    assert (quake.p_sample, quake.s_sample, quake.s_unlabelled, quake.polarity) == (2.0, None, False, None)
    assert (rest.category, rest.present) == ("unknown", "")


def test_components_called_1_and_2_stand_for_north_and_east(tmp_path: Path) -> None:
    row = {"trace_name": "t", "trace_sampling_rate_hz": 100, "trace_component_order": "12Z"}
    (trace,) = read_traces(write_folder(tmp_path, [row], {"t": np.array([[1.0], [2.0], [3.0]])}))
    np.testing.assert_array_equal(trace.samples, [[3.0, 1.0, 2.0]])


def test_of_several_named_arrivals_the_first_counts(tmp_path: Path) -> None:
    row = {
        "trace_name": "t",
        "trace_sampling_rate_hz": 100,
        "trace_Pg_arrival_sample": 30,
        "trace_Pn_arrival_sample": 20,
        "trace_PmP_arrival_sample": 10,
        "trace_Sg_arrival_sample": 70,
    }
    (trace,) = read_traces(write_folder(tmp_path, [row], {"t": np.ones((3, 99))}))
    assert (trace.p_sample, trace.s_sample) == (20.0, 70.0)


def test_only_the_split_and_names_asked_for(tmp_path: Path) -> None:
    rows = [{"trace_name": f"t{k}", "trace_sampling_rate_hz": 100, "split": "ab"[k % 2]} for k in range(6)]
    folder = write_folder(tmp_path, rows, {f"t{k}": np.ones((3, 4)) for k in range(6)})
    assert [trace.name for trace in read_traces(folder)] == [f"t{k}" for k in range(6)]
    assert [trace.name for trace in read_traces(folder, "b")] == ["t1", "t3", "t5"]
    assert [trace.name for trace in read_traces(folder, "b", {"t5", "t0"})] == ["t5"]


def test_missing_files_and_splits_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no metadata\.csv"):
        read_traces(tmp_path)
    row = {"trace_name": "t", "trace_sampling_rate_hz": 100, "split": "train"}
    folder = write_folder(tmp_path, [row], {"t": np.ones((3, 4))})
    with pytest.raises(ValueError, match=r"no split 'dev'; it has train \(1\)"):
        read_traces(folder, "dev")
    (folder / "waveforms.hdf5").unlink()
    with pytest.raises(FileNotFoundError, match=r"no waveforms\.hdf5"):
        read_traces(folder)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"name": "t"}, "no column trace_name"),
        ({"trace_name": "t"}, "no trace_sampling_rate_hz above zero"),
        ({"trace_name": "gone", "trace_sampling_rate_hz": 100}, "no data set 'gone'"),
        ({"trace_name": "t$7,:3,:4", "trace_sampling_rate_hz": 100}, "does not fit its data set"),
        (
            {"trace_name": "t", "trace_sampling_rate_hz": 100, "trace_component_order": "ZN"},
            "does not fit component order 'ZN'",
        ),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, row: dict[str, Any], said: str) -> None:
    folder = write_folder(tmp_path, [row], {"t": np.ones((3, 4))})
    with pytest.raises(ValueError, match=said):
        list(read_traces(folder))


@pytest.mark.skipif(not LABELLED.is_dir(), reason="needs the labelled traces of ../shared/data")
def test_the_labelled_set_reads_as_its_description_says() -> None:
    traces = list(read_traces(LABELLED))
    assert len(traces) == 619
    assert sum(trace.source == "eqcorrscan_dfdp" for trace in traces) == 229
    assert {trace.rate for trace in traces} == {50.0, 100.0, 200.0, 250.0, 500.0}
    assert all((trace.s_sample is None) == trace.s_unlabelled for trace in traces)
    for trace in traces:
        absent = [k for k, letter in enumerate("ZNE") if letter not in trace.present]
        assert trace.present
        assert not trace.samples[:, absent].any()
        assert trace.p_sample is None or 0 <= trace.p_sample < len(trace.samples)
