"""A pick survives its wire form, carries microseconds, and anything that is no pick is named as such."""

import json
import re
from dataclasses import fields, replace
from datetime import UTC, datetime
from typing import get_args

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edge.pick import NS, Phase, Pick, Polarity, format_time, parse_time, pick_id
from firmware_bridge.packet import Clock

CENTURY_NS = st.integers(0, round(datetime(2100, 12, 31, tzinfo=UTC).timestamp()) * NS)
CODE = st.from_regex("[A-Z][A-Z][A-Z0-9]", fullmatch=True)


def decimals(least: int, most: int, places: int) -> st.SearchStrategy[float]:
    """Numbers as fine as the wire carries them."""
    return st.integers(least * 10**places, most * 10**places).map(lambda n: n / 10**places)


PICKS = st.builds(
    Pick,
    id=st.text("0123456789abcdef", min_size=16, max_size=16),
    station=st.text(),
    channels=st.lists(CODE, min_size=1, max_size=3, unique=True).map(tuple),
    phase=st.sampled_from(get_args(Phase)),
    time_ns=CENTURY_NS.map(lambda ns: ns // 1000 * 1000),
    prob=decimals(0, 1, 3),
    sigma=decimals(0, 10, 3),
    snr_db=decimals(-100, 200, 1),
    amp=st.floats(0, 1e12).map(lambda amp: float(f"{amp:.4g}")),
    clock=st.sampled_from(get_args(Clock)),
    latency_s=decimals(0, 100, 2),
    model=st.text(),
    amp_unit=st.sampled_from(["count", "m/s"]),
    polarity=st.none() | st.sampled_from(get_args(Polarity)),
    polarity_prob=st.none() | decimals(0, 1, 3),
    update=st.integers(0, 1000),
    clock_sigma=st.none() | st.floats(0, 10).map(lambda sigma: float(f"{sigma:.2g}")),
)
PICK = Pick(
    id="0123456789abcdef",
    station="XX.TEST.00",
    channels=("HHZ", "HHN", "HHE"),
    phase="P",
    time_ns=1_700_000_000 * NS,
    prob=0.9,
    sigma=0.05,
    snr_db=20.0,
    amp=1234.0,
    clock="gnss",
    latency_s=4.2,
    model="lppn@01234567",
    clock_sigma=0.005,
)
WIRE = json.loads(PICK.to_json())
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(PICKS)
def test_every_field_survives_json_on_one_line(pick):
    line = pick.to_json()
    assert "\n" not in line
    assert Pick.from_json(line) == pick


def test_the_wire_rounds_to_what_can_be_known():
    pick = Pick(
        **{f.name: getattr(PICK, f.name) for f in fields(Pick)}
        | {"prob": 1 / 3, "amp": 1234567.8, "clock_sigma": 2.236e-6}
    )
    wire = json.loads(pick.to_json())
    assert (wire["prob"], wire["amp"], wire["channels"]) == (0.333, 1235000.0, "HHZ,HHN,HHE")
    assert wire["clock_sigma"] == 2.2e-6


@given(CENTURY_NS)
def test_times_are_iso_8601_to_the_nearest_microsecond(time_ns):
    text = format_time(time_ns)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", text)
    assert abs(parse_time(text) - time_ns) <= 500


def test_a_time_just_short_of_the_year_rounds_up_into_the_next():
    new_year = parse_time("2027-01-01T00:00:00Z")
    assert format_time(new_year - 100) == "2027-01-01T00:00:00.000000Z"
    assert format_time(new_year - 501) == "2026-12-31T23:59:59.999999Z"


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-20T23:41:00.5Z",
        "2026-11-21T05:11:00.5+05:30",
        "2026-11-20T23:41:00.500000",
        "20261120T234100.5Z",
    ],
)
def test_times_of_any_offset_are_read_as_utc(text):
    assert parse_time(text) == 1_795_218_060_500_000_000


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01T00:00:00Z", "1700000000"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(ValueError, match=r"isoformat|month"):
        parse_time(text)


@given(CENTURY_NS, st.integers(-79_000_000, 79_000_000))
def test_a_repeat_has_the_same_id_and_anything_else_another(time_ns, jitter_ns):
    cell_ns = 160_000_000
    onset_ns = time_ns // cell_ns * cell_ns  # a cell's middle, as rounding sees it
    first = pick_id("XX.TEST.00.HH", "P", onset_ns, cell_ns, "lppn@01234567")
    assert re.fullmatch("[0-9a-f]{16}", first)
    assert pick_id("XX.TEST.00.HH", "P", onset_ns + jitter_ns, cell_ns, "lppn@01234567") == first
    others = {
        pick_id("XX.TEST.00.HH", "S", onset_ns, cell_ns, "lppn@01234567"),
        pick_id("XX.TEST.00.HN", "P", onset_ns, cell_ns, "lppn@01234567"),
        pick_id("XX.TEST.00.HH", "P", onset_ns, cell_ns, "lppn@76543210"),
        pick_id("XX.TEST.00.HH", "P", onset_ns + cell_ns, cell_ns, "lppn@01234567"),
    }
    assert len(others | {first}) == 5


@given(st.text() | JSON.map(json.dumps))
@example("[" * 100_000)
@example("9" * 5000)
@example('{"v": 1')
def test_what_is_no_pick_is_a_value_error_that_says_so(line):
    with pytest.raises(ValueError, match="not a pick"):
        Pick.from_json(line)


@pytest.mark.parametrize("key", sorted(set(WIRE) - {"status"}))
def test_a_missing_key_is_named(key):
    line = json.dumps({k: v for k, v in WIRE.items() if k != key})
    with pytest.raises(ValueError, match=rf"'{key}' is missing"):
        Pick.from_json(line)


@pytest.mark.parametrize("key", WIRE)
@pytest.mark.parametrize("value", [{}, [0.9], float("nan")])
def test_a_value_of_the_wrong_kind_is_named(key, value):
    with pytest.raises(ValueError, match=f"not a pick: {key} cannot be"):
        Pick.from_json(json.dumps(WIRE | {key: value}))


@given(st.sampled_from(sorted(WIRE)), JSON)
def test_a_damaged_pick_is_a_pick_or_a_value_error(key, value):
    try:
        pick = Pick.from_json(json.dumps(WIRE | {key: value}))
    except ValueError:
        return
    assert Pick.from_json(pick.to_json()).to_text() == pick.to_text()


def test_the_readable_line_has_what_an_observer_looks_for():
    text = PICK.to_text()
    for part in (
        "2023-11-14T22:13:20.000000Z",
        " P ",
        "XX.TEST.00",
        "0.90",
        "±0.05 s",
        "20.0 dB",
        "gnss ±5 ms",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("polarity", "prob", "words"),
    [("up", 0.971, "polarity up 0.97"), ("unknown", 0.6, "polarity unknown 0.60"), (None, None, None)],
)
def test_the_readable_line_has_the_first_motion_where_one_was_read(polarity, prob, words):
    text = replace(PICK, polarity=polarity, polarity_prob=prob).to_text()
    assert words in text if words else "polarity" not in text


@given(PICKS, st.text())
@example(PICK, "\x1b[2J")
@example(PICK, "\ud800")
def test_the_readable_line_is_one_line_that_any_terminal_can_show(pick, text):
    line = replace(pick, station=f"XX.{text}.00", amp_unit=text).to_text()
    assert line.isprintable()
    assert text in line or not text.isprintable()
    line.encode()


def test_a_clock_whose_error_nobody_knows_has_none():
    pick = replace(PICK, clock="unknown", clock_sigma=None)
    assert json.loads(pick.to_json())["clock_sigma"] is None
    assert pick.to_text().endswith("clock unknown")


def test_the_clock_and_its_error_stand_side_by_side_on_the_wire():
    keys = list(WIRE)
    assert keys[keys.index("clock") + 1] == "clock_sigma"
