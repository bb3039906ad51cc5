"""The station as a process: how fast it is there, what it holds, and how fast it goes through an archive."""

import json
import re
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from pymseed import DataEncoding, MS3TraceList, nslc2sourceid

from benchmarks.bench.child import Usage
from benchmarks.bench.ground import RATE, START_NS, Counts, lasting
from firmware_bridge.simulator import PtyDigitizer, packets_of

LIVE_S = 120
LIMIT_S = 300
IMPORTS = 5
PICKED = re.compile(r"(\d+) P, (\d+) S picked")


@dataclass(frozen=True, slots=True)
class Started:
    """`edge-pick --device` on a pseudo-terminal that plays `LIVE_S` seconds as fast as they are read.

    `import_s`: median of `IMPORTS` fresh processes. From the program's start: `open_s` until the port is
    open, after which no byte is missed, and `first_sample_s` until the digitizer was recognised and its first
    samples were taken; a quarter of a second of that the simulator waits after the port is opened.
    `peak_rss_mb`: of the whole run, picks included.
    """

    import_s: float
    open_s: float
    first_sample_s: float
    peak_rss_mb: float


@dataclass(frozen=True, slots=True)
class Replayed:
    """`edge-pick --replay` of MiniSEED: `signal_s` of three components at 100 Hz in records of
    `record_bytes`, None for files given. `wall_s` from start to exit."""

    record_bytes: int | None
    megabytes: float
    signal_s: float
    wall_s: float
    cpu_s: float
    peak_rss_mb: float
    picks: int


def start(model: Path, ground: Counts) -> Started:
    """Starts it, lets it pick, and stops it. RuntimeError, in one line, if it does not do so."""
    importing = [sys.executable, "-c", "import time; t = time.perf_counter(); import edge.cli; "
                 "print(time.perf_counter() - t)"]  # fmt: skip
    imports_s = [
        float(subprocess.run(importing, capture_output=True, check=True).stdout) for _ in range(IMPORTS)
    ]
    marks: dict[str, float] = {}
    lines: list[str] = []
    samples = lasting(ground, LIVE_S)
    with PtyDigitizer(packets_of(samples, RATE, START_NS), speed=0) as digitizer:
        began_s = time.perf_counter()
        process = _edge_pick("--device", digitizer.device, "--model", str(model))

        def read() -> None:
            assert process.stderr
            for line in process.stderr:
                for mark, words in (("open", ": open"), ("first", "good packets")):
                    if words in line:
                        marks.setdefault(mark, time.perf_counter() - began_s)
                lines.append(line)

        reader = threading.Thread(target=read)
        reader.start()
        try:
            digitizer.wait(LIMIT_S)
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(LIMIT_S)
        finally:
            process.kill()
            reader.join()
    usage = _usage(lines)
    if marks.keys() != {"open", "first"}:
        raise RuntimeError(f"edge-pick took no samples from the simulator: {''.join(lines)[-300:]}")
    return Started(statistics.median(imports_s), marks["open"], marks["first"], usage.peak_rss_mb)


def replay(model: Path, files: Sequence[Path], signal_s: float, record_bytes: int | None) -> Replayed:
    """Goes through files that hold so many seconds. RuntimeError, in one line, if it cannot."""
    began_s = time.perf_counter()
    process = _edge_pick("--replay", *map(str, files), "--model", str(model))
    assert process.stderr
    lines = list(process.stderr)
    status = process.wait()
    wall_s = time.perf_counter() - began_s
    counts = PICKED.search("".join(lines))
    if status or not counts:
        raise RuntimeError(f"edge-pick did not run to its end: {''.join(lines[:-1])[-300:].strip()}")
    usage = _usage(lines)
    return Replayed(
        record_bytes=record_bytes,
        megabytes=sum(path.stat().st_size for path in files) / 1e6,
        signal_s=signal_s,
        wall_s=wall_s,
        cpu_s=usage.cpu_s,
        peak_rss_mb=usage.peak_rss_mb,
        picks=sum(map(int, counts.groups())),
    )


def replay_made(model: Path, ground: Counts, seconds: int, record_bytes: int) -> Replayed:
    """Writes so many seconds of ground motion as MiniSEED 2, Steim-2, and goes through them."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "day.mseed"
        write_miniseed(path, lasting(ground, seconds), record_bytes)
        return replay(model, [path], seconds, record_bytes)


def write_miniseed(path: Path, samples: Counts, record_bytes: int) -> None:
    """Counts (n, 3) of Z, N, E at 100 Hz."""
    with MS3TraceList() as traces:
        for letter, column in zip("ZNE", samples.T, strict=True):
            name = nslc2sourceid("XX", "BENCH", "00", f"HH{letter}")
            traces.add_data(name, np.ascontiguousarray(column, np.int32), "i", RATE, starttime=START_NS)
        traces.to_file(path, format_version=2, max_record_length=record_bytes, encoding=DataEncoding.STEIM2)


def _edge_pick(*arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "benchmarks.bench.child", *arguments, "--json"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def _usage(lines: Sequence[str]) -> Usage:
    try:
        return Usage(**json.loads(lines[-1]))
    except (IndexError, ValueError, TypeError):
        raise RuntimeError(f"edge-pick did not run to its end: {''.join(lines)[-300:].strip()}") from None
