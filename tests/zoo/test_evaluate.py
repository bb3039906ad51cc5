"""`edge-evaluate` from the command line to its files."""

import csv
import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

h5py = pytest.importorskip("h5py", reason="the host side needs the [host] extra")
image = pytest.importorskip("matplotlib.image", reason="the host side needs the [host] extra")

from window_network import ByWindow

from edge.card import Card, CellSpec, InputSpec, StreamSpec
from edge.model import MODELS
from edge.pick import NS, Pick, format_time
from zoo import evaluate
from zoo.evaluate import main
from zoo.scores.pickfile import (
    read_peer_picks,
    read_rated_picks,
    read_records,
    read_trace_picks,
    write_trace_picks,
)

RATE = 100.0
COUNT = 14


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """14 traces of a minute with P at 20 s and S at 24 s, and 2 of noise."""
    folder = tmp_path / "set"
    folder.mkdir()
    rng = np.random.default_rng(3)
    rows = []
    with h5py.File(folder / "waveforms.hdf5", "w") as file:
        for k in range(COUNT + 2):
            quake = k < COUNT
            samples = rng.normal(0.0, 10.0, (3, 6000))
            if quake:
                samples[:, 2000:] *= 5.0
                samples[:, 2400:] *= 4.0
            file[f"data/t{k}"] = samples.astype(np.int32)
            rows.append(
                {
                    "trace_name": f"t{k}",
                    "split": "dev" if k % 2 else "test",
                    "source": "east" if k < 7 else "west",
                    "trace_sampling_rate_hz": RATE,
                    "trace_p_arrival_sample": 2000 if quake else "",
                    "trace_s_arrival_sample": 2400 if quake else "",
                    "trace_category": "earthquake" if quake else "noise",
                    "path_ep_distance_km": 33.0 if quake else "",
                }
            )
    write_csv(folder / "metadata.csv", rows)
    return folder


def write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def made() -> dict[str, list[tuple[Any, float, float]]]:
    """P always right, S right on half of the traces and 1 s late on the others, one pick on noise."""
    picks: dict[str, list[tuple[Any, float, float]]] = {
        f"t{k}": [("P", 2003.0, 0.9), ("S", 2400.0 + 100 * (k % 2), 0.7)] for k in range(COUNT)
    }
    return picks | {f"t{COUNT}": [("P", 500.0, 0.95)], f"t{COUNT + 1}": []}


def test_a_picks_file_from_end_to_end(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_trace_picks(tmp_path / "mine.json", made())
    out = tmp_path / "deep" / "out"
    assert main([str(tmp_path / "mine.json"), "--data", str(data), "--out", str(out)]) == 0

    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["command"] == "edge-evaluate mine.json --data set --out out"
    assert str(tmp_path) not in json.dumps(metrics)
    assert (metrics["model"], metrics["data"], metrics["traces"]) == ("mine.json", "set", COUNT + 2)
    p, s = metrics["phases"]["P"], metrics["phases"]["S"]
    assert p["labels"] == COUNT
    assert p["best"]["scores"]["0.1"]["f1"] == 1.0
    assert p["best"]["residual"] == {"count": COUNT, "mean_s": 0.03, "std_s": 0.0, "mae_s": 0.03}
    assert (s["best"]["scores"]["0.5"]["precision"], s["best"]["scores"]["0.5"]["recall"]) == (0.5, 0.5)
    assert s["best"]["by_source"]["east"] == {"labels": 7, "scores": s["best"]["by_source"]["east"]["scores"]}
    assert sum(part["labels"] for part in p["best"]["by_snr_db"].values()) == COUNT
    assert p["best"]["by_sp_s"]["2–5"]["labels"] == s["best"]["by_distance_km"]["30–60"]["labels"] == COUNT
    assert s["calibration"]["counts"][7] == COUNT
    assert s["calibration"]["right"][7] == 0.5
    assert s["calibration"]["ece"] == pytest.approx(0.2)  # it says 0.7
    assert "time_to_pick_s" not in p  # a file of picks does not know
    assert [one["threshold"] for one in p["curve"]["0.2"]][:2] == [0.05, 0.1]
    assert metrics["operating_thresholds"] == {"P": 0.9, "S": 0.7}
    assert metrics["noise_false_per_hour"]["P"]["0.9"] == pytest.approx(30.0)  # one pick in two minutes
    assert metrics["noise_false_per_hour"]["S"]["0.05"] == 0.0

    written = (out / "report.md").read_text()
    embedded = re.findall(r"!\[.+\]\((.+)\.png\)", written)
    assert sorted(embedded) == sorted(path.stem for path in out.glob("*.png"))
    assert {"residuals", "f1_by_sp", "f1_by_distance", "reliability", "examples"} < set(embedded)
    for name in embedded:
        drawn = image.imread(out / f"{name}.png")
        assert min(drawn.shape[:2]) > 300
        assert drawn[..., :3].std() > 0.05  # something is drawn

    printed = capsys.readouterr().out
    for told in (printed, written):
        assert f"## Labelled traces: set\n\n{COUNT + 2} traces." in told
        assert "| P best | 0.90      | 14     | 1.000    |" in told
        assert "Noise windows: 30.0 false P picks an hour at threshold 0.9." in told
        assert "error (Guo et al. 2017, 10 bins): P 0.100, S 0.200." in told
    assert "png" not in printed


class Riser(ByWindow):
    """A network that sees P wherever a cell is three times as loud as the one before it."""

    def __init__(self) -> None:
        self.card = Card(
            name="riser",
            task="picking",
            licence="MIT",
            input=InputSpec(RATE, 1024, None, {"name": "max-abs"}),
            cells=CellSpec(16, "linear"),
            stream=StreamSpec(hop=128, delays=[0, 24], separation_s=1.0),
            thresholds={"P": 0.6, "S": 0.6},
            sigma_s={"P": 0.1, "S": 0.1},
        )

    def infer(self, window: Any) -> tuple[Any, Any]:
        loudness = window.reshape(-1, 16, 3).std(axis=(1, 2))
        rising = (loudness[1:] > 3 * loudness[:-1]) & (loudness[:-1] > 0)
        logits = np.zeros((len(loudness), 3), np.float32)
        logits[:, 0] = 20.0
        logits[1:, 1] = np.where(rising, 40.0, 0.0)
        return logits, np.zeros(len(loudness), np.float32)


def test_a_model_is_scored_at_its_card_and_tells_how_soon_it_picks(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(evaluate, "open_model", lambda path: Riser())
    out = tmp_path / "out"
    assert main(["riser.tflite", "--data", str(data), "--split", "dev", "--out", str(out)]) == 0
    p = json.loads((out / "metrics.json").read_text())["phases"]["P"]
    assert p["card"]["scores"]["0.1"]["threshold"] == 0.6
    assert (p["card"]["scores"]["0.1"]["recall"], p["card"]["residual"]["mae_s"]) == (1.0, 0.0)
    # At 24 s the S is a rise too: half of what it is so sure of is no P.
    assert p["calibration"]["ece"] == pytest.approx(0.5)
    times_s = p["time_to_pick_s"]
    assert times_s["count"] == 7
    assert 3.84 <= times_s["median"] <= times_s["p95"] <= times_s["longest"] < 3.84 + 2.0
    assert "### Time to pick" in capsys.readouterr().out
    assert "![time to pick](time_to_pick.png)" in (out / "report.md").read_text()
    assert min(image.imread(out / "time_to_pick.png").shape[:2]) > 300


def test_traces_at_a_rate_that_cannot_be_picked_are_told(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = list(csv.DictReader((data / "metadata.csv").open()))
    for row in rows[:3]:
        row["trace_sampling_rate_hz"] = "2000"
    write_csv(data / "metadata.csv", rows)
    monkeypatch.setattr(evaluate, "open_model", lambda path: Riser())
    assert main(["riser.tflite", "--data", str(data)]) == 0
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("edge-evaluate: t0 ")
    assert "count as missed: sample rate 2000 Hz is outside 20…1000 Hz" in line


def test_a_table_with_nothing_to_score_and_a_name_that_comes_twice_are_told_before_picking(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_trace_picks(tmp_path / "mine.json", made())
    rows = list(csv.DictReader((data / "metadata.csv").open()))
    write_csv(data / "metadata.csv", [*rows, rows[0]])
    assert main([str(tmp_path / "mine.json"), "--data", str(data)]) == 1
    assert "has the trace 't0' twice" in capsys.readouterr().err
    renamed = [{"trace_name": row["trace_name"], "p_pick": row["trace_p_arrival_sample"]} for row in rows]
    write_csv(data / "metadata.csv", renamed)
    assert main([str(tmp_path / "mine.json"), "--data", str(data)]) == 1
    assert "has neither onsets nor noise to score; onsets are read from" in capsys.readouterr().err


def test_a_split_of_one_picker_of_several(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    silent: dict[str, list[Any]] = {name: [] for name in made()}
    path = tmp_path / "peers.json.gz"
    path.write_bytes(gzip.compress(json.dumps({"loud": made(), "silent": silent}).encode()))
    assert main([str(path), "--picker", "loud", "--data", str(data), "--split", "dev"]) == 0
    assert "set, dev\n\n8 traces." in capsys.readouterr().out
    assert main([str(path), "--picker", "silent", "--data", str(data), "--split", "dev"]) == 0
    assert "0.000" in capsys.readouterr().out
    assert main([str(path), "--data", str(data)]) == 1
    assert "choose one with --picker: loud, silent" in capsys.readouterr().err


def test_picks_survive_their_file(tmp_path: Path) -> None:
    write_trace_picks(tmp_path / "picks.json", made())
    assert read_trace_picks(tmp_path / "picks.json") == made()


@pytest.fixture
def continuous(tmp_path: Path) -> Path:
    """Stations valley and hill, one hour each. In the valley two peers agree on P at 1000 s and one of them
    sees another at 2000 s; on the hill nobody sees anything.
    """
    folder = tmp_path / "continuous"
    folder.mkdir()
    valley = {"source": "valley", "network": "XX", "station": "ABC"}
    hill = {"source": "hill", "network": "XX", "station": "DEF"}
    times = {"start": format_time(0), "end": format_time(3600 * NS)}
    write_csv(folder / "manifest.csv", [one | times | {"file": "a.mseed"} for one in (valley, hill)])
    peers = [
        valley | {"phase": "P", "time": format_time(at * NS), "prob": prob, "model": model}
        for at, prob, model in ((1000, 0.9, "one"), (1000, 0.8, "two"), (2000, 0.5, "two"))
    ]
    write_csv(folder / "peer_picks_raw.csv", peers)
    write_csv(folder / "peer_consensus_picks.csv", [peers[0] | {"n_models": 2}])
    return folder


def station_pick(second: float, update: int = 0) -> Pick:
    return Pick(
        id=f"{second:016.1f}",
        station="XX.ABC.",
        channels=("HHZ",),
        phase="P",
        time_ns=round(second * NS),
        prob=0.4,
        sigma=0.05,
        snr_db=10.0,
        amp=1.0,
        clock="gnss",
        latency_s=1.0,
        model="m@0",
        update=update,
    )


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    """Picks of the valley as `edge-pick --json` writes them."""
    path = tmp_path / "picks.jsonl"
    picks = [station_pick(1000.1), station_pick(1000.1, update=1), station_pick(2000.2), station_pick(3000.0)]
    path.write_text("\n".join(one.to_json() for one in picks) + "\n")
    return path


def test_lines_of_edge_pick_against_peers(
    continuous: Path, lines: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main([str(lines), "--continuous", str(continuous), "--out", str(out)]) == 0
    metrics = json.loads((out / "metrics.json").read_text())
    p = metrics["continuous"][2]
    assert (p["source"], p["phase"], p["hours"], p["picks"], p["false"]) == ("valley", "P", 1.0, 3, 1)
    assert (p["agreed"], p["recalled"]) == ({"2": 1}, {"2": 1})
    assert sorted(metrics["false_against_recall"]) == ["all records", "hill", "valley"]
    printed = capsys.readouterr().out
    assert "| valley | P   | 0.00      | 1.0   | 3     | 1.0     |" in printed
    assert "**hill, P** (1 h, 0 agreed on by all peers)" in printed
    assert min(image.imread(out / "false_against_recall.png").shape[:2]) > 300
    assert "![false against recall](false_against_recall.png)" in (out / "report.md").read_text()


def test_only_the_records_asked_for_count(
    continuous: Path, lines: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    span = "valley=/1970-01-01T00:45:00Z"
    out = tmp_path / "out"
    options = ["--continuous", str(continuous), "--records", span, "--out", str(out)]
    assert main([str(lines), *options]) == 0
    metrics = json.loads((out / "metrics.json").read_text())
    assert f"--records {span}" in metrics["command"]
    p = metrics["continuous"][0]
    assert (p["source"], p["hours"], p["picks"], p["false"]) == ("valley", 0.75, 2, 0)
    assert list(metrics["false_against_recall"]) == ["valley"]
    found = metrics["false_against_recall"]["valley"]["P"]
    assert (found["hours"], found["agreed"]) == (0.75, 1)
    # Of two picks at 0.4 all peers know both; without the one who saw 2000 s that pick is false.
    assert found["operating"]["recall"] == 1.0
    assert found["operating"]["all_judges"] == {"threshold": 0.4, "false": 0.0, "false_per_hour": 0.0}
    assert found["operating"]["less_one"]["false"] == 0.5
    assert found["operating"]["peers"]["two"] == {"threshold": 0.8, "false": 0.0, "false_per_hour": 0.0}
    assert "0.67 (0.5)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "content", "options", "said"),
    [
        ("picks.json", "{}", ["--data", "set"], "is not a picks file"),
        ("picks.json", "nonsense", ["--data", "set"], "is not JSON"),
        ("picks.json", '{"t0": [["P", 1, 0.5]]}', ["--data", "set", "--split", "dev"], "lacks trace 't1'"),
        ("picks.json", '{"t0": [["Pn", 1, 0.5]]}', ["--data", "set"], "must have phase P or S"),
        ("picks.json", '{"t0": [["P", 1, 19.5]]}', ["--data", "set"], "probability in 0…1"),
        ("picks.json", '{"t0": []}', ["--data", "set", "--picker", "x"], "leave --picker out"),
        (
            "picks.json",
            '{"t0": []}',
            ["--data", "set", "--split", "all"],
            "no split 'all'; it has test (8), dev (8)",
        ),
        ("picks.json", '{"t0": []}', ["--data", "."], "no metadata.csv"),
        ("picks.json", '{"t0": []}', [], "give --data FOLDER, --continuous FOLDER or both"),
        ("picks.json", '{"t0": []}', ["--continuous", "continuous"], "or picks in .jsonl"),
        ("picks.jsonl", "{}", ["--continuous", "continuous"], "line 1: not a pick"),
        ("picks.jsonl", "{}", ["--data", "set"], "or picks in .json"),
        ("picks.jsonl", "", ["--continuous", "set"], "has no manifest.csv"),
        ("picks.jsonl", "", ["--continuous", "continuous", "--records", "moon"], "there are hill, valley"),
        ("picks.jsonl", "", ["--continuous", "continuous", "--records", "hill=1"], "SOURCE=FROM/UNTIL"),
        ("picks.jsonl", "", ["--continuous", "continuous", "--records", "hill=noon/"], "noon"),
        ("picks.jsonl", "", ["--continuous", "continuous", "--records", "x=y/"], "--records x=y/: expected"),
        ("picks.json", '{"t0": []}', ["--data", "set", "--records", "hill"], "give --continuous FOLDER"),
        (
            "picks.jsonl",
            "",
            ["--continuous", "continuous", "--split", "dev"],
            "--split chooses among labelled",
        ),
        ("picks.jsonl", "", ["--continuous", "continuous", "--picker", "x"], "--picker chooses from a file"),
        ("picks.tflite", "", ["--data", "set", "--picker", "x"], "--picker chooses from a file"),
        ("picks.json", '{"t0": [{"phase": "P"}]}', ["--data", "set"], "is not [phase, sample, prob]"),
        ("picks.json", "[" * 100_000, ["--data", "set"], "picks.json is not JSON"),
        ("picks.json.gz", "{}", ["--data", "set"], "picks.json.gz is no .gz file"),
        (None, "", ["--data", "set"], "no picks file at"),
    ],
)
def test_mistakes_are_answered_with_one_line(
    data: Path,
    continuous: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    name: str | None,
    content: str,
    options: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    if name:
        Path(name).write_text(content)
    assert main([name or "gone.json", *options]) == 1
    error = capsys.readouterr().err
    assert said in error
    assert error.startswith("edge-evaluate: ")
    assert error.count("\n") == 1


WHOLE = gzip.compress(json.dumps({"one": made(), "two": made()}).encode())


@pytest.mark.parametrize(
    "content", [WHOLE[:-20], WHOLE[:-8] + b"12345678", WHOLE[:12] + b"\xff\xff\xff" + WHOLE[15:], b""]
)
def test_a_broken_file_of_peers_is_named(
    content: bytes, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "peers.json.gz"
    path.write_bytes(content)
    assert main([str(path), "--picker", "one", "--data", str(data)]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert str(path) in line


RAW, CONSENSUS = "peer_picks_raw.csv", "peer_consensus_picks.csv"


@pytest.mark.parametrize(
    ("table", "before", "after", "said"),
    [
        (RAW, ",0.9,", ",high,", "line 2: prob is 'high', no probability in 0…1"),
        (RAW, ",0.8,", ",nan,", "line 3: prob is 'nan', no probability in 0…1"),
        (RAW, ",0.8,", ",80,", "line 3: prob is '80', no probability in 0…1"),
        (RAW, "1970-01-01T00:33:20", "noon ", "line 4: time is 'noon"),
        (RAW, ",one", ",\xe9", "is not UTF-8"),
        (RAW, ",one", ",one\nvalley,XX", "line 3: it ends before the column station"),
        (RAW, ",one", "," + "o" * 200_000, "line 2: field larger than field limit"),
        (RAW, "prob", "probability", "has no column prob; it is not a list of picks"),
        (CONSENSUS, ",2\n", ",two\n", "line 2: n_models is 'two', no number of pickers"),
        ("manifest.csv", "1970-01-01T01:00", "1969-01-01T01:00", "line 2: the record ends at"),
        ("manifest.csv", "1970-01-01T00:00:00", "soon", "line 2: start is 'soon"),
        ("manifest.csv", "\nvalley", "\nvalley,XX\n", "line 2: it ends before the column"),
    ],
)
def test_a_bad_line_of_the_peers_is_told_with_its_file(
    table: str,
    before: str,
    after: str,
    said: str,
    continuous: Path,
    lines: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = continuous / table
    text = path.read_bytes().decode().replace("\r\n", "\n")
    assert before in text
    path.write_bytes(text.replace(before, after, 1).encode("latin1"))
    assert main([str(lines), "--continuous", str(continuous)]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert f"{path}" in line
    assert said in line


HEAD = b"source,file,network,station,start,end,phase,time,prob,model,n_models\n"
FIELDS = st.sampled_from(
    ["P", "S", "XX", "0.5", "nan", "2", "-1", "1970-01-01", "9999-12-31T23:59", '"', "", "é"]
)
TABLES = st.lists(st.lists(FIELDS, max_size=12).map(",".join)).map(lambda rows: "\n".join(rows).encode())


def complaint(read: Callable[[Path], Any], path: Path) -> str:
    """What a reader says against a file; its name where it takes it."""
    try:
        read(path)
    except ValueError as error:
        return str(error)
    return str(path)


@given(content=st.one_of(st.binary(), st.binary().map(HEAD.__add__), TABLES.map(HEAD.__add__)))
@example(content=HEAD + b"a,b,XX,ABC,1970-01-01,1970-01-02,P,1970-01-01,0.5,m,2")
def test_whatever_a_table_holds_it_is_read_or_its_file_named(
    content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "manifest.csv"
    path.write_bytes(content)
    for read in (read_rated_picks, read_peer_picks, lambda path: read_records(path.parent)):
        assert str(path) in complaint(read, path)


@given(content=st.one_of(st.binary(), st.binary().map(gzip.compress), st.binary().map(WHOLE[:40].__add__)))
def test_whatever_a_file_of_picks_holds_its_name_is_told(
    content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.json.gz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"any\.json\.gz"):
        read_trace_picks(path)


def test_a_table_that_a_spreadsheet_saved_with_its_mark_is_read(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    metadata = data / "metadata.csv"
    metadata.write_bytes(b"\xef\xbb\xbf" + metadata.read_bytes())
    write_trace_picks(tmp_path / "mine.json", made())
    assert main([str(tmp_path / "mine.json"), "--data", str(data)]) == 0
    assert f"{COUNT + 2} traces" in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"", b"no MiniSEED" * 100])
def test_a_record_that_is_none_is_not_taken_for_silence(
    content: bytes, continuous: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ai_edge_litert")
    (continuous / "a.mseed").write_bytes(content)
    assert main([str(MODELS / "lppn-tiny.tflite"), "--continuous", str(continuous)]) == 1
    assert f"{continuous / 'a.mseed'}: no MiniSEED record" in capsys.readouterr().err
