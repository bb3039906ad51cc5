"""What early picks are worth: how many of them are confirmed, and how much sooner they come."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from edge.pick import Phase, Pick

CLEAR_DB = 10.0
"""Onsets with at least this signal-to-noise ratio are those that can be told at once."""


@dataclass(frozen=True, slots=True)
class EarlyScore:
    """Of one phase: picks `told` early and those `confirmed`; of clear onsets that are final in the end, the
    seconds of signal after the onset on which the first word on each was given, ascending."""

    told: int
    confirmed: int
    waits_s: tuple[float, ...]

    @property
    def precision(self) -> float:
        """Share of the early picks that are confirmed; 1 where none was told."""
        return self.confirmed / self.told if self.told else 1.0

    def within(self, seconds: float) -> float:
        """Share of clear onsets told within so many seconds; NaN where there are none."""
        return float(np.mean(np.array(self.waits_s) <= seconds)) if self.waits_s else np.nan

    def wait_s(self, percentile: float) -> float:
        """How long clear onsets wait at a percentile, 0 to 100; NaN where there are none."""
        return float(np.percentile(self.waits_s, percentile)) if self.waits_s else np.nan


def score_early(picks: Iterable[Pick], phase: Phase) -> EarlyScore:
    """Picks in the order in which they were told, each under an id of its own."""
    first: dict[str, Pick] = {}
    last: dict[str, Pick] = {}
    for pick in picks:
        if pick.phase == phase:
            first.setdefault(pick.id, pick)
            last[pick.id] = pick
    early = [pick.id for pick in first.values() if pick.status == "preliminary"]
    clear = [
        pick.id
        for pick in last.values()
        if pick.status == "final" and pick.snr_db is not None and pick.snr_db >= CLEAR_DB
    ]
    return EarlyScore(
        len(early),
        sum(last[name].status == "final" for name in early),
        tuple(sorted(first[name].latency_s for name in clear)),
    )
