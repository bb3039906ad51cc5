"""The ground motion on which everything is measured: the same on every computer, or records given."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.record import read_record
from firmware_bridge.synthetic import synthetic_earthquake

RATE = 100
START_NS = 1_700_000_000 * 1_000_000_000
CYCLE_MIN = 10
QUIET_S = 20
"""A synthetic earthquake's record is noise for so long."""

Counts = NDArray[np.int32]


def cycle() -> Counts:
    """Ten minutes (60 000, 3) at 100 Hz of noise with one earthquake: six an hour, a lively sequence."""
    quiet = [synthetic_earthquake(seed).samples[: QUIET_S * RATE] for seed in range(1, 3 * CYCLE_MIN - 2)]
    return np.concatenate([synthetic_earthquake(0).samples, *quiet])


def ground_motion(records: Sequence[Path]) -> Counts:
    """Counts (n, 3) at 100 Hz in Z, N, E order: `cycle`, or what MiniSEED files of one instrument hold.
    ValueError, in one line, where they hold anything but a gapless stretch of 100 Hz, 60 s or longer."""
    if not records:
        return cycle()
    record = read_record(records)
    if record.rate != RATE:
        raise ValueError(f"{record.instrument} has {record.rate:g} Hz: give records of {RATE} Hz")
    if len(record.samples) < 60 * RATE:
        raise ValueError(f"{record.instrument}: {len(record.samples) / RATE:g} s are too short: give 60 s")
    return record.samples


def lasting(ground: Counts, seconds: float) -> Counts:
    """So many seconds of it, over and over."""
    return np.resize(ground, (round(seconds * RATE), 3))
