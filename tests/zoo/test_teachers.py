"""Labels by other pickers: only where nobody picked, only where they agree, and weaker than an analyst's."""

import json

import numpy as np
import pytest

pytest.importorskip("h5py", reason="the zoo needs the [host] extra")

from edge.card import InputSpec
from zoo.data.labels import label_cells
from zoo.data.records import record_of
from zoo.data.seisbench import Trace
from zoo.data.teachers import Teachers, read_teachers

SPEC = InputSpec(100.0, 1024, None, {"name": "max-abs"})


def trace(**changes):
    fields = {
        "name": "t", "source": "test", "event": "", "station": "XX.TEST", "rate": 50.0,
        "samples": np.random.default_rng(0).normal(0, 100, (1500, 3)), "present": "ZNE", "p_sample": 400.0,
        "s_sample": None, "p_unlabelled": False, "s_unlabelled": True, "polarity": None,
        "category": "earthquake", "quality": "analyst", "unit": "counts",
    }  # fmt: skip
    return Trace(**{**fields, **changes})


def teachers(*picks):
    """One teacher for each list of picks on the trace "t"."""
    return Teachers({f"net{k}": {"t": of_one} for k, of_one in enumerate(picks)})


def test_an_onset_on_which_teachers_agree_labels_the_unpicked_phase():
    four = teachers([["S", 600, 0.9]], [["S", 604, 0.5]], [["S", 610, 0.4], ["P", 401, 0.9]], [])
    (arrival,) = four.arrivals(trace())
    assert (arrival.phase, arrival.sample, arrival.timed) == ("S", 604, True)
    assert arrival.weight == pytest.approx(0.6)
    assert four.arrivals(trace(s_unlabelled=False)) == []


def test_one_teacher_alone_or_unsure_ones_label_nothing():
    assert teachers([["S", 600, 0.9], ["S", 605, 0.9]], [], []).arrivals(trace()) == []
    assert teachers([["S", 600, 0.9]], [["S", 600, 0.2]], []).arrivals(trace()) == []
    assert teachers([["S", 600, 0.9]], [["S", 640, 0.9]], []).arrivals(trace()) == []
    assert teachers([["S", 600, 0.9]], [["S", 600, 0.9]], []).arrivals(trace(name="other")) == []


def test_half_of_the_teachers_teach_no_place_within_a_cell():
    (arrival,) = teachers([["S", 600, 0.9]], [["S", 600, 0.9]], [], []).arrivals(trace())
    assert not arrival.timed
    assert arrival.weight == pytest.approx(0.4)


def test_the_taught_cell_is_asked_for_and_the_rest_of_the_unknown_is_not():
    two = teachers([["S", 600, 0.9]], [["S", 600, 0.9]])
    record = record_of(trace(), SPEC, two.arrivals(trace()))
    assert [(a.phase, a.sample) for a in record.arrivals] == [("P", 800.0), ("S", 1200.0)]
    labels = label_cells(list(record.arrivals), list(record.unknown), slice(0, 3000), 3008, 16)
    assert labels.cls[1200 // 16].tolist() == [0, 0, pytest.approx(1.5 * 0.8)]
    assert not labels.cls[1000 // 16].any()
    assert labels.cls[100 // 16, 0] == 1


def test_teachers_are_the_pickers_that_all_files_hold(tmp_path):
    one, two = tmp_path / "one.json", tmp_path / "two.json"
    one.write_text(json.dumps({"a": {"t": [["S", 600, 0.9]]}, "b": {"t": [["S", 601, 0.9]]}}))
    others = {"a": {"u": []}, "b": {"u": []}, "trigger": {"t": [["S", 9, 12.5]]}}
    two.write_text(json.dumps(others))
    (arrival,) = read_teachers([one, two]).arrivals(trace())
    assert arrival.sample == 600.5
    two.write_text(json.dumps({"a": {}}))
    with pytest.raises(ValueError, match="fewer than 2 pickers"):
        read_teachers([one, two])
