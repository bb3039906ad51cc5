"""The real chain: digitizer bytes on a pseudo-terminal into the edge-pick program, against a replay."""

import json
import select
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymseed import MS3TraceList, nslc2sourceid

from edge.first_motion import Polariser
from edge.model import load_model
from edge.pick import NS, Pick, parse_time
from edge.polarity import load_polarity
from edge.station import Station
from firmware_bridge.anyshake import Decoder
from firmware_bridge.packet import Packet
from firmware_bridge.record import read_record
from firmware_bridge.simulator import PtyDigitizer, packets_of
from firmware_bridge.synthetic import synthetic_earthquake
from firmware_bridge.wire import Declared

SHARED = Path(__file__).parents[3] / "shared" / "data" / "continuous"
BOUND_S = 120
"""For what takes seconds, and half a minute at the speed at which it happened."""
LOW = ["--p-threshold", "0.1", "--s-threshold", "0.1"]


def write_mseed(path, samples, start_ns, station="BW.RJOB.", channels=("EHZ", "EHN", "EHE")):
    network, code, location = station.split(".")
    traces = MS3TraceList()
    for channel, column in zip(channels, samples.T, strict=True):
        sourceid = nslc2sourceid(network, code, location, channel)
        traces.add_data(sourceid, np.ascontiguousarray(column, np.int32), "i", 100.0, starttime=start_ns)
    traces.to_file(str(path), format_version=2)


def edge_pick(*arguments):
    return [sys.executable, "-m", "edge.cli", *arguments]


def replayed(path, *arguments):
    done = subprocess.run(
        edge_pick("--replay", str(path), *LOW, *arguments), capture_output=True, text=True, timeout=BOUND_S
    )
    assert done.returncode == 0, done.stderr
    return [Pick.from_json(line) for line in done.stdout.splitlines()]


def through_pty(samples, start_ns, station, speed):
    with PtyDigitizer(packets_of(samples, 100, start_ns), speed) as digitizer:
        process = subprocess.Popen(
            edge_pick("--device", digitizer.device, "--station", station, *LOW),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert digitizer.wait(timeout_s=BOUND_S), "edge-pick did not read the port"
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=BOUND_S)
        finally:
            process.kill()
    assert process.returncode == 0, err
    assert "0 bad checksums, 0 bytes skipped" in err
    return [Pick.from_json(line) for line in out.splitlines()]


def what_matters(picks):
    """All of a pick but who vouches for its time: a file does not say."""
    return [json.loads(pick.to_json()) | {"clock": None, "channels": None, "id": None} for pick in picks]


def test_real_time_on_a_serial_port_equals_replay(tmp_path):
    """A real earthquake (ObsPy's example record) at the speed at which it happened."""
    obspy = pytest.importorskip("obspy", reason="ObsPy, which brings the record, has no wheel here")
    stream = obspy.read()
    samples = np.stack([np.rint(100 * stream.select(component=c)[0].data) for c in "ZNE"], axis=1).astype(
        np.int32
    )
    start_ns = stream[0].stats.starttime.ns
    write_mseed(tmp_path / "record.mseed", samples, start_ns)
    live = through_pty(samples, start_ns, "BW.RJOB.", speed=1)
    replay = replayed(tmp_path / "record.mseed")
    assert {pick.phase for pick in live} == {"P", "S"}
    assert {pick.polarity is None for pick in live if pick.phase == "P"} == {False}
    assert what_matters(live) == what_matters(replay)
    assert [pick.id for pick in live] == [pick.id for pick in replay]
    assert {pick.clock for pick in live} == {"gnss"}
    # Read off the record by eye: P 4.73 s, S 5.70 s after its start.
    best = {phase: max((p for p in live if p.phase == phase), key=lambda p: p.prob) for phase in "PS"}
    assert abs(best["P"].time_ns - parse_time("2009-08-24T00:20:07.73Z")) < 0.3 * NS
    assert abs(best["S"].time_ns - parse_time("2009-08-24T00:20:08.70Z")) < 0.3 * NS


@pytest.mark.skipif(not SHARED.is_dir(), reason="the continuous records of ../shared are not here")
def test_an_aftershock_storm_through_the_port_equals_replay(tmp_path):
    record = read_record([SHARED / "ridgecrest" / "2019.185.17.CI.CLC.HH.mseed"])
    begin = round((parse_time("2019-07-04T17:33:00Z") - record.start_ns) * record.rate / NS)
    samples = record.samples[begin : begin + 600 * record.rate]
    start_ns = parse_time("2019-07-04T17:33:00Z")
    write_mseed(tmp_path / "storm.mseed", samples, start_ns, "CI.CLC.", ("HHZ", "HHN", "HHE"))
    live = through_pty(samples, start_ns, "CI.CLC.", speed=0)
    replay = replayed(tmp_path / "storm.mseed")
    assert len(live) > 20
    assert what_matters(live) == what_matters(replay)


def test_a_pick_does_not_wait_for_a_line_that_went_silent():
    """The shaking that makes a pick may also pull the cable: what has arrived is picked all the same."""
    made = synthetic_earthquake()
    cut = made.samples[: 23 * made.rate]  # 3 s after P, 3 s before S, and nothing more
    with PtyDigitizer(packets_of(cut, made.rate, made.start_ns), speed=0) as digitizer:
        process = subprocess.Popen(
            edge_pick("--device", digitizer.device), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        try:
            assert select.select([process.stdout], [], [], BOUND_S)[0], "no pick"
            pick = Pick.from_json(process.stdout.readline())
        finally:
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=BOUND_S)
    assert pick.phase == "P"
    assert abs(pick.time_ns - made.p_ns) < 0.3 * NS
    assert "no data for 10 s" in err


@pytest.fixture(scope="module")
def network():
    return load_model()


@pytest.fixture(scope="module")
def wire():
    made = synthetic_earthquake(3)
    return made, b"".join(data for _, data in packets_of(made.samples, made.rate, made.start_ns))


@pytest.fixture(scope="module")
def polariser():
    return Polariser(load_polarity())


def picks_from(network, chunks, polariser=None):
    decoder, station = (
        Decoder(Declared(("XX", "TEST", "00"))),
        Station(network, {"P": 0.1, "S": 0.1}, lambda line: None, polariser=polariser),
    )
    picks = [pick for chunk in chunks for packet in decoder.feed(chunk) for pick in station.feed(packet)]
    return picks + station.flush()


@given(data=st.data())
@settings(max_examples=10, deadline=None)
def test_picks_do_not_depend_on_how_the_bytes_were_cut(network, polariser, wire, data):
    made, stream = wire
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=60)))
    chunks = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    whole = Packet(
        next(iter(Decoder(Declared(("XX", "TEST", "00"))).feed(stream))).stream,
        made.start_ns,
        100.0,
        made.samples,
        "gnss",
    )
    station = Station(network, {"P": 0.1, "S": 0.1}, lambda line: None, polariser=polariser)
    expected = [*station.feed(whole), *station.flush()]
    assert any(pick.polarity for pick in expected)
    assert picks_from(network, chunks, polariser) == expected


def test_a_clear_onset_close_before_a_damaged_stretch_is_picked(network, wire):
    """By the heads that answer early: the S has 4 s after it, and the final word on it needs five."""
    made, stream = wire
    damaged = bytearray(stream)
    cut = len(stream) // 2
    damaged[cut : cut + 500] = b"\xff" * 300
    picks = [pick for pick in picks_from(network, [bytes(damaged)]) if pick.prob > 0.5]
    assert [pick.phase for pick in picks[:2]] == ["P", "S"]
    assert abs(picks[0].time_ns - made.p_ns) < 0.1 * NS
    assert abs(picks[1].time_ns - made.s_ns) < 0.1 * NS


def test_a_damaged_stretch_costs_no_pick_outside_of_it(network, wire):
    made, stream = wire
    damaged = bytearray(stream)
    cut = len(stream) * 11 // 20
    damaged[cut : cut + 500] = b"\xff" * 300  # 200 bytes missing, 300 wrong, after P and S
    clean = picks_from(network, [stream])
    through = picks_from(network, [bytes(damaged)])
    gap_ns = made.start_ns + round(cut / len(stream) * 60 * NS)
    before = [p for p in clean if p.time_ns < gap_ns - 4 * NS]
    kept = [p for p in through if p.time_ns < gap_ns - 4 * NS]
    assert before
    assert [p.phase for p in kept] == [p.phase for p in before]
    # The block that the gap cuts off has another noise level.
    assert all(abs(a.time_ns - b.time_ns) < 0.05 * NS for a, b in zip(kept, before, strict=True))
