"""Whether other stations noticed something when a pick is confirmed by nobody at its own.

A picker that finds smaller events than its judges is charged with false picks that are right. But an event is
seen by more than one station: of the picks that no judge confirms, those are counted for which judges picked
something at other stations at about the same time. Where there is much going on that happens by chance, too;
how often is measured with the same picks moved by some minutes. What is left over are events.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.pick import NS, Phase
from zoo.scores.continuous import Record, has_neighbour
from zoo.scores.rates import RatedPick

WITHIN_S = 10.0
"""What P needs for 60 km, S for 35."""
STATIONS = 2
"""So many other stations at least, or the only other one there is."""
SHIFTS_S = tuple(60 * minutes for minutes in (*range(-10, 0), *range(1, 11)))


@dataclass(frozen=True, slots=True)
class Corroboration:
    """`unconfirmed` picks of stations that are not alone; `corroborated`: the share for which other stations
    noticed something, and what it would be by `chance`, both NaN where there are no such picks."""

    unconfirmed: int
    corroborated: float
    chance: float


def corroboration(
    records: Sequence[Record], phase: Phase, picks: Iterable[RatedPick], judges: Iterable[RatedPick]
) -> Corroboration:
    """Of the picks of one phase inside the records, those with no judge's pick within 0.5 s at their station,
    and the share of these that judges' picks of either phase at other stations corroborate."""
    judges = list(judges)
    same, any_phase = _by_station(one for one in judges if one.phase == phase), _by_station(judges)
    made = _by_station(one for one in picks if one.phase == phase)
    true: list[NDArray[np.bool_]] = []
    chance: list[NDArray[np.bool_]] = []
    for record in records:
        times = made.get(record.station, _NONE)
        times = times[(times >= record.start_ns) & (times <= record.end_ns)]
        times = times[~has_neighbour(times, same.get(record.station, _NONE))]
        others = [
            any_phase.get(station, _NONE)
            for station in {one.station for one in _meanwhile(records, record)} - {record.station}
        ]
        if not others:
            continue  # nobody could say
        length = record.end_ns - record.start_ns
        for shift_s in (0, *SHIFTS_S):
            moved = record.start_ns + (times - record.start_ns + shift_s * NS) % length
            noticed = np.sum([has_neighbour(moved, other, WITHIN_S) for other in others], axis=0)
            (chance if shift_s else true).append(noticed >= min(STATIONS, len(others)))
    return Corroboration(sum(map(len, true)), _share(true), _share(chance))


_NONE = np.array([], np.int64)


def _share(parts: Sequence[NDArray[np.bool_]]) -> float:
    return float(np.mean(np.concatenate(parts))) if any(map(len, parts)) else math.nan


def _by_station(picks: Iterable[RatedPick]) -> dict[str, NDArray[np.int64]]:
    times: defaultdict[str, list[int]] = defaultdict(list)
    for pick in picks:
        times[pick.station].append(pick.time_ns)
    return {station: np.sort(np.array(made, np.int64)) for station, made in times.items()}


def _meanwhile(records: Iterable[Record], record: Record) -> list[Record]:
    """Those that overlap it in time."""
    return [one for one in records if one.start_ns < record.end_ns and one.end_ns > record.start_ns]
