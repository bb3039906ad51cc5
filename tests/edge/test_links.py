"""Each way upstream but MQTT, against a peer of its kind."""

import os
import queue
import re
import socket
import sys
import threading
import tty
from contextlib import closing
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.pick import NS, Pick
from edge.pick_forms import from_struct
from edge.sinks.address import AddressError, parse_address
from edge.sinks.earthworm import HEARTBEAT, frame, scnl
from edge.sinks.link import Letter
from edge.sinks.lora import LoraLink, airtime_s
from edge.uplink import Uplink, open_link
from edge.vitals import Vitals

PICK = Pick(
    id="0123456789abcdef",
    station="NC.PCC.01",
    channels=("SHZ", "SHN", "SHE"),
    phase="P",
    time_ns=1_083_359_453_360_000_000,
    prob=0.93,
    sigma=0.11,
    snr_db=18.2,
    amp=161.0,
    clock="gnss",
    latency_s=5.2,
    model="lppn@01234567",
    polarity="up",
)
PICKS = [replace(PICK, id=f"{n:016x}", time_ns=PICK.time_ns + n * NS) for n in range(5)]


@pytest.fixture
def uplink(tmp_path):
    """uplink(url, …) is an open one, told lines in `uplink.lines`; all are closed in the end."""
    opened = []

    def make(*urls):
        vitals = Vitals("lppn@01234567", "litert, cpu", PICK.station)
        opened.append(Uplink(urls, tmp_path / "outbox.sqlite", PICK.station, vitals, make.lines.put))
        return opened[-1]

    make.lines = queue.SimpleQueue()
    yield make
    for one in opened:
        one.close()


@pytest.fixture
def modem():
    """A serial port: what is written to it, and its name."""
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    with open(ours, "rb", buffering=0) as reader:
        yield reader, os.ttyname(theirs)
    os.close(theirs)


class Server(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        answer = self.server.answers.get()
        self.server.requests.put((self.path, self.headers, body))
        self.send_response(answer)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with HTTPServer(("127.0.0.1", 0), Server) as server:
        server.requests, server.answers = queue.Queue(), queue.Queue()
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_datagram_a_pick_in_the_form_that_is_asked_for(uplink):
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as text,
        socket.socket(type=socket.SOCK_DGRAM) as short,
    ):
        for receiver in (text, short):
            receiver.bind(("127.0.0.1", 0))
            receiver.settimeout(20)
        ports = [receiver.getsockname()[1] for receiver in (text, short)]
        link = uplink(f"udp://127.0.0.1:{ports[0]}", f"udp://127.0.0.1:{ports[1]}?form=struct-13")
        link.send(PICK)
        assert Pick.from_json(text.recv(1000).decode()) == PICK
        assert from_struct(short.recv(1000), PICK.station).time_ns // NS == PICK.time_ns // NS


def test_a_file_gets_each_pick_once_after_its_disk_was_away(uplink, tmp_path):
    path = tmp_path / "stick" / "picks.jsonl"
    link = uplink(f"file://{path}")
    for pick in PICKS:
        link.send(pick)
    assert "No such file or directory" in uplink.lines.get(timeout=20)
    path.parent.mkdir()
    assert "works again" in uplink.lines.get(timeout=20)
    link.close()
    assert [Pick.from_json(line) for line in path.read_text().splitlines()] == PICKS


def test_a_batch_is_posted_until_it_is_taken_under_one_key(uplink, server):
    link = uplink(f"http://me@127.0.0.1:{server.server_port}/picks")
    for answer in (503, 200):
        server.answers.put(answer)
    link.send(PICK)
    path, headers, body = server.requests.get(timeout=20)
    assert path == "/picks"
    assert headers["Content-Type"] == "application/x-ndjson"
    assert headers["Authorization"].startswith("Basic ")
    assert Pick.from_json(body.decode()) == PICK
    again = server.requests.get(timeout=20)
    assert (again[1]["Idempotency-Key"], again[2]) == (headers["Idempotency-Key"], body)
    assert "answered 503" in uplink.lines.get(timeout=20)


def read_frames(data):
    """What import_generic reads: the bodies between STX and ETX, unescaped."""
    found, body, escaped = [], None, False
    for byte in data:
        if body is not None and not escaped and byte == 0x1B:
            escaped = True
        elif not escaped and byte == 0x02:
            body = bytearray()
        elif not escaped and byte == 0x03 and body is not None:
            found.append(bytes(body))
            body = None
        elif body is not None:
            body.append(byte)
            escaped = False
    return found


@given(st.binary(), st.integers(0, 255), st.integers(0, 255), st.integers(0, 255))
def test_any_body_survives_its_frame(body, institution, module, kind):
    data = frame(institution, module, kind, body)
    assert read_frames(data + data) == [f"{institution:3d}{module:3d}{kind:3d}".encode() + body] * 2


def test_earthworm_gets_final_p_picks_and_heartbeats(uplink):
    with socket.create_server(("127.0.0.1", 0)) as place:
        port = place.getsockname()[1]
    link = uplink(f"tcp://127.0.0.1:{port}?institution=3&module=6")
    assert "import_generic has not connected" in uplink.lines.get(timeout=20)
    sent = [replace(PICK, phase="S"), replace(PICK, status="preliminary"), PICK]
    for pick in sent:
        link.send(pick)
    with closing(socket.create_connection(("127.0.0.1", port), timeout=20)) as earthworm:
        data = b""
        while len(read_frames(data)) < 2:
            data += earthworm.recv(4096)
        bodies = sorted(read_frames(data))
    assert bodies == [b"  3  6  3" + HEARTBEAT, b"  3  6  8" + scnl(PICK, 3, 6)]


def test_a_pick_reads_as_earthworm_writes_it():
    assert scnl(PICK, 3, 6) == b"8 6 3 8743 PCC.SHZ.NC.01 U2 20040430211053.360 161 0 0\n"
    bare = replace(PICK, station="NC.PCC.", polarity=None, sigma=1.0, channels=("", "SHN", "SHE"))
    assert scnl(bare, 3, 6) == b"8 6 3 8743 PCC.SHE.NC.-- ?4 20040430211053.360 161 0 0\n"


def test_a_modem_gets_a_line_a_pick(uplink, modem):
    port, name = modem
    uplink(f"serial://{name}?duty=1&sf=7").send(PICK)
    line = b""
    while not line.endswith(b"\r\n"):
        line += port.read(100)
    number = re.fullmatch(rb"AT\+SEND=1:([0-9A-F]{26})\r\n", line).group(1)
    assert from_struct(bytes.fromhex(number.decode()), PICK.station).phase == "P"


def test_the_duty_cycle_is_kept(modem):
    port, name = modem
    now_s = 0.0
    began_s = []

    class Stop:
        def wait(self, seconds):
            nonlocal now_s
            now_s += seconds
            return False

    link = LoraLink(parse_address(f"serial://{name}"), Stop(), lambda: now_s)
    for pick in PICKS:
        link.deliver([Letter(pick, link.encode(pick))])
        began_s.append(now_s)
        port.read(100)
    link.close()
    on_air_s = airtime_s(13 + 13, 12)
    assert (len(PICKS) - 1) * on_air_s / (began_s[-1] - began_s[0]) == pytest.approx(0.01, rel=1e-3)


def test_airtime_is_what_semtechs_calculator_says():
    assert airtime_s(26, 7) == pytest.approx(0.0616, abs=1e-4)
    assert airtime_s(25, 12) == pytest.approx(1.4828, abs=1e-3)


def test_half_a_line_that_a_power_cut_left_spoils_no_pick(uplink, tmp_path):
    path = tmp_path / "picks.jsonl"
    path.write_text('{"id": "0123')
    link = uplink(f"file://{path}")
    link.send(PICK)
    link.close()
    assert Pick.from_json(path.read_text().splitlines()[-1]) == PICK


def test_a_pick_that_nobody_could_read_is_told_and_the_next_one_goes_out(uplink, tmp_path):
    path = tmp_path / "picks.jsonl"
    link = uplink(f"file://{path}")
    link.send(replace(PICK, amp=float("inf")))
    assert f"pick {PICK.id} is not delivered: not a pick: amp cannot be inf" in uplink.lines.get(timeout=20)
    link.send(PICK)
    link.close()
    assert [Pick.from_json(line) for line in path.read_text().splitlines()] == [PICK]
    assert uplink.lines.empty()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("udp://127.0.0.1", "give udp://HOST:PORT"),
        ("udp://127.0.0.1:1?form=xml", "no form 'xml' of a pick; there are json, cbor-51"),
        ("file://picks.jsonl", "three slashes"),
        ("mqtt:broker", "give mqtt://HOST"),
        ("http:///picks", "give http://HOST"),
        ("tcp://127.0.0.1", "give tcp://:PORT"),
        ("tcp://:0", "the port is not a number from 1 to 65535"),
        ("udp://127.0.0.1:0", "the port is not a number from 1 to 65535"),
        ("serial://", "give serial:///dev/ttyUSB1"),
        ("serial://ttyUSB1", "give serial:///dev/ttyUSB1"),
        ("tcp://:1?module=m", "institution and module are numbers"),
        ("serial:///dev/ttyUSB1?duty=2", "duty is above 0 and at most 1"),
        ("serial:///dev/ttyUSB1?sf=x", "whole numbers"),
        ("https://host?ca=/nowhere", "ca=/nowhere cannot be read"),
    ],
)
def test_a_url_that_cannot_work_is_named_at_once(url, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        open_link(parse_address(url), None, "01234567", threading.Event())


def test_a_password_comes_from_a_file_or_the_environment(tmp_path, monkeypatch):
    (tmp_path / "secret").write_text("from file\n")
    monkeypatch.setenv("EDGE_PICK_PASSWORD", "from environment")
    assert parse_address("https://me@host").password() == "from environment"
    assert parse_address(f"https://me@host?password-file={tmp_path}/secret").password() == "from file"
    with pytest.raises(AddressError, match="cannot be read"):
        parse_address("https://me@host?password-file=/nowhere").password()
    with pytest.raises(AddressError, match="USER@host"):
        parse_address(f"https://host?password-file={tmp_path}/secret").password()


def test_without_paho_mqtt_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "paho.mqtt", None)
    with pytest.raises(AddressError, match=re.escape("pip install 'edge-pick[mqtt]'")):
        open_link(parse_address("mqtt://host"), None, "01234567", threading.Event())
