"""With the broker set up as in deploy/, each station writes its own topics, the collector reads, and that
is all."""

import shutil
import subprocess
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from network import PICK, mosquitto, picks_of, publisher, topic_of, wait_for

pytest.importorskip("sqlalchemy", reason="the receiving end needs the [collect] extra")
from collect.store import Store

DEPLOY = Path(__file__).parents[2] / "deploy"
ALL = (0, 2**62)
OURS, OTHER = "XX.TEST.00", "XX.OTHER."


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """By deploy/make-certificates.sh: of a broker on this computer, a collector and two stations."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl here")
    folder = tmp_path_factory.mktemp("certificates")
    subprocess.run([DEPLOY / "make-certificates.sh", folder, "127.0.0.1", OURS, OTHER], check=True)
    return folder


@pytest.fixture
def secured(certificates, tmp_path):
    """A broker with deploy/mosquitto.conf, files and port being its own."""
    lines = (
        (DEPLOY / "mosquitto.conf").read_text().replace("/etc/mosquitto/seis", str(certificates)).splitlines()
    )
    own = (f"persistence_location {tmp_path}/",)
    kept = [line for line in lines if not line.startswith(("listener", "persistence_location"))]
    broker = mosquitto(tmp_path, "\n".join([*kept, *own]))
    yield broker
    broker.kill()


@pytest.fixture(params=[(), ("--share", "a secret")], ids=["alone", "shared"])
def collector(secured, certificates, collecting, tmp_path, request):
    """The program with a collector's certificate, its store beside it."""
    files = f"ca={certificates}/ca.crt&cert={certificates}/collector.crt&key={certificates}/collector.key"
    store = f"sqlite:///{tmp_path / 'picks.db'}"
    program = collecting(f"mqtts://127.0.0.1:{secured.port}?{files}", "--store", store, *request.param)
    program.wait_until_connected()
    opened = Store(store)
    yield opened
    opened.close()
    assert "0 messages refused" in program.stop()


def test_a_station_is_heard_on_its_own_topic_and_on_no_other(secured, certificates, collector):
    codes = []
    with (
        publisher(secured.port, certificates / OURS) as station,
        publisher(secured.port, certificates / OTHER) as other,
    ):
        station.client.on_publish = lambda client, _, mid, code, __: codes.append(code.getName())
        station.send_picks(picks_of(3, OURS))
        for topic in (topic_of(OTHER), topic_of(OTHER, "status"), "seis/v1/XX/TEST/01/pick", "elsewhere"):
            station.send(topic, replace(PICK, station=OTHER).to_json())
        other.send_picks(picks_of(2, OTHER))
        wait_for(lambda: len(collector.picks(*ALL)) == 5)
        wait_for(lambda: len(codes) == 7)
    assert codes == ["Success"] * 3 + ["Not authorized"] * 4
    assert {(one.station, one.id) for one in collector.picks(*ALL)} == {
        (one.station, one.id) for one in [*picks_of(3, OURS), *picks_of(2, OTHER)]
    }


def test_a_station_that_subscribes_reads_nothing_and_takes_nothing_from_others(
    secured, certificates, collector
):
    heard = []
    subscribed = threading.Event()
    topics = ["seis/v1/#", "$share/edge-collect/seis/v1/+/+/+/pick", topic_of(OTHER), topic_of(OURS)]
    with (
        publisher(secured.port, certificates / OURS) as spy,
        publisher(secured.port, certificates / OTHER) as other,
    ):
        spy.client.on_message = lambda client, _, message: heard.append(message.topic)
        spy.client.on_subscribe = lambda *_: subscribed.set()
        spy.client.subscribe([(topic, 1) for topic in topics])
        assert subscribed.wait(30)
        other.send_picks(picks_of(20, OTHER))
        wait_for(lambda: len(collector.picks(*ALL)) == 20)
    assert heard == []


def test_nobody_comes_in_without_a_certificate_of_the_network(secured, certificates, tmp_path, collecting):
    subprocess.run([DEPLOY / "make-certificates.sh", tmp_path / "theirs", "127.0.0.1"], check=True)
    files = (
        f"ca={certificates}/ca.crt&cert={tmp_path}/theirs/collector.crt&key={tmp_path}/theirs/collector.key"
    )
    store = f"sqlite:///{tmp_path / 'picks.db'}"
    strangers = [
        collecting(f"mqtts://127.0.0.1:{secured.port}?{options}", "--store", store)
        for options in (files, f"ca={certificates}/ca.crt")
    ]
    for stranger in strangers:
        wait_for(lambda stranger=stranger: "trying again" in stranger.said())
        assert "connected as" not in stranger.stop()


def test_a_broker_that_cannot_prove_who_it_is_gets_no_collector(secured, tmp_path, collecting):
    subprocess.run([DEPLOY / "make-certificates.sh", tmp_path / "theirs", "127.0.0.1"], check=True)
    deceived = collecting(f"mqtts://127.0.0.1:{secured.port}?ca={tmp_path}/theirs/ca.crt")
    wait_for(lambda: "certificate verify failed" in deceived.said())
    assert "connected as" not in deceived.stop()
