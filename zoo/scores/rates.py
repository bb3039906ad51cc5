"""False picks per hour against recall on continuous records: a picker and its peers by one rule.

No analyst has been on these records, so other pickers stand in for truth. The reference is what all peers
agree on; a pick is false where no judge has a pick of its phase within 0.5 s. A peer is judged by the other
peers, for its own picks cannot confirm themselves. The picker under test is judged twice: by all peers, and,
because three judges confirm more than two, by all peers but one, averaged over who is left out, which is
like for like with the peers. Recall favours the peers: each has found the whole reference by definition.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.cells import PHASES
from edge.pick import NS, Phase
from zoo.scores.continuous import Record, has_neighbour
from zoo.scores.scoring import RESIDUAL_TOLERANCE_S


@dataclass(frozen=True, slots=True)
class RatedPick:
    """A pick on a continuous record: `station` NET.STA, UTC nanoseconds, probability 0..1."""

    station: str
    phase: Phase
    time_ns: int
    prob: float


@dataclass(frozen=True, slots=True)
class Point:
    """What a picker does at one threshold; `false` picks may be a mean over juries."""

    threshold: float
    recall: float
    false: float


@dataclass(frozen=True, slots=True)
class Curve:
    """Recall and false picks by threshold, one entry per probability that occurs, from the highest down."""

    threshold: NDArray[np.float64]
    recall: NDArray[np.float64]
    false: NDArray[np.float64]

    def at_recall(self, recall: float) -> Point | None:
        """The highest threshold that reaches this recall; None where none does."""
        reached = np.flatnonzero(self.recall >= recall - 1e-9)
        return self._point(int(reached[0])) if len(reached) else None

    def at_threshold(self, threshold: float) -> Point | None:
        """What is found and false from this threshold up; None where nothing is picked."""
        kept = np.flatnonzero(self.threshold >= threshold)
        return self._point(int(kept[-1])) if len(kept) else None

    def _point(self, index: int) -> Point:
        return Point(*(float(part[index]) for part in (self.threshold, self.recall, self.false)))


@dataclass(frozen=True, slots=True)
class Rates:
    """One phase on some records: `hours` of them, `agreed` picks in the reference, and a curve each.

    `all_judges`: the picker under test, judged by all peers; `less_one`: the mean over all peers but one;
    `peers`: each peer, judged by the others.
    """

    hours: float
    agreed: int
    all_judges: Curve
    less_one: Curve
    peers: Mapping[str, Curve]


@dataclass(frozen=True, slots=True)
class _Times:
    """Picks of one station and phase in order of time."""

    time_ns: NDArray[np.int64]
    prob: NDArray[np.float64]


_NONE = _Times(np.array([], np.int64), np.array([], np.float64))
_Index = Mapping[tuple[str, Phase], _Times]


def rates(
    records: Sequence[Record],
    picks: Iterable[RatedPick],
    peers: Mapping[str, Sequence[RatedPick]],
    reference: Iterable[RatedPick],
) -> dict[Phase, Rates]:
    """Curves by phase over all `records`. `picks` are those of the picker under test, `peers` those of the
    others by name, `reference` the onsets that all peers agree on.

    Raises ValueError for fewer than two peers: one alone cannot be judged.
    """
    if len(peers) < 2:
        raise ValueError(f"picks of two other pickers at least are needed as judges; there are {len(peers)}")
    hours = sum(record.end_ns - record.start_ns for record in records) / NS / 3600
    own, agreed = _index(picks), _index(reference)
    everyone = _index(pick for made in peers.values() for pick in made)
    without = {
        name: _index(pick for other in peers if other != name for pick in peers[other]) for name in peers
    }

    def curve(phase: Phase, made: _Index, juries: Sequence[_Index]) -> Curve:
        return _curve(records, phase, made, agreed, juries)

    return {
        phase: Rates(
            hours,
            sum(len(_inside(agreed, record, phase).time_ns) for record in records),
            curve(phase, own, [everyone]),
            curve(phase, own, list(without.values())),
            {name: curve(phase, _index(made), [without[name]]) for name, made in peers.items()},
        )
        for phase in PHASES
    }


def _curve(
    records: Sequence[Record], phase: Phase, made: _Index, agreed: _Index, juries: Sequence[_Index]
) -> Curve:
    prob, alone, found = [_NONE.prob], [_NONE.prob], [_NONE.prob]
    for record in records:
        place = (record.station, phase)
        mine = _inside(made, record, phase)
        verdicts = [~has_neighbour(mine.time_ns, jury.get(place, _NONE).time_ns) for jury in juries]
        prob.append(mine.prob)
        alone.append(np.mean(verdicts, axis=0))
        found.append(_highest_near(_inside(agreed, record, phase).time_ns, made.get(place, _NONE)))
    probs, reference = np.concatenate(prob), np.concatenate(found)
    downwards = np.argsort(-probs, kind="stable")
    threshold = np.unique(probs)[::-1]
    false = np.cumsum(np.concatenate(alone)[downwards])
    last = np.searchsorted(-probs[downwards], -threshold, "right") - 1
    recalled = len(reference) - np.searchsorted(np.sort(reference), threshold, "left")
    return Curve(threshold, recalled / max(len(reference), 1), false[last])


def _highest_near(times: NDArray[np.int64], made: _Times) -> NDArray[np.float64]:
    """By time the highest probability of a pick within 0.5 s; -1 without one."""
    reach = round(RESIDUAL_TOLERANCE_S * NS)
    first = np.searchsorted(made.time_ns, times - reach, "left").tolist()
    after = np.searchsorted(made.time_ns, times + reach, "right").tolist()
    near = zip(first, after, strict=True)
    return np.array([made.prob[low:high].max(initial=-1.0) for low, high in near], np.float64)


def _index(picks: Iterable[RatedPick]) -> _Index:
    lists: defaultdict[tuple[str, Phase], list[tuple[int, float]]] = defaultdict(list)
    for pick in picks:
        lists[pick.station, pick.phase].append((pick.time_ns, pick.prob))
    return {
        place: _Times(
            np.array([time_ns for time_ns, _ in sorted(made)], np.int64),
            np.array([prob for _, prob in sorted(made)], np.float64),
        )
        for place, made in lists.items()
    }


def _inside(index: _Index, record: Record, phase: Phase) -> _Times:
    """What the index has of the record's station in its time."""
    made = index.get((record.station, phase), _NONE)
    kept = (made.time_ns >= record.start_ns) & (made.time_ns <= record.end_ns)
    return _Times(made.time_ns[kept], made.prob[kept])
