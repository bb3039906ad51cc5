"""What the collector counts, and how Prometheus sees it."""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector as Source

from collect.admit import REASONS, Reason
from collect.broker import Broker
from edge.pick import NS, Pick

STATIONS_MAX = 20_000
"""Stations that have a time of their own; a made-up name costs the collector no more memory than that."""
DELAYS_S = (1.0, 2.0, 5.0, 10.0, 20.0, 60.0, 300.0, 3600.0, 86_400.0)


@dataclass(slots=True)
class Counts:
    """Since the start. `delays`: picks by seconds from onset to commit, up to each of `DELAYS_S` and
    beyond; `seen_ns`: when something last came from a station, UTC nanoseconds."""

    picks: int = 0
    stored: int = 0
    duplicates: int = 0
    store_failures: int = 0
    refused: dict[Reason, int] = field(default_factory=lambda: dict.fromkeys(REASONS, 0))
    delays: list[int] = field(default_factory=lambda: [0] * (len(DELAYS_S) + 1))
    delay_sum_s: float = 0.0
    seen_ns: dict[str, int] = field(default_factory=dict)

    def see(self, station: str, now_ns: int) -> None:
        if station in self.seen_ns or len(self.seen_ns) < STATIONS_MAX:
            self.seen_ns[station] = now_ns

    def committed(self, pick: Pick, now_ns: int) -> None:
        delay_s = (now_ns - pick.time_ns) / NS
        self.delays[bisect_left(DELAYS_S, delay_s)] += 1
        self.delay_sum_s += delay_s

    def summary(self) -> str:
        """One line."""
        return (
            f"{self.picks} picks: {self.stored} stored, {self.duplicates} duplicates; "
            f"{sum(self.refused.values())} messages refused"
        )


class _Exposed(Source):
    def __init__(self, counts: Counts, broker: Broker) -> None:
        self._counts = counts
        self._broker = broker

    def collect(self) -> Iterator[Metric]:
        counts = self._counts
        for name, value, text in (
            ("picks", counts.picks, "Picks received, duplicates among them"),
            ("stored", counts.stored, "Picks that were new, or newer than what was stored"),
            ("duplicates", counts.duplicates, "Picks that were stored already"),
            ("store_failures", counts.store_failures, "Times that the store could not take picks"),
            ("overrun", self._broker.lost, "Messages of QoS 0 for which there was no room"),
        ):
            yield CounterMetricFamily(f"edge_collect_{name}", text, value=value)
        refused = CounterMetricFamily("edge_collect_refused", "Messages refused", labels=["reason"])
        for reason, number in counts.refused.items():
            refused.add_metric([reason], number)
        yield refused
        yield GaugeMetricFamily(
            "edge_collect_connected", "Whether the broker is there", value=float(self._broker.connected)
        )
        yield GaugeMetricFamily(
            "edge_collect_waiting", "Messages received and not yet stored", value=self._broker.waiting
        )
        bounds = [*map(str, DELAYS_S), "+Inf"]
        sums = [sum(counts.delays[: n + 1]) for n in range(len(bounds))]
        yield HistogramMetricFamily(
            "edge_collect_delay_seconds",
            "From onset to commit",
            buckets=list(zip(bounds, sums, strict=True)),
            sum_value=counts.delay_sum_s,
        )
        seen = GaugeMetricFamily(
            "edge_collect_last_seen_timestamp_seconds", "When a station was last heard of", labels=["station"]
        )
        for station, time_ns in list(counts.seen_ns.items()):
            seen.add_metric([station], time_ns / NS)
        yield seen


def serve(counts: Counts, broker: Broker, host: str, port: int) -> int:
    """Answers Prometheus over HTTP in the background; the port, which the system chooses for 0. OSError if
    it is taken."""
    registry = CollectorRegistry()
    registry.register(_Exposed(counts, broker))
    server, _ = start_http_server(port, host, registry)
    return server.server_port
