"""Unconfirmed picks: whether other stations noticed something, and how often that is chance."""

import math

import numpy as np
import pytest

pytest.importorskip("h5py", reason="the host side needs the [host] extra")

from edge.pick import NS
from zoo.scores.continuous import Record
from zoo.scores.corroboration import corroboration
from zoo.scores.rates import RatedPick

HOUR = 3600
STATIONS = ("XX.A", "XX.B", "XX.C", "XX.D")
RECORDS = [Record("valley", station, 0, HOUR * NS) for station in STATIONS]


def pick(second, station="XX.A", phase="P"):
    return RatedPick(station, phase, round(second * NS), 0.9)


def test_an_event_that_two_other_stations_saw_corroborates_a_pick():
    judges = [pick(1000, "XX.B"), pick(1004, "XX.C", "S"), pick(2000, "XX.B")]
    found = corroboration(RECORDS, "P", [pick(1002), pick(2001), pick(3000)], judges)
    assert found.unconfirmed == 3
    assert found.corroborated == pytest.approx(1 / 3)
    assert found.chance == 0.0


def test_a_pick_that_a_judge_confirms_at_its_station_is_not_asked_about():
    judges = [pick(1000.3), pick(1000, "XX.B"), pick(1000, "XX.C")]
    assert corroboration(RECORDS, "P", [pick(1000)], judges).unconfirmed == 0
    assert corroboration(RECORDS, "S", [pick(1000, phase="S")], judges).unconfirmed == 1


def test_of_two_stations_the_other_one_is_enough():
    found = corroboration(RECORDS[:2], "P", [pick(1000)], [pick(1005, "XX.B")])
    assert found.corroborated == 1.0


def test_random_picks_are_corroborated_as_often_as_by_chance():
    rng = np.random.default_rng(0)
    judges = [pick(at, station) for station in STATIONS[1:] for at in rng.uniform(0, HOUR, 60)]
    found = corroboration(RECORDS, "P", [pick(at) for at in rng.uniform(0, HOUR, 1000)], judges)
    assert 0.1 < found.chance < 0.5
    assert found.corroborated == pytest.approx(found.chance, abs=0.04)


def test_a_lone_station_is_corroborated_by_nobody_and_not_blamed_for_it():
    found = corroboration(RECORDS[:1], "P", [pick(1000)], [])
    assert (found.unconfirmed, math.isnan(found.corroborated), math.isnan(found.chance)) == (0, True, True)


def test_no_unconfirmed_picks_have_no_share():
    assert math.isnan(corroboration(RECORDS, "P", [], [pick(1)]).corroborated)
