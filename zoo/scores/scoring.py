"""One scoring rule for every picker: whole trace in, picks out, compared with the labels.

The rule. A label is found when a pick of its phase lies within the tolerance; the nearest pick counts, and
counts once. Every other pick of that phase from 20 s before to 40 s after the first label of the trace (of
either phase) is false, a second pick on the same onset too. A trace without a label of a phase, unlabelled
ones included, is left out for that phase: it can neither lose nor gain there.

Times are compared as float64 seconds, so a pick exactly one tolerance away may fall on either side.
Pure functions, no I/O.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.pick import Phase
from zoo.data.seisbench import Trace

TOLERANCES_S = (0.1, 0.2, 0.5)
THRESHOLDS = tuple(round(0.05 * step, 2) for step in range(1, 20))
"""Where thresholds are tried. Coarse on purpose: finer steps tune to the traces they are scored on."""
RESIDUAL_TOLERANCE_S = 0.5
SNR_WINDOW_S = 2.0
_BEFORE_S, _AFTER_S = 20.0, 40.0


@dataclass(frozen=True, slots=True)
class TracePick:
    """One pick on one trace: `time_s` seconds after its first sample, `prob` 0..1, `latency_s` seconds of
    signal from the pick's onset to when it was made, nan where the picker does not say.
    """

    phase: Phase
    time_s: float
    prob: float
    latency_s: float = math.nan


@dataclass(frozen=True, slots=True)
class Labels:
    """What is known of one trace: onsets in seconds from its first sample, None where there is no label
    (or the phase is unlabelled). `snr_db`: by phase, nan where it cannot be told. `duration_s`: its length.
    `distance_km`: epicentral, nan where unknown.
    """

    name: str
    source: str
    category: str
    duration_s: float
    onset_s: Mapping[Phase, float | None]
    snr_db: Mapping[Phase, float]
    distance_km: float = math.nan

    @property
    def sp_s(self) -> float:
        """S onset minus P onset in seconds; nan unless both are labelled."""
        p, s = self.onset_s["P"], self.onset_s["S"]
        return math.nan if p is None or s is None else s - p


@dataclass(frozen=True, slots=True)
class Comparison:
    """All picks of one phase that count, set against the labels; what every score is made from.

    `trace`, `residual_s`, `prob`, `latency_s`: one entry per pick in a counting window, the index of its
    labelled trace, pick minus label in seconds, its probability and its latency. `names`, `sources`,
    `snr_db`, `sp_s`, `distance_km`: one entry per labelled trace, nan where unknown.
    """

    phase: Phase
    trace: NDArray[np.int64]
    residual_s: NDArray[np.float64]
    prob: NDArray[np.float64]
    latency_s: NDArray[np.float64]
    names: NDArray[np.str_]
    sources: NDArray[np.str_]
    snr_db: NDArray[np.float64]
    sp_s: NDArray[np.float64]
    distance_km: NDArray[np.float64]

    def subset(self, chosen: NDArray[np.bool_]) -> "Comparison":
        """The same for those labelled traces where `chosen` (one bool per labelled trace) is True."""
        kept = chosen[self.trace]
        renumbered = np.cumsum(chosen) - 1
        return Comparison(
            self.phase,
            renumbered[self.trace[kept]],
            self.residual_s[kept],
            self.prob[kept],
            self.latency_s[kept],
            self.names[chosen],
            self.sources[chosen],
            self.snr_db[chosen],
            self.sp_s[chosen],
            self.distance_km[chosen],
        )


@dataclass(frozen=True, slots=True)
class Score:
    """Counts of one phase at one tolerance (seconds) and threshold: picks with prob >= threshold count."""

    phase: Phase
    tolerance_s: float
    threshold: float
    tp: int
    fp: int
    fn: int

    @property
    def precision(self) -> float:
        """Right picks among all picks, 0..1; 0 when nothing was picked."""
        return self.tp / (self.tp + self.fp) if self.tp else 0.0

    @property
    def recall(self) -> float:
        """Found labels among all labels, 0..1; 0 when there are none."""
        return self.tp / (self.tp + self.fn) if self.tp else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall, 0..1."""
        return 2 * self.tp / (2 * self.tp + self.fp + self.fn) if self.tp else 0.0


@dataclass(frozen=True, slots=True)
class Residuals:
    """Pick minus label over the labels found within 0.5 s, in seconds; nan where none was found."""

    count: int
    mean_s: float
    std_s: float
    mae_s: float


def labels_of(trace: Trace, distance_km: float = math.nan) -> Labels:
    """What scoring needs of a trace; SNR is measured on its samples, see `snr_db`. An onset outside of the
    trace counts as none."""

    def known(sample: float | None, unlabelled: bool) -> float | None:
        there = not unlabelled and sample is not None and 0 <= sample < len(trace.samples)
        return sample / trace.rate if sample is not None and there else None

    onset: dict[Phase, float | None] = {
        "P": known(trace.p_sample, trace.p_unlabelled),
        "S": known(trace.s_sample, trace.s_unlabelled),
    }
    snr: dict[Phase, float] = {
        phase: math.nan if time_s is None else snr_db(trace.samples, trace.rate, time_s)
        for phase, time_s in onset.items()
    }
    duration_s = len(trace.samples) / trace.rate
    return Labels(trace.name, trace.source, trace.category, duration_s, onset, snr, distance_km)


def snr_db(samples: NDArray[np.int32] | NDArray[np.float64], rate: float, onset_s: float) -> float:
    """20 log10 of standard deviation 2 s after over 2 s before the onset, on the component where it is
    highest. `samples` (npts, components) unfiltered, `rate` in Hz. nan where either window is shorter than
    half its length or every component is flat before the onset.
    """
    onset, length = round(onset_s * rate), round(SNR_WINDOW_S * rate)
    before = samples[max(onset - length, 0) : max(onset, 0)].astype(np.float64)
    after = samples[max(onset, 0) : max(onset + length, 0)].astype(np.float64)
    if min(len(before), len(after)) < length / 2:
        return math.nan
    noise, signal = before.std(axis=0), after.std(axis=0)
    alive = (noise > 0) & (signal > 0)
    return float(20 * np.log10((signal[alive] / noise[alive]).max())) if alive.any() else math.nan


def compare(labels: Sequence[Labels], picks: Mapping[str, Iterable[TracePick]], phase: Phase) -> Comparison:
    """Set the picks of one phase (`picks` by trace name) against the labels of that phase.

    Raises KeyError where a labelled trace has no entry in `picks`: no picks is an empty list.
    """
    labelled = [one for one in labels if one.onset_s[phase] is not None]
    rows: list[tuple[int, float, float, float]] = []
    for index, one in enumerate(labelled):
        first = min(onset for onset in one.onset_s.values() if onset is not None)
        onset_s = one.onset_s[phase]
        assert onset_s is not None
        rows += [
            (index, pick.time_s - onset_s, pick.prob, pick.latency_s)
            for pick in picks[one.name]
            if pick.phase == phase and first - _BEFORE_S <= pick.time_s <= first + _AFTER_S
        ]
    return Comparison(
        phase,
        np.array([row[0] for row in rows], np.int64),
        np.array([row[1] for row in rows], np.float64),
        np.array([row[2] for row in rows], np.float64),
        np.array([row[3] for row in rows], np.float64),
        np.array([one.name for one in labelled], np.str_),
        np.array([one.source for one in labelled], np.str_),
        np.array([one.snr_db[phase] for one in labelled], np.float64),
        np.array([one.sp_s for one in labelled], np.float64),
        np.array([one.distance_km for one in labelled], np.float64),
    )


def score(comparison: Comparison, tolerance_s: float, threshold: float) -> Score:
    """Counts at one tolerance and threshold."""
    kept = comparison.prob >= threshold
    near = kept & (np.abs(comparison.residual_s) <= tolerance_s)
    found = len(np.unique(comparison.trace[near]))
    false = int(kept.sum()) - found
    return Score(comparison.phase, tolerance_s, threshold, found, false, len(comparison.sources) - found)


def curve(comparison: Comparison, tolerance_s: float) -> list[Score]:
    """Scores at one tolerance for each of `THRESHOLDS`: the precision-recall curve."""
    return [score(comparison, tolerance_s, threshold) for threshold in THRESHOLDS]


def best(comparison: Comparison, tolerance_s: float) -> Score:
    """The score of highest F1 at one tolerance; of equals the one with the highest threshold."""
    return max(curve(comparison, tolerance_s), key=lambda one: (one.f1, one.threshold))


def nearest_residuals(comparison: Comparison, threshold: float) -> NDArray[np.float64]:
    """Pick minus label in seconds by labelled trace: the nearest pick's, nan where none lies within 0.5 s."""
    chosen = (comparison.prob >= threshold) & (np.abs(comparison.residual_s) <= RESIDUAL_TOLERANCE_S)
    trace, residual = comparison.trace[chosen], comparison.residual_s[chosen]
    farthest_first = np.argsort(-np.abs(residual), kind="stable")
    nearest = np.full(len(comparison.names), np.nan)
    for index in farthest_first:  # the last one written is the nearest
        nearest[trace[index]] = residual[index]
    return nearest


def residuals(comparison: Comparison, threshold: float) -> Residuals:
    """Mean, standard deviation and mean absolute value of `nearest_residuals` where a label was found."""
    nearest = nearest_residuals(comparison, threshold)
    found = nearest[~np.isnan(nearest)]
    if not len(found):
        return Residuals(0, math.nan, math.nan, math.nan)
    return Residuals(len(found), float(found.mean()), float(found.std()), float(np.abs(found).mean()))


def rank(
    comparisons: Mapping[Phase, Comparison], thresholds: Mapping[Phase, float], count: int
) -> dict[str, list[str]]:
    """Names of `count` traces each with the fewest, middling and most misses plus false picks at 0.5 s.

    Among equals those with more phases labelled come first, then those with smaller residuals. Of few
    traces all are "typical".
    """
    wrong: Counter[str] = Counter()
    phases: Counter[str] = Counter()
    off_s: defaultdict[str, float] = defaultdict(float)
    for phase, comparison in comparisons.items():
        nearest = nearest_residuals(comparison, thresholds[phase])
        kept = comparison.trace[comparison.prob >= thresholds[phase]]
        made = np.bincount(kept, minlength=len(nearest))
        for name, residual, picks in zip(comparison.names.tolist(), nearest, made.tolist(), strict=True):
            wrong[name] += picks + 1 if math.isnan(residual) else picks - 1
            phases[name] += 1
            off_s[name] += 0.0 if math.isnan(residual) else abs(residual)
    ranked = sorted(wrong, key=lambda name: (wrong[name], -phases[name], off_s[name]))
    if len(ranked) <= 3 * count:
        return {"typical": ranked}
    middle = (len(ranked) - count) // 2
    return {"best": ranked[:count], "typical": ranked[middle : middle + count], "worst": ranked[-count:]}


def noise_rate(
    labels: Iterable[Labels], picks: Mapping[str, Iterable[TracePick]], phase: Phase, threshold: float
) -> float | None:
    """False picks per hour on the traces of category noise; None where there is no such trace."""
    noise = [one for one in labels if one.category == "noise"]
    hours = sum(one.duration_s for one in noise) / 3600
    if not hours:
        return None
    made = sum(p.phase == phase and p.prob >= threshold for one in noise for p in picks[one.name])
    return made / hours
