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

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.columns import TIME, TIME_UNITS, Columns, header_names, inferred
from firmware_bridge.packet import Clock, Packet
from firmware_bridge.samples import (
    INT32,
    ROWS_TO_LEARN,
    Layout,
    Rows,
    WrappingCounter,
    check_shape,
    to_ns,
)
from firmware_bridge.stats import DecoderStats
from firmware_bridge.wire import NO_IDENTITY, Declared

_LONGEST_LINE = 256
_SEPARATORS = bytes.maketrans(b",;", b"  ")
_NUMBER_BEGINS = tuple(b"%c" % byte for byte in b"0123456789+-.")
_PRINTABLE = bytes(range(0x20, 0x7F)) + b"\t\r"
_WRAP = 1 << 32
_UTC_NS = 10**18
_LAST_NS = 9 * 10**18
_FAR = 10**18


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
        self._columns = Columns.named(declared.columns) if declared.columns is not None else None
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
        names = header_names(fields)
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
        self._columns = None if TIME in names else Columns.named(names)
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
        columns = inferred([row for row, _ in self._unsettled], self._header)
        if columns is None:
            self._skip_unsettled()
            return packets
        self._columns = columns
        rows, self._unsettled = self._unsettled, []
        return packets + [packet for row, n in rows for packet in self._place(columns, row, n)]

    def _place(self, columns: Columns, values: tuple[float, ...], size: int) -> list[Packet]:
        samples = tuple(values[place] for place in columns.places)
        if not all(INT32.start <= sample < INT32.stop for sample in samples):
            return self._damage(size)
        time_ns, clock = None, None
        if columns.time_place is not None:
            time = values[columns.time_place]
            if columns.time_unit != "seconds":
                time = self._counter.unwrap(time)
            time_ns = to_ns(time, TIME_UNITS[columns.time_unit])
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


def _is_comment(line: bytes) -> bool:
    return not line.lstrip().startswith(_NUMBER_BEGINS) and not line.translate(None, _PRINTABLE)


def _clock(time_ns: int) -> Clock:
    return "unknown" if time_ns >= _UTC_NS else "device"
