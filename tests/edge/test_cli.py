"""The command line: picks out, one clear line for what is wrong, and a clean end when told to stop."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest
from resampled import resampled

from edge.card import card_path, read_card
from edge.cli import main
from edge.model import DEFAULT_MODEL
from edge.pick import NS, Pick, format_time
from firmware_bridge.protocols import PROTOCOLS
from firmware_bridge.simulator import PtyDigitizer, one_line_each, packets_of, send_datagrams

START_NS = 1_700_000_000 * NS
RUN = [sys.executable, "-m", "edge.cli"]
BOUND_S = 60
"""A stop takes a fraction of a second; this much only on a computer that hangs."""


@pytest.fixture(autouse=True)
def signal_handlers():
    """main replaces them."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def call(capsys):
    """Runs edge-pick here: exit status, picks, and our lines on standard error."""

    def run(*arguments):
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as stopped:  # argparse
            status = stopped.code
        out, err = capsys.readouterr()
        lines = [
            line.removeprefix("edge-pick: ") for line in err.splitlines() if line.startswith("edge-pick:")
        ]
        return status, out, lines

    return run


@pytest.fixture(scope="session")
def event(tmp_path_factory, quake, write_mseed):
    return write_mseed(tmp_path_factory.mktemp("event") / "event.mseed", quake)


@pytest.fixture(scope="session")
def long_file(tmp_path_factory, quake, write_mseed):
    """Six hours with an earthquake every minute: more than a replay gets through before a signal comes."""
    return write_mseed(tmp_path_factory.mktemp("long") / "long.mseed", np.tile(quake, (360, 1)))


def picks_of(out):
    return [Pick.from_json(line) for line in out.splitlines()]


def p_seconds(out):
    return [(pick.time_ns - START_NS) / NS for pick in picks_of(out) if pick.phase == "P"]


def test_help_shows_examples(call):
    status, out, _ = call("--help")
    assert status == 0
    assert "examples:" in out
    assert "edge-pick --device /dev/ttyUSB0" in out
    assert "edge-pick --replay" in out
    assert "edge-pick --udp :8888" in out
    assert "edge-pick doctor" in out


def test_help_names_every_protocol_there_is(call):
    _, out, _ = call("--help")
    joined = " ".join(out.split())
    for protocol in PROTOCOLS:
        assert f"{protocol.name} ({protocol.title})" in joined


def test_the_doctor_has_its_own_help(call):
    status, out, _ = call("doctor", "--help")
    assert status == 0
    assert "usage: edge-pick doctor" in out
    assert "--seconds" in out
    assert "--replay FILE" not in out


def test_a_replay_prints_json_lines_when_piped_and_says_how_many(call, event):
    status, out, lines = call("--replay", event)
    picks = picks_of(out)
    assert status == 0
    assert p_seconds(out)[0] == pytest.approx(20.0, abs=0.2)
    counts = {phase: sum(pick.phase == phase for pick in picks) for phase in "PS"}
    assert lines == [f"{counts['P']} P, {counts['S']} S picked"]


def test_on_a_terminal_picks_are_readable_unless_json_is_asked_for(call, event, monkeypatch):
    piped = call("--replay", event)[1]
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert call("--replay", event, "--json")[1] == piped
    readable = call("--replay", event)[1].splitlines()
    starts = [f"{format_time(pick.time_ns)}  {pick.phase}  XX.SYN.00 " for pick in picks_of(piped)]
    assert [line[: len(start)] for line, start in zip(readable, starts, strict=True)] == starts


def test_a_p_tells_its_first_motion_and_a_reversed_channel_turns_it(call, event):
    low = ("--p-threshold", "0.2", "--s-threshold", "0.1")
    upright = picks_of(call("--replay", event, *low)[1])
    assert {pick.polarity for pick in upright if pick.phase == "S"} == {None}
    assert {pick.polarity for pick in upright if pick.phase == "P"} <= {"up", "down"}
    opposite = {"up": "down", "down": "up", None: None}
    for names in ("HHZ", "hhn,xx.syn.00.hhz"):
        status, out, lines = call("--replay", event, *low, "--reversed", names)
        assert status == 0
        assert "XX.SYN.00.HHZ: reversed, polarities are turned" in lines
        assert picks_of(out) == [replace(pick, polarity=opposite[pick.polarity]) for pick in upright]


def test_a_picker_that_is_shown_other_samples_picks_without_polarity(call, event, tmp_path):
    model = tmp_path / "other.tflite"
    shutil.copy(DEFAULT_MODEL, model)
    card = read_card(DEFAULT_MODEL)
    card_path(model).write_text(replace(card, input=replace(card.input, highpass_hz=0.9)).to_json())
    status, out, lines = call("--replay", event, "--model", model)
    assert status == 0
    assert {pick.polarity for pick in picks_of(out)} == {None}
    assert "lppn: picks without polarity, which asks for 100 Hz above 1 Hz" in lines


def test_early_picks_are_told_within_a_second_and_once_more_in_the_end(call, event):
    status, out, lines = call("--replay", event, "--early")
    assert status == 0
    said = picks_of(out)
    final = picks_of(call("--replay", event)[1])
    p, *words = [pick for pick in said if pick.id == next(one.id for one in said if one.phase == "P")]
    assert (p.status, p.update) == ("preliminary", 0)
    assert p.latency_s < 1.0
    motion, last = words
    assert (motion.status, motion.update, motion.time_ns) == ("preliminary", 1, p.time_ns)
    assert (p.polarity, motion.polarity is None) == (None, False)
    assert motion.latency_s < 2.0
    assert (last.status, last.update) == ("final", 2)
    assert last.time_ns == next(pick.time_ns for pick in final if pick.phase == "P")
    assert lines[-1] == call("--replay", event)[2][-1]  # the count is of final picks


def test_a_model_without_early_picks_says_so(call, event, tmp_path):
    card = read_card(DEFAULT_MODEL)
    mute = tmp_path / "mute.tflite"
    mute.write_bytes(DEFAULT_MODEL.read_bytes())
    card_path(mute).write_text(replace(card, stream=replace(card.stream, early=None)).to_json())
    status, out, lines = call("--replay", event, "--early", "--model", mute)
    assert (status, out) == (2, "")
    assert lines == ["lppn has no early picks: its card says nothing of them"]


def test_picks_are_appended_to_a_file_as_printed(call, event, tmp_path):
    path = tmp_path / "picks.jsonl"
    out = call("--replay", event, "--out", path)[1]
    assert path.read_text() == out
    call("--replay", event, "--out", path)
    assert path.read_text() == 2 * out


@pytest.mark.parametrize("rate", [50.0, 100.0, 250.0])
def test_one_file_or_three_in_any_order_and_at_any_rate(call, event, tmp_path, quake, write_mseed, rate):
    ground = resampled(quake, rate)
    whole = write_mseed(tmp_path / "whole.mseed", ground, rate=rate)
    backwards = write_mseed(tmp_path / "backwards.mseed", ground[:, ::-1], "ENZ", rate)
    z, n, e = (
        write_mseed(tmp_path / f"{letter}.mseed", ground[:, [k]], letter, rate)
        for k, letter in enumerate("ZNE")
    )
    out = call("--replay", whole)[1]
    assert p_seconds(out)[0] == pytest.approx(p_seconds(call("--replay", event)[1])[0], abs=0.1)
    for files in ([backwards], [z, n, e], [e, z, n], [n, e, z, z]):
        assert call("--replay", *files)[1] == out


def test_an_onset_in_the_last_seconds_of_a_file_is_picked(call, tmp_path, quake, write_mseed):
    out = call("--replay", write_mseed(tmp_path / "short.mseed", quake[:2400]))[1]
    assert p_seconds(out)[0] == pytest.approx(20.0, abs=0.2)


def test_only_the_station_that_was_asked_for_is_picked(call, tmp_path, event, quake, write_mseed):
    other = write_mseed(tmp_path / "other.mseed", quake, station="OTHER")
    assert call("--replay", other, event, "--station", "xx.syn.00")[1] == call("--replay", event)[1]
    both = picks_of(call("--replay", other, event)[1])
    assert {pick.station for pick in both} == {"XX.SYN.00", "XX.OTHER.00"}


def test_a_lower_threshold_gives_more_picks_of_that_phase_and_all_of_those_before(call, event):
    few = {
        pick.id for pick in picks_of(call("--replay", event, "--p-threshold", 0.8)[1]) if pick.phase == "P"
    }
    many = {
        pick.id for pick in picks_of(call("--replay", event, "--p-threshold", 0.01)[1]) if pick.phase == "P"
    }
    assert few <= many
    none = picks_of(call("--replay", event, "--p-threshold", 0.9999, "--s-threshold", 0.9999)[1])
    assert all(pick.prob > 0.999 for pick in none)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "--device --udp --replay is required"),
        (["--device", "x", "--replay", "y"], "not allowed with"),
        (["--device", "x", "--udp", ":8888"], "not allowed with"),
        (["--p-threshold", "0"], "--p-threshold: '0' is not between 0 and 1"),
        (["--p-threshold", "1.5"], "'1.5' is not between 0 and 1"),
        (["--s-threshold", "nan"], "'nan' is not between 0 and 1"),
        (["--s-threshold", "high"], "'high' is not between 0 and 1"),
        (["--station", "SHED"], "'SHED' is not NET.STA.LOC"),
        (["--station", "..00"], "is not NET.STA.LOC"),
        (["--baud", "fast"], "--baud: 'fast' is no speed, such as 115200"),
        (["--baud", "0"], "--baud: '0' is no speed"),
        (["--rate", "fast"], "--rate: 'fast' is not a number"),
        (["--rate", "0"], "--rate: sample rate 0 Hz is outside 20…1000 Hz"),
        (["--rate", "nan"], "--rate: sample rate nan Hz is outside"),
        (["--reversed", "SHED.HHZ"], "--reversed: 'SHED.HHZ' is not a channel: HHZ, or NET.STA.LOC.HHZ"),
        (["--reversed", "HHZ,"], "--reversed: '' is not a channel"),
        (["--replay", "x", "--out", ""], "--out: '' is no file: give a path"),
        (["--replay", "x", "--outbox="], "--outbox: '' is no file: give a path"),
        (["--protocol", "morse"], "--protocol: invalid choice: 'morse'"),
        (["--replay", "x", "--sensitivity", "9"], "unrecognized arguments: --sensitivity"),
    ],
)
def test_wrong_arguments_are_named_in_one_line(call, arguments, said):
    status, out, lines = call(*arguments)
    assert (status, out) == (2, "")
    (line,) = lines
    assert said in line


def damaged(folder, name, content):
    path = folder / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("notes.txt", b"these are notes\n" * 100, "nothing to replay; notes.txt: not MiniSEED"),
        ("empty.mseed", b"", "nothing to replay; empty.mseed: empty file"),
        ("junk.mseed", bytes(range(256)) * 64, "nothing to replay; junk.mseed: not MiniSEED"),
    ],
)
def test_a_file_that_is_no_miniseed_is_named_in_one_line(call, tmp_path, name, content, said):
    status, out, lines = call("--replay", damaged(tmp_path, name, content))
    assert (status, out, lines) == (2, "", [said])


def test_files_without_a_usable_stream_are_named_in_one_line(call, tmp_path, quake, write_mseed):
    slow = write_mseed(tmp_path / "slow.mseed", quake[:, :1], "Z", rate=1.0)
    status, out, lines = call("--replay", slow)
    assert (status, out, len(lines)) == (2, "", 1)
    assert lines[0].startswith("nothing to replay; XX.SYN.00.HHZ: sample rate 1 Hz is outside 20…1000")


def test_one_bad_file_among_good_ones_is_reported_and_the_others_are_picked(call, tmp_path, event):
    status, out, lines = call("--replay", damaged(tmp_path, "notes.txt", b"notes"), event)
    assert status == 0
    assert out == call("--replay", event)[1]
    assert lines[0] == "notes.txt: not MiniSEED"


@pytest.mark.parametrize("version", [2, 3])
def test_a_corrupt_record_is_reported_and_the_rest_is_picked(call, tmp_path, quake, write_mseed, version):
    """Version 3 has a checksum over each record; damage in one of version 2 shows when it is decoded."""
    content = bytearray(
        write_mseed(tmp_path / "whole.mseed", np.tile(quake, (3, 1)), version=version).read_bytes()
    )
    at = len(content) - 2000
    content[at : at + 200] = bytes(200)
    status, out, lines = call("--replay", damaged(tmp_path, "damaged.mseed", content))
    assert status == 0
    assert p_seconds(out)[0] == pytest.approx(20.0, abs=0.2)
    assert len([line for line in lines if line.startswith("damaged.mseed: 1 corrupt part skipped")]) == 1


def test_a_file_or_folder_that_cannot_be_read_is_named_in_one_line(call, tmp_path, event):
    for path in (tmp_path / "absent.mseed", tmp_path):
        status, out, lines = call("--replay", event, path)
        assert (status, out, len(lines)) == (2, "", 1)
        assert str(path) in lines[0]


def test_a_station_that_is_not_in_the_files_is_told_which_are(call, event):
    status, out, lines = call("--replay", event, "--station", "AM.SHED.00")
    assert (status, out, lines) == (2, "", ["no records of AM.SHED.00 here; there are XX.SYN.00"])


def test_a_model_without_card_and_a_missing_model_are_named(call, event, tmp_path):
    model = tmp_path / "lone.tflite"
    assert call("--replay", event, "--model", model) == (2, "", [f"no model at {model}"])
    shutil.copy(DEFAULT_MODEL, model)
    said = f"{model} has no card: lone.json is missing beside it"
    assert call("--replay", event, "--model", model) == (2, "", [said])


@pytest.mark.parametrize("kind", ["missing", "file", "folder"])
def test_a_device_that_is_none_is_named_in_one_line(call, tmp_path, kind):
    path = tmp_path / "device"
    if kind == "file":
        path.write_text("no device")
    elif kind == "folder":
        path.mkdir()
    status, out, lines = call("--device", path)
    (line,) = [line for line in lines if not line.startswith("lppn")]  # what runs the model is told first
    assert (status, out) == (2, "")
    assert line.startswith(f"{path}: {'no such device' if kind == 'missing' else 'not a serial port'}")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--udp", "8888:"], "8888:: not HOST:PORT or :PORT, such as :8888"),
        (["--udp", ":0"], ":0: not HOST:PORT or :PORT, such as :8888"),
        (["--udp", "192.0.2.1:8888"], "192.0.2.1:8888: cannot listen there"),
        (["--device", "/dev/ttyUSB0", "--columns", "millis,up"], "columns millis,up: name each of z, n, e"),
    ],
)
def test_a_line_that_cannot_be_is_named_in_one_line(call, arguments, said):
    status, out, lines = call(*arguments)
    (line,) = [line for line in lines if not line.startswith("lppn")]
    assert (status, out) == (2, "")
    assert line.startswith(said)


def test_an_output_file_that_cannot_be_opened_stops_at_the_start(call, event, tmp_path):
    status, out, lines = call("--replay", event, "--out", tmp_path / "absent" / "picks.jsonl")
    assert (status, out, len(lines)) == (2, "", 1)
    assert "absent" in lines[0]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full on this system")
def test_a_full_disk_does_not_keep_picks_from_being_printed_but_is_no_success(call, event):
    status, out, lines = call("--replay", event, "--out", "/dev/full")
    assert status == 2
    assert out == call("--replay", event)[1]
    assert lines[-1] == f"/dev/full: {len(out.splitlines())} picks could not be written"


@pytest.fixture
def to_a_full_disk():
    """Runs edge-pick with /dev/full as its standard output: exit status, and lines on standard error."""
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full on this system")

    def run(*arguments):
        with open("/dev/full", "w") as full:
            done = subprocess.run(
                [*RUN, *map(str, arguments)], stdout=full, stderr=subprocess.PIPE, text=True, timeout=BOUND_S
            )
        return done.returncode, [line for line in done.stderr.splitlines() if "replaying" not in line]

    return run


UNPRINTED = "edge-pick: standard output cannot be written (No space left on device): make room, or send it "


def test_picks_that_cannot_be_printed_end_the_program_with_one_line(to_a_full_disk, event):
    status, (*_, line) = to_a_full_disk("--replay", event)
    assert (status, line) == (2, f"{UNPRINTED}elsewhere")


def test_picks_that_cannot_be_printed_still_go_to_the_file(to_a_full_disk, call, event, tmp_path):
    path = tmp_path / "picks.jsonl"
    status, lines = to_a_full_disk("--replay", event, "--out", path)
    assert (status, lines[-2]) == (2, f"{UNPRINTED}elsewhere")
    assert lines[-1].endswith(" S picked")
    assert path.read_text() == call("--replay", event)[1]


def test_a_status_that_cannot_be_printed_is_told_in_one_line(to_a_full_disk, tmp_path):
    path = tmp_path / "status.json"
    path.write_text('{"state": "streaming"}')
    assert to_a_full_disk("status", path) == (2, [f"{UNPRINTED}elsewhere"])


@pytest.fixture
def start():
    """Starts edge-pick as a program, and sees to it that it ends."""
    running = []

    def run(*arguments):
        command = [*RUN, *map(str, arguments)]
        running.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return running[-1]

    yield run
    for program in running:
        program.kill()
        program.wait()
        program.stdout.close()
        program.stderr.close()


def test_a_server_cannot_steer_the_terminal_by_what_it_answers(call, event, tmp_path):
    class Hostile(BaseHTTPRequestHandler):
        def do_POST(self):
            self.send_response(503, "\x1b[2J\x9b1mgone" + 1000 * "!")
            self.end_headers()

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Hostile) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        place = f"http://127.0.0.1:{server.server_port}/"
        _, _, lines = call("--replay", event, "--uplink", place, "--outbox", tmp_path / "outbox.sqlite")
        server.shutdown()
        thread.join()
    (line,) = [line for line in lines if "answered 503" in line]
    assert line.startswith(f"{place}: answered 503 ?[2J?1mgone!!")
    assert line.isprintable()
    assert len(line) < 200


def test_without_a_terminal_an_error_is_one_line_and_no_traceback(start, tmp_path):
    program = start("--replay", damaged(tmp_path, "notes.txt", b"notes"))
    out, err = program.communicate(timeout=BOUND_S)
    assert (program.returncode, out) == (2, "")
    assert "Traceback" not in err
    assert err.splitlines()[-1] == "edge-pick: nothing to replay; notes.txt: not MiniSEED"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_a_long_replay_told_to_stop_ends_with_what_it_has_picked(start, long_file, tmp_path, number):
    path = tmp_path / "picks.jsonl"
    program = start("--replay", long_file, "--out", path)
    first = program.stdout.readline()
    program.send_signal(number)
    rest, err = program.stdout.read(), program.stderr.read()
    assert program.wait(BOUND_S) == 0
    assert "Traceback" not in err
    assert err.splitlines()[-1].endswith(" S picked")
    assert path.read_text() == first + rest
    assert 1 <= len(picks_of(first + rest)) < 360


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_a_live_station_told_to_stop_picks_what_has_arrived(start, quake, number):
    with PtyDigitizer(packets_of(quake[:2400], 100, START_NS), speed=0) as digitizer:
        program = start("--device", digitizer.device, "--station", "AM.SHED.00")
        assert digitizer.wait(BOUND_S)
        program.send_signal(number)
        out, err = program.communicate(timeout=BOUND_S)
    assert program.returncode == 0
    assert "Traceback" not in err
    assert p_seconds(out)[0] == pytest.approx(20.0, abs=0.2)
    assert {pick.station for pick in picks_of(out)} == {"AM.SHED.00"}
    assert "AnyShake v3 at 115200 baud" in err
    assert "240 packets, 0 bad checksums" in err


def test_the_datacast_of_a_raspberry_shake_is_picked_from_the_network(start, quake):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    program = start("--udp", address, "--station", "AM.R24FA.00")
    said = iter(program.stderr.readline, "")
    heard = [next(said)]
    while not heard[-1].endswith(f"{address}: listening\n"):
        heard.append(next(said))
    send_datagrams(one_line_each(packets_of(quake, 100, START_NS, "shake")), address, speed=60)
    first = program.stdout.readline()  # while the line is still open
    program.send_signal(signal.SIGTERM)
    out, err = program.communicate(timeout=BOUND_S)
    assert program.returncode == 0
    assert p_seconds(first + out)[0] == pytest.approx(20.0, abs=0.2)
    assert {(pick.station, pick.clock, pick.channels) for pick in picks_of(first + out)} == {
        ("AM.R24FA.00", "ntp", ("EHZ", "EHN", "EHE"))
    }
    assert f"{address}: Raspberry Shake datacast: " in err
    assert "packets, 0 bad checksums, 0 bytes skipped" in err


def test_a_reader_that_leaves_ends_the_program_quietly(start, long_file):
    program = start("--replay", long_file)
    first = program.stdout.readline()
    program.stdout.close()
    err = program.stderr.read()
    assert program.wait(BOUND_S) == 0
    assert json.loads(first)["station"] == "XX.SYN.00"
    assert "Traceback" not in err
    assert "BrokenPipe" not in err
    assert not [line for line in err.splitlines() if line.startswith("edge-pick:")]
