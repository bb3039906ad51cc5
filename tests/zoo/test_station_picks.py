"""Picks as edge-pick writes them with --early: what it took back is no pick."""

from dataclasses import replace

import pytest

pytest.importorskip("h5py", reason="the zoo needs the [host] extra")

from edge.pick import Pick
from zoo.scores.pickfile import read_station_picks

FINAL = Pick("a", "XX.A.", ("HHZ",), "P", 10**18, 0.8, 0.1, 12.0, 1.0, "gnss", 5.2, "m@0")


def test_only_final_picks_count_each_once(tmp_path):
    path = tmp_path / "picks.jsonl"
    early = [replace(FINAL, id=name, status="preliminary", latency_s=0.6) for name in "abc"]
    ends = [replace(FINAL, update=1), replace(early[1], status="rejected", update=1)]
    path.write_text("".join(pick.to_json() + "\n" for pick in (*early, *ends)))
    assert [(pick.id, pick.update) for pick in read_station_picks(path)] == [("a", 1)]


def test_lines_of_before_there_were_early_picks_are_read(tmp_path):
    path = tmp_path / "picks.jsonl"
    path.write_text(FINAL.to_json().replace('"status": "final", ', "") + "\n")
    assert [pick.status for pick in read_station_picks(path)] == ["final"]
