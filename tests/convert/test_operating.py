"""Operating points: more picks, the card's, or fewer false ones."""

import numpy as np
import pytest

pytest.importorskip("keras", reason="the zoo needs the [host] extra")

from convert.operating import best_threshold, operating_points
from zoo.scores import scoring
from zoo.scores.rates import Curve, Rates


def comparison():
    """Twenty labelled onsets: as the threshold falls more are found, and the false picks grow faster."""
    labels = [
        scoring.Labels(str(k), "test", "earthquake", 60.0, {"P": 30.0, "S": None}, {"P": 20.0, "S": np.nan})
        for k in range(20)
    ]
    picks = {str(k): [scoring.TracePick("P", 30.0, 1 - k / 20)] for k in range(20)}
    for k in range(10, 20):
        picks[str(k)] += [scoring.TracePick("P", 20.0 + n, 0.5 - 0.02 * (n + k - 10)) for n in range(5)]
    return scoring.compare(labels, picks, "P")


def test_a_sensitive_point_finds_more_and_a_quiet_one_is_oftener_right():
    points = operating_points({"P": comparison()}, {"P": 0.5}, None)
    sensitive, balanced, quiet = (points[name]["P"] for name in ("sensitive", "balanced", "quiet"))
    assert balanced["threshold"] == 0.5
    assert sensitive["threshold"] <= balanced["threshold"] <= quiet["threshold"]
    assert sensitive["recall"] > quiet["recall"]
    assert sensitive["precision"] < quiet["precision"]
    assert "false_per_hour" not in balanced


def test_false_picks_per_hour_are_those_of_the_records_at_the_same_threshold():
    curve = Curve(np.array([0.9, 0.6, 0.2]), np.array([0.2, 0.6, 0.9]), np.array([1.0, 4.0, 30.0]))
    rates = {"P": Rates(8.0, 10, curve, curve, {})}
    assert operating_points({"P": comparison()}, {"P": 0.5}, rates)["balanced"]["P"]["false_per_hour"] == 0.5
    assert operating_points({"P": comparison()}, {"P": 0.95}, rates)["balanced"]["P"]["false_per_hour"] == 0.0


def test_false_picks_between_onsets_raise_the_threshold():
    labelled = comparison()
    alone = best_threshold(labelled, None)
    assert alone == max(
        scoring.THRESHOLDS,
        key=lambda t: np.mean([scoring.score(labelled, tol, t).f1 for tol in (0.1, 0.5)]),
    )
    prob, recall = np.array([0.9, 0.7, alone]), np.array([0.2, 0.5, 0.9])

    def rates(*false):
        curve = Curve(prob, recall, np.array(false, np.float64))
        return Rates(10.0, 10, curve, curve, {})

    assert best_threshold(labelled, rates(0, 0, 0)) == alone
    assert alone < best_threshold(labelled, rates(0, 0, 5000)) <= 0.7
