"""The scoring rule: evident cases and properties."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("h5py", reason="the host side needs the [host] extra")

from edge.pick import NS, Phase, Pick
from zoo.scores.breakdown import by_distance, by_snr, by_source, by_sp
from zoo.scores.continuous import PeerPick, Record, Span, clipped, refuse_strangers, score_continuous
from zoo.scores.scoring import (
    Labels,
    Score,
    TracePick,
    best,
    compare,
    nearest_residuals,
    noise_rate,
    rank,
    residuals,
    score,
    snr_db,
)


def labels(
    name: str,
    p: float | None,
    s: float | None,
    source: str = "here",
    category: str = "earthquake",
    snr: float = 12.0,
    distance_km: float = float("nan"),
) -> Labels:
    return Labels(name, source, category, 60.0, {"P": p, "S": s}, {"P": snr, "S": snr}, distance_km)


def counts(known: Sequence[Labels], picks: dict[str, list[TracePick]], phase: Phase = "P") -> Any:
    def at(tolerance_s: float, threshold: float = 0.0) -> tuple[int, int, int]:
        one = score(compare(known, picks, phase), tolerance_s, threshold)
        return one.tp, one.fp, one.fn

    return at


def test_found_missed_and_false_by_tolerance() -> None:
    at = counts([labels("t", 30.0, 35.0)], {"t": [TracePick("P", 30.3, 0.9)]})
    assert at(0.5) == (1, 0, 0)
    assert at(0.2) == (0, 1, 1)
    assert at(0.5, threshold=0.95) == (0, 0, 1)


def test_a_second_pick_on_the_same_onset_is_false() -> None:
    picks = {"t": [TracePick("P", 30.05, 0.9), TracePick("P", 29.8, 0.9)]}
    assert counts([labels("t", 30.0, None)], picks)(0.5) == (1, 1, 0)
    assert nearest_residuals(compare([labels("t", 30.0, None)], picks, "P"), 0.0) == pytest.approx([0.05])


@pytest.mark.parametrize(("time_s", "false"), [(9.9, 0), (10.1, 1), (69.9, 1), (70.1, 0)])
def test_false_picks_count_from_20_s_before_to_40_s_after_the_first_label(time_s: float, false: int) -> None:
    picks = {"t": [TracePick("S", time_s, 0.9)]}
    assert counts([labels("t", 30.0, 50.0)], picks, "S")(0.5) == (0, false, 1)


def test_a_phase_without_a_label_is_left_out() -> None:
    known = [labels("t", 30.0, None), labels("u", None, 20.0)]
    picks = {"t": [TracePick("S", 33.0, 0.9)], "u": [TracePick("P", 18.0, 0.9), TracePick("S", 20.0, 0.9)]}
    assert counts(known, picks, "S")(0.5) == (1, 0, 0)
    assert counts(known, picks, "P")(0.5) == (0, 0, 1)


def test_picks_of_the_other_phase_neither_find_nor_hurt() -> None:
    assert counts([labels("t", 30.0, None)], {"t": [TracePick("S", 30.0, 0.9)]})(0.5) == (0, 0, 1)


def test_precision_recall_and_f1() -> None:
    one = Score("P", 0.1, 0.5, tp=6, fp=2, fn=4)
    assert (one.precision, one.recall) == (0.75, 0.6)
    assert one.f1 == pytest.approx(2 * 0.75 * 0.6 / (0.75 + 0.6))
    nothing = Score("P", 0.1, 0.5, tp=0, fp=0, fn=4)
    assert (nothing.precision, nothing.recall, nothing.f1) == (0.0, 0.0, 0.0)


def test_the_best_threshold_cuts_off_what_is_false() -> None:
    known = [labels(f"t{k}", 30.0, None) for k in range(4)]
    picks = {one.name: [TracePick("P", 30.0, 0.8), TracePick("P", 25.0, 0.42)] for one in known}
    top = best(compare(known, picks, "P"), 0.1)
    assert (top.f1, top.threshold) == (1.0, 0.8)


def test_residuals_are_pick_minus_label() -> None:
    known = [labels("early", 30.0, None), labels("late", 30.0, None), labels("lost", 30.0, None)]
    picks = {
        "early": [TracePick("P", 29.9, 0.9)],
        "late": [TracePick("P", 30.3, 0.9), TracePick("P", 30.4, 0.9)],
        "lost": [TracePick("P", 31.0, 0.9)],
    }
    spread = residuals(compare(known, picks, "P"), 0.5)
    assert spread.count == 2
    assert (spread.mean_s, spread.std_s, spread.mae_s) == pytest.approx((0.1, 0.2, 0.2))


def test_breakdowns_add_up_to_the_whole() -> None:
    known = [labels(f"t{k}", 30.0, None, source="ab"[k % 2], snr=float(7 * k - 5)) for k in range(6)]
    known.append(labels("odd", 30.0, None, snr=float("nan")))
    picks = {one.name: [TracePick("P", 30.0, 0.9), TracePick("P", 40.0, 0.9)] for one in known}
    whole = compare(known, picks, "P")
    snr = by_snr(whole)
    sizes = {name: len(part.names) for name, part in snr.items()}
    assert sizes == {"<0": 1, "0–5": 1, "5–10": 1, "10–20": 1, "20–30": 1, "≥30": 1, "unknown": 1}
    for parts in (by_source(whole), snr):
        assert sum(score(part, 0.1, 0.5).tp for part in parts.values()) == 7
        assert sum(score(part, 0.1, 0.5).fp for part in parts.values()) == 7


def test_distance_is_told_by_s_minus_p_or_by_kilometres() -> None:
    known = [
        labels(f"t{k}", 30.0, 30.0 + sp, distance_km=8 * sp) for k, sp in enumerate((0.5, 1.5, 4, 8, 40))
    ]
    known.append(labels("no S", 30.0, None))
    picks = {one.name: [TracePick("P", 30.0, 0.9)] for one in known}
    whole = compare(known, picks, "P")
    sizes = {name: len(part.names) for name, part in by_sp(whole).items()}
    assert sizes == {"<1": 1, "1–2": 1, "2–5": 1, "5–10": 1, "≥10": 1, "unknown": 1}
    far = by_distance(whole)["≥200"]
    assert (list(far.names), score(far, 0.1, 0.5).tp) == (["t4"], 1)
    assert list(by_distance(whole)["unknown"].names) == ["no S"]


def test_snr_is_that_of_the_clearest_component() -> None:
    rng = np.random.default_rng(1)
    samples = rng.normal(1000.0, 1.0, (1000, 3))
    samples[500:, 1] = rng.normal(1000.0, 10.0, 500)
    assert snr_db(samples, 100.0, 5.0) == pytest.approx(20.0, abs=1.0)
    assert np.isnan(snr_db(samples, 100.0, 0.5))  # too little before
    assert np.isnan(snr_db(np.zeros((1000, 3)), 100.0, 5.0))


def test_rank_puts_perfect_traces_first_and_hopeless_ones_last() -> None:
    known = [labels(f"t{k}", 30.0, None) for k in range(9)]
    picks = {one.name: [TracePick("P", 30.0 + 0.01 * k, 0.9)] for k, one in enumerate(known)}
    picks["t4"] = [TracePick("P", 20.0, 0.9), TracePick("P", 25.0, 0.9)]
    picks["t8"] = []
    kinds = rank({"P": compare(known, picks, "P")}, {"P": 0.5}, 2)
    assert kinds == {"best": ["t0", "t1"], "typical": ["t3", "t5"], "worst": ["t8", "t4"]}


def test_noise_rate_counts_picks_on_noise_traces_only() -> None:
    known = [labels(f"n{k}", None, None, category="noise") for k in range(6)] + [labels("quake", 30.0, None)]
    picks = {one.name: [TracePick("P", 5.0, 0.9), TracePick("P", 15.0, 0.2)] for one in known}
    assert noise_rate(known, picks, "P", 0.5) == pytest.approx(60.0)  # 6 picks in 6 minutes
    assert noise_rate(known, picks, "S", 0.5) == 0.0
    assert noise_rate(known[-1:], picks, "P", 0.5) is None


onsets = st.one_of(st.none(), st.floats(20.0, 60.0))
some_picks = st.lists(
    st.builds(TracePick, st.sampled_from(["P", "S"]), st.floats(0.0, 110.0), st.floats(0.05, 1.0)), max_size=8
)
tables = st.lists(st.tuples(onsets, onsets, some_picks), min_size=1, max_size=6)
Table = list[tuple[float | None, float | None, list[TracePick]]]


def known_and_picks(table: Table) -> tuple[list[Labels], dict[str, list[TracePick]]]:
    known = [labels(f"t{k}", p, s) for k, (p, s, _) in enumerate(table)]
    return known, {f"t{k}": picks for k, (_, _, picks) in enumerate(table)}


@given(tables, st.floats(0.0, 1.0))
def test_order_of_picks_and_traces_is_irrelevant(table: Table, threshold: float) -> None:
    known, picks = known_and_picks(table)
    turned = {name: made[::-1] for name, made in picks.items()}
    for phase in ("P", "S"):
        there = compare(known, picks, phase)
        back = compare(known[::-1], turned, phase)
        for tolerance in (0.1, 0.5):
            assert score(there, tolerance, threshold) == score(back, tolerance, threshold)


@given(tables, st.floats(0.05, 1.0))
def test_a_far_false_pick_never_raises_precision(table: Table, prob: float) -> None:
    known, picks = known_and_picks(table)
    for one in known:
        first = min((onset for onset in one.onset_s.values() if onset is not None), default=None)
        if first is None or one.onset_s["P"] is None:
            continue
        far = TracePick("P", first - 5.0, prob)
        more = picks | {one.name: [*picks[one.name], far]}
        before, after = (score(compare(known, made, "P"), 0.5, 0.0) for made in (picks, more))
        assert after.precision <= before.precision
        assert (after.tp, after.fp, after.fn) == (before.tp, before.fp + 1, before.fn)


@given(tables)
def test_perfect_picks_score_one_and_picks_shifted_beyond_tolerance_zero(table: Table) -> None:
    known, _ = known_and_picks(table)

    def shifted(by: float) -> dict[str, list[TracePick]]:
        return {
            one.name: [TracePick(phase, at + by, 0.9) for phase, at in one.onset_s.items() if at is not None]
            for one in known
        }

    for phase in ("P", "S"):
        perfect, off = compare(known, shifted(0.0), phase), compare(known, shifted(0.6), phase)
        if len(perfect.names):
            one, none = score(perfect, 0.1, 0.5), score(off, 0.5, 0.5)
            assert (one.precision, one.recall, one.f1) == (1.0, 1.0, 1.0)
            assert (none.precision, none.recall, none.f1) == (0.0, 0.0, 0.0)


@given(tables, st.floats(0.0, 1.0))
def test_every_label_and_counting_pick_is_booked_once(table: Table, threshold: float) -> None:
    known, picks = known_and_picks(table)
    for phase in ("P", "S"):
        comparison = compare(known, picks, phase)
        wide, narrow = score(comparison, 0.5, threshold), score(comparison, 0.1, threshold)
        assert wide.tp + wide.fn == narrow.tp + narrow.fn == len(comparison.names)
        assert wide.tp + wide.fp == narrow.tp + narrow.fp == (comparison.prob >= threshold).sum()
        assert wide.tp >= narrow.tp


def pick(phase: Phase, second: float, prob: float = 0.9, station: str = "XX.ABC.00") -> Pick:
    return Pick(
        id=f"{phase}{second}",
        station=station,
        channels=("HHZ",),
        phase=phase,
        time_ns=round(second * NS),
        prob=prob,
        sigma=0.05,
        snr_db=10.0,
        amp=1.0,
        clock="gnss",
        latency_s=1.0,
        model="m@0",
    )


def test_continuous_counts_what_no_peer_saw_and_recalls_what_they_agree_on() -> None:
    records = [Record("valley", "XX.ABC", 0, 3600 * NS), Record("valley", "XX.DEF", 0, 3600 * NS)]
    peers = [PeerPick("XX.ABC", "P", at * NS, 1) for at in (100, 200, 300)]
    consensus = [PeerPick("XX.ABC", "P", 100 * NS, 3), PeerPick("XX.ABC", "P", 200 * NS, 2)]
    picks = [
        pick("P", 100.4),  # agreed on by three
        pick("P", 300.0),  # seen by one peer
        pick("P", 400.0),  # by none
        pick("S", 100.0),  # a P to the peers
        pick("P", 200.0, prob=0.3),  # below the threshold
        pick("P", 200.0, station="XX.DEF."),  # on another station
    ]
    p, s = score_continuous(records, peers, consensus, picks, {"P": 0.5, "S": 0.5})
    assert (p.source, p.phase, p.hours, p.picks, p.false) == ("valley", "P", 2.0, 4, 2)
    assert p.false_per_hour == 1.0
    assert p.agreed == {2: 2, 3: 1}
    assert p.recalled == {2: 1, 3: 1}
    assert (s.phase, s.picks, s.false, s.recalled) == ("S", 1, 1, {2: 0, 3: 0})


def test_continuous_refuses_picks_made_elsewhere() -> None:
    records = [Record("valley", "XX.ABC", 0, 3600 * NS)]
    refuse_strangers(records, [pick("P", -0.5), pick("P", 1800)])  # refined to just before the first sample
    with pytest.raises(ValueError, match=r"XX\.ABC at 1970-01-01T02:00:00\.000000Z lies in none"):
        refuse_strangers(records, [pick("P", 7200)])


def test_records_are_clipped_to_spans() -> None:
    records = [Record("valley", "XX.ABC", 0, 3600 * NS), Record("hill", "XX.DEF", 0, 7200 * NS)]
    quiet = Span("valley", None, 600 * NS)
    parts = clipped(records, [quiet, Span("hill", 3600 * NS, None)])
    assert [(one.source, one.start_ns, one.end_ns) for one in parts] == [
        ("valley", 0, 600 * NS - 1),
        ("hill", 3600 * NS, 7200 * NS),
    ]
    assert clipped(records, []) == records
    picks = [pick("P", 100), pick("P", 600), pick("P", 900)]
    p = score_continuous(clipped(records, [quiet]), [], [], picks, {"P": 0.5, "S": 0.5})[0]
    assert p.picks == 1
    assert p.hours == pytest.approx(1 / 6)
    with pytest.raises(ValueError, match="no records of 'valley' at that time; there are hill, valley"):
        clipped(records, [Span("valley", 3600 * NS, None)])
    with pytest.raises(ValueError, match="'valley' are asked for twice"):
        clipped(records, [quiet, quiet])
