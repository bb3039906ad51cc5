"""STEAD's own layout gives the same traces as SeisBench's, and splits that share no event."""

import csv
import random
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

h5py = pytest.importorskip("h5py", reason="the host side needs the [host] extra")

from zoo.data.seisbench import read_rows, read_traces
from zoo.data.stead import COLUMNS, split_of

FURTHER = ("p_status", "p_weight", "s_status", "s_weight", "receiver_type", "source_distance_km", "snr_db")


def quake(name: str = "ABC.XX_20060723155859_EV", **changes: Any) -> dict[str, Any]:
    row = {
        "trace_name": name,
        "trace_category": "earthquake_local",
        "trace_start_time": "2006-07-23 15:58:59.990000",
        "network_code": "XX",
        "receiver_code": "ABC",
        "receiver_type": "BH",
        "source_id": "nc3031",
        "source_distance_km": 31.2,
        "snr_db": "[56.79999924 55.40000153 47.40000153]",
        "p_arrival_sample": 700.0,
        "p_status": "manual",
        "p_weight": 0.5,
        "s_arrival_sample": 1094.0,
        "s_status": "manual",
        "s_weight": 0.5,
    }
    return row | changes


def noise(name: str = "ABC.XX_201510210555_NO", **changes: Any) -> dict[str, Any]:
    gone = dict.fromkeys((*FURTHER, "source_id", "p_arrival_sample", "s_arrival_sample"), "")
    start = {"trace_category": "noise", "trace_start_time": "2015-10-21 05:55:00"}
    return quake(name) | gone | start | changes


def write_table(folder: Path, rows: list[dict[str, Any]], stem: str = "merge") -> None:
    with (folder / f"{stem}.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, (*COLUMNS, *FURTHER))
        writer.writeheader()
        writer.writerows(rows)


def write_folder(folder: Path, rows: list[dict[str, Any]], stem: str = "merge", short: int = 100) -> Path:
    """Waveforms of `short` samples: E is 1, 2, 3, …, N a hundred times and Z ten thousand times that."""
    write_table(folder, rows, stem)
    ramp = np.arange(1, short + 1, dtype=np.float32)[:, None]
    with h5py.File(folder / f"{stem}.hdf5", "w") as file:
        for row in rows:
            file[f"data/{row['trace_name']}"] = ramp * np.array([1, 100, 10_000], np.float32)
    return folder


def test_an_earthquake_with_everything(tmp_path: Path) -> None:
    (trace,) = read_traces(write_folder(tmp_path, [quake()], short=6000))
    assert trace.samples.shape == (6000, 3)
    np.testing.assert_array_equal(trace.samples[1], [20_000, 200, 2])  # stored E, N, Z
    assert (trace.rate, trace.p_sample, trace.s_sample, trace.present) == (100.0, 700.0, 1094.0, "ZNE")
    assert (trace.name, trace.source, trace.event) == ("ABC.XX_20060723155859_EV", "stead", "nc3031")
    assert (trace.station, trace.category, trace.quality) == ("XX.ABC", "earthquake", "analyst")
    assert (trace.p_unlabelled, trace.s_unlabelled, trace.unit) == (False, False, "counts")
    assert [row["path_ep_distance_km"] for row in read_rows(tmp_path)] == ["31.2"]


def test_noise_has_no_onsets_and_none_that_somebody_forgot(tmp_path: Path) -> None:
    (trace,) = read_traces(write_folder(tmp_path, [noise()]))
    assert (trace.category, trace.quality, trace.event) == ("noise", "noise", "")
    assert (trace.p_sample, trace.s_sample) == (None, None)
    assert (trace.p_unlabelled, trace.s_unlabelled) == (False, False)


@pytest.mark.parametrize("nothing", ["", "nan", "None"])
def test_an_earthquakes_missing_onset_is_unpicked_not_absent(tmp_path: Path, nothing: str) -> None:
    (trace,) = read_traces(
        write_folder(tmp_path, [quake(s_arrival_sample=nothing, s_status="", s_weight="")])
    )
    assert (trace.p_sample, trace.s_sample) == (700.0, None)
    assert (trace.p_unlabelled, trace.s_unlabelled) == (False, True)
    assert trace.quality == "analyst"


@pytest.mark.parametrize(
    ("changes", "quality"),
    [
        ({}, "analyst"),
        ({"p_weight": "", "s_weight": "nan"}, "analyst"),
        ({"s_status": "autopicker"}, "automatic"),
        ({"p_status": "automatic"}, "automatic"),
        ({"p_weight": 0.1}, "automatic"),
        ({"p_arrival_sample": "", "p_status": "automatic"}, "analyst"),
        ({"p_arrival_sample": "", "s_arrival_sample": ""}, "unknown"),
    ],
)
def test_statuses_and_weights_say_who_picked(tmp_path: Path, changes: dict[str, Any], quality: str) -> None:
    (trace,) = read_traces(write_folder(tmp_path, [quake(**changes)]))
    assert trace.quality == quality


def test_chunks_as_they_are_offered_and_the_merged_file_instead(tmp_path: Path) -> None:
    for k in (2, 1):
        write_folder(tmp_path, [quake(f"t{k}")], f"chunk{k}")
    assert [trace.name for trace in read_traces(tmp_path)] == ["t1", "t2"]
    write_folder(tmp_path, [quake("t1"), quake("t2"), quake("t3")])
    assert [trace.name for trace in read_traces(tmp_path, names={"t2", "t3"})] == ["t2", "t3"]
    assert len(read_rows(tmp_path)) == 3


def many() -> list[dict[str, Any]]:
    """2,000 events at one to three stations each, and noise of 40 stations on 25 days, twice a day."""
    quakes = [
        quake(f"e{event}.{k}", source_id=f"us{event}", receiver_code=f"S{event + k}")
        for event in range(2000)
        for k in range(1 + event % 3)
    ]
    noises = [
        noise(
            f"n{k}.{day}.{hour}", receiver_code=f"S{k}", trace_start_time=f"2015-10-{day:02d} {hour:02d}:00"
        )
        for k in range(40)
        for day in range(1, 26)
        for hour in (3, 15)
    ]
    return quakes + noises


def test_an_event_or_a_stations_day_of_noise_is_in_one_split(tmp_path: Path) -> None:
    write_table(tmp_path, many())
    splits = defaultdict(set)
    for row in read_rows(tmp_path):
        key = row["source_id"] or row["trace_name"].rpartition(".")[0]
        splits[key].add(row["split"])
    assert len(splits) == 3000
    assert all(len(of_one) == 1 for of_one in splits.values())
    shares = Counter(split for of_one in splits.values() for split in of_one)
    assert shares["train"] / 3000 == pytest.approx(0.8, abs=0.03)
    assert shares["dev"] / 3000 == pytest.approx(0.1, abs=0.02)
    assert shares["test"] / 3000 == pytest.approx(0.1, abs=0.02)


def test_the_split_depends_neither_on_other_rows_nor_on_their_order(tmp_path: Path) -> None:
    rows = many()
    write_table(tmp_path, rows)
    before = {row["trace_name"]: row["split"] for row in read_rows(tmp_path)}
    random.Random(1).shuffle(rows)
    write_table(tmp_path, rows[:500])
    after = {row["trace_name"]: row["split"] for row in read_rows(tmp_path)}
    assert after == {name: before[name] for name in after}
    assert len(after) == 500


@pytest.mark.parametrize(
    ("row", "split"),
    [
        (quake(source_id="us0"), "dev"),
        (quake(source_id="us1"), "train"),
        (quake(source_id="us21"), "test"),
        (noise(), "train"),
    ],
)
def test_the_split_is_the_same_on_every_machine_and_in_every_version(row: dict[str, Any], split: str) -> None:
    """Scores of today and of next year are of the same events."""
    assert split_of(row) == split


def test_an_id_that_pandas_made_a_fraction_is_the_same_event() -> None:
    for k in range(50):
        assert split_of(quake(source_id=f"{k}")) == split_of(quake(source_id=f"{k}.0"))


def test_one_split_is_read_and_its_rows_counted(tmp_path: Path) -> None:
    rows = [quake(f"t{k}", source_id=f"us{k}") for k in range(60)]
    folder = write_folder(tmp_path, rows)
    of_split = {split: [t.name for t in read_traces(folder, split)] for split in ("train", "dev", "test")}
    assert {split: len(read_rows(folder, split)) for split in of_split} == {
        split: len(names) for split, names in of_split.items()
    }
    assert sorted(name for names in of_split.values() for name in names) == sorted(
        row["trace_name"] for row in rows
    )
    with pytest.raises(ValueError, match=r"no split 'sealed'; it has dev \(10\), train \(47\), test \(3\)"):
        read_traces(folder, "sealed")


def test_traces_are_read_one_by_one(tmp_path: Path) -> None:
    """A million traces of 72 kB do not fit in memory; here the second has no waveform."""
    write_folder(tmp_path, [quake("there")])
    write_table(tmp_path, [quake("there"), quake("gone")])
    traces = read_traces(tmp_path)
    assert next(traces).name == "there"
    with pytest.raises(ValueError, match=r"merge\.hdf5 has no data set 'gone'"):
        next(traces)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"merge\.csv or chunk\*\.csv \(STEAD\)"):
        read_traces(tmp_path)
    write_table(tmp_path, [quake()])
    with pytest.raises(FileNotFoundError, match=r"no merge\.hdf5"):
        read_traces(tmp_path)
    (tmp_path / "merge.csv").write_text("trace_name,trace_category\na,noise\n")
    with pytest.raises(ValueError, match=r"merge\.csv has no column trace_start_time; it is not STEAD"):
        read_rows(tmp_path)


def test_a_seisbench_copy_of_stead_is_read_as_seisbench(tmp_path: Path) -> None:
    write_folder(tmp_path, [quake()])
    (tmp_path / "metadata.csv").write_text("trace_name,trace_sampling_rate_hz\nt,50\n")
    with h5py.File(tmp_path / "waveforms.hdf5", "w") as file:
        file["data/t"] = np.ones((3, 4))
    assert [trace.name for trace in read_traces(tmp_path)] == ["t"]
