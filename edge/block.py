"""What the time line hands on: consecutive samples of one instrument."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.packet import Clock, Stream


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive samples of one instrument at the model's rate.

    `stream`: exactly three channel codes in Z, N, E (or Z, 1, 2) order, "" where the component is
    absent or silent. `start_ns`: int64 UTC nanoseconds of the first sample. `samples`: (n, 3) counts,
    zeros where a component is absent. `starts_segment`: the first block of all or after a break; what
    came before does not connect, so downstream state must be reset. `sigma_s`: standard error of
    `start_ns` where known. `rate`: samples per second of UTC, the model's but for the digitizer's
    oscillator, which passes through.
    """

    stream: Stream
    start_ns: int
    samples: NDArray[np.float64]
    rate: float
    clock: Clock
    starts_segment: bool
    sigma_s: float | None = None
