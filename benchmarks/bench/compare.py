"""Peers on the same ground motion, in one process and in the same order in every round."""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from tqdm import tqdm

from benchmarks.bench.ground import Counts
from benchmarks.bench.peers import (
    AGAIN,
    AGAIN_LONG,
    AR_PICKER,
    PHASENET_TF,
    PHASENET_TORCH,
    STA_LTA,
    STEP,
    WHOLE,
    Contestant,
    contestants,
    setting,
)
from edge.backend import LiteRT

ROUND_S = 0.1
"""CPU time that a contestant gets in a round, about."""
FEWEST_CALLS, MOST_CALLS = 3, 1000
INVOKES = 2000
OFFICIAL = "ai_edge_litert.tools.benchmark_litert_model"


@dataclass(frozen=True, slots=True)
class Contest:
    """One contestant: mean CPU time of a call, all threads of the process; median and range of the rounds.
    `reruns`: it takes its window whole at each call, so that it may be called at any interval."""

    name: str
    parameters: int | None
    cpu_us: float
    least_us: float
    most_us: float
    reruns: bool


@dataclass(frozen=True, slots=True)
class Ratio:
    """CPU time for a second of signal, of one contestant over that of another, in each round."""

    what: str
    median: float
    least: float
    most: float
    aim: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """`hop_s`: seconds of signal of one of our calls. `litert_benchmark_us`: the official tool's median
    invoke, `invoke_us` ours, repeated likewise on inputs that do not change. `missing`: what was not
    compared, with the reason."""

    rounds: int
    hop_s: float
    contestants: list[Contest]
    ratios: list[Ratio]
    invoke_us: float
    litert_benchmark_us: float | None
    missing: dict[str, str]


def compare(model: Path, ground: Counts, rounds: int) -> Comparison:
    """All contestants there are. Raises as readers of models do."""
    given = setting(model, ground)
    hop_s = given.card.stream.hop / given.card.input.rate_hz
    with _silence():
        found, missing = contestants(given)
    calls = {one.name: warmed_up(one) for one in found}
    costs: dict[str, list[float]] = {one.name: [] for one in found}
    for _ in tqdm(range(rounds), "comparing", unit="round", disable=not sys.stderr.isatty()):
        for one in found:
            costs[one.name].append(cpu_us(one, calls[one.name]))
    official = litert_benchmark_us(model)
    if official is None:
        missing["litert-benchmark"] = "not part of the TFLite runtime that is installed"
    return Comparison(
        rounds=rounds,
        hop_s=hop_s,
        contestants=[
            Contest(
                name=one.name,
                parameters=one.parameters,
                cpu_us=statistics.median(costs[one.name]),
                least_us=min(costs[one.name]),
                most_us=max(costs[one.name]),
                reruns=one.reruns,
            )
            for one in found
        ],
        ratios=ratios(costs, hop_s),
        invoke_us=invoke_us(model),
        litert_benchmark_us=official,
        missing=missing,
    )


def warmed_up(one: Contestant) -> int:
    """Calls it until it has run for a while; how many calls a round shall have."""
    cpu_us(one, FEWEST_CALLS)
    cost_us = cpu_us(one, 10 * FEWEST_CALLS)
    return max(FEWEST_CALLS, min(MOST_CALLS, round(ROUND_S * 1e6 / cost_us)))


def cpu_us(one: Contestant, calls: int) -> float:
    """Mean CPU time of so many calls."""
    one.ready(calls)
    began_ns = time.process_time_ns()
    for _ in range(calls):
        one.call()
    return (time.process_time_ns() - began_ns) / 1000 / calls


def ratios(costs: Mapping[str, Sequence[float]], hop_s: float) -> list[Ratio]:
    """Of those that were compared. A peer's window is taken once a second, which favours it, but for the
    STA/LTA, which is taken at each of our hops."""
    wanted = [
        (f"{AGAIN_LONG} / {STEP}", AGAIN_LONG, STEP, 1.0, "≥ 10"),
        (f"{AGAIN} / {STEP}", AGAIN, STEP, 1.0, "≥ 10"),
        (f"{PHASENET_TF} / {STEP}", PHASENET_TF, STEP, 1.0, "≥ 30"),
        (f"{PHASENET_TORCH} / {STEP}", PHASENET_TORCH, STEP, 1.0, "≥ 30"),
        (f"{WHOLE} / {STA_LTA}", WHOLE, STA_LTA, hop_s, "≤ 1"),
        (f"{AR_PICKER} / {WHOLE}", AR_PICKER, WHOLE, 1.0, ""),
    ]
    found = []
    for what, above, below, again_s, aim in wanted:
        if not (above in costs and below in costs):
            continue
        per_s = [
            np.array(costs[name]) / (hop_s if name in (WHOLE, STEP) else again_s) for name in (above, below)
        ]
        by_round = per_s[0] / per_s[1]
        middle, least, most = (float(value) for value in np.percentile(by_round, (50, 0, 100)))
        found.append(Ratio(what, middle, least, most, aim))
    return found


def invoke_us(model: Path) -> float:
    """Median time to fill the inputs, invoke and read the outputs, again and again."""
    backend = LiteRT(model)
    tensors = {spec.name: np.zeros(spec.shape, spec.dtype) for spec in backend.describe().inputs}
    times_ns = []
    for _ in range(INVOKES):
        began_ns = time.perf_counter_ns()
        backend.invoke(tensors)
        times_ns.append(time.perf_counter_ns() - began_ns)
    return statistics.median(times_ns) / 1000


def litert_benchmark_us(model: Path) -> float | None:
    """Median invoke by the tool that comes with ai-edge-litert as `litert-benchmark`; None without it."""
    if not _is_there(OFFICIAL):
        return None
    with TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        options = {"model": model, "num_runs": INVOKES, "num_threads": 1, "result_json": result}
        words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
        done = subprocess.run([sys.executable, "-m", OFFICIAL, *words], capture_output=True, check=False)
        if done.returncode or not result.exists():
            return None
        return 1000 * float(json.loads(result.read_text())["latency"]["median_ms"])


@contextmanager
def _silence() -> Iterator[None]:
    """What converters and runtimes say while networks are built is for nobody; errors are raised."""
    kept = [(stream, os.dup(stream)) for stream in (1, 2)]
    with open(os.devnull, "wb") as nowhere:
        for stream, _ in kept:
            os.dup2(nowhere.fileno(), stream)
    try:
        yield
    finally:
        for stream, copy in kept:
            os.dup2(copy, stream)
            os.close(copy)


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ImportError:
        return False
