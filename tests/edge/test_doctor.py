"""Every problem of a first day is recognised, by what the verdict says and by the exit status."""

import errno
import signal
from collections.abc import Iterator
from dataclasses import replace
from math import inf
from pathlib import Path

import numpy as np
import pytest
import serial
from numpy.typing import NDArray

from edge.cli import main
from edge.doctor import Diagnosis, Examination, examine
from edge.line import Arrived, Line
from firmware_bridge.detect import Detector
from firmware_bridge.faults import Flip, Lose, apply_faults
from firmware_bridge.packet import Clock, Packet, Stream, TimeMark
from firmware_bridge.protocols import PROTOCOLS, Protocol, protocol_named
from firmware_bridge.simulator import (
    PtyDigitizer,
    one_line_each,
    packets_from_now,
    packets_of,
)
from firmware_bridge.stats import DecoderStats
from firmware_bridge.synthetic import synthetic_earthquake
from firmware_bridge.wire import Declared

S = 1_000_000_000
T0 = 1_750_000_000 * S
ZNE = ("HHZ", "HHN", "HHE")
QUAKE = synthetic_earthquake()
FINE = ["fine, edge-pick can work with this"]


# --- What is made of what was heard


def arrivals(
    seconds: float = 12.0,
    rate: float = 100.0,
    told: float | None = 100.0,
    clock: Clock = "gnss",
    late_s: float = 0.05,
    marks: bool = False,
    dead: int | None = None,
) -> Iterator[Arrived]:
    """A digitizer's line: ten packets a second of samples at `rate`, which its wire tells as `told`."""
    rng = np.random.default_rng(0)
    n = round(rate / 10)
    for k in range(round(seconds * 10)):
        samples: NDArray[np.int32] = rng.integers(-100, 100, (n, 3)).astype(np.int32)
        if dead is not None:
            samples[:, dead] = 7
        start_ns = T0 + k * S // 10
        arrival_ns = start_ns + S // 10 + round(late_s * S)
        packet = Packet(
            Stream("XX", "TEST", "00", ZNE),
            None if clock == "unknown" else start_ns,
            told,
            samples,
            clock,
            mark=TimeMark(start_ns, start_ns, 1e-6) if marks else None,
            wire_bytes=141,
        )
        yield Arrived(arrival_ns, 141, [(arrival_ns, packet)])


HEALTHY = Diagnosis(
    examine(arrivals(), 10),
    DecoderStats(good_packets=100),
    protocol_named("anyshake3"),
    115_200,
    115_200.0,
    "ntp",
)


def problems(heard: Examination, host: Clock = "ntp", **stats: int) -> list[str]:
    counted = DecoderStats(**{"good_packets": 100, **stats})
    return list(replace(HEALTHY, heard=heard, host=host, stats=counted).problems())


def test_a_healthy_digitizer_is_described_and_has_no_problems() -> None:
    assert list(HEALTHY.problems()) == []
    lines = list(HEALTHY.lines())
    assert lines[0] == "protocol  AnyShake v3 at 115200 baud"
    assert lines[1].endswith("/s, 12% of what the line carries")
    assert lines[2].endswith("0 bad checksums, 0 bytes skipped, 0 lost, 0 time jumps")
    assert lines[3] == "rate      100 Hz by the wire, 100.00 Hz by arrivals"
    channels = [line.split()[1] for line in lines if line.startswith("channel")]
    assert channels == [f"XX.TEST.00.{code}" for code in ZNE]
    assert lines[-2:] == [
        "clock     UTC from GNSS; this computer is synchronised",
        "delay     0.050 s from the last sample to here (0.050 … 0.050)",
    ]


def test_listening_ends_after_the_time_that_was_asked_for() -> None:
    line = arrivals(seconds=100)
    assert examine(line, 10).seconds == pytest.approx(10)
    assert next(line).arrival_ns > T0 + 10 * S  # nothing more was taken than needed


def test_seconds_count_from_the_first_byte_on() -> None:
    silence = [Arrived(T0 - 5 * S + k * S // 10, 0, []) for k in range(50)]
    heard = examine([*silence, *arrivals(seconds=5)], 100)
    assert heard.seconds == pytest.approx(4.9)
    assert heard.measured_rate == pytest.approx(100)


@pytest.mark.parametrize("udp", [False, True], ids=["serial", "udp"])
@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.name)
def test_a_healthy_digitizer_of_any_protocol_is_fine(protocol: Protocol, udp: bool) -> None:
    rate = 125.0 if protocol.name == "openeew" else 100.0
    sent = packets_of(QUAKE.samples[: round(12 * rate)], rate, T0, protocol.name)
    source = Heard(sent if not udp else one_line_each(sent) if protocol.name == "shake" else sent, udp)
    line = Line("x", source, Detector(Declared(), serial=not udp), lambda text: None)
    heard = examine(line, 10)
    detector = line.detector
    found = Diagnosis(heard, detector.stats, detector.protocol, detector.baud, line.bits_per_s, "ntp")
    assert detector.protocol is protocol
    assert list(found.problems()) == []


class Heard:
    """What arrives of packets that are sent when due: 64 bytes at a time over a serial line, else at once."""

    def __init__(self, sent: Iterator[tuple[int, bytes]], udp: bool) -> None:
        self.baud = None if udp else 115_200
        self._sent = sent

    @property
    def bits_per_s(self) -> float:
        return inf if self.baud is None else float(self.baud)

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        now_ns = T0
        for due_ns, data in self._sent:
            now_ns = max(now_ns, T0 + due_ns)
            if self.baud is None:
                now_ns += 80_000  # no two datagrams come at the same time
                yield now_ns, data
                continue
            for first in range(0, len(data), 64):
                chunk = data[first : first + 64]
                now_ns += len(chunk) * 10 * S // self.baud
                yield now_ns, chunk


def test_nothing_at_all_asks_for_power_wires_and_port() -> None:
    (line,) = problems(examine([Arrived(T0 + k * S // 10, 0, []) for k in range(200)], 10))
    assert line.startswith("no data arrives: is the digitizer on")


def test_bytes_that_nobody_knows_ask_for_speed_and_protocol() -> None:
    unknown = replace(
        HEALTHY, heard=examine([Arrived(T0, 100, []), Arrived(T0 + S, 100, [])], 10), protocol=None
    )
    (line,) = unknown.problems()
    assert line.startswith(
        "bytes arrive, but nothing that is known: without --baud and --protocol all are tried"
    )
    assert next(unknown.lines()) == "protocol  not recognised at 115200 baud"


def test_more_than_one_damaged_packet_in_a_hundred_asks_for_a_better_cable() -> None:
    assert problems(HEALTHY.heard, bad_checksums=1) == []
    (line,) = problems(HEALTHY.heard, bad_checksums=2)
    assert line.startswith("2 damaged to 100 good packets: shorten or shield the cable")


def test_many_bytes_that_are_no_packet_ask_for_another_talker() -> None:
    assert problems(HEALTHY.heard, skipped_bytes=4096) == []
    (line,) = problems(HEALTHY.heard, skipped_bytes=5000)
    assert line == f"5000 of {HEALTHY.heard.n_bytes} bytes are no packet: does something else talk?"


def test_lost_packets_are_told() -> None:
    (line,) = problems(HEALTHY.heard, lost_packets=3)
    assert line.startswith("3 packets were lost on their way")


def test_a_full_line_is_told() -> None:
    (line,) = replace(HEALTHY, bits_per_s=15_000.0).problems()
    assert line == "the line is full (95%): raise the baud rate or lower the sample rate"


@pytest.mark.parametrize("rate", [97.0, 110.0])
def test_another_rate_than_announced_is_told(rate: float) -> None:
    heard = examine((replace_samples(step, round(rate)) for step in arrivals()), 10)
    (line,) = problems(heard)
    assert line.startswith(f"100 Hz announced, {heard.measured_rate:.2f} Hz arrive")
    assert heard.measured_rate == pytest.approx(rate, rel=0.01)


def replace_samples(step: Arrived, per_second: int) -> Arrived:
    """The same packet with so many samples that there are `per_second`."""
    ((arrival_ns, packet),) = step.packets
    k = (step.arrival_ns - T0) * 10 // S
    n = (k + 1) * per_second // 10 - k * per_second // 10
    samples = np.resize(packet.samples, (n, 3))
    return replace(step, packets=[(arrival_ns, replace(packet, samples=samples))])


@pytest.mark.parametrize("rate", [10.0, 2000.0])
def test_a_rate_that_cannot_be_picked_is_told(rate: float) -> None:
    (line,) = problems(examine(arrivals(rate=rate, told=rate), 10))
    assert line.startswith(f"sample rate {rate:g} Hz is outside 20…1000")


def test_a_wire_that_does_not_tell_its_rate_is_no_problem() -> None:
    heard = examine(arrivals(told=None, clock="unknown"), 10)
    assert problems(heard) == []
    lines = list(replace(HEALTHY, heard=heard).lines())
    assert "rate      not told by the wire, 100.00 Hz by arrivals" in lines
    assert "clock     no time on the wire; this computer is synchronised" in lines


def test_a_constant_channel_asks_for_its_sensor() -> None:
    (line,) = problems(examine(arrivals(dead=1), 10))
    assert line == "XX.TEST.00.HHN is constant at 7: is the sensor connected?"


@pytest.mark.parametrize("clock", ["device", "unknown"])
def test_when_nobody_knows_the_time_ntp_or_gnss_is_asked_for(clock: Clock) -> None:
    heard = examine(arrivals(clock=clock), 10)
    (line,) = problems(heard, host="host")
    assert line.startswith("nobody knows the time")
    assert "timedatectl set-ntp true" in line
    assert problems(heard, host="ntp") == []


def test_a_digitizer_that_knows_utc_needs_no_synchronised_computer() -> None:
    assert problems(examine(arrivals(), 10), host="host") == []
    assert problems(examine(arrivals(clock="device", marks=True), 10), host="host") == []


def test_a_digitizer_that_says_only_at_times_that_it_has_a_fix_knows_utc() -> None:
    """AnyShake v2: the first packets come before it has said so."""
    before = list(arrivals(seconds=3, clock="device"))
    assert problems(examine([*before, *list(arrivals(seconds=9))[30:]], 10), host="host") == []


@pytest.mark.parametrize(
    ("late_s", "said"), [(2 * 3600.0, "-7200.0"), (-3600.0, "+3600.0"), (-1.5, "+1.5"), (-1.0, "+1.0")]
)
def test_utc_that_is_off_is_told_where_this_computer_knows_better(late_s: float, said: str) -> None:
    heard = examine(arrivals(late_s=late_s), 10)
    (line,) = problems(heard)
    assert line == f"the digitizer's clock is off by {said} s: has it a GNSS fix?"
    assert problems(heard, host="host") == []


# --- The command, on real lines


@pytest.fixture(autouse=True)
def signal_handlers() -> Iterator[None]:
    """The command replaces them."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


class Doctor:
    """`edge-pick doctor` as called here: exit status, verdicts, and all that was printed."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str | Path) -> tuple[int, list[str], str]:
        status = main(["doctor", *map(str, arguments)])
        out = self._capsys.readouterr().out
        verdicts = [
            line.removeprefix("verdict   ") for line in out.splitlines() if line.startswith("verdict")
        ]
        return status, verdicts, out


@pytest.fixture
def doctor(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Doctor:
    """On a computer whose clock is synchronised."""
    monkeypatch.setattr("edge.doctor.host_clock", lambda: "ntp")
    return Doctor(capsys)


def test_a_device_that_is_not_there(doctor: Doctor, tmp_path: Path) -> None:
    status, (verdict,), _ = doctor("--device", tmp_path / "ttyUSB9")
    assert status == 2
    assert "no such device" in verdict


def test_a_device_that_may_not_be_opened(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise serial.SerialException(errno.EACCES, "could not open port")

    monkeypatch.setattr("edge.source.serial.Serial", refuse)
    status, (verdict,), _ = doctor("--device", "/dev/ttyUSB0")
    assert status == 2
    assert "permission denied; add yourself to group dialout" in verdict


def test_columns_that_are_none(doctor: Doctor) -> None:
    status, (verdict,), _ = doctor("--device", "/dev/ttyUSB0", "--columns", "millis,up")
    assert status == 2
    assert verdict.startswith("columns millis,up: name each of")


def test_an_address_that_is_none(doctor: Doctor) -> None:
    status, (verdict,), _ = doctor("--udp", "8888:")
    assert status == 2
    assert "not HOST:PORT" in verdict


@pytest.mark.parametrize("seconds", ["-1", "0", "nan", "inf", "long"])
def test_a_time_that_nobody_can_listen(capsys: pytest.CaptureFixture[str], seconds: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--device", "/dev/ttyUSB0", "--seconds", seconds])
    assert ended.value.code == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.endswith(f"--seconds: '{seconds}' is no time to listen, such as 10")


def test_utc_of_unknown_provenance_is_a_time_on_the_wire(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.doctor.host_clock", lambda: "host")
    with PtyDigitizer(packets_from_now(QUAKE.samples, 100.0, "ndjson")) as digitizer:
        status, verdicts, out = doctor("--device", digitizer.device, "--seconds", "1.5")
    assert (status, verdicts) == (0, FINE)
    assert "clock     UTC, the wire does not say from where; this computer is not synchronised" in out


def test_a_silent_line(doctor: Doctor) -> None:
    with PtyDigitizer([]) as digitizer:
        status, (verdict,), out = doctor("--device", digitizer.device, "--seconds", "0.5")
    assert status == 1
    assert verdict.startswith("no data arrives: is the digitizer on, does its TX go to our RX")
    assert "protocol  not recognised" in out


def test_bytes_of_something_unknown(doctor: Doctor) -> None:
    rng = np.random.default_rng(0)
    noise = ((k * S // 50, rng.bytes(50)) for k in range(1000))
    with PtyDigitizer(noise) as digitizer:
        status, (verdict,), _ = doctor("--device", digitizer.device, "--seconds", "1.5")
    assert status == 1
    assert verdict.startswith("bytes arrive, but nothing that is known")


def test_a_wrong_speed_given(doctor: Doctor) -> None:
    sent = packets_of(QUAKE.samples, 100.0, QUAKE.start_ns, "anyshake3")
    with PtyDigitizer(sent, baud=57_600) as digitizer:
        status, (verdict,), out = doctor("--device", digitizer.device, "--baud", "115200", "--seconds", "1.5")
    assert status == 1
    assert verdict.startswith(
        "bytes arrive, but nothing that is known: without --baud and --protocol all are tried"
    )
    assert "protocol  not recognised at 115200 baud" in out


def test_a_speed_that_was_not_given_is_found(doctor: Doctor) -> None:
    sent = packets_from_now(QUAKE.samples, 100.0, "anyshake3")
    with PtyDigitizer(sent, baud=57_600) as digitizer:
        status, verdicts, out = doctor("--device", digitizer.device, "--seconds", "3.5")
    assert "protocol  AnyShake v3 at 57600 baud" in out
    assert (status, verdicts) == (0, FINE)


def test_a_noisy_line(doctor: Doctor) -> None:
    sent = packets_of(QUAKE.samples, 100.0, QUAKE.start_ns, "anyshake3")
    with PtyDigitizer(apply_faults(sent, [Flip(2e-4)], seed=1), speed=10) as digitizer:
        status, verdicts, _ = doctor("--device", digitizer.device, "--seconds", "2")
    assert status == 1
    assert "shorten or shield the cable, join the grounds" in verdicts[0]


def test_packets_that_are_lost(doctor: Doctor) -> None:
    sent = packets_of(QUAKE.samples, 100.0, QUAKE.start_ns, "bridge")
    with PtyDigitizer(apply_faults(sent, [Lose(0.1)], seed=1), speed=10) as digitizer:
        status, verdicts, _ = doctor("--device", digitizer.device, "--seconds", "2")
    assert status == 1
    assert "packets were lost on their way" in verdicts[0]


def test_a_sensor_that_is_not_connected(doctor: Doctor) -> None:
    samples = QUAKE.samples.copy()
    samples[:, 2] = 0
    with PtyDigitizer(packets_from_now(samples, 100.0, "bridge")) as digitizer:
        status, verdicts, _ = doctor(
            "--device", digitizer.device, "--station", "AM.SHED.00", "--seconds", "2"
        )
    assert status == 1
    assert verdicts == ["AM.SHED.00.EHE is constant at 0: is the sensor connected?"]


def test_a_digitizer_without_time_on_a_computer_that_is_not_synchronised(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.doctor.host_clock", lambda: "host")
    sent = packets_of(QUAKE.samples, 100.0, QUAKE.start_ns, "anyshake1")
    with PtyDigitizer(sent) as digitizer:
        status, (verdict,), out = doctor("--device", digitizer.device, "--seconds", "1.5")
    assert status == 1
    assert verdict.startswith("nobody knows the time")
    assert "no time on the wire; this computer is not synchronised" in out


def test_a_digitizer_whose_utc_is_off_by_hours(doctor: Doctor) -> None:
    sent = packets_of(QUAKE.samples, 100.0, QUAKE.start_ns, "anyshake3")  # of years ago
    with PtyDigitizer(sent) as digitizer:
        status, (verdict,), _ = doctor("--device", digitizer.device, "--seconds", "1.5")
    assert status == 1
    assert verdict.startswith("the digitizer's clock is off by -")


def test_a_digitizer_with_which_all_is_well(doctor: Doctor) -> None:
    with PtyDigitizer(packets_from_now(QUAKE.samples, 100.0, "bridge"), baud=115_200) as digitizer:
        status, verdicts, out = doctor("--device", digitizer.device, "--seconds", "6.5")
    assert (status, verdicts) == (0, FINE)
    assert "protocol  edge-pick bridge at 115200 baud" in out
    assert "PPS marks; this computer is synchronised" in out
    (rate,) = [line for line in out.splitlines() if line.startswith("rate")]
    assert rate.startswith("rate      100 Hz by the wire, ")
