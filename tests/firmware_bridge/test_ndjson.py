"""JSON objects: instants and stretches, the many ways to say a time, and what is refused."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from firmware_bridge.ndjson import Decoder
from firmware_bridge.packet import Packet
from firmware_bridge.wire import Declared

NS = 1_000_000_000
STRETCH = {"t": 1_700_000_000.25, "rate": 100, "z": [1, 2], "n": [3, 4], "e": [5, 6]}
ROWS = np.random.default_rng(3).integers(-(1 << 31), 1 << 31, (200, 3)).tolist()


def wire(*objects: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(fields).encode() + b"\n" for fields in objects)


def decode(*objects: dict[str, Any], declared: Declared = Declared()) -> list[Packet]:
    return Decoder(declared).feed(wire(*objects))


def test_a_stretch_is_a_packet() -> None:
    (packet,) = decode(STRETCH | {"network": "ab", "station": "CDE", "location": "07"})
    assert packet.stream.station_id == "AB.CDE.07"
    assert packet.stream.channels == ("EHZ", "EHN", "EHE")
    assert packet.samples.tolist() == [[1, 3, 5], [2, 4, 6]]
    assert packet.samples.dtype == np.int32
    assert packet.rate == 100.0
    assert packet.start_ns == 1_700_000_000_250_000_000


@pytest.mark.parametrize(
    ("time", "start_ns", "clock"),
    [
        ({"t": 1_700_000_000}, 1_700_000_000 * NS, "unknown"),
        ({"time": 1_700_000_000_250}, 1_700_000_000_250_000_000, "unknown"),
        ({"T": "2023-11-14T22:13:20.25Z"}, 1_700_000_000_250_000_000, "unknown"),
        ({"t": "2023-11-14T23:13:20.250001+01:00"}, 1_700_000_000_250_001_000, "unknown"),
        ({"time": "2023-11-14T22:13:20"}, 1_700_000_000 * NS, "unknown"),
        ({"t": 12.5}, 12_500_000_000, "device"),
        ({"millis": 1234}, 1_234_000_000, "device"),
        ({"micros": 1234}, 1_234_000, "device"),
        ({}, None, "unknown"),
    ],
)
def test_ways_to_say_a_time(time: dict[str, Any], start_ns: int | None, clock: str) -> None:
    (packet,) = decode({"z": [1]} | time)
    assert (packet.start_ns, packet.clock, packet.rate) == (start_ns, clock, None)


@pytest.mark.parametrize("key", ["rate", "sr", "fs", "Rate"])
def test_ways_to_say_a_rate(key: str) -> None:
    (packet,) = decode({"z": [1], key: 50})
    assert packet.rate == 50.0
    (packet,) = decode({"z": [1], key: 50}, declared=Declared(rate=40.0, unit="m/s"))
    assert (packet.rate, packet.meta) == (40.0, {"unit": "m/s"})


@pytest.mark.parametrize(
    ("sent", "rate"),
    [(99.98, 100.0), (100.03, 100.0), (31.23, 31.25), (99.2, 99.2), (101.0, 101.0), (76.923, 76.92)],
)
def test_a_measured_rate_of_a_stretch_is_taken_for_a_usual_one_nearby(sent: float, rate: float) -> None:
    (packet,) = decode({"z": [1], "sr": sent})
    assert packet.rate == rate


def test_instants_whose_measured_rate_jitters_become_packets() -> None:
    measured = np.random.default_rng(1).uniform(99.2, 100.8, len(ROWS)).round(2).tolist()
    objects = [
        {"t": 1_700_000_000 + k / 100, "sr": sr, **dict(zip("zne", row, strict=True))}
        for k, (sr, row) in enumerate(zip(measured, ROWS, strict=True))
    ]
    decoder = Decoder()
    packets = decoder.feed(wire(*objects))
    assert [row for packet in packets for row in packet.samples.tolist()] == ROWS
    assert {packet.rate for packet in packets} == {100.0}
    assert decoder.stats.skipped_bytes == 0
    assert [packet.wire_bytes for packet in packets] == [len(wire(last)) for last in objects[9::10]]


@pytest.mark.parametrize(
    ("keys", "channels"),
    [
        ("E Z N", ("EHZ", "EHN", "EHE")),
        ("BNE BNZ BNN", ("BNZ", "BNN", "BNE")),
        ("hh2 hh1 hhz", ("HHZ", "HH1", "HH2")),
        ("x y z", ("EHZ", "EHX", "EHY")),
        ("n", ("EHN",)),
    ],
)
def test_names_of_components(keys: str, channels: tuple[str, ...]) -> None:
    (packet,) = decode({key: [ord(key[-1].upper())] for key in keys.split()})
    assert packet.stream.channels == channels
    assert packet.samples.tolist() == [[ord(code[-1]) for code in channels]]


def test_instants_become_packets_and_their_times_tell_the_rate() -> None:
    objects = [
        {"micros": (4_294_000_000 + 8000 * k) % 2**32, **dict(zip("zne", row, strict=True))}
        for k, row in enumerate(ROWS)
    ]
    decoder = Decoder()
    packets = decoder.feed(wire(*objects))
    assert [row for packet in packets for row in packet.samples.tolist()] == ROWS
    assert {packet.rate for packet in packets} == {125.0}
    starts = [packet.start_ns for packet in packets if packet.start_ns is not None]
    assert set(np.diff(starts).tolist()) == {80_000_000}
    assert decoder.stats.skipped_bytes == 0


def test_a_jump_in_time_is_counted() -> None:
    decoder = Decoder()
    times = (0.25, 0.27, 0.294, 0.4, 0.1)
    decoder.feed(wire(*(STRETCH | {"t": 1_700_000_000 + seconds} for seconds in times)))
    assert decoder.stats.good_packets == 5
    assert decoder.stats.time_jumps == 2


@pytest.mark.parametrize(
    "text",
    [
        '{"z":[1,2],"n":[1]}',
        '{"z":[],"n":[]}',
        '{"z":[1,NaN]}',
        '{"z":[Infinity]}',
        '{"z":[1e999]}',
        '{"z":[2147483648]}',
        '{"z":[-1e30]}',
        '{"z":[true]}',
        '{"z":[null]}',
        '{"z":["1"]}',
        '{"z":[[1]]}',
        '{"z":[1],"n":2}',
        '{"z":true}',
        '{"z":[1],"t":"yesterday"}',
        '{"z":[1],"t":[]}',
        '{"z":[1],"t":-5}',
        '{"z":[1],"t":1e99}',
        '{"z":[1],"millis":"1"}',
        '{"z":[1],"rate":0}',
        '{"z":1,"rate":0.004}',
        '{"z":[1],"rate":20000}',
        '{"z":[1],"rate":"fast"}',
        '{"EHZ":[1],"ENZ":[2]}',
        '{"temperature":21}',
        '{"z":[%s]}' % ("9" * 5000),
        '{"z":' + "[" * 5000 + "]" * 5000 + "}",
        '{"z":[1]',
        "[1,2]",
    ],
    ids=lambda text: text[:24],
)
def test_what_is_damaged_or_something_else_costs_only_itself(text: str) -> None:
    decoder = Decoder()
    before, after = STRETCH, STRETCH | {"t": 1_700_000_000.27}
    fed = wire(before) + text.encode() + b"\n" + wire(after)
    packets = decoder.feed(fed)
    assert [packet.samples.tolist() for packet in packets] == [[[1, 3, 5], [2, 4, 6]]] * 2
    assert decoder.stats.good_packets == 2
    assert decoder.stats.skipped_bytes == len(fed) - sum(packet.wire_bytes for packet in packets) - 1
    assert decoder.stats.skipped_bytes >= len(text)


def test_objects_without_line_ends_come_at_once() -> None:
    decoder = Decoder()
    datagram = wire(STRETCH).strip()
    assert len(decoder.feed(datagram)) == 1
    assert len(decoder.feed(datagram + datagram)) == 2
    assert decoder.stats.skipped_bytes == 0


numbers = st.integers(-(1 << 31), (1 << 31) - 1) | st.floats(-2147483648.0, 2147483647.0)


@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=40), st.sampled_from([None, 1]))
def test_any_numbers_come_back(rows: list[tuple[float, float]], indent: int | None) -> None:
    columns = {"Z": [row[0] for row in rows], "N": [row[1] for row in rows]}
    (packet,) = Decoder().feed(json.dumps(columns, indent=indent).encode())
    assert packet.samples.tolist() == [list(row) for row in rows]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["z", "t", "x"]), inner),
    max_leaves=8,
)
keys = st.sampled_from(["z", "n", "EHZ", "t", "time", "millis", "rate", "station", "d", "traces"])


@given(st.lists(st.dictionaries(keys, json_values, max_size=5), max_size=6))
@example([{"z": 1, "d": []}])
@example([{"z": [1], "t": 0, "rate": 1e-300}])
def test_any_object_is_a_packet_or_is_skipped(objects: list[dict[str, Any]]) -> None:
    decoder = Decoder()
    fed = wire(*objects) + b"end"
    packets = decoder.feed(fed)
    for packet in packets:
        assert np.isfinite(packet.samples).all()
        assert packet.start_ns is None or 0 <= packet.start_ns < 1 << 63
    instants = any(
        isinstance(fields.get(key), (int, float)) for fields in objects for key in ("z", "n", "EHZ")
    )
    assert decoder.stats.good_packets == len(packets)
    if not instants:
        assert sum(packet.wire_bytes for packet in packets) + decoder.stats.skipped_bytes == len(fed)
