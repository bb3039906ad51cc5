"""Picks on continuous records against those of other pickers: rates of agreement, for want of truth."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.cells import PHASES
from edge.pick import NS, Phase, Pick, format_time
from zoo.scoring import RESIDUAL_TOLERANCE_S


@dataclass(frozen=True, slots=True)
class Record:
    """One continuous record: `station` NET.STA, UTC nanoseconds of its first and last sample."""

    source: str
    station: str
    start_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True)
class PeerPick:
    """A pick of other pickers on a continuous record; `models`: how many of them agree on it."""

    station: str
    phase: Phase
    time_ns: int
    models: int


@dataclass(frozen=True, slots=True)
class ContinuousScore:
    """Picks on the continuous records of one source against other pickers: rates, not truth.

    `hours` of record; `picks` made, `false` of them with no peer pick within 0.5 s; `agreed` and
    `recalled`: peer picks on which at least n pickers agree, and how many of these were found, by n.
    """

    source: str
    phase: Phase
    hours: float
    picks: int
    false: int
    agreed: Mapping[int, int]
    recalled: Mapping[int, int]

    @property
    def false_per_hour(self) -> float:
        return self.false / self.hours


def score_continuous(
    records: Sequence[Record],
    peers: Sequence[PeerPick],
    consensus: Sequence[PeerPick],
    picks: Iterable[Pick],
    thresholds: Mapping[Phase, float],
) -> list[ContinuousScore]:
    """Scores by source and phase. `peers`: every pick of every peer; `consensus`: those they agree on.

    Raises ValueError for a pick more than 1 s outside all records: it was not made on this data.
    """
    times: dict[tuple[Record, Phase], list[int]] = {(r, phase): [] for r in records for phase in PHASES}
    for pick in picks:
        record = _record_of(records, ".".join(pick.station.split(".")[:2]), pick.time_ns)
        if pick.prob >= thresholds[pick.phase]:
            times[record, pick.phase].append(pick.time_ns)
    levels = sorted({one.models for one in consensus})
    scores = []
    for source in sorted({record.source for record in records}):
        chosen = [record for record in records if record.source == source]
        hours = sum(record.end_ns - record.start_ns for record in chosen) / NS / 3600
        for phase in PHASES:
            made = false = 0
            agreed, recalled = dict.fromkeys(levels, 0), dict.fromkeys(levels, 0)
            for record in chosen:
                own = np.sort(np.array(times[record, phase], np.int64))
                made += len(own)
                false += int((~_has_neighbour(own, _times(peers, record, phase, 1))).sum())
                for level in levels:
                    reference = _times(consensus, record, phase, level)
                    agreed[level] += len(reference)
                    recalled[level] += int(_has_neighbour(reference, own).sum())
            scores.append(ContinuousScore(source, phase, hours, made, false, agreed, recalled))
    return scores


def _record_of(records: Sequence[Record], station: str, time_ns: int) -> Record:
    for record in records:  # an onset may be refined to just before the first sample
        if record.station == station and record.start_ns - NS <= time_ns <= record.end_ns + NS:
            return record
    raise ValueError(f"a pick of {station} at {format_time(time_ns)} lies in none of the records")


def _times(picks: Sequence[PeerPick], record: Record, phase: Phase, models: int) -> NDArray[np.int64]:
    return np.sort(
        np.array(
            [
                one.time_ns
                for one in picks
                if one.station == record.station
                and one.phase == phase
                and one.models >= models
                and record.start_ns <= one.time_ns <= record.end_ns
            ],
            np.int64,
        )
    )


def _has_neighbour(times: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of `times` have one of the sorted `others` within 0.5 s."""
    reach = round(RESIDUAL_TOLERANCE_S * NS)
    first = np.searchsorted(others, times - reach, "left")
    after = np.searchsorted(others, times + reach, "right")
    return after > first
