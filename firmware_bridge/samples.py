"""Rows of one sample per channel, as text protocols send them, joined into packets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.packet import Clock, Packet, Stream, channel_codes
from firmware_bridge.stats import DecoderStats

ROWS_PER_PACKET = 10
"""Rows in a packet, and the fewest in a row that are believed."""
ROWS_TO_LEARN = 64
"""Rows whose times tell the sample rate."""
INT32 = range(-(1 << 31), 1 << 31)
"""What samples may be, fractions included."""

_RATES = (10, 20, 25, 31.25, 40, 50, 62.5, 80, 100, 125, 200, 250, 400, 500, 800, 1000)
_RATE_LIMITS = (1.0, 2000.0)
_RESOLUTION_NS = 1_000_000
_MISFITS = 3
_NS = 1_000_000_000
_WRAP = 1 << 32

Row = tuple[int | None, tuple[float, ...], int]
"""Time (ns, None where rows carry none), one sample per channel, bytes on the wire."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What stays the same from row to row.

    `components`: last letters of the channel codes. `prefix`: their first two, "" where the wire names
    none. `rate`: Hz, None where unknown. `clock`: who tells the rows' times, None where they carry none.
    """

    identity: tuple[str, str, str]
    components: str
    prefix: str
    rate: float | None
    clock: Clock | None

    def stream(self, rate: float | None) -> Stream:
        """Identity with channel codes; an unnamed instrument is a short-period seismometer."""
        if not self.prefix:
            return Stream(*self.identity, channel_codes(rate, "H", self.components))
        return Stream(*self.identity, tuple(self.prefix + letter for letter in self.components))


def snap_rate(rate: float, nominal: Sequence[float] = _RATES, within: float = 0.01) -> float:
    """The rate (Hz) of `nominal` that lies `within` this fraction, else the measured one, to 0.01 Hz."""
    nearest = min(nominal, key=lambda known: abs(known - rate))
    return float(nearest) if abs(rate / nearest - 1) <= within else round(rate, 2)


def steady_step(times: Sequence[float], resolution: float = 0.0) -> float | None:
    """Mean step of times that rise steadily, else None.

    Two thirds of the steps must lie within half a step, or within `resolution`, of their median; the
    others (late or lost rows) do not count.
    """
    steps = [after - before for before, after in pairwise(times)]
    typical = median(steps)
    tolerance = max(typical / 2, resolution)
    good = [step for step in steps if abs(step - typical) <= tolerance]
    return fmean(good) if typical > 0 and 3 * len(good) >= 2 * len(steps) else None


def stretch(columns: list[Any]) -> NDArray[np.int32] | NDArray[np.float64]:
    """Lists of samples as columns, int32 or, where one has a fraction, float64.

    ValueError unless they are lists of numbers within the range of int32, equally long and not empty.
    """
    if not all(isinstance(column, list) and column for column in columns):
        raise ValueError("samples are no lists")
    if len({len(column) for column in columns}) != 1 or not {int, float}.issuperset(
        kind for column in columns for kind in map(type, column)
    ):
        raise ValueError("samples are no numbers, or not as many for each component")
    values = np.array(columns).T
    if values.dtype.kind not in "if" or not (values >= INT32.start).all() or not (values < INT32.stop).all():
        raise ValueError("samples are outside the range of int32")
    if values.dtype.kind == "i":
        return np.ascontiguousarray(values, np.int32)
    return np.ascontiguousarray(values, np.float64)


def to_ns(time: float, unit_ns: int) -> int:
    """A time in nanoseconds; a float keeps the digits it has."""
    whole = int(time)
    return whole * unit_ns + round((time - whole) * unit_ns)


def check_shape(samples: NDArray[np.int32], n: int) -> None:
    """ValueError unless these are n samples of Z, N, E as integers, as encoders take them."""
    if samples.shape != (n, 3) or samples.dtype.kind != "i":
        raise ValueError(
            f"one packet takes integers of shape {(n, 3)}, got {samples.dtype} of {samples.shape}"
        )


class WrappingCounter:
    """A 32-bit counter of milliseconds or microseconds that goes on where the device's wraps around."""

    def __init__(self) -> None:
        self._last = 0

    def unwrap(self, value: float) -> float:
        """The count nearest to the last one: a damaged value leads astray only itself. What does not fit
        32 bits does not wrap."""
        if abs(value) < _WRAP:
            value += (self._last - int(value) + _WRAP // 2) // _WRAP * _WRAP
            self._last = int(value)
        return value


class Rows:
    """Joins rows to packets of `ROWS_PER_PACKET`; counts in `stats`.

    `meta` goes into every packet. A packet never spans known damage (`end`) nor a jump in time: it ends
    early there. Between two of these, fewer rows than a packet has are no evidence: they are skipped.

    Rows with times and without a known rate wait until `ROWS_TO_LEARN` of them tell it: the mean of
    their steady steps, snapped to a usual rate within 1 %. If the times are not steady these rows are
    skipped. The rate is learnt anew after three stretches in a row that ended in a jump before they made
    a packet. A row's time fits when it lies within half a sample, or 1 ms, of where the rows before
    lead; one row alone may be late, two in a row are a jump. A packet's start is the median of what its
    rows say, so that times in whole milliseconds make no jumps. Its `wire_bytes` are those of its last
    row: the others were sent before that was sampled.
    """

    def __init__(self, stats: DecoderStats, meta: Mapping[str, str]) -> None:
        self._stats = stats
        self._meta = meta
        self._layout: Layout | None = None
        self._rate: float | None = None
        self._rows: list[Row] = []
        self._due_ns: float | None = None  # time of the packet's first row, from the one before
        self._next_ns: float | None = None  # the same, for the count of jumps
        self._believed = False  # this stretch has made a packet
        self._late = False  # the last row
        self._misfits = 0
        self.given_up = 0
        """How often the rows' times fitted no rate, or the learnt one no more."""

    def add(self, layout: Layout, row: Row) -> list[Packet]:
        """The packets that this row completes. Samples are int, within `INT32`, or finite float."""
        packets: list[Packet] = []
        if layout != self._layout:
            packets = self.end()
            self._layout, self._rate = layout, layout.rate
            self._next_ns, self._misfits = None, 0
        if layout.clock is None or self._rate is not None:
            return packets + self._place(layout, row)
        self._rows.append(row)
        return packets + self._learn(layout) if len(self._rows) == ROWS_TO_LEARN else packets

    def end(self) -> list[Packet]:
        """Known damage: what comes next does not follow."""
        rows, self._rows = self._rows, []
        packets = []
        if rows and self._believed and self._layout:
            packets = [self._packet(self._layout, rows)]
        else:
            self._stats.skipped_bytes += sum(size for _, _, size in rows)
        self._believed = self._late = False
        self._due_ns = None
        return packets

    def _learn(self, layout: Layout) -> list[Packet]:
        step_ns = steady_step(
            [time_ns for time_ns, _, _ in self._rows if time_ns is not None], _RESOLUTION_NS
        )
        rate = _NS / step_ns if step_ns else 0.0
        if not _RATE_LIMITS[0] <= rate <= _RATE_LIMITS[1]:
            self.given_up += 1
            return self.end()
        self._rate = snap_rate(rate)
        rows, self._rows = self._rows, []
        return [packet for row in rows for packet in self.add(layout, row)]

    def _place(self, layout: Layout, row: Row) -> list[Packet]:
        late = self._is_late(row[0])
        self._rows.append(row)
        if late and self._late:
            self._rows, astray = self._rows[:-2], self._rows[-2:]
            self._misfits = 0 if self._believed else self._misfits + 1
            packets = self.end()
            if self._misfits == _MISFITS and layout.rate is None:
                self._rate, self._misfits = None, 0
                self.given_up += 1
            return packets + [packet for row in astray for packet in self.add(layout, row)]
        self._late = late
        if late or len(self._rows) < ROWS_PER_PACKET:
            return []
        full, self._rows = self._rows[:ROWS_PER_PACKET], self._rows[ROWS_PER_PACKET:]
        self._believed, self._misfits = True, 0
        return [self._packet(layout, full)]

    def _is_late(self, time_ns: int | None) -> bool:
        if time_ns is None or self._rate is None:
            return False
        if self._due_ns is None:
            self._due_ns = time_ns
        due_ns = self._due_ns + len(self._rows) * _NS / self._rate
        return self._off(time_ns, due_ns, self._rate)

    @staticmethod
    def _off(time_ns: float, due_ns: float, rate: float) -> bool:
        return abs(time_ns - due_ns) > max(_NS / rate / 2, _RESOLUTION_NS)

    def _packet(self, layout: Layout, rows: list[Row]) -> Packet:
        self._stats.good_packets += 1
        start_ns = self._start_ns(rows, self._rate) if layout.clock and self._rate else None
        values = np.array([samples for _, samples, _ in rows])
        return Packet(
            stream=layout.stream(self._rate),
            start_ns=start_ns,
            rate=self._rate,
            samples=values if values.dtype.kind == "f" else values.astype(np.int32),
            clock=layout.clock or "unknown",
            meta=self._meta,
            wire_bytes=rows[-1][2],
        )

    def _start_ns(self, rows: list[Row], rate: float) -> int:
        """Of the packet's first row; also leads to the next packet and counts the jump before this one."""
        first_ns = rows[0][0] or 0  # differences are exact, times since 1970 as float are not
        late_ns = [(row[0] or 0) - first_ns - k * _NS / rate for k, row in enumerate(rows)]
        start_ns = first_ns + round(median(late_ns))
        if self._next_ns is not None and self._off(start_ns, self._next_ns, rate):
            self._stats.time_jumps += 1
        self._due_ns = self._next_ns = start_ns + round(len(rows) * _NS / rate)
        return start_ns
