"""Who receives: edge-collect with a stop-watch around its commits, or a subscriber that only counts."""

import argparse
import json
import os
import threading
import time
from array import array
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from collect.broker import IN_FLIGHT, SESSION_S, TOPICS, Broker
from collect.collector import Collector
from collect.metrics import Counts
from collect.store import Store
from edge.pick import NS, Pick
from edge.sinks.address import parse_address

NAME = "load"


@dataclass(frozen=True, slots=True)
class Received:
    """From the first commit (or message) to the last: how many came in it, seconds by the clock and of this
    process's CPU. `peak_mb`: its memory. `delays_ms`: from being sent to being committed, by rank: p50,
    p95, p99, most; None of a subscriber that only counts."""

    number: int
    wall_s: float
    cpu_s: float
    peak_mb: float
    delays_ms: tuple[float, float, float, float] | None
    batches: int | None


class Watch:
    """Notes when the first and the last came; done when all have."""

    def __init__(self, expected: int) -> None:
        self.done = threading.Event()
        self._expected = expected
        self._came = 0
        self._first: tuple[int, float, float] | None = None
        self._last = (0.0, 0.0)

    def note(self, number: int) -> None:
        now = (time.perf_counter(), time.process_time())
        self._came += number
        if self._first is None:
            self._first = (self._came, *now)
        self._last = now
        if self._came >= self._expected:
            self.done.set()

    def result(self, delays_ms: Sequence[float] | None, batches: int | None) -> Received:
        assert self._first is not None
        before, wall_s, cpu_s = self._first
        number = self._came - before
        ranks = None
        if delays_ms is not None:
            ordered = sorted(delays_ms)
            ranks = tuple(
                ordered[min(int(share * len(ordered)), len(ordered) - 1)] for share in (0.5, 0.95, 0.99, 1.0)
            )
        peak_kb = next(
            int(line.split()[1])
            for line in Path("/proc/self/status").read_text().splitlines()
            if "VmHWM" in line
        )
        return Received(
            number,
            self._last[0] - wall_s,
            self._last[1] - cpu_s,
            peak_kb / 1000,
            ranks,
            batches,  # type: ignore[arg-type]
        )


class TimedStore(Store):
    """Notes every commit."""

    def __init__(self, url: str, watch: Watch) -> None:
        super().__init__(url)
        self._watch = watch
        self.delays_ms = array("d")
        self.batches = 0

    def save(self, picks: Sequence[Pick], received_ns: int) -> int:
        stored = super().save(picks, received_ns)
        now_ns = time.time_ns()
        self.delays_ms.extend((now_ns - pick.time_ns) * 1000 / NS for pick in picks)
        self.batches += 1
        self._watch.note(len(picks))
        return stored


def collect(port: int, url: str, expected: int) -> Received:
    """By edge-collect."""
    watch = Watch(expected)
    store = TimedStore(url, watch)
    broker = Broker(parse_address(f"mqtt://127.0.0.1:{port}"), NAME, print)
    broker.start()
    Collector(broker, store, Counts(), print).run(watch.done)
    broker.close()
    return watch.result(store.delays_ms, store.batches)


def count(port: int, expected: int) -> Received:
    """By a plain paho subscriber, which acknowledges by itself."""
    watch = Watch(expected)

    def arrived(client: Client, data: Any, message: MQTTMessage) -> None:
        watch.note(1)

    client = _client()
    client.on_message = arrived
    _attach(client, port)
    watch.done.wait()
    _detach(client)
    return watch.result(None, None)


def make_session(port: int) -> None:
    """At the broker, which fills it until someone comes."""
    subscribed = threading.Event()
    client = _client()
    client.on_subscribe = lambda *_: subscribed.set()
    _attach(client, port)
    subscribed.wait()
    _detach(client)


def _client() -> Client:
    client = Client(CallbackAPIVersion.VERSION2, client_id=NAME, protocol=MQTTProtocolVersion.MQTTv5)
    client.on_connect = lambda client, *_: client.subscribe(list(TOPICS.items()))
    return client


def _attach(client: Client, port: int) -> None:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = SESSION_S
    properties.ReceiveMaximum = IN_FLIGHT
    client.connect("127.0.0.1", port, clean_start=False, properties=properties)
    client.loop_start()


def _detach(client: Client) -> None:
    client.disconnect()
    client.loop_stop()


def main() -> None:
    """Of the process that receives; it prints its result as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("expected", type=int)
    parser.add_argument("core", type=int)
    parser.add_argument("url", help="of the store, or count")
    args = parser.parse_args()
    os.sched_setaffinity(0, [args.core])
    received = (
        count(args.port, args.expected)
        if args.url == "count"
        else collect(args.port, args.url, args.expected)
    )
    print(json.dumps(asdict(received)))


if __name__ == "__main__":
    main()
