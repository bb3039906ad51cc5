"""Reliability of probabilities and time to pick, on made-up picks whose answers are evident."""

import math

import numpy as np
import pytest

pytest.importorskip("h5py", reason="the host side needs the [host] extra")

from zoo.scores.calibration import reliability, times_to_pick_s
from zoo.scores.scoring import Comparison, Labels, TracePick, compare


def compared(picks: list[list[TracePick]]) -> Comparison:
    """One trace by list of picks, each with P at 30 s."""
    known = [
        Labels(f"t{k}", "here", "earthquake", 60.0, {"P": 30.0, "S": None}, {"P": 9.0, "S": math.nan})
        for k in range(len(picks))
    ]
    return compare(known, {f"t{k}": made for k, made in enumerate(picks)}, "P")


def test_a_picker_that_is_right_as_often_as_it_says_has_no_error() -> None:
    honest = [[TracePick("P", 30.1 if k < 7 else 32.0, 0.7)] for k in range(10)]
    found = reliability(compared(honest))
    assert found.counts.tolist() == [0, 0, 0, 0, 0, 0, 0, 10, 0, 0]
    assert (found.right[7], found.prob[7]) == pytest.approx((0.7, 0.7))
    assert np.isnan(found.right[0])
    assert found.ece == pytest.approx(0.0)


def test_the_error_is_the_mean_gap_over_all_picks() -> None:
    boastful = [[TracePick("P", 34.0, 1.0)], [TracePick("P", 30.0, 0.95)], [TracePick("P", 30.0, 0.2)]]
    found = reliability(compared(boastful))
    assert found.counts[[2, 9]].tolist() == [1, 2]
    assert found.ece == pytest.approx((2 * (0.975 - 0.5) + 0.8) / 3)


def test_without_picks_nothing_is_known() -> None:
    nothing = compared([[], []])
    assert math.isnan(reliability(nothing).ece)
    assert len(times_to_pick_s(nothing, 0.5)) == 0


def test_time_to_pick_counts_from_the_label() -> None:
    picks = [
        [TracePick("P", 30.2, 0.9, latency_s=1.0)],
        [TracePick("P", 29.9, 0.9, latency_s=1.0), TracePick("P", 30.0, 0.9, latency_s=3.0)],
        [TracePick("P", 32.0, 0.9, latency_s=1.0)],  # a false one
        [TracePick("P", 30.0, 0.3, latency_s=1.0)],  # below the threshold
        [TracePick("P", 30.0, 0.9)],  # does not say
    ]
    assert times_to_pick_s(compared(picks), 0.5) == pytest.approx([1.2, 0.9])
