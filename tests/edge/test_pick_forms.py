"""Short forms of picks: small enough, true to what they carry, and what is no pick is refused."""

import re
from dataclasses import replace
from math import isclose
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge import cbor
from edge.pick import NS, Phase, Pick, Polarity, Status
from edge.pick_forms import FORMS, from_cbor, from_struct
from firmware_bridge.packet import Clock

ITEMS = st.lists(st.integers(-(2**64), 2**64 - 1) | st.binary() | st.text() | st.none())
STATION = "AM.SHED.00"
PICK = Pick(
    id="0123456789abcdef",
    station=STATION,
    channels=("EHZ", "EHN", "EHE"),
    phase="S",
    time_ns=1_700_000_000 * NS + NS // 4,
    prob=0.93,
    sigma=0.11,
    snr_db=18.2,
    amp=1234.0,
    clock="gnss",
    latency_s=5.2,
    model="lppn@01234567",
    update=1,
)
PICKS = st.builds(
    Pick,
    id=st.binary(min_size=8, max_size=8).map(bytes.hex),
    station=st.sampled_from([STATION, "NN.SSSSS.LL", "C.A."]),
    channels=st.just(("HHZ", "HHN", "HHE")),
    phase=st.sampled_from(get_args(Phase)),
    time_ns=st.integers(0, 4_000_000_000 * NS),
    prob=st.floats(0, 1),
    sigma=st.floats(0, 10),
    snr_db=st.none() | st.floats(-200, 400),
    amp=st.just(0.0) | st.floats(1e-300, 1e300),
    clock=st.sampled_from(get_args(Clock)),
    latency_s=st.floats(0, 10),
    model=st.just("lppn@01234567"),
    amp_unit=st.sampled_from(["count", "m/s", "m/s**2"]),
    polarity=st.none() | st.sampled_from(get_args(Polarity)),
    update=st.integers(0, 3),
    status=st.sampled_from(get_args(Status)),
)
DECODERS = {
    "cbor-51": from_cbor,
    "cbor-31": from_cbor,
    "struct-13": from_struct,
    "struct-11": from_struct,
}


def decoded(form: str, data: bytes, station: str) -> Pick:
    return DECODERS[form](data, station)


@given(ITEMS)
def test_cbor_arrays_survive(items):
    assert cbor.unpack(cbor.pack(items)) == items


@given(ITEMS)
def test_cbor_is_what_others_read_and_write(items):
    cbor2 = pytest.importorskip("cbor2")
    assert cbor2.loads(cbor.pack(items)) == items
    assert cbor2.dumps(items) == cbor.pack(items)


@given(st.binary(max_size=64))
def test_what_is_no_such_cbor_is_refused(data):
    try:
        items = cbor.unpack(data)
    except ValueError:
        return
    assert len(cbor.pack(items)) <= len(data)  # longer heads than needed are read all the same


def test_cbor_integers_end_at_64_bits():
    with pytest.raises(OverflowError):
        cbor.pack([2**64])


@pytest.mark.parametrize("form", DECODERS)
@settings(max_examples=40)
@given(PICKS)
def test_short_forms_are_as_short_as_they_say(form, pick):
    assert len(FORMS[form](pick)) <= int(form.split("-")[1])


@pytest.mark.parametrize("form", DECODERS)
@settings(max_examples=40)
@given(PICKS)
def test_short_forms_carry_what_they_say(form, pick):
    data = FORMS[form](pick)
    read = decoded(form, data, pick.station)
    assert FORMS[form](read) == data
    for field in ("station", "phase", "clock", "polarity", "update", "status"):
        assert getattr(read, field) == getattr(pick, field)
    is_struct = form.startswith("struct")
    assert abs(read.time_ns - pick.time_ns) <= (NS // 512 + 1 if is_struct else 500)
    assert abs(read.prob - pick.prob) <= (0.5 / 63 if is_struct else 0.005) + 1e-9
    assert read.id[:8] == pick.id[:8]
    if not is_struct:
        assert read.id == pick.id
        assert abs(read.sigma - min(pick.sigma, 2.55)) <= 0.005 + 1e-9
        assert (read.amp == 0) == (pick.amp == 0)
        assert isclose(read.amp, pick.amp, rel_tol=0.012)
    if form == "struct-13" and 1e-9 <= pick.amp < 1e10:
        assert isclose(read.amp, pick.amp, rel_tol=0.09)
    if form == "struct-11" or pick.snr_db is None:
        assert read.snr_db is None
    elif abs(pick.snr_db) <= 127:
        assert abs(read.snr_db - pick.snr_db) <= 0.5
    if form == "cbor-51":
        assert read.amp_unit == pick.amp_unit


@pytest.mark.parametrize("form", DECODERS)
@settings(max_examples=40)
@given(st.data())
def test_damaged_short_forms_are_refused_or_are_a_pick(form, data):
    whole = bytearray(FORMS[form](PICK))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        read = decoded(form, bytes(whole[: data.draw(st.integers(0, len(whole)))]), STATION)
    except ValueError:
        return
    assert Pick.from_json(read.to_json()).id == read.id


@given(st.binary(max_size=64))
def test_any_bytes_are_refused_or_are_a_pick(data):
    for decoder in (from_cbor, from_struct):
        try:
            read = decoder(data, STATION)
        except ValueError:
            continue
        assert Pick.from_json(read.to_json()).update == read.update


def test_ids_of_one_station_do_not_meet_those_of_another():
    data = FORMS["struct-11"](PICK)
    assert from_struct(data, "AM.SHED.00").id != from_struct(data, "AM.BARN.00").id
    assert from_struct(data, "AM.SHED.00").id == from_struct(FORMS["struct-13"](PICK), "AM.SHED.00").id


@pytest.mark.parametrize(
    ("form", "change", "says"),
    [
        ("cbor-31", {"update": 24}, "update 24"),
        ("struct-13", {"update": 4}, "update 4"),
        ("struct-13", {"time_ns": -NS}, "-1 s"),
        ("cbor-31", {"time_ns": -NS}, "-1000000000 ns"),
        ("cbor-51", {"station": "AM.A_LONG_NAME.00"}, "too long for 51 bytes"),
        ("cbor-31", {"id": "0123"}, "not 16 hex digits"),
        ("struct-11", {"id": "no hex here, sir"}, "not 16 hex digits"),
    ],
)
def test_a_pick_that_does_not_fit_is_named(form, change, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        FORMS[form](replace(PICK, **change))


def test_the_page_shows_what_is_sent():
    page = (Path(__file__).parents[2] / "docs" / "pick-formats.md").read_text()
    shown = dict(re.findall(r"^(cbor-51|cbor-31|struct-13|struct-11) +([0-9a-f]+)$", page, re.M))
    assert shown == {form: FORMS[form](PICK).hex() for form in DECODERS}
