"""OpenEEW messages: both forms, times counted from the end, names, and what is refused."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.openeew import Decoder, Encoder
from firmware_bridge.wire import Declared

NS = 1_000_000_000
TRACES = {"x": [0.25, 0.5], "y": [-1.5, 2], "z": [980.5, 981]}
MESSAGE = {"traces": TRACES, "sr": 31.24, "device_id": "a4cf12-fe", "user": "u", "device_t": 1_700_000_001.5}
OLDER = {"d": {"device_id": "a4cf12-fe", "traces": [TRACES, {"x": 7, "y": 8, "z": 9}]}}


def wire(message: dict[str, Any]) -> bytes:
    return json.dumps(message).encode() + b"\n"


def test_the_last_sample_is_at_device_t() -> None:
    (packet,) = Decoder().feed(wire(MESSAGE))
    assert packet.stream.channels == ("SNZ", "SNX", "SNY")
    assert packet.samples.tolist() == [[980.5, 0.25, -1.5], [981.0, 0.5, 2.0]]
    assert packet.samples.dtype == np.float64
    assert packet.rate == 31.25
    assert packet.start_ns == 1_700_000_001_500_000_000 - round(NS / 31.24)
    assert packet.clock == "ntp"
    assert packet.meta == {"unit": "gal", "device_id": "a4cf12-fe"}


def test_the_older_form_has_neither_rate_nor_time() -> None:
    (packet,) = Decoder(Declared(rate=125.0)).feed(wire(OLDER))
    assert packet.samples.tolist() == [[980.5, 0.25, -1.5], [981.0, 0.5, 2.0], [9.0, 7.0, 8.0]]
    assert (packet.start_ns, packet.rate, packet.clock) == (None, 125.0, "unknown")
    assert packet.stream.channels == ("ENZ", "ENX", "ENY")
    (packet,) = Decoder().feed(wire(OLDER))
    assert packet.rate is None


@pytest.mark.parametrize(
    ("sent", "rate"), [(31.25, 31.25), (31.23, 31.25), (31.2, 31.2), (125.1, 125.0), (62.613, 62.61)]
)
def test_a_measured_rate_near_a_nominal_one_is_that(sent: float, rate: float) -> None:
    (packet,) = Decoder().feed(wire(MESSAGE | {"sr": sent}))
    assert packet.rate == rate


def second(rate: float, first_s: float, n: int, sr: float, jitter_s: float = 0.0) -> bytes:
    """A message of n samples from a device that samples at `rate` and says that it is `sr`."""
    traces = {key: [1] * n for key in "xyz"}
    end_s = first_s + (n - 1) / rate + jitter_s
    return wire({"traces": traces, "sr": round(sr, 2), "device_id": "a", "device_t": round(end_s, 6)})


@pytest.mark.parametrize("off", [0.992, 0.9985, 1.0007, 1.009])
@pytest.mark.parametrize(("nominal", "n"), [(31.25, 32), (125.0, 125)])
def test_a_device_off_its_nominal_rate_is_on_time_and_without_gaps(
    nominal: float, n: int, off: float
) -> None:
    rng = np.random.default_rng(1)
    rate = nominal * off
    decoder = Decoder()
    end_ns = None
    rates = set()
    for k in range(300):
        first_s = 1_700_000_000 + k * n / rate
        message = second(rate, first_s, n, rate * rng.normal(1, 3e-4), rng.uniform(-0.003, 0.003))
        (packet,) = decoder.feed(message)
        assert packet.start_ns is not None
        assert packet.rate is not None
        assert abs(packet.start_ns - round(first_s * NS)) < 4_000_000
        assert abs(packet.rate / rate - 1) < 0.002
        # What the time line takes for no gap.
        assert end_ns is None or abs(packet.start_ns - end_ns) < 0.5 * NS / packet.rate
        end_ns = packet.start_ns + round(n * NS / packet.rate)
        rates.add(packet.rate)
    assert len(rates) == 1
    assert decoder.stats.time_jumps == 0


def test_a_device_set_up_anew_is_followed() -> None:
    decoder = Decoder()
    wires = [second(31.25, 1_700_000_000 + k * 1.024, 32, 31.25) for k in range(5)]
    wires += [second(62.5, 1_700_000_100 + k * 1.024, 64, 62.5) for k in range(5)]
    packets = [packet for message in wires for packet in decoder.feed(message)]
    assert [packet.rate for packet in packets] == [31.25] * 5 + [62.5] * 5
    assert packets[5].start_ns is not None
    assert abs(packets[5].start_ns - 1_700_000_100 * NS) < 1000
    assert decoder.stats.time_jumps == 1


def test_a_device_that_drifts_far_gets_another_rate_once() -> None:
    decoder = Decoder()
    drifting = [125 * (1 - k * 1e-5) for k in range(300)]
    rates = [
        packet.rate
        for k, rate in enumerate(drifting)
        for packet in decoder.feed(second(rate, 1_700_000_000 + k, 125, rate))
    ]
    assert rates[0] == 125.0
    assert len(set(rates)) == 2
    assert all(
        abs(sent / rate - 1) < 0.0021 for sent, rate in zip(drifting, rates, strict=True) if rate is not None
    )


@pytest.mark.parametrize(
    ("fields", "declared", "name"),
    [
        ({}, None, "XX.A4CF1.00"),
        ({"network": "mx", "station": "S001"}, None, "MX.S001.00"),
        ({"network": "", "station": ""}, None, "XX.A4CF1.00"),
        ({"device_id": 5}, None, "XX.EDGE.00"),
        ({"network": "MX", "station": "S001"}, ("AB", "CDE", ""), "AB.CDE."),
    ],
)
def test_names(fields: dict[str, Any], declared: tuple[str, str, str] | None, name: str) -> None:
    (packet,) = Decoder(Declared(identity=declared)).feed(wire(MESSAGE | fields))
    assert packet.stream.station_id == name


@pytest.mark.parametrize(
    "before", [b"", b"traces/u/a4cf12 ", b'{"status": "up"}', b'{"traces": {"x": [1', b"}}"]
)
def test_messages_are_found_in_other_text(before: bytes) -> None:
    decoder = Decoder()
    message = wire(MESSAGE).strip()
    packets = decoder.feed((before + message) * 3)
    assert len(packets) == 3
    assert decoder.stats.skipped_bytes == 3 * len(before.rstrip())


@pytest.mark.parametrize(
    "fields",
    [
        {"traces": {"x": [1.0], "y": [1.0]}},
        {"traces": TRACES | {"z": [1.0]}},
        {"traces": TRACES | {"z": [1.0, float("nan")]}},
        {"traces": TRACES | {"z": [1.0, "2"]}},
        {"traces": []},
        {"traces": 5},
        {"sr": 0},
        {"sr": "31"},
        {"device_t": -1},
        {"device_t": "now"},
        {"d": {"traces": TRACES, "sr": True}},
    ],
    ids=str,
)
def test_what_is_no_message_is_skipped(fields: dict[str, Any]) -> None:
    decoder = Decoder()
    bad = wire(MESSAGE | fields)
    assert len(decoder.feed(bad + wire(MESSAGE))) == 1
    assert decoder.stats.skipped_bytes == len(bad) - 1


def test_a_missing_message_is_a_jump() -> None:
    encoder = Encoder(125.0)
    decoder = Decoder()
    for second in (0, 1, 3, 4):
        decoder.feed(encoder.encode(1_700_000_000 * NS + second * NS, np.zeros((125, 3), np.int32)))
    assert decoder.stats.good_packets == 4
    assert decoder.stats.time_jumps == 1


def test_counts_go_out_as_thousandths_of_a_gal() -> None:
    samples = np.arange(96, dtype=np.int32).reshape(32, 3)
    (packet,) = Decoder().feed(Encoder(31.25).encode(1_700_000_000 * NS, samples))
    np.testing.assert_allclose(packet.samples, samples * 1e-3)
    assert packet.start_ns is not None
    assert abs(packet.start_ns - 1_700_000_000 * NS) < 1000
    with pytest.raises(ValueError, match=r"31\.25 or 125"):
        Encoder(100.0)


@given(
    st.lists(st.tuples(*[st.floats(-4000, 4000)] * 3), min_size=1, max_size=40),
    st.sampled_from([31.25, 125.0]),
    st.integers(1_000_000_000, 3_000_000_000),
)
def test_any_message_comes_back(rows: list[tuple[float, ...]], rate: float, end_s: int) -> None:
    z, x, y = zip(*rows, strict=True)
    message = {"traces": {"x": x, "y": y, "z": z}, "sr": rate, "device_t": end_s}
    (packet,) = Decoder().feed(wire(message))
    assert packet.samples.tolist() == [list(row) for row in rows]
    assert packet.start_ns == end_s * NS - round((len(rows) - 1) * NS / rate)
