"""SeisBench folders in both layouts, and what is said about folders that are not."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

h5py = pytest.importorskip("h5py", reason="the host side needs the [host] extra")

from zoo.data.seisbench import read_rows, read_traces

LABELLED = Path(__file__).parents[3] / "shared" / "data" / "labelled"


def write_folder(
    folder: Path,
    rows: list[dict[str, Any]],
    data: dict[str, Any],
    data_format: dict[str, Any] | None = None,
    chunk: str = "",
) -> Path:
    folder.mkdir(exist_ok=True)
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with (folder / f"metadata{chunk}.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    with h5py.File(folder / f"waveforms{chunk}.hdf5", "w") as file:
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
    assert (quake.p_sample, quake.s_sample, quake.s_unlabelled, quake.polarity) == (2.0, None, True, None)
    assert (rest.category, rest.present) == ("unknown", "ZNE")


@given(st.sets(st.sampled_from("ZNE"), min_size=1).flatmap(lambda some: st.permutations(sorted(some))))
def test_any_order_and_number_of_components_finds_its_place(
    tmp_path_factory: pytest.TempPathFactory, order: list[str]
) -> None:
    """As SeisBench writes blocks of traces with fewer components: bucket0$0,:1,:1200."""
    stored = np.array([[10 * "ZNE".index(letter) + k + 1 for k in range(1200)] for letter in order], np.int32)
    row = {
        "trace_name": f"bucket0$0,:{len(order)},:1200",
        "trace_name_original": "XX.ABC.2020-01-01",
        "trace_sampling_rate_hz": 100,
        "trace_component_order": "".join(order),
    }
    folder = write_folder(tmp_path_factory.mktemp("order"), [row], {"bucket0": stored[None]})
    (trace,) = read_traces(folder)
    assert trace.samples.shape == (1200, 3)
    assert trace.present == "".join(letter for letter in "ZNE" if letter in order)
    for place, letter in enumerate("ZNE"):
        expected = 10 * place + 1 if letter in order else 0
        assert trace.samples[0, place] == expected


@pytest.mark.parametrize(
    ("order", "place"),
    [
        ("12Z", "3.1 1.1 2.1"),
        ("Z23", "1.1 2.1 3.1"),
        ("Z12H", "1.1 2.1 3.1"),
        ("HZ", "2.1 0 0"),
        ("21", "0 2.1 1.1"),
        ("enz", "3.1 2.1 1.1"),
    ],
)
def test_other_names_of_components_go_where_the_station_puts_them(
    tmp_path: Path, order: str, place: str
) -> None:
    stored = np.array([[k + 1.1] for k in range(len(order))])
    row = {"trace_name": "t", "trace_sampling_rate_hz": 100, "trace_component_order": order}
    (trace,) = read_traces(write_folder(tmp_path, [row], {"t": stored}))
    np.testing.assert_array_equal(trace.samples, [[float(value) for value in place.split()]])


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ("1,:3,:5", slice(0, 5)),
        ("1, :, 2:7", slice(2, 7)),
        ("1,0:3,:-2", slice(0, 8)),
        ("-1,:,:", slice(0, 10)),
    ],
)
def test_parts_of_blocks_are_written_as_numpy_writes_them(tmp_path: Path, part: str, expected: slice) -> None:
    block = np.arange(60.0).reshape(2, 3, 10)
    row = {"trace_name": f"bucket0${part}", "trace_sampling_rate_hz": 100}
    (trace,) = read_traces(write_folder(tmp_path, [row], {"bucket0": block}))
    np.testing.assert_array_equal(trace.samples, block[1, :, expected].T)


def test_every_trace_has_its_own_rate(tmp_path: Path) -> None:
    rates = (20.0, 50.0, 125.0, 500.0)
    rows: list[dict[str, Any]] = [
        {"trace_name": f"t{rate:g}", "trace_sampling_rate_hz": rate, "trace_dt_s": 0.01} for rate in rates
    ]
    rows += [{"trace_name": "interval", "trace_dt_s": 0.005}, {"trace_name": "common"}]
    data = {row["trace_name"]: np.ones((3, 4)) for row in rows}
    traces = read_traces(write_folder(tmp_path, rows, data, {"sampling_rate": 40}))
    assert [trace.rate for trace in traces] == [*rates, 200.0, 40.0]


@pytest.mark.parametrize("listed", ["", "\n", "_2021\n_2020\n"])
def test_chunks_are_one_data_set_in_which_no_name_comes_twice(tmp_path: Path, listed: str) -> None:
    """Every chunk counts its blocks anew; picks and labels are kept by name."""
    for year in (2020, 2021):
        row = {"trace_name": "bucket0$0,:3,:4", "trace_sampling_rate_hz": 100, "split": "train"}
        write_folder(tmp_path, [row], {"bucket0": np.full((1, 3, 4), year)}, chunk=f"_{year}")
    if listed:
        (tmp_path / "chunks").write_text(listed)
    traces = {trace.name: trace.samples[0, 0] for trace in read_traces(tmp_path, "train")}
    assert traces == {"_2020/bucket0$0,:3,:4": 2020, "_2021/bucket0$0,:3,:4": 2021}
    assert [t.samples[0, 0] for t in read_traces(tmp_path, names={"_2021/bucket0$0,:3,:4"})] == [2021]
    assert len(read_rows(tmp_path)) == 2
    assert {row["trace_name"] for row in read_rows(tmp_path)} == set(traces)


def test_only_the_chunks_that_are_listed(tmp_path: Path) -> None:
    row = {"trace_name": "t", "trace_sampling_rate_hz": 100}
    for chunk in ("_a", "_b"):
        write_folder(tmp_path, [row], {"t": np.ones((3, 4))}, chunk=chunk)
    (tmp_path / "chunks").write_text("_b\n")
    assert [trace.name for trace in read_traces(tmp_path)] == ["_b/t"]
    (tmp_path / "chunks").write_text("_b\n_c\n")
    with pytest.raises(FileNotFoundError, match=r"no metadata_c\.csv, which its file chunks lists"):
        read_traces(tmp_path)
    (tmp_path / "chunks").unlink()
    (tmp_path / "waveforms_a.hdf5").unlink()
    with pytest.raises(FileNotFoundError, match=r"no waveforms_a\.hdf5"):
        read_traces(tmp_path)


@pytest.mark.parametrize(
    ("columns", "quality"),
    [
        ({"trace_p_arrival_sample": 1, "trace_p_status": "manual"}, "analyst"),
        ({"trace_Pg_arrival_sample": 1, "trace_Pg_status": "automatic"}, "automatic"),
        (
            {
                "trace_P_arrival_sample": 1,
                "trace_P_status": "manual",
                "trace_S_arrival_sample": 2,
                "trace_S_status": "automatic",
            },
            "automatic",
        ),
        ({"trace_p_arrival_sample": 1}, "unknown"),
        ({"trace_p_arrival_sample": "", "trace_p_status": "manual"}, "unknown"),
        ({"trace_category": "noise"}, "noise"),
        (
            {"trace_p_arrival_sample": 1, "trace_p_status": "manual", "label_quality": "correlation"},
            "correlation",
        ),
    ],
)
def test_who_picked_is_known_from_the_status_columns(
    tmp_path: Path, columns: dict[str, Any], quality: str
) -> None:
    row = {"trace_name": "t", "trace_sampling_rate_hz": 100, **columns}
    (trace,) = read_traces(write_folder(tmp_path, [row], {"t": np.ones((3, 4))}))
    assert trace.quality == quality


def test_waveforms_are_read_one_by_one(tmp_path: Path) -> None:
    """So that a set larger than memory can be walked through; here the second trace cannot be read."""
    rows = [{"trace_name": name, "trace_sampling_rate_hz": 100} for name in ("there", "gone")]
    traces = read_traces(write_folder(tmp_path, rows, {"there": np.ones((3, 4))}))
    assert next(traces).name == "there"
    with pytest.raises(ValueError, match=r"waveforms\.hdf5 has no data set 'gone'"):
        next(traces)


def test_of_several_named_arrivals_the_first_counts(tmp_path: Path) -> None:
    row = {
        "trace_name": "t",
        "trace_sampling_rate_hz": 100,
        "trace_Pg_arrival_sample": 30,
        "trace_Pn_arrival_sample": 20,
        "trace_PmP_arrival_sample": 10,
        "trace_Sg_arrival_sample": 80,
        "trace_S1_arrival_sample": 70,
    }
    (trace,) = read_traces(write_folder(tmp_path, [row], {"t": np.ones((3, 99))}))
    assert (trace.p_sample, trace.s_sample) == (20.0, 70.0)


@pytest.mark.parametrize("name", ["p", "P", "P1", "Pg", "Pn"])
def test_an_arrival_of_any_name_has_its_own_first_motion(tmp_path: Path, name: str) -> None:
    row = {
        "trace_name": "t",
        "trace_sampling_rate_hz": 100,
        f"trace_{name}_arrival_sample": 20,
        f"trace_{name}_polarity": "negative",
        "trace_Pb_arrival_sample": 30,
        "trace_Pb_polarity": "positive",
    }
    (trace,) = read_traces(write_folder(tmp_path, [row], {"t": np.ones((3, 99))}))
    assert (trace.p_sample, trace.polarity) == (20.0, "down")


def test_a_data_format_whose_values_are_arrays_of_one_is_read(tmp_path: Path) -> None:
    described = {"sampling_rate": np.array([50.0]), "component_order": np.array([b"ENZ"])}
    (trace,) = read_traces(
        write_folder(tmp_path, [{"trace_name": "t"}], {"t": [[1.0], [2.0], [3.0]]}, described)
    )
    assert trace.rate == 50.0
    np.testing.assert_array_equal(trace.samples, [[3.0, 2.0, 1.0]])


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
    bare = write_folder(tmp_path / "bare", [{"trace_name": "t", "trace_sampling_rate_hz": 100}], {})
    with pytest.raises(
        ValueError, match=r"no column split: add one \(train, dev, test\), or leave --split out"
    ):
        read_traces(bare, "train")
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
        (
            {"trace_name": "t", "trace_sampling_rate_hz": 100, "trace_component_order": "ZZE"},
            "does not fit component order 'ZZE'",
        ),
        ({"trace_name": "t", "trace_sampling_rate_hz": "nan"}, "no trace_sampling_rate_hz above zero"),
        ({"trace_name": "t", "trace_sampling_rate_hz": "inf"}, "no trace_sampling_rate_hz above zero"),
        (
            {"trace_name": "t", "trace_sampling_rate_hz": "fast"},
            "trace 't': trace_sampling_rate_hz is 'fast', no number",
        ),
        (
            {"trace_name": "t", "trace_sampling_rate_hz": 100, "trace_P_arrival_sample": "soon"},
            "trace 't': trace_P_arrival_sample is 'soon', no number",
        ),
    ],
)
def test_what_does_not_fit_is_named(tmp_path: Path, row: dict[str, Any], said: str) -> None:
    folder = write_folder(tmp_path, [row], {"t": np.ones((3, 4))})
    with pytest.raises(ValueError, match=said):
        list(read_traces(folder))


def test_samples_first_where_components_should_be_are_told_with_the_order_that_was_read(
    tmp_path: Path,
) -> None:
    row = {"trace_name": "t", "trace_sampling_rate_hz": 100}
    folder = write_folder(tmp_path, [row], {"t": np.ones((3, 4))}, {"dimension_order": "WC"})
    said = r"shape \(3, 4\) does not fit component order 'ZNE' in dimension order WC"
    with pytest.raises(ValueError, match=said):
        list(read_traces(folder))


@pytest.mark.parametrize("stored", [np.full((3, 4), b"a"), np.ones((3, 4), complex)])
def test_samples_that_are_no_real_numbers_are_named(tmp_path: Path, stored: Any) -> None:
    row = {"trace_name": "t", "trace_sampling_rate_hz": 100}
    folder = write_folder(tmp_path, [row], {"t": stored})
    with pytest.raises(ValueError, match=r"trace 't' has samples of type .*, no real numbers"):
        list(read_traces(folder))


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_waveforms_that_are_not_all_there_are_named(tmp_path: Path, share: float) -> None:
    row = {"trace_name": "t", "trace_sampling_rate_hz": 100}
    folder = write_folder(tmp_path, [row], {"t": np.ones((3, 4000))})
    path = folder / "waveforms.hdf5"
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ValueError, match=r"waveforms\.hdf5 cannot be read as HDF5, is it whole"):
        list(read_traces(folder))


def test_waveforms_of_another_form_are_named(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, [{"trace_name": "t", "trace_sampling_rate_hz": 100}], {})
    with h5py.File(folder / "waveforms.hdf5", "w") as file:
        file["data"] = np.ones((3, 4))
    with pytest.raises(ValueError, match=r"waveforms\.hdf5 has no group data"):
        list(read_traces(folder))


def test_a_table_in_another_code_is_named(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, [{"trace_name": "t", "trace_sampling_rate_hz": 100}], {})
    (folder / "metadata.csv").write_bytes("trace_name,place\nt,Zürich\n".encode("latin1"))
    with pytest.raises(ValueError, match=r"metadata\.csv is not UTF-8"):
        read_traces(folder)


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


def test_what_an_ordinary_set_has_no_pick_of_counts_as_unpicked_and_of_noise_does_not(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"trace_name": "p", "trace_p_arrival_sample": 2, "trace_s_arrival_sample": "", "trace_category": ""},
        {"trace_name": "none", "trace_category": "earthquake"},
        {"trace_name": "noise", "trace_category": "noise"},
    ]
    data = {str(row["trace_name"]): np.ones((3, 8)) for row in rows}
    folder = write_folder(tmp_path / "plain", rows, data, {"sampling_rate": 100.0})
    flags = {trace.name: (trace.p_unlabelled, trace.s_unlabelled) for trace in read_traces(folder)}
    assert flags == {"p": (False, True), "none": (True, True), "noise": (False, False)}


def test_a_trace_that_is_silent_throughout_has_its_components(tmp_path: Path) -> None:
    folder = write_folder(
        tmp_path / "plain", [{"trace_name": "a"}], {"a": np.zeros((3, 8))}, {"sampling_rate": 100.0}
    )
    (trace,) = read_traces(folder)
    assert trace.present == "ZNE"
