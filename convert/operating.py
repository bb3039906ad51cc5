"""Operating points of a model: what to expect of it where many picks are wanted, and where few false ones."""

from collections.abc import Mapping

from edge.pick import Phase
from zoo.scores import scoring
from zoo.scores.rates import Rates
from zoo.scores.scoring import RESIDUAL_TOLERANCE_S, Comparison, Score

BETAS = {"sensitive": 2.0, "quiet": 0.5}
"""Recall counts so many times as much as precision."""


def operating_points(
    comparisons: Mapping[Phase, Comparison],
    thresholds: Mapping[Phase, float],
    rates: Mapping[Phase, Rates] | None,
) -> dict[str, dict[Phase, dict[str, float]]]:
    """By name and phase: threshold, precision and recall within 0.5 s on labelled traces, and, where `rates`
    on continuous records are given, false picks per hour there.

    "balanced" are the card's `thresholds`, "sensitive" and "quiet" those of the highest F2 and F0.5.
    """
    points: dict[str, dict[Phase, dict[str, float]]] = {}
    for name in ("sensitive", "balanced", "quiet"):
        points[name] = {}
        for phase, threshold in thresholds.items():
            comparison = comparisons[phase]
            at = _best(comparison, BETAS[name]) if name in BETAS else threshold
            score = scoring.score(comparison, RESIDUAL_TOLERANCE_S, at)
            point = {
                "threshold": at,
                "precision": round(score.precision, 4),
                "recall": round(score.recall, 4),
            }
            if rates is not None:
                made = rates[phase].all_judges.at_threshold(at)
                point["false_per_hour"] = round(made.false / rates[phase].hours, 2) if made else 0.0
            points[name][phase] = point
    return points


def _best(comparison: Comparison, beta: float) -> float:
    def f_beta(score: Score) -> float:
        made = (1 + beta**2) * score.tp + beta**2 * score.fn + score.fp
        return (1 + beta**2) * score.tp / made if made else 0.0

    threshold: float = max(scoring.curve(comparison, RESIDUAL_TOLERANCE_S), key=f_beta).threshold
    return threshold
