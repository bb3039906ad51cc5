"""The line to the broker holds each message once, however often it breaks."""

import pytest
from network import picks_of, publisher, wait_for

pytest.importorskip("sqlalchemy", reason="the receiving end needs the [collect] extra")
from benchmarks.uplink.line import Network
from collect.broker import Broker
from edge.pick import Pick
from edge.sinks.address import parse_address


@pytest.fixture
def network(broker):
    """Between a collector and the broker."""
    between = Network(broker.port)
    yield between
    between.close()


@pytest.fixture
def line(network):
    """A collector's line through the network, and what it has said."""
    said = []
    one = Broker(parse_address(f"mqtt://127.0.0.1:{network.port}"), "one", said.append)
    one.start()
    wait_for(lambda: one.connected)
    yield one, said
    one.close()


def ids(messages):
    return [Pick.from_json(message.payload.decode()).id for message in messages]


def test_what_comes_again_over_a_new_connection_is_not_held_twice(broker, network, line):
    receiver, said = line
    sent = picks_of(101)
    with publisher(broker.port) as station:
        station.send_picks(sent[:100])
        wait_for(lambda: receiver.waiting == 100)
        for _ in range(2):
            network.cut()
            wait_for(lambda: not receiver.connected)
            network.mend()
            wait_for(lambda: receiver.connected)
            wait_for(lambda: receiver.waiting == 100)
        station.send_picks(sent[100:])
        wait_for(lambda: receiver.waiting == 101)
    assert ids(receiver.take(1000, 1.0)) == [pick.id for pick in sent]
    assert sum("connection lost" in text for text in said) == 1


def test_what_was_not_acknowledged_comes_again_and_what_was_does_not(broker, network, line):
    receiver, _ = line
    sent = picks_of(60)
    with publisher(broker.port) as station:
        station.send_picks(sent)
        wait_for(lambda: receiver.waiting == 60)
        taken = receiver.take(1000, 1.0)
        receiver.acknowledge(taken[:20])
        wait_for(lambda: network.passed.count(b"\x40\x02") >= 20)  # PUBACK
        station.send_picks([sent[0]])
        wait_for(lambda: receiver.waiting == 1)
        receiver.take(1, 1.0)
        network.cut()
        wait_for(lambda: not receiver.connected)
        receiver.acknowledge(taken[20:])  # too late: by now their numbers may be those of others
        network.mend()
        wait_for(lambda: receiver.waiting == 41)
    assert ids(receiver.take(1000, 1.0)) == [pick.id for pick in [*sent[20:], sent[0]]]


def test_a_broker_that_sends_more_than_was_agreed_upon_is_kept_waiting(broker, monkeypatch):
    monkeypatch.setattr("collect.broker.WAITING_MAX", 50)
    receiver = Broker(parse_address(f"mqtt://127.0.0.1:{broker.port}"), "one", print)
    receiver.start()
    wait_for(lambda: receiver.connected)
    sent = picks_of(300)
    with publisher(broker.port) as station:
        station.send_picks(sent)
        wait_for(lambda: receiver.waiting == 50)
        taken = []
        while len(taken) < 300:
            some = receiver.take(20, 10.0)
            assert some, "messages are stranded"
            taken += some
            receiver.acknowledge(some)
    receiver.close()
    assert ids(taken) == [pick.id for pick in sent]


def test_it_can_be_closed_while_nobody_takes_what_comes(broker, monkeypatch):
    monkeypatch.setattr("collect.broker.WAITING_MAX", 5)
    receiver = Broker(parse_address(f"mqtt://127.0.0.1:{broker.port}"), "one", print)
    receiver.start()
    wait_for(lambda: receiver.connected)
    with publisher(broker.port) as station:
        station.send_picks(picks_of(50))
        wait_for(lambda: receiver.waiting == 5)
        receiver.close()
    again = Broker(parse_address(f"mqtt://127.0.0.1:{broker.port}"), "one", print)
    monkeypatch.undo()
    again.start()
    wait_for(lambda: again.waiting >= 5)
    again.close()
