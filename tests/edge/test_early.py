"""Every early pick gets its final word, once, under its own id."""

from dataclasses import replace

from edge.cells import Onset
from edge.early import Early
from edge.pick import Pick
from edge.picker import Found

PICK = Pick("", "XX.A.", ("HHZ",), "P", 0, 0.8, 0.1, 12.0, 1.0, "gnss", 0.7, "m@0")


def found(cell, phase="P", name="a"):
    return Found(Onset(phase, 8.0 * cell, 0.8, cell), replace(PICK, phase=phase, id=name), 8 * cell + 70)


def says(told):
    return [(one.pick.id, one.pick.status, one.pick.update) for one in told]


def test_an_early_pick_is_told_once_and_then_final_under_its_id():
    early = Early(12)
    assert says(early.tell([found(100)])) == [("a", "preliminary", 0)]
    assert early.tell([found(101, name="b")]) == []
    assert says(early.settle([found(103, name="c")], 104)) == [("a", "final", 1)]
    assert early.tell([found(103, name="d")]) == []
    assert early.settle([], 500) == []


def test_what_is_not_confirmed_is_rejected_once_nothing_can_confirm_it_any_more():
    early = Early(12)
    early.tell([found(100)])
    assert early.settle([], 112) == []
    assert says(early.settle([], 113)) == [("a", "rejected", 1)]
    assert early.settle([], 900) == []


def test_phases_and_onsets_farther_apart_are_different_ones():
    early = Early(12)
    told = early.tell([found(100), found(100, "S", "b"), found(113, name="c")])
    assert says(told) == [(name, "preliminary", 0) for name in "abc"]
    assert says(early.settle([found(100, "S", "d")], 101)) == [("b", "final", 1)]
    assert says(early.settle([])) == [("a", "rejected", 1), ("c", "rejected", 1)]


def test_a_segment_knows_nothing_of_the_one_before():
    early = Early(12)
    assert says(early.settle([found(100)])) == [("a", "final", 0)]
    assert says(early.tell([found(100, name="b")])) == [("b", "preliminary", 0)]


def test_an_onset_that_was_not_told_early_is_final_at_once():
    assert says(Early(12).settle([found(100)], 101)) == [("a", "final", 0)]
