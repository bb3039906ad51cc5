"""The rule of one S for each P, with it and without: the rows, and what is refused."""

import pytest

pytest.importorskip("h5py", reason="the host side needs the [host] extra")

from benchmarks.coda import main
from edge.cells import Onset
from edge.coda import Coda
from edge.model import model_path
from edge.picker import Found


def cells(out):
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in out.splitlines()[2:]]


def test_both_ways_are_scored(quakes, capsys):
    assert main([str(model_path("lppn")), "--data", str(quakes)]) == 0
    rows = cells(capsys.readouterr().out)
    assert [row[:2] for row in rows] == [["quakes, train", "without"], ["quakes, train", "with"]]
    assert all(float(score) > 0.2 for row in rows for score in row[2].split("/")[-1:])


def test_the_rule_is_out_of_force_the_first_time_alone(quakes, capsys, monkeypatch):
    """An S and a weaker one 5 s later: how many of them are told."""
    pair = [Found(Onset("S", at, prob, 0), None, 0) for at, prob in ((0.0, 0.9), (500.0, 0.5))]
    monkeypatch.setattr("benchmarks.coda.f1", lambda *_: [len(Coda(100.0).kept(pair))])
    assert main([str(model_path("lppn")), "--data", str(quakes)]) == 0
    assert [float(row[2]) for row in cells(capsys.readouterr().out)] == [2, 1]
    assert len(Coda(100.0).kept(pair)) == 1


def test_a_folder_that_is_not_there_is_told_in_one_line(tmp_path, capsys):
    assert main([str(model_path("lppn")), "--data", str(tmp_path / "absent")]) == 1
    assert capsys.readouterr().err.startswith("coda: ")
