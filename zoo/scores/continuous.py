"""Picks on continuous records against those of other pickers: rates of agreement, for want of truth."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edge.cells import PHASES
from edge.pick import NS, Phase, Pick, format_time
from zoo.scores.scoring import RESIDUAL_TOLERANCE_S


@dataclass(frozen=True, slots=True)
class Record:
    """One continuous record: `station` NET.STA, UTC nanoseconds of its first and last sample."""

    source: str
    station: str
    start_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True)
class Span:
    """What is wanted of one source's records: from `from_ns` to before `until_ns`, UTC nanoseconds; None
    for no limit.
    """

    source: str
    from_ns: int | None
    until_ns: int | None


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

    Picks outside the records are left out; a pick near the end of a record may find a peer beyond it.
    """
    times: dict[tuple[Record, Phase], list[int]] = {(r, phase): [] for r in records for phase in PHASES}
    for pick in picks:
        record = _record_of(records, net_sta(pick), pick.time_ns)
        if record and pick.prob >= thresholds[pick.phase]:
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
                false += int((~has_neighbour(own, _peer_times(peers, record, phase))).sum())
                for level in levels:
                    agreeing = [one for one in consensus if one.models >= level]
                    reference = _peer_times(agreeing, record, phase)
                    reference = reference[(reference >= record.start_ns) & (reference <= record.end_ns)]
                    agreed[level] += len(reference)
                    recalled[level] += int(has_neighbour(reference, own).sum())
            scores.append(ContinuousScore(source, phase, hours, made, false, agreed, recalled))
    return scores


def clipped(records: Iterable[Record], spans: Sequence[Span]) -> list[Record]:
    """The parts of the records that the spans want; all of them without spans.

    Raises ValueError for two spans of one source and for a span that no record meets.
    """
    if not spans:
        return list(records)
    records = list(records)
    parts: list[Record] = []
    for span in spans:
        found = [
            replace(
                record,
                start_ns=record.start_ns if span.from_ns is None else max(record.start_ns, span.from_ns),
                end_ns=record.end_ns if span.until_ns is None else min(record.end_ns, span.until_ns - 1),
            )
            for record in records
            if record.source == span.source
        ]
        found = [record for record in found if record.start_ns < record.end_ns]
        if not found:
            sources = ", ".join(sorted({record.source for record in records}))
            raise ValueError(f"no records of {span.source!r} at that time; there are {sources}")
        if any(record.source == span.source for record in parts):
            raise ValueError(f"records of {span.source!r} are asked for twice")
        parts += found
    return parts


def refuse_strangers(records: Sequence[Record], picks: Iterable[Pick]) -> None:
    """Raises ValueError for a pick that is more than 1 s outside all records: it was made on other data."""
    # An onset may be refined to just before the first sample.
    wider = [replace(one, start_ns=one.start_ns - NS, end_ns=one.end_ns + NS) for one in records]
    for pick in picks:
        if _record_of(wider, net_sta(pick), pick.time_ns) is None:
            raise ValueError(
                f"a pick of {net_sta(pick)} at {format_time(pick.time_ns)} lies in none of the records"
            )


def net_sta(pick: Pick) -> str:
    """NET.STA of a pick, as records and peers name their stations."""
    return ".".join(pick.station.split(".")[:2])


def has_neighbour(
    times: NDArray[np.int64], others: NDArray[np.int64], within_s: float = RESIDUAL_TOLERANCE_S
) -> NDArray[np.bool_]:
    """Which of `times` have one of the sorted `others` this near."""
    reach = round(within_s * NS)
    first = np.searchsorted(others, times - reach, "left")
    after = np.searchsorted(others, times + reach, "right")
    return after > first


def _record_of(records: Sequence[Record], station: str, time_ns: int) -> Record | None:
    here = (one for one in records if one.station == station and one.start_ns <= time_ns <= one.end_ns)
    return next(here, None)


def _peer_times(picks: Sequence[PeerPick], record: Record, phase: Phase) -> NDArray[np.int64]:
    times = [one.time_ns for one in picks if one.station == record.station and one.phase == phase]
    return np.sort(np.array(times, np.int64))
