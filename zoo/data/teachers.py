"""Labels by other pickers, where analysts left a phase unpicked: onsets on which several of them agree."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from edge.cells import PHASES
from edge.pick import Phase
from zoo.data.labels import Arrival
from zoo.data.seisbench import Trace
from zoo.scores.pickfile import StoredPick, picker_names, read_trace_picks

AGREE_S = 0.4
LEAST_PROB = 0.3
LEAST_AGREEING = 2
TIMED_SHARE = 0.75
"""Of the teachers must agree, for an onset to teach the place within a cell as well."""
TRUST = 0.8
"""Weight of a label on which all agree, against an analyst's."""


@dataclass(frozen=True, slots=True)
class Onset:
    """Teachers agree on an onset: `sample` at the trace's own rate, `share` of the teachers, 0..1."""

    phase: Phase
    sample: float
    share: float


class Teachers:
    """Several pickers' picks on many traces. `picks`: by picker, by trace name."""

    def __init__(self, picks: Mapping[str, Mapping[str, Sequence[StoredPick]]]) -> None:
        self._picks = picks

    def onsets(self, trace: Trace) -> list[Onset]:
        """Where at least two agree within 0.4 s, in order of time: the median of their picks."""
        found = []
        for phase in PHASES:
            marks = sorted(
                (sample, name)
                for name, of_traces in self._picks.items()
                for letter, sample, prob in of_traces.get(trace.name, ())
                if letter == phase and prob >= LEAST_PROB
            )
            while marks:
                first = marks[0][0]
                together = [mark for mark in marks if mark[0] - first <= AGREE_S * trace.rate]
                marks = marks[len(together) :]
                names = {name for _, name in together}
                if len(names) >= LEAST_AGREEING:
                    share = len(names) / len(self._picks)
                    found.append(Onset(phase, median(sample for sample, _ in together), share))
        return sorted(found, key=lambda onset: onset.sample)

    def arrivals(self, trace: Trace) -> list[Arrival]:
        """Labels for the phases that nobody picked on this trace, at the trace's own rate."""
        unpicked = {"P": trace.p_unlabelled, "S": trace.s_unlabelled}
        return [
            Arrival(onset.phase, onset.sample, onset.share >= TIMED_SHARE, TRUST * onset.share)
            for onset in self.onsets(trace)
            if unpicked[onset.phase]
        ]


def read_teachers(paths: Sequence[Path]) -> Teachers:
    """The pickers that all of these files hold. ValueError if there are not two of them."""
    names = set.intersection(*(set(picker_names(path)) for path in paths))
    if len(names) < LEAST_AGREEING:
        raise ValueError(f"{', '.join(map(str, paths))}: fewer than {LEAST_AGREEING} pickers in all of them")
    return Teachers(
        {name: {k: v for path in paths for k, v in read_trace_picks(path, name).items()} for name in names}
    )
