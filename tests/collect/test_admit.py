"""Nothing but picks that every database can hold gets in, whatever is sent."""

import json
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from network import PICK, topic_of

pytest.importorskip("sqlalchemy", reason="the receiving end needs the [collect] extra")
from collect.admit import PAYLOAD_MAX, REASONS, RefusedError, admit
from collect.store import Store
from edge.pick import Pick
from edge.sinks.mqtt import topic as topic_for

TOPIC = topic_of(PICK.station)
WIRE = json.loads(PICK.to_json())
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from([2**63, 10**400, -1, 0]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
TIMES = st.datetimes().map(lambda moment: moment.isoformat() + "Z")


def admitted(topic, payload):
    """The pick, or None where it is refused for one of the known reasons."""
    with suppress(RefusedError):
        return admit(topic, payload)
    with pytest.raises(RefusedError) as caught:
        admit(topic, payload)
    assert caught.value.reason in REASONS
    assert str(caught.value).isprintable()  # it goes to a terminal
    return None


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def store(request):
    """One that all examples go into."""
    if request.param == "sqlite":
        opened = Store("sqlite://")
    else:
        opened = Store(request.getfixturevalue("postgres").url("admitted"))
    yield opened
    opened.close()


@given(st.sampled_from(sorted(WIRE)), VALUES | TIMES | st.text(min_size=1, max_size=5))
@example("time", "9999-12-31T23:59:59Z")
@example("amp", 10**300)
@example("model", "\ud800")
@example("model", "a\0")
@example("amp_unit", "µm/s")
@example("channels", ",,")
def test_what_is_admitted_is_stored_as_it_was_sent(store, key, value):
    pick = admitted(TOPIC, json.dumps(WIRE | {key: value}).encode())
    if pick is None:
        return
    store.save([pick], 0)
    (stored,) = [one for one in store.picks(0, 2**63 - 1, rejected=True) if one.id == pick.id]
    assert (stored.station, stored.id) == (pick.station, pick.id)
    assert stored.update >= pick.update


@given(st.binary(max_size=200) | st.text().map(str.encode))
def test_bytes_that_are_no_pick_are_refused(payload):
    with pytest.raises(RefusedError) as caught:
        admit(TOPIC, payload)
    assert caught.value.reason == "malformed"
    assert "\n" not in str(caught.value)


@given(st.text() | st.from_regex(r"seis/v1/[^/]*/[^/]*/[^/]*/pick", fullmatch=True))
def test_a_topic_is_ours_or_refused(topic):
    assert admitted(topic, PICK.to_json().encode()) == (PICK if topic == TOPIC else None)


@pytest.mark.parametrize(
    ("station", "topic"),
    [
        ("XX.TEST.00", "seis/v1/XX/TEST/00/pick"),
        ("XX.TEST.", "seis/v1/XX/TEST/--/pick"),
        (".TEST.", "seis/v1/--/TEST/--/pick"),
    ],
)
def test_an_empty_network_or_location_is_two_dashes_in_the_topic(station, topic):
    assert topic_for(station, "pick") == topic
    pick = replace(PICK, station=station)
    assert admit(topic, pick.to_json().encode()) == pick


@pytest.mark.parametrize(
    ("topic", "payload", "reason"),
    [
        ("seis/v1/XX/TEST/00/status", PICK.to_json(), "topic"),
        ("seis/v1/XX/TEST//pick", PICK.to_json(), "topic"),
        ("seis/v2/XX/TEST/00/pick", PICK.to_json(), "topic"),
        (TOPIC, PICK.to_json() + " " * PAYLOAD_MAX, "oversized"),
        (TOPIC, "[" * PAYLOAD_MAX, "malformed"),
        (TOPIC, replace(PICK, station="XX.TEST.").to_json(), "station"),
        (TOPIC, replace(PICK, id="").to_json(), "range"),
        (TOPIC, replace(PICK, id="a" * 65).to_json(), "range"),
        (TOPIC, replace(PICK, channels=("HHZ",) * 4).to_json(), "range"),
        (TOPIC, replace(PICK, time_ns=-1_000_000_000).to_json(), "range"),
        (TOPIC, replace(PICK, prob=-0.1).to_json(), "range"),
        (TOPIC, replace(PICK, update=-1).to_json(), "range"),
        (TOPIC, replace(PICK, amp_unit="").to_json(), "range"),
    ],
)
def test_every_refusal_has_its_reason(topic, payload, reason):
    with pytest.raises(RefusedError) as caught:
        admit(topic, payload.encode())
    assert caught.value.reason == reason


def test_a_pick_of_today_is_well_within_what_a_payload_may_be():
    longest = replace(PICK, polarity="unknown", polarity_prob=0.123456789, clock_sigma=1.2e-6, update=12)
    assert len(longest.to_json().encode()) < PAYLOAD_MAX / 4
    assert isinstance(admit(TOPIC, longest.to_json().encode()), Pick)
