"""Plain lines of numbers, one sampling instant each, as most sketches for hobby digitizers print them.

    millis,z,n,e
    48210,-1523,877,40
    48220,-1519,880,41

Separators are commas, semicolons, tabs or blanks, lines end in LF or CR LF. A sample may have a fraction.

What the columns are is declared, named by a header line, or inferred from 64 lines: one column is z, three
are z, n, e, and before z or z, n, e there may be a time: a first column that rises as steadily as a clock.
One that rises by one a line counts lines and is passed over, no time is read from it: millis at 1000 Hz
look the same, so a header or the operator must call them that. Anything else is not guessed but skipped.
A header may name the horizontals x, y instead. A time is in millis, micros (both may wrap at 2**32) or
seconds.

No checksum guards a line. A line with a number of columns of its own, with something that is no number or
no int32, or longer than 256 bytes is seen to be damaged, and with a time column so are missing lines and
damaged times. A digit that turned into another is not seen, nor, without a time column, a line that is
lost as a whole.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.packet import COMPONENT_ORDER, Clock, Packet
from firmware_bridge.samples import (
    INT32,
    ROWS_TO_LEARN,
    Layout,
    Rows,
    WrappingCounter,
    check_shape,
    steady_step,
    to_ns,
)
from firmware_bridge.stats import DecoderStats
from firmware_bridge.wire import NO_IDENTITY, Declared

_LONGEST_LINE = 256
_TIME_UNITS = {"millis": 1_000_000, "micros": 1_000, "seconds": 1_000_000_000}  # in ns
_TIME = "time"  # in a unit to be found out
_SKIP = "-"
_COMPONENTS = ("z", "n", "e", "x", "y")
_HEADER_NAMES = {
    **{name: name for name in (*_COMPONENTS, _TIME, _SKIP, *_TIME_UNITS)},
    "ms": "millis",
    "us": "micros",
    "s": "seconds",
    "t": _TIME,
    "timestamp": _TIME,
}
_USUAL = {1: ("z",), 2: (_TIME, "z"), 3: ("z", "n", "e"), 4: (_TIME, "z", "n", "e")}
_SEPARATORS = bytes.maketrans(b",;", b"  ")
_NUMBER_BEGINS = tuple(b"%c" % byte for byte in b"0123456789+-.")
_PRINTABLE = bytes(range(0x20, 0x7F)) + b"\t\r"
_WRAP = 1 << 32
_UTC_NS = 10**18
_LAST_NS = 9 * 10**18
_FAR = 10**18
_COUNTER = 0.9  # of the steps of a counter are 1


@dataclass(frozen=True, slots=True)
class _Columns:
    """Names of the columns, in words that say where to look."""

    names: tuple[str, ...]
    components: str  # as in COMPONENT_ORDER
    places: tuple[int, ...]  # of the components
    time_place: int | None
    time_unit: str

    @classmethod
    def named(cls, names: Sequence[str]) -> "_Columns":
        """ValueError unless there are samples of one instrument, no name twice, one time at most, and
        nothing else."""
        known = {*_COMPONENTS, _SKIP, *_TIME_UNITS}
        used = [name for name in names if name != _SKIP]
        times = [name for name in used if name in _TIME_UNITS]
        mixed = not {"n", "e"}.isdisjoint(used) and not {"x", "y"}.isdisjoint(used)
        doubled = len(set(used)) < len(used) or len(times) > 1
        if not set(names) <= known or doubled or mixed or len(used) == len(times):
            raise ValueError(
                f"columns {','.join(names)}: name each of z, n, e (or z, x, y) that there is once, at most "
                f"one of {', '.join(_TIME_UNITS)}, and - for each column to skip"
            )
        components = "".join(letter for letter in COMPONENT_ORDER if letter.lower() in used)
        return cls(
            names=tuple(names),
            components=components,
            places=tuple(names.index(letter.lower()) for letter in components),
            time_place=names.index(times[0]) if times else None,
            time_unit=times[0] if times else "",
        )


class Decoder:
    """Plain lines to packets of ten lines; does no I/O.

    `declared.columns`: names among z, n, e or z, x, y, millis, micros, seconds, and - for a column to skip;
    ValueError for others. `declared.rate`: goes before what the times tell, and is all there is without
    times; None then leaves the packets' rate None. `declared.unit` becomes `meta["unit"]`.

    Channels are those of a short-period seismometer (EHZ, EHN, EHE at 100 Hz). A time since 2001 or later
    is UTC of unknown provenance (clock "unknown"), a smaller one counts from an origin of its own (clock
    "device"). Without a time column `start_ns` is None and the clock "unknown".

    `firmware_bridge.samples.Rows` says how lines become packets: what a jump is, how the rate is learnt, and
    that fewer than ten good lines between two damaged ones are skipped. The very first line may be the
    rest of one: only a header is taken from it. Text that does not begin like a number is a comment: it is
    skipped, but is no damage, unless it has all the columns and only the first is no number: then it was a
    line of samples. After 64 lines in a row with another number of columns, what they are is inferred
    anew, and also when the inferred time column keeps no time.
    """

    def __init__(self, declared: Declared = Declared()) -> None:
        self.stats = DecoderStats()
        self._identity = declared.identity or NO_IDENTITY
        self._rate = declared.rate
        self._declared = declared.columns is not None
        self._columns = _Columns.named(declared.columns) if declared.columns is not None else None
        self._header: tuple[str, ...] = ()
        self._rows = Rows(self.stats, {"unit": declared.unit} if declared.unit else {})
        self._unsettled: list[tuple[tuple[float, ...], int]] = []  # values and bytes of such lines
        self._buffer = b""
        self._begun = False  # the first line is over
        self._overlong = False
        self._header_bytes = 0  # go to the line after
        self._counter = WrappingCounter()
        self._given_up = 0

    def feed(self, data: bytes) -> list[Packet]:
        """Take the next bytes, cut anywhere, and return the packets they complete.

        Samples are int32 of shape (n, channels) in Z, N, E or Z, X, Y order, or float64 where one has a
        fraction.
        """
        packets = []
        *lines, rest = (self._buffer + data).split(b"\n")
        for line in lines:
            packets += self._line(line)
            self._begun, self._overlong = True, False
        if self._overlong or len(rest) > _LONGEST_LINE:
            packets += self._damage(len(rest))
            self._overlong, rest = True, b""
        self._buffer = rest
        return packets

    def _line(self, line: bytes) -> list[Packet]:
        size = len(line) + 1
        if self._overlong or len(line) > _LONGEST_LINE:
            return self._damage(size)
        fields = line.translate(_SEPARATORS).split()
        values = _numbers(fields)
        if values and self._begun:
            size, self._header_bytes = size + self._header_bytes, 0
            return self._row(values, size)
        names = _header(fields)
        if names:
            self.stats.skipped_bytes += self._header_bytes
            self._header_bytes = size
            return self._rename(names)
        if values or not fields or (_is_comment(line) and not self._was_row(fields)):
            self.stats.skipped_bytes += size
            return []
        return self._damage(size)

    def _was_row(self, fields: list[bytes]) -> bool:
        """Whether all but the first of these are a line's columns."""
        if self._columns is None or len(fields) != len(self._columns.names):
            return False
        return len(fields) == 1 or _numbers(fields[1:]) is not None

    def _damage(self, size: int) -> list[Packet]:
        self.stats.skipped_bytes += size + self._header_bytes
        self._header_bytes = 0
        self._skip_unsettled()
        return self._rows.end()

    def _skip_unsettled(self) -> None:
        self.stats.skipped_bytes += sum(size for _, size in self._unsettled)
        self._unsettled = []

    def _rename(self, names: tuple[str, ...]) -> list[Packet]:
        """A header came."""
        if self._declared or names == self._header:
            return []
        self._skip_unsettled()
        self._header = names
        self._columns = None if _TIME in names else _Columns.named(names)
        return self._rows.end()

    def _row(self, values: tuple[float, ...], size: int) -> list[Packet]:
        if self._columns is not None and len(values) == len(self._columns.names):
            self._skip_unsettled()
            packets = self._place(self._columns, values, size)
            given_up, self._given_up = self._given_up, self._rows.given_up
            if given_up != self._given_up and not self._declared and self._columns.names != self._header:
                self._columns = None
            return packets
        if self._declared:
            return self._damage(size)
        packets = self._rows.end()
        if self._unsettled and len(self._unsettled[0][0]) != len(values):
            self._skip_unsettled()
        self._unsettled.append((values, size))
        if len(self._unsettled) < ROWS_TO_LEARN:
            return packets
        columns = _inferred([row for row, _ in self._unsettled], self._header)
        if columns is None:
            self._skip_unsettled()
            return packets
        self._columns = columns
        rows, self._unsettled = self._unsettled, []
        return packets + [packet for row, n in rows for packet in self._place(columns, row, n)]

    def _place(self, columns: _Columns, values: tuple[float, ...], size: int) -> list[Packet]:
        samples = tuple(values[place] for place in columns.places)
        if not all(INT32.start <= sample < INT32.stop for sample in samples):
            return self._damage(size)
        time_ns, clock = None, None
        if columns.time_place is not None:
            time = values[columns.time_place]
            if columns.time_unit != "seconds":
                time = self._counter.unwrap(time)
            time_ns = to_ns(time, _TIME_UNITS[columns.time_unit])
            if abs(time_ns) > _LAST_NS:
                return self._damage(size)
            clock = _clock(time_ns)
        layout = Layout(self._identity, columns.components, "", self._rate, clock)
        return self._rows.add(layout, (time_ns, samples, size))


class Encoder:
    """Samples to lines `millis,z,n,e`, a header before the first, ten packets a second.

    `rate`: 1 … 1000 Hz, else ValueError. Times are whole milliseconds, rounded down, modulo 2**32.
    """

    def __init__(self, rate: float) -> None:
        if not 1 <= rate <= 1000:
            raise ValueError(f"lines with milliseconds have no {rate:g} Hz: use 1 … 1000")
        self.samples_per_packet = max(1, round(rate / 10))
        self._rate = rate
        self._header = b"millis,z,n,e\r\n"

    def encode(self, start_ns: int, samples: NDArray[np.int32]) -> bytes:
        """One packet of lines, as `firmware_bridge.wire.Encoder` says."""
        check_shape(samples, self.samples_per_packet)
        header, self._header = self._header, b""
        times = [start_ns + round(k * 1e9 / self._rate) for k in range(len(samples))]
        rows = zip(times, samples.tolist(), strict=True)
        return header + b"".join(
            b"%d,%d,%d,%d\r\n" % (time_ns // 1_000_000 % _WRAP, z, n, e) for time_ns, (z, n, e) in rows
        )


def _number(field: bytes) -> float:
    try:
        return int(field)
    except ValueError:
        return float(field)


def _numbers(fields: list[bytes]) -> tuple[float, ...] | None:
    """The fields as int or float, None if there are none or one is no decimal number within `_FAR`."""
    values: tuple[float, ...]
    try:
        values = tuple(map(int, fields))
    except ValueError:  # fractions, or no numbers
        try:
            values = tuple(map(_number, fields))
        except ValueError:
            return None
    # Python alone takes 1_000 for a number.
    sane = all(-_FAR < value < _FAR for value in values) and not any(b"_" in field for field in fields)
    return values if values and sane else None


def _header(fields: list[bytes]) -> tuple[str, ...] | None:
    """Column names, if all fields are such and a component is among them."""
    text = b" ".join(fields).decode("latin-1").lower().lstrip("# ")
    names = tuple(_HEADER_NAMES.get(field, "") for field in text.split())
    try:
        _Columns.named(["seconds" if name == _TIME else name for name in names])
    except ValueError:
        return None
    return names


def _is_comment(line: bytes) -> bool:
    return not line.lstrip().startswith(_NUMBER_BEGINS) and not line.translate(None, _PRINTABLE)


def _inferred(rows: list[tuple[float, ...]], header: tuple[str, ...]) -> _Columns | None:
    """The columns as the header or else their number says, None where that does not tell."""
    count = len(rows[0])
    names = header if len(header) == count else _USUAL.get(count, ())
    if not names or (header == names and _TIME not in names):
        return _Columns.named(names) if names else None
    timed = _TIME in names
    rising = _rising([row[names.index(_TIME) if timed else 0] for row in rows])
    if timed != (rising is not None) and count > 1:
        return None  # a time that does not rise, or one where z should be
    return _Columns.named([rising if name == _TIME and rising else name for name in names])


def _rising(values: list[float]) -> str | None:
    """Name of a column that rises so: a time in the only unit in which its rate lies between 1.1 Hz and
    1.1 kHz, or one to skip that counts lines, whether or not some are lost or it wraps."""
    ones = sum(after - before == 1 for before, after in pairwise(values))
    if ones >= _COUNTER * (len(values) - 1):
        return _SKIP
    step = steady_step(values)
    if step is None or not 0.0009 <= step < 900_000:
        return None
    return "seconds" if step < 0.9 else "millis" if step < 900 else "micros"


def _clock(time_ns: int) -> Clock:
    return "unknown" if time_ns >= _UTC_NS else "device"
