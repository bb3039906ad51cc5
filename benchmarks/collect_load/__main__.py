"""How many picks a second one edge-collect takes, and how late they are.

    python -m benchmarks.collect_load --out benchmarks/results --name NAME

A simulated network sends through a real Mosquitto, all on this computer and on loopback. First a backlog:
all picks wait at the broker, as after an outage, and then edge-collect comes and takes them, alone on one
core. Beside it, as the ceiling, a subscriber of the same library that takes the same backlog and only
counts it. Then live: the stations send at a steady rate, and each pick's way from being sent to being
committed is timed.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, make_url

from benchmarks.bench.machine import describe
from benchmarks.collect_load.receiver import Received, make_session
from benchmarks.collect_load.stations import message_bytes
from benchmarks.uplink.broker import Broker
from collect.schema import METADATA

STATIONS = 10_000
CONNECTIONS = 20
BACKLOG = 20_000
"""P and S of one earthquake at every station."""
RATES = (100, 500, 1000)
LIVE_S = 15
LIMIT_S = 300


@dataclass(frozen=True, slots=True)
class Row:
    """One run. `way`: counting, or the store's kind; `rate`: picks sent a second, None for a backlog."""

    way: str
    rate: int | None
    received: Received

    @property
    def per_second(self) -> float | None:
        """None where all came in one commit."""
        return self.received.number / self.received.wall_s if self.received.number else None

    @property
    def per_cpu_second(self) -> float | None:
        """As `per_second`."""
        return self.received.number / self.received.cpu_s if self.received.number else None


def backlog(folder: Path, url: str) -> Received:
    """The session is made, everything is sent, and only then someone comes to take it."""
    with _broker(folder) as broker:
        make_session(broker.port)
        _send(broker.port, BACKLOG, 0.0)
        return _received(_receive(broker.port, BACKLOG, url))


def live(folder: Path, url: str, rate: int) -> Received:
    """Sending and receiving at once."""
    number = rate * LIVE_S
    with _broker(folder) as broker:
        make_session(broker.port)
        receiver = _receive(broker.port, number, url)
        _send(broker.port, number, float(rate))
        return _received(receiver)


def _broker(folder: Path) -> Broker:
    return Broker(folder, "allow_anonymous true\nmax_queued_messages 10000000\nmax_inflight_messages 2000")


def _send(port: int, number: int, rate: float) -> None:
    arguments = map(str, (port, STATIONS, CONNECTIONS, number, rate))
    command = [sys.executable, "-m", "benchmarks.collect_load.stations", *arguments]
    subprocess.run(command, check=True, timeout=LIMIT_S)


def _receive(port: int, expected: int, url: str) -> subprocess.Popen[str]:
    core = max(os.sched_getaffinity(0))
    arguments = map(str, (port, expected, core, url))
    command = [sys.executable, "-m", "benchmarks.collect_load.receiver", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _received(receiver: subprocess.Popen[str]) -> Received:
    try:
        said, _ = receiver.communicate(timeout=LIMIT_S)
    except subprocess.TimeoutExpired:
        receiver.kill()
        raise
    return Received(**json.loads(said.splitlines()[-1]))


def run(folder: Path, stores: Sequence[str]) -> list[Row]:
    """All runs, each with a broker and a store of its own; `stores` are emptied."""
    rows = [Row("only counting", None, backlog(folder, "count"))]
    for url in stores:
        kind = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}[make_url(url).get_backend_name()]
        rows.append(Row(kind, None, backlog(folder, _emptied(url))))
        rows += [Row(kind, rate, live(folder, _emptied(url), rate)) for rate in RATES]
    return rows


def _emptied(url: str) -> str:
    engine = create_engine(url)
    METADATA.drop_all(engine)
    engine.dispose()
    return url


def table(rows: Sequence[Row]) -> str:
    """Markdown."""
    lines = [
        "| | sent | taken a second | a CPU second | p50, ms | p95 | p99 | most | picks a commit | peak MB |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        got = row.received
        sent = "backlog" if row.rate is None else f"{row.rate:,} a second"
        # Of a backlog the delay is how long it had waited.
        delays = [f"{ms:.0f}" for ms in got.delays_ms or ()] if row.rate else []
        speeds = ["–" if one is None else f"{one:,.0f}" for one in (row.per_second, row.per_cpu_second)]
        if row.rate:
            speeds[0] = "–"
        batch = f"{got.number / got.batches:.0f}" if got.batches else "–"
        cells = [row.way, sent, *speeds, *(delays or ["–"] * 4)]
        lines.append("| " + " | ".join([*cells, batch, f"{got.peak_mb:.0f}"]) + " |")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs, prints the table, and writes NAME.json and NAME.md with `--out`; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.collect_load", description=__doc__)
    parser.add_argument("--out", type=Path, metavar="FOLDER")
    parser.add_argument("--name", default="collect-load", help="of the files")
    parser.add_argument("--postgres", metavar="URL", help="an empty database to be used as well")
    args = parser.parse_args(argv)
    machine = describe()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        stores = [f"sqlite:///{folder / 'picks.db'}", *filter(None, [args.postgres])]
        rows = run(folder, stores)
    said = [f"# edge-collect under load: {machine.cpu}, {machine.cores} cores", ""]
    if machine.busy:
        said += [f"**Provisional**: other programs were running (load {machine.load_1min}).", ""]
    said += [
        f"{STATIONS:,} stations over {CONNECTIONS} connections, {message_bytes(STATIONS)} bytes a pick; "
        f"a backlog has {BACKLOG:,} picks, and live lasts {LIVE_S} s.",
        "",
        table(rows),
        "",
        f"Command: `python -m benchmarks.collect_load{' --postgres URL' if args.postgres else ''}`. The "
        "receiver has one core; the broker, the stations and the database share what there is. Delays are "
        "from sending to commit.",
        "",
    ]
    print("\n".join(said))
    if args.out:
        results: dict[str, Any] = {
            "machine": asdict(machine),
            "stations": STATIONS,
            "connections": CONNECTIONS,
            "rows": [asdict(row) for row in rows],
        }
        (args.out / f"{args.name}.json").write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
        (args.out / f"{args.name}.md").write_text("\n".join(said))
    return 0


if __name__ == "__main__":
    sys.exit(main())
