"""The table of pickers: on a small made-up data set, and the published one that it must reproduce."""

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

h5py = pytest.importorskip("h5py", reason="the host side needs the [host] extra")
image = pytest.importorskip("matplotlib.image", reason="the host side needs the [host] extra")

from benchmarks import peers
from benchmarks.peers import main, ratio_probability, rows_of
from edge.card import Card, CellSpec, InputSpec, StreamSpec
from zoo.scores.pickfile import PickTraces
from zoo.scores.scoring import TracePick

SHARED = Path(__file__).parents[3] / "shared" / "data"
COUNT = 6


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Six quakes with P at 20 s and S at 24 s, from east (dev) and west (test, S unlabelled)."""
    folder = tmp_path / "set"
    folder.mkdir()
    rng = np.random.default_rng(5)
    with (
        h5py.File(folder / "waveforms.hdf5", "w") as waveforms,
        (folder / "metadata.csv").open("w", newline="") as file,
    ):
        columns = ["trace_name", "split", "source", "trace_sampling_rate_hz"]
        columns += ["trace_p_arrival_sample", "trace_s_arrival_sample"]
        writer = csv.writer(file)
        writer.writerow(columns)
        for k in range(COUNT):
            east = k % 2
            waveforms[f"data/t{k}"] = rng.normal(0.0, 10.0, (3, 6000)).astype(np.int32)
            split, source = ("dev", "east") if east else ("test", "west")
            writer.writerow([f"t{k}", split, source, 100.0, 2000, 2400 if east else ""])
    return folder


@pytest.fixture
def picks(tmp_path: Path) -> Path:
    """ "keen" is right on P and 0.3 s late on S; "STA/LTA" finds P at half of the traces, with its ratios."""
    keen = {f"t{k}": [["P", 2001.0, 0.8], ["S", 2430.0, 0.6]] for k in range(COUNT)}
    ratio = {f"t{k}": [["P", 2000.0, 12.0 if k < 3 else 1.1]] for k in range(COUNT)}
    path = tmp_path / "picks.json.gz"
    path.write_bytes(gzip.compress(json.dumps({"keen": keen, "STA/LTA": ratio}).encode()))
    return path


def test_a_table_of_peers(
    data: Path, picks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "deep" / "out"
    options = ["--data", str(data), "--picks", str(picks), "--split", "dev", "--split", "test"]
    assert main([*options, "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in printed.splitlines()]
    assert lines[0] == ["picker", "phase", "all", "east", "west", "threshold", "std, s"]
    assert lines[2] == ["keen", "P", "1.000/1.000", "1.00/1.00", "1.00/1.00", "0.80/0.80", "0.000"]
    assert lines[3] == ["keen", "S", "0.000/1.000", "0.00/1.00", "–", "0.95/0.60", "0.000"]
    assert lines[4][:3] == ["STA/LTA", "P", "0.667/0.667"]
    assert (out / "peers.md").read_text().startswith(printed)
    results = json.loads((out / "peers.json").read_text())
    assert results["command"] == (
        "python -m benchmarks.peers --picks picks.json.gz --data set --split dev --split test"
    )
    assert (results["data"], results["splits"]) == ("set", ["dev", "test"])
    assert printed.endswith(f"\n\nData: set (dev, test). Command: `{results['command']}`\n")
    rows = results["rows"]
    assert [(one["picker"], one["phase"]) for one in rows] == [(line[0], line[1]) for line in lines[2:6]]
    assert rows[0]["f1"]["west"] == {"0.1": 1.0, "0.5": 1.0}
    assert image.imread(out / "peers.png")[..., :3].std() > 0.02


class Doubter:
    """A network with thresholds that its picks do not reach."""

    card = Card(
        name="doubter",
        task="picking",
        licence="MIT",
        input=InputSpec(100.0, 1024, None, {"name": "max-abs"}),
        cells=CellSpec(16, "linear"),
        stream=StreamSpec(hop=128, delays=[24], separation_s=1.0),
        thresholds={"P": 0.9, "S": 0.9},
        sigma_s={"P": 0.1, "S": 0.1},
    )


def test_a_model_stands_at_its_card_and_at_the_best_thresholds(
    data: Path, picks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def picker_for(path: Path, network: Any, picker: None) -> PickTraces:
        return lambda traces: {trace.name: [TracePick("P", 20.0, 0.7)] for trace in traces}

    monkeypatch.setattr(peers, "open_model", lambda path: Doubter())
    monkeypatch.setattr(peers, "picker_for", picker_for)
    rows = rows_of([tmp_path / "runs" / "a.tflite"], picks, data, ["dev"])
    found = {(one.picker, one.phase): one.f1["all"][0.1] for one in rows}
    assert found["doubter (runs/a.tflite), card", "P"] == 0.0
    assert found["doubter (runs/a.tflite), best", "P"] == 1.0
    assert found["keen", "P"] == 1.0


def test_the_file_of_one_picker_is_a_row_under_its_name(data: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({f"t{k}": [["P", 2000.0, 0.8]] for k in range(COUNT)}))
    rows = rows_of([], path, data, ["dev"])
    assert [(one.picker, one.phase, one.f1["all"][0.1]) for one in rows] == [
        ("mine.json", "P", 1.0),
        ("mine.json", "S", 0.0),
    ]


def test_two_models_of_one_name_are_refused(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "open_model", lambda path: Doubter())
    models = [tmp_path / which / "runs" / "a.tflite" for which in ("old", "new")]
    with pytest.raises(ValueError, match=r"more than one picker is called doubter \(runs/a\.tflite\)"):
        rows_of(models, None, data, ["dev"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "give --model, --picks or both"),
        (["--model", "picks.json"], "--model takes a .tflite or .keras model"),
        (["--picks", "few.json"], "few.json lacks trace 't1' of lazy"),
        (["--picks", "gone.json"], "no picks file at gone.json"),
    ],
)
def test_mistakes_are_answered_with_one_line(
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("few.json").write_text(json.dumps({"lazy": {"t9": []}}))
    assert main(["--data", str(data), "--split", "dev", *options]) == 1
    error = capsys.readouterr().err
    assert error.startswith("peers: ")
    assert said in error
    assert error.count("\n") == 1


def test_the_split_must_be_named(data: Path, picks: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--data", str(data), "--picks", str(picks)])
    assert "required: --split" in capsys.readouterr().err


def test_ratios_become_probabilities_in_their_order() -> None:
    assert [ratio_probability(ratio) for ratio in (0.5, 1.0, 20.0, 40.0)] == [0.0, 0.0, 1.0, 1.0]
    assert 0.0 < ratio_probability(2.0) < ratio_probability(10.0) < 1.0


def published() -> dict[tuple[str, str], list[str]]:
    """Cells of the peers' table, by picker and phase: F1 at 0.1/0.5 s over all, by source, std of P."""
    lines = [line.strip("|").split("|") for line in (SHARED / "README.md").read_text().splitlines()]
    rows = [[cell.strip().strip("*") for cell in line] for line in lines if len(line) == 10]
    return {(row[0], row[1]): row[2:] for row in rows if row[1] in ("P", "S")}


@pytest.mark.skipif(not (SHARED / "peers").is_dir(), reason="needs the peers' picks of ../shared/data")
def test_the_published_table_is_reproduced() -> None:
    table = published()
    rows = rows_of([], SHARED / "peers" / "labelled_picks.json.gz", SHARED / "labelled", ["dev", "test"])
    assert len(rows) == len(table) == 20
    alike = 0
    for one in rows:
        whole, *parts, std_s = table[one.picker, one.phase]
        # The published thresholds of the STA/LTA are ratios of a coarser grid.
        within = 0.0056 if one.picker.startswith("STA/LTA") else 0.0035
        assert list(one.f1["all"].values()) == pytest.approx(
            [float(f1) for f1 in whole.split("/")], abs=within
        )
        if std_s:
            assert one.std_s == pytest.approx(float(std_s), abs=0.0006)
        for source, part in zip(sorted(set(rows[0].f1) - {"all"}), parts, strict=True):
            assert (part == "–") == (source not in one.f1)
            if source in one.f1:
                theirs = [float(f1) for f1 in part.split("/")]
                # Where two thresholds are nearly as good the table may have taken the other one.
                assert list(one.f1[source].values()) == pytest.approx(theirs, abs=0.06)
                alike += list(one.f1[source].values()) == pytest.approx(theirs, abs=0.0056)
    assert alike >= 80
