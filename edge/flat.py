"""Components that stand still: what no sensor does that is connected."""

import numpy as np

from edge.block import Block

FLAT_S = 30.0
"""A component that has not moved for so long is reported as dead."""
ROUNDING = 1e-12
"""Steps below this fraction of the largest sample are the resampler's rounding, no movement."""


class FlatWatch:
    """Tells once when a component stops moving, and once when it moves again."""

    def __init__(self, rate: float) -> None:
        self._limit = round(FLAT_S * rate)
        self._run = np.zeros(3, np.int64)  # samples since the component last moved
        self._told = np.zeros(3, bool)
        self._last = np.full(3, np.inf)
        self._largest = np.zeros(3)

    def feed(self, block: Block) -> list[str]:
        """Lines for the operator, seldom any."""
        samples = block.samples
        # Each component in one piece: the maximum of a long one is then much cheaper.
        self._largest = np.maximum(self._largest, np.abs(samples.T, order="C").max(axis=1))
        least = ROUNDING * self._largest
        # As a rule all of them move to the end, and no more need be known.
        if len(samples) > 1 and (np.abs(samples[-1] - samples[-2]) > least).all():
            self._run = np.zeros(3, np.int64)
        else:
            moved = np.abs(np.diff(samples, axis=0, prepend=self._last[None]))[::-1] > least
            self._run = np.where(moved.any(axis=0), moved.argmax(axis=0), self._run + len(samples))
        self._last = samples[-1]
        flat = self._run >= self._limit
        changed = flat != self._told
        if not changed.any():
            return []
        lines = []
        for k, code in enumerate(block.stream.channels):
            if code and changed[k]:
                self._told[k] = flat[k]
                state = f"constant for {FLAT_S:.0f} s, is the sensor connected?" if flat[k] else "moves again"
                lines.append(f"{block.stream.station_id}.{code}: {state}")
        return lines
