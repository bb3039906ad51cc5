"""Operating points of a model: what to expect of it where many picks are wanted, and where few false ones."""

from collections.abc import Mapping

from edge.pick import Phase
from zoo.scores import scoring
from zoo.scores.rates import Rates
from zoo.scores.scoring import RESIDUAL_TOLERANCE_S, Comparison

BETAS = {"sensitive": 2.0, "balanced": 1.0, "quiet": 0.5}
"""Recall counts so many times as much as precision."""
TOLERANCES_S = (0.1, 0.5)
ONSETS_PER_HOUR = 20.0
"""Of a phase, at a station in a lively network. A labelled trace is a minute around an onset: a threshold
that is best on such minutes alone is too low for the hours between them."""
FALSE_SHARE = 0.5
"""Of picks that no peer confirms; at the time of the others more stations have something than chance explains
(`zoo.scores.corroboration`)."""


def operating_points(
    comparisons: Mapping[Phase, Comparison],
    thresholds: Mapping[Phase, float],
    rates: Mapping[Phase, Rates] | None,
) -> dict[str, dict[Phase, dict[str, float]]]:
    """By name and phase: threshold, precision and recall within 0.5 s on labelled traces, and, where `rates`
    on continuous records are given, false picks per hour there.

    "balanced" are the card's `thresholds`, "sensitive" and "quiet" those where recall, or precision, counts
    more.
    """
    points: dict[str, dict[Phase, dict[str, float]]] = {}
    for name, beta in BETAS.items():
        points[name] = {}
        for phase, threshold in thresholds.items():
            comparison, rate = comparisons[phase], rates[phase] if rates else None
            at = threshold if name == "balanced" else best_threshold(comparison, rate, beta)
            score = scoring.score(comparison, RESIDUAL_TOLERANCE_S, at)
            point = {
                "threshold": at,
                "precision": round(score.precision, 4),
                "recall": round(score.recall, 4),
            }
            if rate is not None:
                made = rate.all_judges.at_threshold(at)
                point["false_per_hour"] = round(made.false / rate.hours, 2) if made else 0.0
            points[name][phase] = point
    return points


def best_threshold(comparison: Comparison, rates: Rates | None, beta: float = 1.0) -> float:
    """The threshold of the highest mean F-beta over 0.1 and 0.5 s on labelled traces. With `rates`, the hours
    between so many onsets bring the false picks that they brought on continuous records."""
    hours = len(comparison.names) / ONSETS_PER_HOUR

    def f_beta(threshold: float) -> float:
        made = rates.all_judges.at_threshold(threshold) if rates else None
        between = FALSE_SHARE * made.false / rates.hours * hours if rates and made else 0.0
        total = 0.0
        for tolerance in TOLERANCES_S:
            at = scoring.score(comparison, tolerance, threshold)
            found = (1 + beta**2) * at.tp
            total += found / (found + beta**2 * at.fn + at.fp + between) if at.tp else 0.0
        return total

    threshold: float = max(scoring.THRESHOLDS, key=f_beta)
    return threshold
