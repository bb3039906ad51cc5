"""Leave one source out: every network is trained without its source, and scored on what it has not seen."""

import csv
import json
import math
import os
import shutil
import sys

import numpy as np
import pytest

pytest.importorskip("keras", reason="the host side needs the [host] extra")

from benchmarks import leave_one_out
from benchmarks.leave_one_out import f1_of, main, pinned
from edge.card import Card
from zoo.scores.scoring import Labels, TracePick, compare


def test_commands_run_on_cpus_of_their_own_and_leave_their_output(tmp_path):
    cpus = len(os.sched_getaffinity(0))
    tell = [sys.executable, "-c", "import os; print(len(os.sched_getaffinity(0)))"]
    commands = {tmp_path / f"{k}.log": tell for k in range(cpus + 1)}
    pinned(commands, cpus)
    assert [log.read_text() for log in commands] == ["1\n"] * len(commands)
    assert len(os.sched_getaffinity(0)) == cpus


def test_a_command_that_fails_is_named_with_its_output(tmp_path):
    commands = {tmp_path / "bad.log": [sys.executable, "-c", "raise SystemExit('no data')"]}
    with pytest.raises(RuntimeError, match=r"bad: exit status 1, see .*bad\.log"):
        pinned(commands, 1)
    assert (tmp_path / "bad.log").read_text() == "no data\n"
    with pytest.raises(ValueError, match="--jobs must be 1 to"):
        pinned(commands, 10_000)


def test_thresholds_come_from_the_other_sources():
    """On the others only picks above 0.5 are right; the source's own would be found at 0.2 too."""

    def labels(name, source):
        return Labels(
            name, source, "earthquake", 60.0, {"P": 20.0, "S": None}, {"P": math.nan, "S": math.nan}
        )

    dev = [labels("a", "others"), labels("b", "own")]
    picks = {"a": [TracePick("P", 20.0, 0.9), TracePick("P", 25.0, 0.5)], "b": [TracePick("P", 20.0, 0.2)]}
    scored = compare([labels("b", "own")], picks, "P")
    assert f1_of("own", "P", compare(dev, picks, "P"), scored) == {"0.1": 0.0, "0.5": 0.0}
    assert f1_of("own", "S", compare(dev, picks, "S"), compare(dev, picks, "S")) == {"0.1": None, "0.5": None}


@pytest.fixture
def two_sources(quakes, tmp_path):
    """The earthquakes as if half of them came from the north; two of the scored ones are the test split."""
    folder = shutil.copytree(quakes, tmp_path / "two")
    with (folder / "metadata.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for k, row in enumerate(rows):
        row["source"] = "north" if k % 2 else "south"
        if row["trace_name"] in ("event22", "event23"):
            row["split"] = "test"
    with (folder / "metadata.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return folder


def test_each_source_is_left_out_and_scored(two_sources, edge_train, tmp_path, monkeypatch, capsys):
    def in_this_process(commands, jobs):
        for command in commands.values():
            arguments = command[command.index("lppn") + 1 :]
            assert edge_train(arguments[-1], *arguments[:-2], "--steps", 2) == 0

    monkeypatch.setattr(leave_one_out, "pinned", in_this_process)
    runs = tmp_path / "runs"
    given = ["--data", str(two_sources), "-T", "512"]
    assert main(["--labelled", str(two_sources), "--runs", str(runs), "--", *given]) == 0
    for source in ("north", "south"):
        card = Card.from_json((runs / f"without-{source}" / "best.json").read_text())
        assert card.training["without"] == [source]
        assert card.training["data"]["two"] == 5
    assert "without" not in Card.from_json((runs / "everything" / "best.json").read_text()).training
    results = json.loads((runs / "leave_one_out.json").read_text())
    assert (results["data"], results["splits"]) == ("two", ["train", "dev", "test"])
    assert results["command"].startswith(
        "python -m benchmarks.leave_one_out --labelled two --runs runs --steps 2000 -- --data two "
    )
    assert str(tmp_path) not in results["command"]
    rows = results["rows"]
    assert [(row["source"], row["phase"], row["traces"], row["labels"]) for row in rows] == [
        (source, phase, count, [6, 2]) for source, count in (("north", 7), ("south", 8)) for phase in "PS"
    ]
    values = [x for row in rows for scores in row["f1"].values() for x in scores.values()]
    assert len(values) == 4 * 3 * 2
    assert all(np.isfinite(values))
    table = (runs / "leave_one_out.md").read_text()
    assert table in capsys.readouterr().out
    *lines, empty, origin = table.splitlines()
    assert len(lines) == 2 + 4
    assert (empty, origin) == ("", f"Data: two (train, dev, test). Command: `{results['command']}`")


def test_a_single_source_cannot_be_left_out(quakes, tmp_path, capsys):
    assert main(["--labelled", str(quakes), "--runs", str(tmp_path), "--", "--data", str(quakes)]) == 1
    assert "has one source only, quakes" in capsys.readouterr().err
