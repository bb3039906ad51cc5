"""Stations that send: many of them over each MQTT connection, as an outage's backlog or at a steady rate."""

import argparse
import time
from collections.abc import Iterator
from itertools import count, islice

from paho.mqtt.client import Client, MQTTMessageInfo
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from edge.pick import Pick
from edge.sinks.mqtt import topic

ON_THEIR_WAY = 2000
"""Messages that the broker has not acknowledged, at most."""
PATIENCE_S = 60


def picks(stations: int) -> Iterator[Pick]:
    """Without end, station by station, each set in when it is asked for; no two have one id."""
    for number in count():
        yield Pick(
            id=f"{number:016x}",
            station=f"XX.S{number % stations:05d}.",
            channels=("HHZ", "HHN", "HHE"),
            phase="PS"[number // stations % 2],  # type: ignore[arg-type]
            time_ns=time.time_ns(),
            prob=0.5 + number % 50 / 100,
            sigma=0.08,
            snr_db=12.3,
            amp=1234.0 + number,
            clock="gnss",
            clock_sigma=0.001,
            latency_s=5.2,
            model="lppn@01234567",
        )


def send(port: int, stations: int, connections: int, number: int, rate: float | None) -> None:
    """Sends so many picks, `rate` a second or as fast as the broker takes them."""
    clients = [_connected(port) for _ in range(connections)]
    sent: list[MQTTMessageInfo] = []
    begin_s = time.monotonic()
    source = picks(stations)
    for n in range(number):
        if rate:
            time.sleep(max(0.0, begin_s + n / rate - time.monotonic()))
        if n >= ON_THEIR_WAY:
            sent[n - ON_THEIR_WAY].wait_for_publish(PATIENCE_S)
        pick = next(source)
        client = clients[n % stations % connections]
        sent.append(client.publish(topic(pick.station, "pick"), pick.to_json(), 1))
    for one in sent:
        one.wait_for_publish(PATIENCE_S)
    for client in clients:
        client.disconnect()
        client.loop_stop()


def message_bytes(stations: int) -> int:
    """Length of a pick's JSON form, mean of some."""
    some = list(islice(picks(stations), 100))
    return round(sum(len(pick.to_json()) for pick in some) / len(some))


def _connected(port: int) -> Client:
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
    client.max_inflight_messages_set(100)
    client.connect("127.0.0.1", port)
    client.loop_start()
    end_s = time.monotonic() + PATIENCE_S
    while not client.is_connected():
        if time.monotonic() > end_s:
            raise TimeoutError("no answer from the broker")
        time.sleep(0.01)
    return client


def main() -> None:
    """Of the process that has all the stations."""
    parser = argparse.ArgumentParser()
    for name in ("port", "stations", "connections", "number"):
        parser.add_argument(name, type=int)
    parser.add_argument("rate", type=float, help="0: as fast as can be")
    args = parser.parse_args()
    send(args.port, args.stations, args.connections, args.number, args.rate or None)


if __name__ == "__main__":
    main()
