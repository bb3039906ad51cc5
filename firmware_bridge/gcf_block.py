"""Blocks of Güralp Compressed Format (GCF), both ways: consecutive samples of one channel, or text.

A block has up to 1024 bytes, all fields big-endian; in a file each one is padded to 1024:

| offset | bytes | field                                                                      |
|--------|-------|----------------------------------------------------------------------------|
| 0      | 4     | system id: digits and capitals in base 36, and flags (`system_of`)          |
| 4      | 4     | stream id in base 36: serial number, component letter, tap, as in 6018Z2     |
| 8      | 4     | 15 bits days since 1989-11-17, 17 bits second of the day, 86400 in a leap second |
| 12     | 1     | filter table, or reserved                                                  |
| 13     | 1     | rate in Hz up to 250, or a code of `_RATES`; 0: the block is text           |
| 14     | 1     | low 3 bits: differences in a record, 1 (int32), 2 (int16) or 4 (int8)        |
| 15     | 1     | number of 32-bit records                                                   |
| 16     | 4     | int32 first sample                                                         |
| 20     | 4 n   | records: difference of each sample to the one before, the first being 0     |
| 20+4n  | 4     | int32 last sample, which the differences must lead to                       |

Above 250 Hz a block may start between whole seconds: the upper bits of byte 14 (high nibble, then bit 3
as its 16s) are the numerator of that fraction, whose denominator goes with the rate. Up to 250 Hz they
mean nothing. In a frame, int32 differences of a 24-bit digitizer may be cut to their lower three bytes.
A text block has its text from byte 16, four characters a record. Format: Güralp MAN-D24-0004, chapter 8.
"""

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BLOCK_BYTES = 1024
"""A block in a file."""
HEADER_BYTES = 16

_NS = 1_000_000_000
_DAY_S = 86_400
_EPOCH_S = 627_264_000  # 1989-11-17
_DAYS = 1 << 15
_HEADER = struct.Struct(">IIIBBBB")
_END = struct.Struct(">i")
_MOST_RECORDS = (BLOCK_BYTES - HEADER_BYTES - 2 * _END.size) // 4
_CODED_RATES = {
    157: (0.1, 1), 161: (0.125, 1), 162: (0.2, 1), 164: (0.25, 1), 167: (0.5, 1), 171: (400.0, 8),
    174: (500.0, 2), 175: (800.0, 16), 176: (1000.0, 4), 179: (2000.0, 8), 181: (4000.0, 16),
    182: (625.0, 5), 191: (1250.0, 5), 193: (2500.0, 10), 194: (5000.0, 20),
}  # fmt: skip
_RATES = {rate: (float(rate), 1) for rate in range(1, 251)} | _CODED_RATES
"""By rate byte: rate in Hz and denominator of the fraction of a second at which a block may start."""
_CODES = {rate: code for code, (rate, _) in _RATES.items()}
_DIGITIZERS = {(1, 0): "DM24", (1, 1): "CD24", (2, 0): "Affinity", (2, 1): "Minimus"}


def system_of(word: int) -> tuple[str, dict[str, str | int]]:
    """Name in a system id, and what its flags say: "digitizer" and, if there is a variable one, "gain".

    Bit 31 alone (extended) leaves 26 bits to the name, bits 31 and 30 (double extended) leave 21; then bit
    26 is the type and bits 27-29 are the gain: 1 … 7 for factors of 1, 2, 4 … 64.
    """
    if not word >> 31:
        return np.base_repr(word, 36), {}
    extended = 1 + (word >> 30 & 1)
    flags: dict[str, str | int] = {"digitizer": _DIGITIZERS[extended, word >> 26 & 1]}
    if gain := word >> 27 & 7:
        flags["gain"] = 1 << gain - 1
    return np.base_repr(word & (1 << (26 if extended == 1 else 21)) - 1, 36), flags


@dataclass(frozen=True, slots=True)
class Header:
    """The first 16 bytes of a block. `system`, `stream`: ids as numbers. `rate`: Hz, 0 for text. `code`:
    differences in a record.

    `start_ns`: UTC; in a leap second, whose number is that of no other second of the day, it is that of
    the midnight which follows, as int64 nanoseconds have no other way to say it.
    """

    system: int
    stream: int
    start_ns: int
    rate: float
    code: int
    records: int

    @classmethod
    def read(cls, raw: bytes) -> "Header | None":
        """None where these 16 bytes can be no header."""
        system, stream, date, _, rate_code, code, records = _HEADER.unpack(raw)
        rate, denominator = _RATES.get(rate_code, (0.0, 1))
        numerator = code >> 4 | (code & 8) << 1 if rate > 250 else 0
        second = date & 0x1FFFF
        if (
            code & 7 not in (1, 2, 4)
            or not 1 <= records <= _MOST_RECORDS + (0 if rate else 2)
            or not (rate or rate_code == 0)
            or numerator >= denominator
            or second > _DAY_S + 1  # the manual allows for two leap seconds
            or stream >> 31
        ):
            return None
        start_s = _EPOCH_S + (date >> 17) * _DAY_S + second
        start_ns = start_s * _NS + numerator * _NS // denominator
        return cls(system, stream, start_ns, rate, code & 7, records)

    @property
    def stream_id(self) -> str:
        return np.base_repr(self.stream, 36)

    @property
    def samples(self) -> int:
        return self.records * self.code

    @property
    def body_bytes(self) -> int:
        """Between header and padding."""
        return 4 * self.records + (2 * _END.size if self.rate else 0)

    def fits(self, size: int) -> bool:
        """Whether a frame's block may have this size in bytes."""
        whole = HEADER_BYTES + self.body_bytes
        if self.rate:
            return size == whole or (self.code == 1 and size == whole - self.records)
        return whole <= size <= BLOCK_BYTES


def read_samples(header: Header, body: bytes) -> NDArray[np.int32] | None:
    """Samples of a block, int32 of shape (n,); None if they do not end as the block says, or start anew.

    `body`: from the first sample to the last, as long as `Header.fits` allows. Sums wrap as int32 do, or as
    24 bits do where differences were cut to these.
    """
    (first,) = _END.unpack_from(body)
    (last,) = _END.unpack_from(body, len(body) - _END.size)
    raw = body[_END.size : -_END.size]
    width = len(raw) // header.samples
    if width == 3:
        # One byte further up, so that the sums wrap as 24 bits; shifting back down extends the sign.
        wide = np.zeros((header.samples, 4), np.uint8)
        wide[:, :3] = np.frombuffer(raw, np.uint8).reshape(-1, 3)
        sums = np.cumsum(wide.view(">i4")[:, 0], dtype=np.int32)
        samples = (sums + (np.int32(first) << np.int32(8))) >> 8
    else:
        samples = first + np.cumsum(np.frombuffer(raw, f">i{width}"), dtype=np.int32)
    return samples if samples[0] == first and samples[-1] == last else None


def start_step(rate: float) -> tuple[int, int]:
    """Rate byte of a rate in Hz, and into how many equal steps a second is cut for starts of blocks.

    Raises ValueError for a rate that GCF has not.
    """
    if rate not in _CODES:
        coded = ", ".join(f"{known:g}" for known, _ in _CODED_RATES.values())
        raise ValueError(
            f"GCF has no {rate:g} Hz: use {coded}, or a whole number up to 250 "
            f"other than {', '.join(map(str, _CODED_RATES))}"
        )
    return _CODES[rate], _RATES[_CODES[rate]][1]


def write_block(system: str, stream: str, start_ns: int, rate: float, samples: NDArray[np.int32]) -> bytes:
    """One block at its real length; `ljust(BLOCK_BYTES, b"\\0")` makes it that of a file.

    `system`, `stream`: up to six digits and capitals. `start_ns`: UTC, on a whole second or, above 250 Hz,
    on a fraction that goes with the rate. `samples`: int32 of shape (n,), as many as fill 1 … 250
    records; the differences are written as small as they and n allow. Raises ValueError for what a block
    cannot carry.
    """
    rate_code, denominator = start_step(rate)
    second, fraction_ns = divmod(start_ns, _NS)
    day, second = divmod(second - _EPOCH_S, _DAY_S)
    numerator, rest_ns = divmod(fraction_ns, _NS // denominator)
    if rest_ns:
        step = "whole second" if denominator == 1 else f"multiple of 1/{denominator} s"
        raise ValueError(f"start time {start_ns} ns: at {rate:g} Hz a GCF block starts on a {step}")
    if not 0 <= day < _DAYS:
        raise ValueError(f"start time {start_ns} ns: GCF has dates from 1989-11-17 to 2079-08-04 only")
    differences = np.diff(samples.astype(np.int64), prepend=samples[:1])
    low, high = differences.min(initial=0), differences.max(initial=0)
    code = next(
        code
        for code, limit in ((4, 1 << 7), (2, 1 << 15), (1, 1 << 32))
        if len(samples) % code == 0 and low >= -limit and high < limit
    )
    records = len(samples) // code
    if not 1 <= records <= _MOST_RECORDS:
        raise ValueError(f"a GCF block has 1 … {_MOST_RECORDS} records, not the {records} of these samples")
    header = _HEADER.pack(
        _id_word(system),
        _id_word(stream),
        day << 17 | second,
        0,
        rate_code,
        (numerator & 15) << 4 | (numerator & 16) >> 1 | code,
        records,
    )
    body = differences.astype(np.int32).astype(f">i{4 // code}").tobytes()  # int32 first: it wraps
    return header + _END.pack(int(samples[0])) + body + _END.pack(int(samples[-1]))


def _id_word(name: str) -> int:
    word = int(name, 36)
    if word >> 31:
        raise ValueError(f"{name} is no GCF id: use up to six digits and capitals, ZIK0ZJ at most")
    return word
