"""The rule of one S for each P, with it and without: the rows, and what is refused."""

import pytest

pytest.importorskip("h5py", reason="the host side needs the [host] extra")

from benchmarks.coda import main
from edge import coda
from edge.model import model_path


def test_both_ways_are_scored_and_the_rule_is_in_force_again_after_it(quakes, capsys):
    assert main([str(model_path("lppn")), "--data", str(quakes)]) == 0
    rows = [line.split("|")[1:-1] for line in capsys.readouterr().out.splitlines()[2:]]
    assert [[cell.strip() for cell in row[:2]] for row in rows] == [
        ["quakes, train", "without"],
        ["quakes, train", "with"],
    ]
    without, kept = ([float(score) for score in row[2].split("/")] for row in rows)
    assert 0.2 < without[-1] <= kept[-1]
    assert coda.CODA_S == 15


def test_a_folder_that_is_not_there_is_told_in_one_line(tmp_path, capsys):
    assert main([str(model_path("lppn")), "--data", str(tmp_path / "absent")]) == 1
    assert capsys.readouterr().err.startswith("coda: ")
