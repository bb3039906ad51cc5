"""The measurements of an evaluation as plain numbers, for metrics.json, model cards and the report."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge.cells import PHASES
from edge.pick import Phase, Pick
from zoo.scores import breakdown, scoring
from zoo.scores.calibration import reliability, times_to_pick_s
from zoo.scores.continuous import Span, clipped, net_sta, refuse_strangers, score_continuous
from zoo.scores.corroboration import corroboration
from zoo.scores.pickfile import CONSENSUS, PEERS, read_peer_picks, read_rated_picks, read_records
from zoo.scores.rates import Point, RatedPick, Rates, rates
from zoo.scores.scoring import TOLERANCES_S, Comparison, Labels, TracePick

RECALLS = tuple(round(0.05 * step, 2) for step in range(1, 21))
"""Where false picks per hour are noted."""
ALL_RECORDS = "all records"
OWN = "picker"
SHARES = ("corroborated", "chance")


@dataclass(frozen=True, slots=True)
class Run:
    """What was made of a labelled folder: labels, picks by trace name, and their comparison by phase."""

    labels: list[Labels]
    picks: dict[str, list[TracePick]]
    comparisons: dict[Phase, Comparison]


def measure(run: Run, card: Mapping[Phase, float], operating: Mapping[Phase, float]) -> dict[str, Any]:
    """All scores by phase, at the best thresholds and, with a card, at its own."""
    return {
        "traces": len(run.labels),
        "phases": {
            phase: _phase(comparison, card.get(phase), operating[phase])
            for phase, comparison in run.comparisons.items()
            if len(comparison.names)
        },
        "noise_false_per_hour": {
            phase: {
                f"{threshold:g}": scoring.noise_rate(run.labels, run.picks, phase, threshold)
                for threshold in sorted({*scoring.THRESHOLDS, operating[phase]})
            }
            for phase in PHASES
            if any(one.category == "noise" for one in run.labels)
        },
    }


def _phase(comparison: Comparison, card: float | None, operating: float) -> dict[str, Any]:
    best = {tol: scoring.best(comparison, tol).threshold for tol in TOLERANCES_S}
    curves = {f"{tol:g}": [_numbers(s) for s in scoring.curve(comparison, tol)] for tol in TOLERANCES_S}
    measured = {"labels": len(comparison.names), "best": _at(comparison, best), "curve": curves}
    if card is not None:
        measured["card"] = _at(comparison, dict.fromkeys(TOLERANCES_S, card))
    found = reliability(comparison)
    measured["calibration"] = {
        "ece": _rounded(found.ece),
        "counts": found.counts.tolist(),
        "prob": [_rounded(value) for value in found.prob.tolist()],
        "right": [_rounded(value) for value in found.right.tolist()],
    }
    times_s = times_to_pick_s(comparison, operating)
    if len(times_s):
        median, p95 = np.percentile(times_s, (50, 95)).tolist()
        measured["time_to_pick_s"] = {
            "count": len(times_s),
            "median": _rounded(median),
            "p95": _rounded(p95),
            "longest": _rounded(float(times_s.max())),
        }
    return measured


def _at(comparison: Comparison, thresholds: Mapping[float, float]) -> dict[str, Any]:
    def scores(part: Comparison) -> dict[str, Any]:
        return {f"{tol:g}": _numbers(scoring.score(part, tol, at)) for tol, at in thresholds.items()}

    def each(parts: Mapping[str, Comparison]) -> dict[str, Any]:
        return {
            name: {"labels": len(part.names), "scores": scores(part)}
            for name, part in parts.items()
            if len(part.names)
        }

    residual = asdict(scoring.residuals(comparison, thresholds[scoring.RESIDUAL_TOLERANCE_S]))
    return {
        "scores": scores(comparison),
        "residual": {key: _rounded(value) for key, value in residual.items()},
        "by_source": each(breakdown.by_source(comparison)),
        "by_snr_db": each(breakdown.by_snr(comparison)),
        "by_sp_s": each(breakdown.by_sp(comparison)),
        "by_distance_km": each(breakdown.by_distance(comparison)),
    }


def _numbers(one: scoring.Score) -> dict[str, float]:
    counts = {"threshold": one.threshold, "tp": one.tp, "fp": one.fp, "fn": one.fn}
    shares = {"precision": one.precision, "recall": one.recall, "f1": one.f1}
    return counts | {key: round(value, 4) for key, value in shares.items()}


def _rounded(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 4)


def measure_continuous(
    folder: Path, picks: Sequence[Pick], thresholds: Mapping[Phase, float], spans: Sequence[Span]
) -> list[dict[str, Any]]:
    """Picks on the records of `folder` against those of other pickers, by source and phase.

    Raises ValueError for picks on other records than those of the folder and for spans without records.
    """
    records = list(read_records(folder))
    refuse_strangers(records, picks)
    scores = score_continuous(
        clipped(records, spans),
        read_peer_picks(folder / PEERS),
        read_peer_picks(folder / CONSENSUS),
        picks,
        thresholds,
    )
    return [
        asdict(one) | {"hours": round(one.hours, 4), "false_per_hour": round(one.false_per_hour, 2)}
        for one in scores
    ]


def rates_by_source(
    folder: Path, picks: Sequence[Pick], spans: Sequence[Span]
) -> dict[str, dict[Phase, Rates]]:
    """False picks per hour against recall by phase: over all records together, and by source if there are
    several. Raises ValueError as `zoo.scores.continuous.clipped` and `zoo.scores.rates.rates`.
    """
    records = clipped(read_records(folder), spans)
    own = [RatedPick(net_sta(pick), pick.phase, pick.time_ns, pick.prob) for pick in picks]
    peers = read_rated_picks(folder / PEERS)
    reference = [
        RatedPick(pick.station, pick.phase, pick.time_ns, 1.0)
        for pick in read_peer_picks(folder / CONSENSUS)
        if pick.models == len(peers)
    ]
    sources = sorted({record.source for record in records})
    groups = {source: [one for one in records if one.source == source] for source in sources}
    if len(sources) > 1:
        groups = {ALL_RECORDS: records, **groups}
    return {name: rates(group, own, peers, reference) for name, group in groups.items()}


def measure_corroboration(
    folder: Path,
    picks: Sequence[Pick],
    groups: Mapping[str, Mapping[Phase, Rates]],
    thresholds: Mapping[Phase, float],
    spans: Sequence[Span],
) -> dict[str, Any]:
    """By source, phase and picker, what `corroboration` says of unconfirmed picks: the picker under test at
    its thresholds, judged by all peers; each peer at the same recall, judged by the others. `groups` as
    `rates_by_source` gives them."""
    records = clipped(read_records(folder), spans)
    peers = read_rated_picks(folder / PEERS)
    own = [RatedPick(net_sta(pick), pick.phase, pick.time_ns, pick.prob) for pick in picks]
    measured: dict[str, Any] = {}
    for source in sorted({record.source for record in records}):
        here = [record for record in records if record.source == source]
        measured[source] = {}
        for phase in PHASES:
            rated = groups[source if source in groups else ALL_RECORDS][phase]
            point = rated.all_judges.at_threshold(thresholds[phase])
            kept = [pick for pick in own if pick.prob >= thresholds[phase]]
            everyone = [pick for made in peers.values() for pick in made]
            found = {OWN: corroboration(here, phase, kept, everyone)}
            for name, made in peers.items():
                equal = rated.peers[name].at_recall(point.recall) if point else None
                if equal:
                    others = [pick for other in peers if other != name for pick in peers[other]]
                    kept = [pick for pick in made if pick.prob >= equal.threshold]
                    found[name] = corroboration(here, phase, kept, others)
            measured[source][phase] = {
                name: {"unconfirmed": one.unconfirmed, **{key: _rounded(getattr(one, key)) for key in SHARES}}
                for name, one in found.items()
            }
    return measured


def measure_rates(
    groups: Mapping[str, Mapping[Phase, Rates]], thresholds: Mapping[Phase, float]
) -> dict[str, Any]:
    """The curves at equal recall, and at the recall of the picker under test at its thresholds."""
    return {
        name: {phase: _rates(one, thresholds[phase]) for phase, one in phases.items()}
        for name, phases in groups.items()
    }


def _rates(one: Rates, threshold: float) -> dict[str, Any]:
    own = {"all_judges": one.all_judges, "less_one": one.less_one}

    def row(recall: float, picker: Mapping[str, Point | None]) -> dict[str, Any]:
        peers = {name: curve.at_recall(recall) for name, curve in one.peers.items()}
        return {
            "recall": round(recall, 4),
            **{name: _point(point, one.hours) for name, point in picker.items()},
            "peers": {name: _point(point, one.hours) for name, point in peers.items()},
        }

    used = {name: curve.at_threshold(threshold) for name, curve in own.items()}
    operating = used["all_judges"]
    return {
        "hours": round(one.hours, 4),
        "agreed": one.agreed,
        "operating": row(operating.recall, used) if operating else None,
        "at_recall": [
            row(recall, {name: curve.at_recall(recall) for name, curve in own.items()})
            for recall in (RECALLS if one.agreed else ())
        ],
    }


def _point(point: Point | None, hours: float) -> dict[str, float] | None:
    if point is None:
        return None
    return {
        "threshold": round(point.threshold, 4),
        "false": round(point.false, 2),
        "false_per_hour": round(point.false / hours, 3),
    }
