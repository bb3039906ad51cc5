"""From which probability on a pick is told before the final word on it."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from edge.cells import PHASES
from edge.model import Network
from edge.pick import Phase
from zoo.data.seisbench import read_traces
from zoo.runner import TOGETHER, batched, picks_of
from zoo.scores.early import EarlyScore, score_early

CANDIDATES = tuple(round(0.3 + 0.05 * k, 2) for k in range(14))
CONFIRMED = 0.9
"""At least this share of early picks shall be confirmed."""

Scores = Mapping[Phase, Mapping[float, EarlyScore]]


def early_scores(
    network: Network, thresholds: Mapping[Phase, float], folder: Path, split: str, quiet: bool
) -> Scores:
    """By phase and threshold of early picks what these are worth on the traces of a split, final picks being
    those at `thresholds`."""
    traces = [list(some) for some in batched(read_traces(folder, split), TOGETHER)]
    scores: dict[Phase, dict[float, EarlyScore]] = {phase: {} for phase in PHASES}
    for least in tqdm(CANDIDATES, f"{network.card.name}, early picks", disable=quiet):
        early: dict[Phase, float] = dict.fromkeys(PHASES, least)
        picks = [
            replace(pick, id=f"{trace.name} {pick.id}")  # the ids know nothing of traces
            for some in traces
            for trace, pick in picks_of(network, some, thresholds, early)
        ]
        for phase in PHASES:
            scores[phase][least] = score_early(picks, phase)
    return scores


def early_thresholds(scores: Scores) -> dict[Phase, float] | None:
    """By phase the lowest threshold from which on nine of ten early picks are confirmed; None if there is
    none for one of them."""
    found: dict[Phase, float] = {}
    for phase in PHASES:
        for least in reversed(CANDIDATES):
            if scores[phase][least].precision < CONFIRMED:
                break
            found[phase] = least
    return found if len(found) == len(PHASES) else None


def early_metrics(scores: Scores) -> dict[Phase, list[dict[str, Any]]]:
    """The policy's curve for the card: by phase and threshold the share that is confirmed, and how long
    clear onsets wait for the first word on them."""
    return {
        phase: [
            {
                "threshold": least,
                "told": score.told,
                "confirmed": round(score.precision, 3),
                "onsets": len(score.waits_s),
                "wait_p50_s": round(score.wait_s(50), 2),
                "wait_p95_s": round(score.wait_s(95), 2),
                "within_1s": round(score.within(1.0), 3),
            }
            for least, score in scores[phase].items()
            if score.waits_s
        ]
        for phase in PHASES
    }
