"""From bytes to packets with the time at which they were sent, and what the operator is told on the way."""

import argparse
import threading
from collections.abc import Callable, Iterator
from math import inf

import numpy as np
import pytest

from edge.line import Arrived, Line, add_line_arguments, declared
from edge.source import DeviceError
from edge.timekeeper import Timekeeper
from firmware_bridge.anyshake import Encoder
from firmware_bridge.detect import Detector
from firmware_bridge.packet import Packet
from firmware_bridge.protocols import protocol_named
from firmware_bridge.wire import Declared

S = 1_000_000_000
T0 = 1_750_000_000 * S
PACKET_BYTES = 141
PACKET_S = 0.1


def packet(k: int) -> bytes:
    """The `k`th tenth of a second, in AnyShake v3."""
    encoder = Encoder(100.0)
    return encoder.encode(T0 + k * S // 10, np.full((encoder.samples_per_packet, 3), k, np.int32))


class Script:
    """A source that plays what it was given: at these seconds after T0, these bytes.

    `read` hands over what a step brings, so that it may depend on the speed that is set.
    """

    def __init__(
        self,
        steps: list[tuple[float, bytes]],
        baud: int | None = 115_200,
        read: Callable[[bytes, int | None], bytes] = lambda data, baud: data,
    ) -> None:
        self.baud = baud
        self._steps = steps
        self._read = read

    @property
    def bits_per_s(self) -> float:
        return inf if self.baud is None else float(self.baud)

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        for seconds, data in self._steps:
            yield T0 + round(seconds * S), self._read(data, self.baud)


def heard(source: Script, detector: Detector) -> tuple[list[Arrived], list[str], Line]:
    lines: list[str] = []
    line = Line("/dev/ttyX", source, detector, lines.append)
    return list(line), lines, line


def packets(steps: list[Arrived]) -> list[tuple[int, Packet]]:
    return [one for step in steps for one in step.packets]


@pytest.mark.parametrize("baud", [9600, 57_600, 115_200])
def test_the_time_that_bytes_take_on_a_serial_line_is_taken_off(baud: int) -> None:
    source = Script([(1.0, packet(0)), (1.1, packet(1))], baud)
    steps, _, line = heard(source, Detector(Declared(), "anyshake3", baud))
    assert [len(step.packets) for step in steps] == [1, 1, 0]
    assert line.bits_per_s == baud
    for k, (sent_ns, one) in enumerate(packets(steps)):
        assert one.wire_bytes == PACKET_BYTES
        on_the_line_s = (T0 + round((1.0 + k * PACKET_S) * S) - sent_ns) / S
        assert on_the_line_s == pytest.approx(PACKET_BYTES * 10 / baud, abs=1e-8)


def test_a_digitizer_whose_columns_and_rate_are_found_out_first_is_timed_rightly_from_its_first_sample() -> (
    None
):
    """Plain lines: the packets of 64 of them come together, but were not all sampled just now."""
    encoder = protocol_named("lines").encoder(100.0)
    ground = np.random.default_rng(0).integers(-999, 999, (60, 10, 3)).astype(np.int32)
    sent = [(k / 10 + 0.1, encoder.encode(7 * S + k * S // 10, samples)) for k, samples in enumerate(ground)]
    steps, _, _ = heard(Script(sent, baud=None), Detector(Declared(), "lines", serial=False))
    assert max(len(step.packets) for step in steps) >= 6
    keeper = Timekeeper(lambda: "ntp")
    items = [item for sent_ns, one in packets(steps) for item in keeper.feed(one, sent_ns)]
    errors_s = [(item.start_ns - T0) / S - k / 10 for k, item in enumerate(items) if isinstance(item, Packet)]
    assert len(errors_s) == len(items) >= 59  # and no step
    np.testing.assert_allclose(
        errors_s, 0.01, atol=1e-3
    )  # its last sample is 10 ms old when a packet is sent


def test_a_packet_that_came_with_one_that_does_not_follow_it_keeps_its_time() -> None:
    source = Script([(1.0, packet(0) + packet(1) + packet(5) + packet(5))], baud=None)
    steps, _, _ = heard(source, Detector(Declared(), "anyshake3", serial=False))
    assert sorted(sent_ns - T0 for sent_ns, _ in packets(steps)) == [S - S // 10, S, S, S]


def test_datagrams_take_no_time() -> None:
    source = Script([(1.0, packet(0)), (1.1, packet(1))], baud=None)
    steps, _, line = heard(source, Detector(Declared(), "anyshake3", serial=False))
    assert [sent_ns - T0 for sent_ns, _ in packets(steps)] == [S, S + S // 10]
    assert line.bits_per_s == inf


def test_each_step_says_when_and_how_much_came_packets_or_not() -> None:
    whole = packet(0)
    source = Script([(1.0, whole[:50]), (1.1, b""), (1.2, whole[50:])])
    steps, _, _ = heard(source, Detector(Declared(), "anyshake3", 115_200))
    assert [(step.arrival_ns - T0, step.n_bytes, len(step.packets)) for step in steps] == [
        (1_000_000_000, 50, 0),
        (1_100_000_000, 0, 0),
        (1_200_000_000, 91, 1),
        (1_200_000_000, 0, 0),  # the end, with what still waited
    ]


def test_datagrams_that_overtook_one_another_come_in_order_each_with_its_own_arrival() -> None:
    order = [0, 2, 1, 3, 5]  # and 4 is lost
    source = Script([(1 + i / 10, packet(k)) for i, k in enumerate(order)], baud=None)
    steps, _, _ = heard(source, Detector(Declared(), "anyshake3", serial=False))
    got = packets(steps)
    assert [int(one.samples[0, 0]) for _, one in got] == [0, 1, 2, 3, 5]
    assert [sent_ns - T0 for sent_ns, _ in got] == [S + i * S // 10 for i in (0, 2, 1, 3, 4)]


def test_what_was_recognised_is_told_with_the_name_of_the_device() -> None:
    source = Script([(k * PACKET_S, packet(k)) for k in range(5)])
    steps, lines, line = heard(source, Detector(Declared()))
    assert len(packets(steps)) == 5
    (told,) = lines
    assert told.startswith("/dev/ttyX: AnyShake v3 at 115200 baud: good packets: 1")
    assert line.detector.protocol is not None


def test_silence_is_told_once() -> None:
    source = Script([(0.0, packet(0)), *((s, b"") for s in range(1, 30)), (30.0, packet(300))])
    lines: list[str] = []
    line = Line("/dev/ttyX", source, Detector(Declared(), "anyshake3", 115_200), lines.append)
    assert len(list(line)) == 32
    assert lines == [
        "/dev/ttyX: no data for 10 s; is the digitizer on, the cable right?",
        "/dev/ttyX: data again",
    ]


def test_the_speed_that_listening_finds_is_set_on_the_source() -> None:
    """At any other speed the line reads as noise."""
    noise = np.random.default_rng(0)

    def read(data: bytes, baud: int | None) -> bytes:
        return data if baud == 57_600 else noise.bytes(len(data))

    source = Script([(k * PACKET_S, packet(k)) for k in range(100)], read=read)
    steps, lines, line = heard(source, Detector(Declared()))
    assert source.baud == 57_600
    assert line.bits_per_s == 57_600
    assert any("AnyShake v3 at 57600 baud" in told for told in lines)
    got = packets(steps)
    assert len(got) > 80
    arrivals = [round((sent_ns - T0) / S + PACKET_BYTES * 10 / 57_600, 6) for sent_ns, _ in got]
    assert arrivals == [round((one.start_ns or 0) / S - T0 / S, 6) for _, one in got]


def test_the_summary_counts_what_the_decoder_met() -> None:
    damaged = bytearray(packet(1))
    damaged[40] ^= 1
    source = Script([(0.0, packet(0)), (0.1, bytes(damaged)), (0.2, packet(2)), (0.3, packet(3))])
    _, _, line = heard(source, Detector(Declared(), "anyshake3", 115_200))
    assert line.summary() == "3 packets, 1 bad checksums, 141 bytes skipped, 1 time jumps"
    line.detector.stats.lost_packets = 2
    assert line.summary().startswith("3 packets, 2 lost, 1 bad checksums")


# --- Arguments


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_line_arguments(parser, parser.add_mutually_exclusive_group(required=True))
    return parser.parse_args(arguments)


def test_what_the_operator_says_reaches_the_decoders() -> None:
    args = parse(
        *("--device", "/dev/ttyUSB0", "--station", "am.shed.00", "--rate", "62.5"),
        *("--columns", "millis, z,-", "--unit", "m/s"),
    )
    assert declared(args) == Declared(("AM", "SHED", "00"), 62.5, ("millis", "z", "-"), "m/s")
    assert declared(parse("--udp", ":8888")) == Declared()
    assert declared(parse("--udp", ":8888", "--station", "AM.SHED.")).identity == ("AM", "SHED", "")


def from_arguments(*arguments: str) -> Line:
    return Line.from_arguments(parse(*arguments), threading.Event(), lambda line: None)


def test_without_a_word_all_protocols_and_speeds_are_tried_from_the_most_usual_on() -> None:
    line = from_arguments("--device", "/dev/ttyUSB0")
    assert (line.detector.protocol, line.detector.baud, line.bits_per_s) == (None, 115_200, 115_200.0)


def test_with_protocol_and_speed_nothing_is_left_to_find_out() -> None:
    line = from_arguments("--device", "/dev/ttyUSB0", "--protocol", "gcf", "--baud", "19200")
    assert line.detector.protocol is not None
    assert (line.detector.protocol.name, line.bits_per_s) == ("gcf", 19_200.0)


def test_a_protocol_alone_is_tried_at_its_own_speeds() -> None:
    assert from_arguments("--device", "/dev/ttyUSB0", "--protocol", "gcf").bits_per_s == 19_200.0


def test_datagrams_have_no_speed_to_find_out() -> None:
    line = from_arguments("--udp", ":8888")
    assert (line.detector.baud, line.bits_per_s) == (None, inf)


def test_columns_that_are_none_are_named_before_anything_is_opened() -> None:
    with pytest.raises(ValueError, match=r"^columns millis,up: name each of z, n, e .*that there is once.*$"):
        from_arguments("--device", "/dev/ttyUSB0", "--columns", "millis,up")


def test_an_address_that_is_none_is_named_before_anything_is_opened() -> None:
    with pytest.raises(DeviceError, match=r"^8888:: not HOST:PORT"):
        from_arguments("--udp", "8888:")


@pytest.mark.parametrize("name", ["SHED", "..00", "AM.SHED", "AM.SHED.00.HHZ"])
def test_a_station_that_is_none_is_refused(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse("--udp", ":8888", "--station", name)
    assert f"'{name}' is not NET.STA.LOC" in capsys.readouterr().err
