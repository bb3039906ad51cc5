"""The edge-pick program on a real pseudo-terminal, with all that goes wrong between a digitizer and it."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from resampled import resampled

from edge.first_motion import Polariser
from edge.model import load_model
from edge.pick import NS, Pick
from edge.polarity import load_polarity
from edge.station import Station
from firmware_bridge.anyshake import Decoder
from firmware_bridge.faults import Fault, Garbage, Stall, Unplug, apply_faults
from firmware_bridge.simulator import PtyDigitizer, packets_of
from firmware_bridge.synthetic import synthetic_earthquake
from firmware_bridge.wire import Declared

BOUND_S = 90
"""Everything here takes seconds; so much only on a computer that hangs."""
SPEED = 60.0
QUAKE = synthetic_earthquake()
RECORD = np.concatenate([synthetic_earthquake(seed).samples for seed in (0, 1, 8, 3)])
"""Four earthquakes: P at 20, 80, 140 and 200 s, S 6 s after each. Of the third, which comes while the noise
level is still another than without the gap before it, the model is sure either way."""


class Picked:
    """edge-pick reading a device until told to stop: `picks`, and the `lines` that it told the operator."""

    def __init__(self, device: str, *arguments: str) -> None:
        command = [sys.executable, "-m", "edge.cli", "--device", device, *arguments]
        self._program = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.picks: list[Pick] = []
        self.lines: list[str] = []

    def stop(self) -> "Picked":
        self._program.send_signal(signal.SIGTERM)
        out, err = self._program.communicate(timeout=BOUND_S)
        assert self._program.returncode == 0, err
        assert "Traceback" not in err
        self.picks = sorted(map(Pick.from_json, out.splitlines()), key=lambda pick: pick.time_ns)
        self.lines = [line.removeprefix("edge-pick: ") for line in err.splitlines()]
        return self

    def kill(self) -> None:
        self._program.kill()
        self._program.communicate()

    def said(self, part: str) -> list[str]:
        return [line for line in self.lines if part in line]


def pick(
    packets: Iterable[tuple[int, bytes | None]],
    speed: float,
    *arguments: str,
    link: Path | None = None,
    baud: int | None = None,
) -> Picked:
    """What edge-pick makes of all these packets."""
    with PtyDigitizer(packets, speed, link=link, baud=baud) as digitizer:
        program = Picked(digitizer.device, *arguments)
        try:
            assert digitizer.wait(BOUND_S), "edge-pick did not read the port"
            return program.stop()
        finally:
            program.kill()


def with_faults(*faults: Fault) -> Iterator[tuple[int, bytes | None]]:
    return apply_faults(packets_of(RECORD, 100.0, QUAKE.start_ns), faults, seed=1)


@pytest.fixture(scope="module")
def undisturbed() -> list[Pick]:
    """The picks of the same bytes, without a line in between."""
    network = load_model()
    polariser = Polariser(load_polarity())
    station = Station(network, network.card.thresholds, lambda line: None, polariser=polariser)
    line = b"".join(data for _, data in packets_of(RECORD, 100.0, QUAKE.start_ns))
    picks = [pick for packet in Decoder(Declared()).feed(line) for pick in station.feed(packet)]
    return sorted(picks + station.flush(), key=lambda pick: pick.time_ns)


def seconds(one: Pick) -> float:
    """After the record's start."""
    return (one.time_ns - QUAKE.start_ns) / NS


@dataclass(frozen=True)
class Gone:
    """Seconds of the record for which the device was unplugged."""

    begin: float
    end: float

    def takes(self, one: Pick) -> bool:
        """Whether this onset lies in it, or so near that its surroundings do."""
        return self.begin - 2 < seconds(one) < self.end + 2

    def is_far_from(self, one: Pick) -> bool:
        """Whether even the noise level is that of an undisturbed record."""
        return seconds(one) < self.begin - 10 or seconds(one) > self.end + 60


def test_a_device_that_is_unplugged_twice_and_comes_back(tmp_path: Path, undisturbed: list[Pick]) -> None:
    """Once between earthquakes; once 4 s after a P, so that its S is lost."""
    gone = [Gone(98.0, 112.0), Gone(204.0, 214.0)]
    unplugged = with_faults(*(Unplug(one.begin, one.end - one.begin) for one in gone))
    got = pick(unplugged, SPEED, link=tmp_path / "digitizer")
    assert len(got.said(": lost (")) == 2
    assert len(got.said(": open again")) == 2
    assert len(got.said("gap of 14.")) == 1
    assert len(got.said("gap of 10.")) == 1
    assert got.said("0 bad checksums")

    expected = [one for one in undisturbed if not any(gap.takes(one) for gap in gone)]
    kept = [one for one in got.picks if not any(gap.takes(one) for gap in gone)]
    assert [one.phase for one in kept] == [one.phase for one in expected]
    assert [seconds(one) for one in kept] == pytest.approx([seconds(one) for one in expected], abs=0.05)
    far = [one.id for one in expected if all(gap.is_far_from(one) for gap in gone)]
    assert len(far) >= 4
    assert far == [one.id for one in kept if all(gap.is_far_from(one) for gap in gone)]
    assert {140, 200} <= {round(seconds(one)) for one in kept if one.phase == "P"}


def test_noise_between_packets_and_a_line_that_stalls_cost_nothing(undisturbed: list[Pick]) -> None:
    got = pick(with_faults(Garbage(0.3), Stall(60.0, 30.0)), SPEED)
    assert [one.to_json() for one in got.picks] == [one.to_json() for one in undisturbed]
    (summary,) = got.said(" bytes skipped, ")
    assert summary.startswith("2400 packets, ")
    skipped = int(summary.partition(" bytes skipped")[0].split()[-1])
    assert 10_000 < skipped < 60_000
    assert summary.endswith(" 0 time jumps")
    assert got.said("gap of") == []


@pytest.mark.parametrize(
    ("protocol", "title", "clock"),
    [
        ("bridge", "edge-pick bridge", "gnss"),
        ("anyshake3", "AnyShake v3", "gnss"),
        ("gcf", "Güralp GCF", "unknown"),
        ("anyshake2", "AnyShake v2", "gnss"),
        ("shake", "Raspberry Shake datacast", "ntp"),
        ("openeew", "OpenEEW messages", "ntp"),
        ("ndjson", "JSON objects", "unknown"),
    ],
)
def test_every_protocol_that_knows_utc_is_recognised_and_picked(
    protocol: str, title: str, clock: str
) -> None:
    samples: NDArray[np.int32] = QUAKE.samples
    rate = 100.0
    if protocol == "openeew":
        rate = 125.0
        samples = resampled(samples, rate)
    got = pick(packets_of(samples, rate, QUAKE.start_ns, protocol), 0)
    assert len(got.said(f": {title} at 115200 baud: ")) == 1
    assert min(abs(seconds(one) - 20.0) for one in got.picks if one.phase == "P") < 0.2
    assert {one.clock for one in got.picks} == {clock}
    assert {len(one.channels) for one in got.picks} == {3}
    assert got.said("gap of") == []


def test_a_digitizer_that_knows_no_time_is_picked_by_that_of_this_computer() -> None:
    """At the speed at which it happens: from 5 s before P to 4 s after S."""
    begin, end = 15.0, 30.0
    started_ns: list[int] = []

    def packets() -> Iterator[tuple[int, bytes]]:
        started_ns.append(time.time_ns())  # the first is asked for when the digitizer's clock starts
        samples = QUAKE.samples[round(begin * 100) : round(end * 100)]
        yield from packets_of(samples, 100.0, QUAKE.start_ns, "anyshake1")

    got = pick(packets(), 1.0)
    p_ns = started_ns[0] + round((20.0 - begin) * NS)
    p = min((one for one in got.picks if one.phase == "P"), key=lambda one: abs(one.time_ns - p_ns))
    assert abs(p.time_ns - p_ns) < 0.3 * NS
    assert p.clock in ("host", "ntp")
    if p.clock == "ntp":
        assert p.clock_sigma is not None
        assert p.clock_sigma < 0.05
    else:  # nobody knows how wrong a clock is that is not synchronised
        assert p.clock_sigma is None
    assert len(got.said(": AnyShake v1 at 115200 baud: ")) == 1
    assert got.said("gap of") == []
    assert len(got.said(" ppm off its nominal rate")) == 1


def test_a_digitizer_at_another_speed_is_found_without_any_option() -> None:
    got = pick(packets_of(QUAKE.samples, 100.0, QUAKE.start_ns, "bridge"), 10.0, baud=57_600)
    assert len(got.said(": edge-pick bridge at 57600 baud: ")) == 1
    assert min(abs(seconds(one) - 20.0) for one in got.picks if one.phase == "P") < 0.2
    assert got.said(" 0 bad checksums, ")


def test_a_device_that_is_never_anything_else_but_noise_is_told_once() -> None:
    rng = np.random.default_rng(0)
    noise = ((k * NS // 20, rng.bytes(100)) for k in range(60))
    got = pick(noise, 1.0, "--baud", "115200")
    assert got.picks == []
    assert len(got.said("bytes, but no packet of ")) == 1
    assert got.said("0 P, 0 S picked")
