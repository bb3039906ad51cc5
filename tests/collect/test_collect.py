"""A network's picks reach the store, each once, whatever breaks on the way."""

import random
import urllib.request
from collections import Counter
from dataclasses import replace

import pytest
from network import PICK, picks_of, publisher, topic_of, wait_for

pytest.importorskip("sqlalchemy", reason="the receiving end needs the [collect] extra")
from benchmarks.uplink.broker import free_port
from collect.store import Store

ALL = (0, 2**62)


def url(broker):
    return f"mqtt://127.0.0.1:{broker.port}"


@pytest.fixture
def opened(store_url):
    store = Store(store_url)
    yield store
    store.close()


@pytest.fixture
def sqlite_url(tmp_path):
    return f"sqlite:///{tmp_path / 'picks.db'}"


@pytest.fixture
def in_sqlite(sqlite_url):
    store = Store(sqlite_url)
    yield store
    store.close()


def in_order(picks):
    return sorted(picks, key=lambda one: (one.station, one.id))


def test_every_pick_is_stored_once_with_all_it_says(broker, collecting, store_url, opened):
    collector = collecting(url(broker), "--store", store_url)
    collector.wait_until_connected()
    full = replace(
        PICK, id="full", polarity="up", polarity_prob=0.75, clock_sigma=0.005, status="preliminary"
    )
    sent = [*picks_of(40), *picks_of(30, "XX.OTHER."), full, replace(PICK, id="bare", snr_db=None)]
    with publisher(broker.port) as station:
        station.send_picks(sent)
        station.send_picks(sent[:20])
        last = replace(PICK, id="last")
        station.send_picks([last])
        wait_for(lambda: last in opened.picks(*ALL))
    assert in_order(opened.picks(*ALL)) == in_order([*sent, last])
    assert "93 picks: 73 stored, 20 duplicates; 0 messages refused" in collector.stop()


def test_a_collector_killed_again_and_again_loses_and_doubles_nothing(
    broker, collecting, sqlite_url, in_sqlite
):
    sent = picks_of(900)
    chance = random.Random(7)
    started = collecting(url(broker), "--store", sqlite_url)
    started.wait_until_connected()
    with publisher(broker.port) as station:
        for k in range(0, 900, 300):
            station.send_picks(sent[k : k + 300])
            enough = min(len(in_sqlite.picks(*ALL)) + chance.randrange(1, 200), k + 300)
            wait_for(lambda enough=enough: len(in_sqlite.picks(*ALL)) >= enough)
            started.kill()
            started = collecting(url(broker), "--store", sqlite_url)
        wait_for(lambda: len(in_sqlite.picks(*ALL)) == 900)
    assert in_order(in_sqlite.picks(*ALL)) == in_order(sent)


def test_a_broker_that_restarts_is_found_again_and_what_it_held_arrives(
    broker, collecting, sqlite_url, in_sqlite, tmp_path
):
    collector = collecting(url(broker), "--store", sqlite_url)
    collector.wait_until_connected()
    collector.stop()
    with publisher(broker.port) as station:
        station.send_picks(picks_of(50))
    wait_for(lambda: picks_of(50)[-1].id.encode() in (tmp_path / "mosquitto.db").read_bytes())
    broker.kill()
    collector = collecting(url(broker), "--store", sqlite_url)
    wait_for(lambda: "Connection refused; trying again" in collector.said())
    broker.start()
    wait_for(lambda: len(in_sqlite.picks(*ALL)) == 50)
    assert collector.stop().count("Connection refused") == 1


def test_while_the_database_is_away_the_broker_keeps_the_picks(broker, collecting, postgres):
    store_url = postgres.url("away")
    collector = collecting(url(broker), "--store", store_url)
    collector.wait_until_connected()
    with publisher(broker.port) as station:
        postgres.control("stop", "-m", "immediate")
        station.send_picks(picks_of(100))
        wait_for(lambda: "the broker keeps the picks meanwhile" in collector.said())
        postgres.control("start")
        wait_for(lambda: "the store takes picks again" in collector.said())
        wait_for(lambda: len(Store(store_url).picks(*ALL)) == 100)
    assert "100 picks: 100 stored, 0 duplicates" in collector.stop()


def test_two_collectors_share_the_load(broker, collecting, postgres):
    store_url = postgres.url("shared")
    opened = Store(store_url)
    both = [collecting(url(broker), "--store", store_url, "--name", name, "--share", "us") for name in "ab"]
    for collector in both:
        collector.wait_until_connected()
    with publisher(broker.port) as station:
        station.send_picks(picks_of(200))
        wait_for(lambda: len(opened.picks(*ALL)) == 200)
    shares = [int(collector.stop().rpartition(" picks: ")[0].split()[-1]) for collector in both]
    opened.close()
    assert sum(shares) == 200
    assert min(shares) >= 50


def test_a_second_collector_has_everything_too_and_one_may_die(broker, collecting, sqlite_url, in_sqlite):
    first, second = (collecting(url(broker), "--store", sqlite_url, "--name", name) for name in "ab")
    first.wait_until_connected()
    second.wait_until_connected()
    with publisher(broker.port) as station:
        station.send_picks(picks_of(50))
        wait_for(lambda: len(in_sqlite.picks(*ALL)) == 50)
        first.kill()
        station.send_picks(picks_of(100)[50:])
        wait_for(lambda: len(in_sqlite.picks(*ALL)) == 100)
    assert "100 picks: " in second.stop()


def test_two_collectors_of_one_name_say_so_once_and_lose_nothing(broker, collecting, sqlite_url, in_sqlite):
    both = [collecting(url(broker), "--store", sqlite_url, "--name", "one") for _ in range(2)]
    hint = "is another collector called one as well?"
    wait_for(lambda: all(hint in one.said() for one in both))
    with publisher(broker.port) as station:
        station.send_picks(picks_of(100))
        wait_for(lambda: len(in_sqlite.picks(*ALL)) == 100)
    assert [one.stop().count(hint) for one in both] == [1, 1]


HOSTILE = {
    "malformed": (b"", b"\xff\xfe", b"{}", b"[" * 4000, b"null", PICK.to_json()[:-5].encode()),
    "oversized": (PICK.to_json().encode() + b" " * 5000,),
    "station": (replace(PICK, station="XX.OTHER.00").to_json().encode(),),
    "range": (
        replace(PICK, prob=1.5).to_json().encode(),
        replace(PICK, update=2**40).to_json().encode(),
        replace(PICK, model="a\0b").to_json().encode(),
        replace(PICK, id="'; DROP TABLE picks; --").to_json().encode(),
    ),
}


def test_hostile_messages_are_refused_counted_and_stop_nothing(broker, collecting, sqlite_url, in_sqlite):
    port = free_port()
    collector = collecting(url(broker), "--store", sqlite_url, "--metrics", f"127.0.0.1:{port}")
    collector.wait_until_connected()
    with publisher(broker.port) as station:
        for payloads in HOSTILE.values():
            for payload in payloads:
                station.send(topic_of(PICK.station), payload)
        station.send("seis/v1/XX/a b/00/pick", PICK.to_json())
        station.send(topic_of(PICK.station), bytes(10_000_000))  # the broker does not even pass it on
        station.send(topic_of(PICK.station, "health"), b"\xff")
        station.send_picks(picks_of(10))
        wait_for(lambda: len(in_sqlite.picks(*ALL)) == 10)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
        lines = dict(line.rsplit(" ", 1) for line in answer.read().decode().splitlines() if line[0] != "#")
    for reason, payloads in {**HOSTILE, "topic": (b"",)}.items():
        assert float(lines[f'edge_collect_refused_total{{reason="{reason}"}}']) == len(payloads)
    assert float(lines["edge_collect_picks_total"]) == float(lines["edge_collect_stored_total"]) == 10
    assert float(lines['edge_collect_delay_seconds_bucket{le="+Inf"}']) == 10
    assert float(lines["edge_collect_connected"]) == 1
    assert float(lines['edge_collect_last_seen_timestamp_seconds{station="XX.TEST.00"}']) > 1.7e9
    said = collector.stop()
    told = Counter(
        line.partition("refused (")[2].partition(";")[0] for line in said.splitlines() if "refused (" in line
    )
    assert told == dict.fromkeys([*HOSTILE, "topic"], 1)
    assert "13 messages refused" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["http://localhost"], "http://localhost is no broker: mqtt://host:1883 or mqtts://host:8883"),
        (["mqtt://me:secret@localhost"], "no passwords in URLs"),
        (["mqtt://localhost?ca=ca.crt"], "no option 'ca'"),
        (["mqtts://localhost?ca=ca.crt"], "ca=ca.crt cannot be read"),
        (
            ["mqtt://localhost", "--store", "mysql://localhost/picks"],
            "no such store: give sqlite:///picks.db or ",
        ),
        (
            ["mqtt://localhost", "--store", "sqlite:///no/folder/picks.db"],
            "store sqlite:///no/folder/picks.db: ",
        ),
        (["export", "--format", "scml", "--out", "no/such/folder/x"], "No such file or directory"),
        (["associate", "--stations", "none.csv"], "none.csv"),
    ],
)
def test_what_cannot_start_says_why_in_one_line(arguments, said, tmp_path, monkeypatch, capsys):
    from collect.cli import main

    monkeypatch.chdir(tmp_path)
    Store("sqlite:///picks.db").close()
    assert main(arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert "secret" not in line
