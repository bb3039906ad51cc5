"""Readers of first motions, each on files written exactly in its data set's layout."""

import csv

import numpy as np
import pytest

h5py = pytest.importorskip("h5py", reason="the host side needs the [host] extra")

from edge.polarity import PolarityInput
from zoo.data.first_motions import REACH, READERS, quiet_pieces, read_teacher
from zoo.data.seisbench import read_traces

SPEC = PolarityInput(100.0, 160, 96, 1.0, {"name": "max-abs"})


def _table(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _motion(npts, onset, sign):
    """A vertical (npts,) that leaps one way at its onset."""
    samples = np.random.default_rng(onset).standard_normal(npts)
    samples[onset : onset + 10] += sign * 1000 * np.sin(np.pi * np.arange(1, 11) / 11)
    return np.round(samples)


@pytest.fixture
def instance(tmp_path):
    rows = []
    with h5py.File(tmp_path / "Instance_events_counts.hdf5", "w") as file:
        for k, (word, sign) in enumerate((("positive", 1), ("negative", -1), ("undecidable", 1))):
            name = f"IV.ACER..HN.{k}"
            enz = np.zeros((3, 12000), np.int32)
            enz[2] = _motion(12000, 2500 + k, sign)
            file[f"data/{name}"] = enz
            rows.append(
                {
                    "trace_name": name, "source_id": 7 + k, "station_code": "ACER",
                    "trace_start_time": f"2014-01-0{k + 1}T00:00:00.000000Z", "trace_dt_s": 0.01,
                    "trace_P_arrival_sample": 2500 + k, "trace_S_arrival_sample": "",
                    "trace_polarity": word,
                }
            )  # fmt: skip
    _table(tmp_path / "metadata_Instance_events_v2.csv", rows)
    return tmp_path


@pytest.fixture
def pnw(tmp_path):
    rows = []
    with h5py.File(tmp_path / "comcat_waveforms.hdf5", "w") as file:
        bucket = np.zeros((3, 3, 15001))
        for k, (word, sign) in enumerate((("positive", 1), ("negative", -1), ("undecidable", 1))):
            bucket[k, 2] = _motion(15001, 5000 + k, sign)
            rows.append(
                {
                    "event_id": f"uw{k}", "station_code": "GNW", "trace_channel": "BH",
                    "trace_name": f"bucket1${k},:3,:15001", "trace_sampling_rate_hz": 100,
                    "trace_start_time": f"2002-10-0{k + 1}T01:55:59.530000Z", "trace_S_arrival_sample": "",
                    "trace_P_arrival_sample": 5000 + k, "trace_P_polarity": word,
                }
            )  # fmt: skip
        file["data/bucket1"] = bucket
    _table(tmp_path / "comcat_metadata.csv", rows)
    return tmp_path


@pytest.fixture
def hinet(tmp_path):
    rows = []
    with h5py.File(tmp_path / "hinet2010.hdf5", "w") as file:
        for k, (letter, sign) in enumerate((("P", 1), ("N", -1), ("k", 1))):
            enz = np.zeros((6000, 3))
            enz[:, 2] = _motion(6000, 1000 + k, sign)
            file[f"data/N.AAKH.{k}"] = enz
            rows.append({"trace_name": f"N.AAKH.{k}", "p_arrival_sample": 1000 + k, "p_status": letter})
    _table(tmp_path / "hinet2010.csv", rows)
    return tmp_path


@pytest.fixture
def seisbench(tmp_path):
    rows = []
    with h5py.File(tmp_path / "waveforms.hdf5", "w") as file:
        for k, (word, sign) in enumerate((("U", 1), ("D", -1), ("undecidable", 1))):
            zne = np.zeros((3, 3000))
            zne[0] = _motion(3000, 1000 + k, sign)
            file[f"data/a{k}"] = zne
            rows.append(
                {
                    "trace_name": f"a{k}", "trace_sampling_rate_hz": 100, "trace_component_order": "ZNE",
                    "trace_P_arrival_sample": 1000 + k, "trace_P_status": "manual", "trace_polarity": word,
                    "source_id": f"e{k}",
                }
            )  # fmt: skip
    _table(tmp_path / "metadata.csv", rows)
    return tmp_path


@pytest.fixture
def scsn(tmp_path):
    waves = np.stack([_motion(600, 300, sign) for sign in (1, -1, 1)]).astype(np.float32)
    with h5py.File(tmp_path / "scsn_p_2000_2017_6sec_0.5r_fm_train.hdf5", "w") as file:
        file["X"], file["Y"] = waves, np.array([0, 1, 2], np.int32)
    return tmp_path


@pytest.fixture
def npz(tmp_path):
    waves = np.stack([_motion(1000, 500 + k, sign) for k, sign in enumerate((1, -1, 1))])
    np.savez(
        tmp_path / "own.npz",
        vertical=waves,
        onset=[500, 501, 502],
        polarity=[1, -1, 0],
        event=["a", "a", "b"],
        split=["train", "train", "dev"],
    )
    return tmp_path


FOLDERS = {
    "ins": "instance",
    "pnw": "pnw",
    "hinet": "hinet",
    "seisbench": "seisbench",
    "scsn": "scsn",
    "npz": "npz",
}


@pytest.mark.parametrize("dataset", FOLDERS)
def test_up_down_and_missing_are_read_from_the_vertical_at_the_onset(dataset, request):
    folder = request.getfixturevalue(FOLDERS[dataset])

    up, down, missing = READERS[dataset](folder, SPEC)

    assert up.up == pytest.approx(1 - down.up)
    assert up.up > 0.9
    assert missing.up is None
    for example, sign in ((up, 1), (down, -1)):
        leap = example.vertical.astype(float)
        assert np.argmax(np.abs(leap) > 0.2) in range(REACH, REACH + 6)
        assert np.sign(leap[REACH + 4]) == sign
        assert example.quality in ("analyst", "unknown")


def test_who_looked_and_could_not_tell_is_no_class_but_known(instance):
    assert [example.told for example in READERS["ins"](instance, SPEC)] == [False, False, True]


def test_a_split_given_by_the_data_is_kept_and_events_stay_together(npz):
    assert [example.split for example in READERS["npz"](npz, SPEC)] == ["train", "train", "dev"]


def test_scsn_test_files_are_test(scsn):
    (scsn / "scsn_p_2000_2017_6sec_0.5r_fm_train.hdf5").rename(
        scsn / "scsn_p_2000_2017_6sec_0.5r_fm_test.hdf5"
    )

    assert {example.split for example in READERS["scsn"](scsn, SPEC)} == {"test"}


def test_instance_is_read_for_pickers_too(instance):
    traces = list(read_traces(instance))

    assert [trace.p_sample for trace in traces] == [2500, 2501, 2502]
    assert [trace.polarity for trace in traces] == ["up", "down", "unknown"]
    assert all(trace.quality == "analyst" and trace.s_unlabelled for trace in traces)


def test_a_training_trace_that_shares_seconds_with_another_split_is_left_out(pnw):
    metadata, splits = pnw / "comcat_metadata.csv", ("train", "dev", "train")
    with metadata.open(newline="") as file:
        rows = [row | {"split": split} for row, split in zip(csv.DictReader(file), splits, strict=True)]
    rows[1]["trace_start_time"] = rows[0]["trace_start_time"].replace(":59.", ":00.")
    _table(metadata, rows)

    assert [example.event for example in READERS["pnw"](pnw, SPEC)] == ["uw1", "uw2"]


def test_a_layout_that_was_not_asked_for_is_named(pnw):
    with pytest.raises(ValueError, match="layout of PNW, not of INSTANCE"):
        list(READERS["ins"](pnw, SPEC))


@pytest.mark.parametrize("dataset", FOLDERS)
def test_an_empty_folder_is_refused(dataset, tmp_path):
    with pytest.raises(FileNotFoundError):
        list(READERS[dataset](tmp_path, SPEC))


def test_a_file_of_another_form_is_refused(tmp_path):
    with h5py.File(tmp_path / "scsn_fm.hdf5", "w") as file:
        file["X"] = np.zeros((2, 400))
    np.savez(tmp_path / "own.npz", vertical=np.zeros((2, 400)))

    with pytest.raises(ValueError, match="X"):
        list(READERS["scsn"](tmp_path, SPEC))
    with pytest.raises(ValueError, match="onset"):
        list(READERS["npz"](tmp_path, SPEC))


def test_samples_that_are_no_numbers_are_refused(npz):
    arrays = dict(np.load(npz / "own.npz"))
    arrays["vertical"][1, 20] = np.nan
    np.savez(npz / "own.npz", **arrays)

    with pytest.raises(ValueError, match=r"own\.1"):
        list(READERS["npz"](npz, SPEC))


def test_a_teacher_needs_its_columns(tmp_path):
    (tmp_path / "good.csv").write_text("trace_name,teacher_up_prob\na,0.25\n")
    (tmp_path / "bad.csv").write_text("name,p\na,0.25\n")

    assert read_teacher(tmp_path / "good.csv") == {"a": 0.25}
    with pytest.raises(ValueError, match="teacher_up_prob"):
        read_teacher(tmp_path / "bad.csv")


@pytest.mark.parametrize("value", ["high", "7", "nan", "", "\xe9"])
def test_what_is_no_probability_of_a_teacher_is_told_with_its_file(value, tmp_path):
    path = tmp_path / "teacher.csv"
    path.write_bytes(f"trace_name,teacher_up_prob\na,0.5\nb,{value}\n".encode("latin1"))
    with pytest.raises(ValueError, match=r"teacher\.csv(, line 3: | is not UTF-8)"):
        read_teacher(path)


@pytest.mark.parametrize(
    ("key", "array"),
    [
        ("onset", np.full(3, np.nan)),
        ("onset", np.array(["a", "b", "c"])),
        ("onset", np.array(5)),
        ("onset", np.array([None, None, None])),
        ("polarity", np.array([1, 1])),
        ("polarity", np.array(["u", "d", "u"])),
        ("split", np.array(["train"])),
        ("event", np.array([["a"], ["b"], ["c"]])),
        ("vertical", np.zeros(3)),
    ],
)
def test_an_array_of_another_form_is_told_with_its_file(key, array, npz):
    np.savez(npz / "own.npz", **{**np.load(npz / "own.npz"), key: array})
    with pytest.raises(ValueError, match=r"own\.npz"):
        list(READERS["npz"](npz, SPEC))


@pytest.mark.parametrize("content", [b"", b"junk", b"PK\x03\x04" + b"junk" * 20])
def test_a_broken_npz_is_named(content, tmp_path):
    (tmp_path / "own.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"own\.npz cannot be read"):
        list(READERS["npz"](tmp_path, SPEC))


@pytest.mark.parametrize(
    "fields",
    [
        {"Y": np.zeros(5, int)},
        {"Y": np.zeros((2, 2), int)},
        {"Y": np.zeros(2, int), "evids": np.arange(1)},
        {"X": None, "X/a": 1, "Y": np.zeros(2, int)},
    ],
)
def test_scsn_fields_that_do_not_fit_each_other_are_told_with_their_file(fields, tmp_path):
    with h5py.File(tmp_path / "scsn_fm.hdf5", "w") as file:
        for name, value in ({"X": np.ones((2, 600))} | fields).items():
            if value is not None:
                file[name] = value
    with pytest.raises(ValueError, match=r"scsn_fm\.hdf5 must hold"):
        list(READERS["scsn"](tmp_path, SPEC))


def test_a_broken_scsn_file_is_named(tmp_path):
    (tmp_path / "scsn_fm.hdf5").write_bytes(b"junk")
    with pytest.raises(ValueError, match=r"scsn_fm\.hdf5 cannot be read"):
        list(READERS["scsn"](tmp_path, SPEC))


def test_noise_is_what_the_train_split_calls_noise(quakes):
    pieces = quiet_pieces(quakes, SPEC)

    assert len(pieces) == 2
    assert all(piece.ndim == 1 and len(piece) == 1900 for piece in pieces)
