"""A record of synthetic earthquakes, and what edge-pick makes of it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
from pymseed import MS3TraceList, nslc2sourceid

from edge.pick import Pick
from firmware_bridge.synthetic import synthetic_earthquake

_EARTHQUAKES = 120
_START_NS = 1_700_000_000 * 10**9
_DAY_NS = 86_400 * 10**9


def write_record(path: Path, day: int = 0) -> Path:
    """The same earthquakes, one a minute, on a day of their own: other picks."""
    ground = np.concatenate([synthetic_earthquake(seed).samples for seed in range(_EARTHQUAKES)])
    with MS3TraceList() as traces:
        for letter, column in zip("ZNE", ground.T, strict=True):
            name = nslc2sourceid("XX", "SYN", "00", f"HH{letter}")
            start_ns = _START_NS + day * _DAY_NS
            traces.add_data(name, np.ascontiguousarray(column), "i", 100.0, starttime=start_ns)
        traces.to_file(path, format_version=3)
    return path


def replay(record: Path) -> list[str | Path]:
    """The command that prints the picks of a record."""
    return [sys.executable, "-m", "edge.cli", "--replay", record, "--early", "--json"]


def straight_replay(record: Path) -> list[Pick]:
    """What edge-pick prints of a record when nothing fails."""
    out = subprocess.run(replay(record), check=True, capture_output=True).stdout
    return printed(out)


def printed(out: bytes) -> list[Pick]:
    """The picks of whole lines; a kill may have cut the last one."""
    return [Pick.from_json(line) for line in out.decode().splitlines(keepends=True) if line.endswith("\n")]
