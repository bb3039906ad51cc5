"""Clocks: how long runs take, and how much of a core."""

import time
from dataclasses import dataclass, field
from typing import Self

import numpy as np

DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Times:
    """Many runs of one thing, each of which serves `signal_s` seconds of one station's signal.

    `first_us`: wall time of the very first run; the percentiles and `max_us`, wall time of the `runs` steady
    ones. `cpu_us`: mean CPU time of a steady run in all threads of the process, `cpu_p50_us` its median,
    which other programs on the computer disturb least. `realtime_factor`: seconds of signal a second of wall
    time.
    """

    signal_s: float
    runs: int
    first_us: float
    p50_us: float
    p95_us: float
    p99_us: float
    max_us: float
    cpu_us: float
    cpu_p50_us: float
    realtime_factor: float
    cpu_s_per_station_day: float


@dataclass(slots=True)
class Meter:
    """A stop-watch of wall and CPU time, nanoseconds: each time it is entered is a run."""

    wall_ns: list[int] = field(default_factory=list)
    cpu_ns: list[int] = field(default_factory=list)
    _since_ns: tuple[int, int] = (0, 0)

    def __enter__(self) -> Self:
        self._since_ns = time.process_time_ns(), time.perf_counter_ns()
        return self

    def __exit__(self, *_: object) -> None:
        wall_ns, cpu_ns = time.perf_counter_ns(), time.process_time_ns()
        self.cpu_ns.append(cpu_ns - self._since_ns[0])
        self.wall_ns.append(wall_ns - self._since_ns[1])

    def times(self, signal_s: float, warm_up: int) -> Times:
        """Its runs; the first `warm_up` count for `first_us` alone. ValueError if there are no more."""
        wall_us, cpu_us = (np.array(ns[warm_up:]) / 1000 for ns in (self.wall_ns, self.cpu_ns))
        if not len(wall_us):
            raise ValueError(f"{len(self.wall_ns)} runs are too few after a warm-up of {warm_up}")
        p50, p95, p99, most = (float(value) for value in np.percentile(wall_us, (50, 95, 99, 100)))
        return Times(
            signal_s=signal_s,
            runs=len(wall_us),
            first_us=self.wall_ns[0] / 1000,
            p50_us=p50,
            p95_us=p95,
            p99_us=p99,
            max_us=most,
            cpu_us=float(cpu_us.mean()),
            cpu_p50_us=float(np.median(cpu_us)),
            realtime_factor=signal_s * 1e6 / float(wall_us.mean()),
            cpu_s_per_station_day=float(cpu_us.mean()) * 1e-6 / signal_s * DAY_S,
        )
