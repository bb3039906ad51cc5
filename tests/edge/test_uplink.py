"""Picks, status and last will reach a real broker, and nothing is lost or told twice through what fails."""

import queue
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import some_pick

from edge.outbox import Outbox
from edge.sinks.address import AddressError
from edge.uplink import Uplink
from edge.vitals import Vitals

paho = pytest.importorskip("paho.mqtt.client", reason="needs pip install 'edge-pick[mqtt]'")
from subscriber import Collector

from benchmarks.uplink.broker import Broker
from benchmarks.uplink.line import Network

DEPLOY = Path(__file__).parents[2] / "deploy"
PICK = replace(some_pick.PICK, station="XX.TEST.")
PICKS = [replace(PICK, id=f"{n:016x}") for n in range(60)]


@pytest.fixture
def lines():
    """What the operator is told."""
    return queue.SimpleQueue()


@pytest.fixture
def broker(tmp_path):
    try:
        broker = Broker(tmp_path)
        broker.start()
    except RuntimeError as error:
        pytest.skip(str(error))
    yield broker
    broker.kill()


@pytest.fixture
def collector(broker):
    collector = Collector(broker.port)
    yield collector
    collector.close()


@pytest.fixture
def uplink(tmp_path, lines):
    """uplink(url, …) is an open one; all are closed in the end."""
    opened = []

    def make(*urls, station="XX.TEST."):
        vitals = Vitals("lppn@01234567", "litert, cpu", station)
        opened.append(Uplink(urls, tmp_path / "outbox.sqlite", station, vitals, lines.put))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


def test_picks_arrive_in_order_and_are_let_go(broker, collector, uplink, tmp_path, lines):
    link = uplink(f"mqtt://127.0.0.1:{broker.port}")
    for pick in PICKS:
        link.send(pick)
    assert collector.wait(len(PICKS)) == PICKS
    assert collector.again == 0
    assert lines.empty()


def test_status_is_retained_and_says_offline_in_the_end(broker, collector, uplink):
    link = uplink(f"mqtt://127.0.0.1:{broker.port}")
    status = collector.status.get(timeout=20)
    assert status["state"] == "waiting"
    assert status["station"] == "XX.TEST."
    late = Collector(broker.port, "late")
    assert late.status.get(timeout=20) == status
    late.close()
    link.close()
    assert collector.status.get(timeout=20) == {"state": "offline"}


def test_a_station_that_dies_leaves_its_last_will(broker, collector, uplink):
    network = Network(broker.port)
    uplink(f"mqtt://127.0.0.1:{network.port}")
    assert collector.status.get(timeout=20)["state"] == "waiting"
    network.cut()
    assert collector.status.get(timeout=20) == {"state": "offline"}
    network.mend()
    assert collector.status.get(timeout=20)["state"] == "waiting"
    network.close()


def test_picks_wait_until_somebody_has_subscribed(broker, uplink, lines):
    link = uplink(f"mqtt://127.0.0.1:{broker.port}")
    for pick in PICKS[:3]:
        link.send(pick)
    assert "nobody has subscribed to seis/v1/XX/TEST/--/pick" in lines.get(timeout=20)
    collector = Collector(broker.port)
    assert collector.wait(3) == PICKS[:3]
    collector.close()


def test_nothing_is_lost_when_broker_and_network_fail(broker, collector, uplink, lines):
    network = Network(broker.port)
    link = uplink(f"mqtt://127.0.0.1:{network.port}")
    parts = [PICKS[n : n + 10] for n in range(0, 60, 10)]
    for n, part in enumerate(parts):
        for pick in part:
            link.send(pick)
        if n % 2:
            broker.kill()
            broker.start()
        else:
            network.cut()
            network.mend()
    assert {pick.id for pick in collector.wait(60)} == {pick.id for pick in PICKS}
    assert "picks wait in the outbox" in lines.get(timeout=20)
    network.close()


def test_what_a_broker_acknowledged_and_forgot_is_sent_again(tmp_path, uplink):
    with Broker(
        tmp_path, f"allow_anonymous true\npersistence true\npersistence_location {tmp_path}/"
    ) as broker:
        Collector(broker.port).close()  # its session stays
        broker.save()
        link = uplink(f"mqtt://127.0.0.1:{broker.port}")
        link.send(PICK)
        while any(queue.depth for queue in link.queues().values()):
            time.sleep(0.01)
        broker.kill()
        broker.start()
        collector = Collector(broker.port)
        assert collector.wait(1) == [PICK]
        collector.close()


def test_a_broker_that_takes_its_leave_is_asked_again(uplink):
    """By DISCONNECT, MQTT 5, section 3.14."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        link = uplink(f"mqtt://127.0.0.1:{server.getsockname()[1]}")
        link.send(PICK)
        first, _ = server.accept()
        first.recv(1000)
        first.sendall(bytes.fromhex("20 03 00 00 00"))  # connected
        first.recv(1000)
        first.sendall(bytes.fromhex("E0 02 8B 00"))  # server shutting down
        second, _ = server.accept()
        assert second.recv(1) == b"\x10"  # CONNECT
        first.close()
        second.close()


def test_a_restart_sends_what_had_not_gone_out(broker, uplink, lines):
    link = uplink(f"mqtt://127.0.0.1:{broker.port}")
    link.send(PICK)
    link.close()
    said = [lines.get() for _ in range(lines.qsize())]
    assert said[-1].endswith("1 picks wait in the outbox for the next start")
    collector = Collector(broker.port)
    uplink(f"mqtt://127.0.0.1:{broker.port}")
    assert collector.wait(1) == [PICK]
    collector.close()


def test_a_password_comes_from_a_file_and_a_wrong_one_is_told(tmp_path, uplink, lines):
    known = tmp_path / "known"
    known.touch(0o600)
    make = ["mosquitto_passwd", "-b", known, "shed", "right"]
    if shutil.which(make[0]) is None:
        pytest.skip("needs mosquitto_passwd")
    subprocess.run(make, check=True)
    secret = tmp_path / "secret"
    secret.write_text("wrong\n")
    with Broker(tmp_path, f"allow_anonymous false\npassword_file {known}") as broker:
        place = f"mqtt://shed@127.0.0.1:{broker.port}?password-file={secret}"
        first = uplink(place)
        assert "refuses the connection: Not authorized" in lines.get(timeout=20)
        first.close()
        secret.write_text("right\n")
        uplink(place).send(PICK)
        assert "nobody has subscribed" in lines.get(timeout=20)  # so it has been let in


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    """Two authorities: ours, with a broker of this address and two stations, and one we do not trust."""
    folder = tmp_path_factory.mktemp("certificates")
    for name, stations in (("ours", ["XX.TEST.", "XX.OTHER."]), ("theirs", ["XX.TEST."])):
        script = [DEPLOY / "make-certificates.sh", folder / name, "127.0.0.1", *stations]
        subprocess.run(script, check=True)
    return folder


def secured(folder):
    """Settings as in deploy/mosquitto.conf, with the files of `folder`."""
    settings = (DEPLOY / "mosquitto.conf").read_text().replace("/etc/mosquitto/seis", str(folder))
    passed_over = ("listener", "persistence_location")
    return "\n".join(line for line in settings.splitlines() if not line.startswith(passed_over))


def url(port, folder, station="XX.TEST."):
    return (
        f"mqtts://127.0.0.1:{port}?ca={folder}/ca.crt&cert={folder}/{station}.crt&key={folder}/{station}.key"
    )


@contextmanager
def reader(port, folder, name):
    """A client that asks for everything, by the certificate of `name`: the topics it gets, and itself."""
    got, done = queue.SimpleQueue(), queue.SimpleQueue()
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=f"reader {name}", protocol=paho.MQTTv5)
    client.tls_set(folder / "ca.crt", folder / f"{name}.crt", folder / f"{name}.key")
    client.on_subscribe = client.on_unsubscribe = lambda *_: done.put(None)
    client.on_message = lambda client, userdata, message: got.put(message.topic)
    client.connect("127.0.0.1", port)
    client.subscribe("seis/v1/#", 1)
    client.loop_start()
    done.get(timeout=20)
    yield got
    client.unsubscribe("seis/v1/#")
    done.get(timeout=20)  # what was to come before that has come
    client.disconnect()
    client.loop_stop()


def test_a_station_writes_below_its_own_topic_alone_and_reads_nothing(tmp_path, certificates, uplink, lines):
    ours = certificates / "ours"
    settings = secured(ours) + f"\npersistence_location {tmp_path}/\n"
    with Broker(tmp_path, settings) as broker:
        with reader(broker.port, ours, "collector") as taken, reader(broker.port, ours, "XX.OTHER.") as spied:
            link = uplink(url(broker.port, ours))
            link.send(PICK)
            while (where := taken.get(timeout=20)) != "seis/v1/XX/TEST/--/pick":
                assert where in ("seis/v1/XX/TEST/--/status", "seis/v1/XX/TEST/--/health")
            link.send(replace(PICK, station="XX.OTHER."))
            assert "the broker refuses seis/v1/XX/OTHER/--/pick: Not authorized" in lines.get(timeout=20)
        assert taken.empty()
        assert spied.empty()


def test_a_broker_of_a_wrong_certificate_gets_nothing(tmp_path, certificates, uplink, lines):
    settings = secured(certificates / "theirs") + f"\npersistence_location {tmp_path}/\n"
    with Broker(tmp_path, settings) as broker:
        network = Network(broker.port)
        link = uplink(url(network.port, certificates / "ours"))
        link.send(PICK)
        assert "certificate verify failed" in lines.get(timeout=20)
        assert PICK.id.encode() not in network.passed
        network.close()


def test_one_place_is_given_once(uplink):
    with pytest.raises(AddressError, match="two uplinks go to one place"):
        uplink("udp://localhost:1", "udp://localhost:1?form=struct-11")


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("mqtt://user:secret@broker", "no passwords in URLs"),
        ("mqtt://broker:70000", "the port is not a number"),
        ("mqtt://user:secret@broker:70000", "broker:70000: the port is not a number"),
        ("http://user:secret@[::1/", "not a URL such as"),
        ("broker", "not a URL such as mqtt://broker:1883"),
        ("gopher://broker", "no uplink gopher://"),
        ("mqtt://broker?certificate=x", "no option 'certificate'; there are ca, cert, key"),
        ("mqtts://broker?ca=/nowhere/ca.crt", "ca=/nowhere/ca.crt cannot be read"),
    ],
)
def test_a_wrong_url_stops_at_the_start(uplink, address, says, tmp_path):
    with pytest.raises(AddressError, match=says) as caught:
        uplink(address)
    assert "secret" not in str(caught.value)
    Outbox(tmp_path / "outbox.sqlite", print).close()  # it is not left open
