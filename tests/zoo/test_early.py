"""Scores of early picks count what a listener would have heard."""

from dataclasses import replace

import numpy as np

from edge.pick import Pick
from zoo.scores.early import score_early

FINAL = Pick("", "XX.A.", ("HHZ",), "P", 0, 0.8, 0.1, 12.0, 1.0, "gnss", 4.5, "m@0")


def early(name, wait_s):
    return replace(FINAL, id=name, status="preliminary", latency_s=wait_s, snr_db=None)


def final(name, snr_db=12.0, update=1):
    return replace(FINAL, id=name, snr_db=snr_db, update=update)


def test_early_picks_are_confirmed_or_not_and_clear_onsets_wait_for_their_first_word():
    told = [
        early("a", 0.5), early("b", 0.7), final("a"), replace(early("b", 0.7), status="rejected", update=1),
        early("c", 1.5), final("c", snr_db=3.0), final("d", update=0), replace(early("e", 9.0), phase="S"),
    ]  # fmt: skip
    score = score_early(told, "P")
    assert (score.told, score.confirmed) == (3, 2)
    assert score.waits_s == (0.5, 4.5)
    assert score.within(1.0) == 0.5
    assert score.wait_s(50) == 2.5


def test_nothing_told_is_nothing_wrong():
    score = score_early([], "S")
    assert score.precision == 1.0
    assert np.isnan(score.within(1.0))
    assert np.isnan(score.wait_s(95))
