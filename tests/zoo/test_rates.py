"""False picks per hour against recall: who judges whom, what counts, and what comes out at equal recall."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("h5py", reason="the host side needs the [host] extra")

from edge.pick import NS, parse_time
from zoo.scores.continuous import Record, Span, clipped
from zoo.scores.pickfile import read_peer_picks, read_rated_picks, read_records
from zoo.scores.rates import RatedPick, Rates, rates

CONTINUOUS = Path(__file__).parents[3] / "shared" / "data" / "continuous"
HOURS = [Record("valley", "XX.ABC", 0, 7200 * NS)]


def p(second: float, prob: float = 0.9, station: str = "XX.ABC") -> RatedPick:
    return RatedPick(station, "P", round(second * NS), prob)


def of_p(
    picks: Sequence[RatedPick], peers: Mapping[str, Sequence[RatedPick]], reference: Sequence[RatedPick]
) -> Rates:
    return rates(HOURS, picks, peers, reference)["P"]


AGREED = [p(100), p(200), p(300), p(400)]
PEERS = {"a": [*AGREED, p(500, 0.6)], "b": [*AGREED, p(500, 0.7), p(600, 0.4)], "c": [*AGREED, p(700, 0.5)]}


def test_a_peer_cannot_confirm_itself() -> None:
    peers = of_p([], PEERS, AGREED).peers
    assert {name: curve.false[-1] for name, curve in peers.items()} == {"a": 0, "b": 1, "c": 1}
    assert all(curve.recall[-1] == 1.0 for curve in peers.values())


def test_the_picker_is_judged_by_all_and_by_all_but_one() -> None:
    one = of_p([p(100, 0.9), p(500, 0.8), p(600, 0.8), p(700, 0.8), p(800, 0.8)], PEERS, AGREED)
    assert one.all_judges.false.tolist() == [0, 1]  # 800
    # 600 is known to b alone and 700 to c alone: each is false to one jury of three.
    assert one.less_one.false.tolist() == pytest.approx([0, 1 + 1 / 3 + 1 / 3])


def test_at_equal_recall_the_highest_threshold_that_reaches_it_counts() -> None:
    picks = [p(100, 0.9), p(200, 0.8), p(300, 0.5), p(900, 0.7), p(950, 0.4), p(960, 0.3)]
    one = of_p(picks, PEERS, AGREED)
    half, most = one.all_judges.at_recall(0.5), one.all_judges.at_recall(0.7)
    assert half
    assert most
    assert (half.threshold, half.recall, half.false) == (0.8, 0.5, 0)
    assert (most.threshold, most.recall, most.false) == (0.5, 0.75, 1)
    assert one.all_judges.at_recall(0.8) is None
    used = one.all_judges.at_threshold(0.35)
    assert used
    assert (used.threshold, used.recall, used.false) == (0.4, 0.75, 2)
    assert one.all_judges.at_threshold(0.95) is None


def test_only_the_same_phase_and_station_within_half_a_second_counts() -> None:
    records = [*HOURS, Record("valley", "XX.DEF", 0, 7200 * NS)]
    picks = [p(100.4), p(200.6), p(300, station="XX.DEF"), RatedPick("XX.ABC", "S", 400 * NS, 0.9)]
    both = rates(records, picks, PEERS, AGREED)
    assert (both["P"].hours, both["P"].agreed, both["S"].agreed) == (4.0, 4, 0)
    assert (both["P"].all_judges.recall[-1], both["P"].all_judges.false[-1]) == (0.25, 2)
    assert both["S"].all_judges.false[-1] == 1
    assert both["S"].all_judges.at_recall(0.5) is None


def test_a_judge_beyond_the_end_of_a_clipped_record_still_confirms() -> None:
    records = clipped(HOURS, [Span("valley", None, 500 * NS)])
    one = rates(records, [p(499.8), p(500.2)], PEERS, AGREED)["P"]
    assert one.all_judges.false.tolist() == [0]


def test_no_picks_and_no_agreement_are_no_error_but_a_lone_peer_is() -> None:
    assert of_p([], PEERS, AGREED).all_judges.at_recall(0.1) is None
    assert of_p([p(100)], PEERS, []).all_judges.recall.tolist() == [0.0]
    with pytest.raises(ValueError, match="two other pickers at least"):
        of_p([], {"a": AGREED}, AGREED)


some = st.lists(st.builds(p, st.integers(0, 7200), st.floats(0.1, 1.0)), max_size=12)


@given(some, some, some, some)
def test_a_lower_threshold_never_finds_less_and_fewer_judges_never_confirm_more(
    picks: list[RatedPick], a: list[RatedPick], b: list[RatedPick], reference: list[RatedPick]
) -> None:
    one = of_p(picks, {"a": a, "b": b}, reference)
    for curve in (one.all_judges, one.less_one, *one.peers.values()):
        assert (np.diff(curve.threshold) < 0).all()
        assert (np.diff(curve.recall) >= 0).all()
        assert (np.diff(curve.false) >= 0).all()
        assert ((curve.recall >= 0) & (curve.recall <= 1)).all()
    assert (one.less_one.false >= one.all_judges.false).all()


@pytest.mark.skipif(not CONTINUOUS.is_dir(), reason="needs the continuous records of ../shared/data")
def test_peers_on_the_quiet_part_of_the_shared_records() -> None:
    until = parse_time("2019-07-04T17:33:00Z")
    spans = [Span("ridgecrest", None, until), Span("ipoc_chile", None, None)]
    records = clipped(read_records(CONTINUOUS), spans)
    assert sum(one.end_ns - one.start_ns for one in records) / NS / 3600 == pytest.approx(43.05, abs=0.01)
    peers = read_rated_picks(CONTINUOUS / "peer_picks_raw.csv")
    reference = [
        RatedPick(one.station, one.phase, one.time_ns, 1.0)
        for one in read_peer_picks(CONTINUOUS / "peer_consensus_picks.csv")
        if one.models == 3
    ]
    found = rates(records, peers["eqt"], peers, reference)
    for phase in found.values():
        # A picker among its own judges has no false pick; every peer has found what all agree on.
        assert phase.all_judges.false[-1] == 0
        assert phase.less_one.false[-1] == pytest.approx(phase.peers["eqt"].false[-1] / 3)
        assert all(curve.recall[-1] > 0.98 for curve in phase.peers.values())
