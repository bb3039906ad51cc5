"""Detection in simulated time: every protocol, at every usual speed, through noise, in seconds."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest

from firmware_bridge.detect import BAUDS, Detector
from firmware_bridge.packet import Packet
from firmware_bridge.protocols import PROTOCOLS, Protocol
from firmware_bridge.simulator import packets_of
from firmware_bridge.synthetic import synthetic_earthquake
from firmware_bridge.uart import Line
from firmware_bridge.wire import Declared

NS = 1_000_000_000
QUAKE = synthetic_earthquake()
NOISE = np.random.default_rng(0).bytes(300)
NAMES = [protocol.name for protocol in PROTOCOLS]
IN_BURSTS = {"gcf", "openeew"}
"""A packet of these takes a second to come."""


def named(name: str) -> Protocol:
    return next(protocol for protocol in PROTOCOLS if protocol.name == name)


def spoken(name: str) -> Iterator[tuple[int, bytes]]:
    """(due_ns, bytes) of a minute in one protocol."""
    rate = 125 if name == "openeew" else 100
    return packets_of(QUAKE.samples, rate, QUAKE.start_ns, name)


def listen(
    detector: Detector, sent: Iterator[tuple[int, bytes]], baud: int | None = None
) -> tuple[float, list[tuple[int, Packet]]]:
    """Seconds until the detector settled on a line that begins with noise, and what it then delivered.

    `baud`: of the sender's UART; None for a line on which speeds are a formality.
    """
    line = None if baud is None else Line(baud)
    now_ns = 0
    for due_ns, data in ((0, NOISE), *sent):
        while now_ns + NS // 10 < due_ns:  # a source tells now and then that nothing came
            now_ns += NS // 10
            detector.feed(now_ns, b"")
        now_ns = max(now_ns, due_ns)
        size = len(data) if baud is None else baud // 500  # what comes in 20 ms
        for start in range(0, len(data), size):
            chunk = data[start : start + size]
            if line is not None and baud is not None and detector.baud is not None:
                now_ns += len(chunk) * 10 * NS // baud
                chunk = line.as_read(now_ns, chunk, detector.baud)
            packets = detector.feed(now_ns, chunk)
            if detector.protocol is not None:
                return now_ns / NS, packets
    return float("inf"), []


@pytest.mark.parametrize("name", NAMES)
def test_every_protocol_is_recognised_within_five_seconds(name: str) -> None:
    detector = Detector(Declared())
    seconds, _ = listen(detector, spoken(name))
    assert detector.protocol is named(name)
    assert seconds < 5


@pytest.mark.parametrize(
    ("name", "baud"), [(name, baud) for name in NAMES if name not in IN_BURSTS for baud in named(name).bauds]
)
def test_every_usual_speed_is_found_within_five_seconds(name: str, baud: int) -> None:
    detector = Detector(Declared())
    seconds, _ = listen(detector, spoken(name), baud)
    assert detector.protocol is named(name)
    assert detector.baud == baud
    assert seconds < 5
    (event,) = detector.events
    assert event.startswith(f"{named(name).title} at {baud} baud: ")


@pytest.mark.parametrize("baud", named("gcf").bauds)
def test_a_digitizer_that_sends_once_a_second_takes_a_round_through_the_speeds_or_two(baud: int) -> None:
    detector = Detector(Declared())
    seconds, _ = listen(detector, spoken("gcf"), baud)
    assert (detector.protocol, detector.baud) == (named("gcf"), baud)
    assert seconds < 2 * len(BAUDS)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_that_was_decoded_while_listening_is_lost(name: str) -> None:
    decoder = named(name).decoder(Declared())
    sent = list(spoken(name))[:40]
    expected = [packet for _, data in sent for packet in decoder.feed(data)]
    detector = Detector(Declared())
    got = [both for due_ns, data in sent for both in detector.feed(due_ns, data)]
    assert [packet.start_ns for _, packet in got] == [packet.start_ns for packet in expected]
    assert all(np.array_equal(a.samples, b.samples) for (_, a), b in zip(got, expected, strict=True))
    assert all(earlier <= later for (earlier, _), (later, _) in pairwise(got))


@pytest.mark.parametrize("name", NAMES)
def test_what_the_operator_names_is_taken_at_once(name: str) -> None:
    detector = Detector(Declared(), name, 57_600)
    assert detector.protocol is named(name)
    assert detector.baud == 57_600


def test_a_named_protocol_is_sought_at_its_own_speeds_first() -> None:
    detector = Detector(Declared(), "gcf")
    seconds, _ = listen(detector, spoken("gcf"), 38_400)
    assert (detector.baud, detector.protocol) == (38_400, named("gcf"))
    assert seconds < 3


def test_a_given_speed_is_kept() -> None:
    detector = Detector(Declared(), baud=9_600)
    for k in range(600):
        detector.feed(k * NS // 10, NOISE)
        assert detector.baud == 9_600
    assert detector.protocol is None


def test_without_a_serial_line_there_is_no_speed() -> None:
    detector = Detector(Declared(), serial=False)
    _, packets = listen(detector, spoken("anyshake3"))
    assert detector.baud is None
    assert len(packets) == 1
    assert detector.events.popleft().startswith("AnyShake v3: good packets: 1")


def test_unknown_protocols_are_named() -> None:
    with pytest.raises(ValueError, match=r"no protocol 'anyshake4': there are bridge, anyshake3"):
        Detector(Declared(), "anyshake4")


@pytest.mark.parametrize(
    ("text", "shown"), [(b"boot ok, v1\r\n", "'boot ok"), (b"\xa5\x00\x81" * 9, "a5 00 81")]
)
def test_bytes_that_nobody_knows_are_told_once_with_what_they_look_like(text: bytes, shown: str) -> None:
    detector = Detector(Declared())
    for k in range(1200):
        detector.feed(k * NS // 10, text)
    (event,) = detector.events
    assert event.startswith("bytes, but no packet of edge-pick bridge, AnyShake v3")
    assert "at 115200, 57600" in event
    assert shown in event


def test_a_silent_line_is_waited_for() -> None:
    detector = Detector(Declared())
    for k in range(600):
        assert detector.feed(k * NS // 10, b"") == []
    assert detector.baud == BAUDS[0]
    assert not detector.events


def test_a_digitizer_that_is_set_up_anew_is_recognised_again() -> None:
    detector = Detector(Declared())
    now_ns = 0
    for name in ("anyshake3", "anyshake1"):
        for _, data in list(spoken(name))[:600] * 2:
            now_ns += NS // 10
            detector.feed(now_ns, data)
        assert detector.protocol is named(name)
    first, lost, second = detector.events
    assert first.startswith("AnyShake v3")
    assert "no AnyShake v3 packet among them" in lost
    assert second.startswith("AnyShake v1")


@pytest.mark.parametrize("rate", [20.0, 25.0, 31.25])
def test_slow_lines_are_recognised_too(rate: float) -> None:
    encoder = named("lines").encoder(rate)
    detector = Detector(Declared(), serial=False)
    now_ns = 0
    while detector.protocol is None and now_ns < 10 * NS:
        n = encoder.samples_per_packet
        start_ns = QUAKE.start_ns + now_ns
        lines = encoder.encode(start_ns, QUAKE.samples[:n])
        for k, line in enumerate(lines.splitlines(keepends=True)):
            detector.feed(now_ns + round(k * NS / rate), line)
        now_ns += round(n * NS / rate)
    assert detector.protocol is named("lines")
