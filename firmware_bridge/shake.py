"""The Raspberry Shake datacast: lines of text, one channel each, by UDP as a rule.

    {'EHZ', 1580372810.003, 16235, 16274, 16295}

Channel code, time of the first sample in seconds since 1970 (UTC, to the millisecond), counts. Over UDP
each line is a datagram, with or without a newline at its end. The rate is not told: it follows from the
spacing of a channel's times. Format: manual.raspberryshake.org/udp.html.
"""

import re

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.packet import Packet, Stream, channel_codes
from firmware_bridge.spacing import RATES, RateFinder
from firmware_bridge.stats import DecoderStats
from firmware_bridge.wire import NO_IDENTITY, Declared

_LINE = re.compile(rb"\{'([A-Z0-9]{3})', ?(\d{1,10})(?:\.(\d{1,9}))?((?:, ?-?\d{1,10})+)\}")
_LONGEST_LINE = 4096
_MOST_CHANNELS = 16
_INT32 = np.iinfo(np.int32)
_TIME_LIMIT_MS = 10**13  # what ten digits of seconds can say: year 2286


class Decoder:
    """Text of a Raspberry Shake to packets of one channel each (`wire.Decoder`).

    The clock is "ntp", by which a Raspberry Shake keeps its time. Unless `declared.rate` tells the rate, it
    is found for each channel by `RateFinder`, and the first six packets or so of a channel wait for it.
    Lines are taken as they come: lost, doubled or reordered datagrams are counted as time jumps.
    A line counts only if it is whole: code of three capitals or digits, at least one count, all of them
    int32, 4096 bytes at most. Anything else, "TERM" too, is skipped. No checksum guards the digits.
    At most one line is held back between calls, beside the packets of up to 16 channels that wait for
    their rate; of more, the channel not heard of for longest is forgotten and its packets are skipped.
    """

    def __init__(self, declared: Declared = Declared()) -> None:
        self.stats = DecoderStats()
        self._identity = declared.identity or NO_IDENTITY
        self._rate = declared.rate
        self._finders: dict[str, RateFinder] = {}  # by channel code, the one heard last at the end
        self._buffer = bytearray()
        self._line_ended = False  # a newline now belongs to the good line before

    def feed(self, data: bytes) -> list[Packet]:
        """Take the next bytes, cut anywhere, and return the packets they settle, in wire order."""
        self._buffer += data
        packets: list[Packet] = []
        position = 0
        while position < len(self._buffer):
            if self._line_ended and self._buffer[position] in b"\r\n":
                position += 1
                continue
            self._line_ended = False
            start = self._buffer.find(b"{", position)
            if start < 0:
                start = len(self._buffer)
            self.stats.skipped_bytes += start - position
            position = start
            end = self._buffer.find(b"}", position, position + _LONGEST_LINE) + 1
            if not end and len(self._buffer) - position < _LONGEST_LINE:
                break
            packet = self._packet(bytes(self._buffer[position:end]))
            if packet is None:
                position += 1
                self.stats.skipped_bytes += 1
                continue
            self.stats.good_packets += 1
            packets += self._finder(packet.stream.channels[0]).feed(packet)
            self._line_ended = True
            position = end
        del self._buffer[:position]
        return packets

    def _packet(self, line: bytes) -> Packet | None:
        match = _LINE.fullmatch(line)
        if match is None:
            return None
        code, seconds, fraction, counts = match.groups()
        samples = np.array([int(count) for count in counts.split(b",")[1:]])
        if samples.min() < _INT32.min or samples.max() > _INT32.max:
            return None
        return Packet(
            stream=Stream(*self._identity, (code.decode(),)),
            start_ns=int(seconds + (fraction or b"").ljust(9, b"0")),
            rate=None,
            samples=samples.astype(np.int32)[:, None],
            clock="ntp",
            wire_bytes=len(line),
        )

    def _finder(self, code: str) -> RateFinder:
        finder = self._finders.pop(code, None) or RateFinder(self._rate, self.stats)
        self._finders[code] = finder
        if len(self._finders) > _MOST_CHANNELS:
            forgotten = self._finders.pop(next(iter(self._finders)))
            self.stats.skipped_bytes += sum(packet.wire_bytes for packet in forgotten.waiting)
        return finder


class Encoder:
    """Samples to lines as a Raspberry Shake sends them (`wire.Encoder`).

    `rate`: one of `spacing.RATES`. Raises ValueError for any other, which a decoder could not find.
    """

    def __init__(self, rate: float) -> None:
        if rate not in RATES:
            known = ", ".join(f"{known:g}" for known in RATES)
            raise ValueError(f"a Raspberry Shake datacast cannot tell {rate:g} Hz: use one of {known}")
        self.samples_per_packet = 25
        self._codes = channel_codes(rate, "H", "ZNE")

    def encode(self, start_ns: int, samples: NDArray[np.int32]) -> bytes:
        """Three lines, one each for Z, N, E, each with a newline at its end: over UDP one datagram a line.

        `start_ns`: UTC of the first sample; the wire has it in whole milliseconds. `samples`: int32 counts
        of shape (25, 3). Raises ValueError for other samples or a time before 1970 or after 2286.
        """
        if samples.shape != (self.samples_per_packet, 3) or samples.dtype != np.int32:
            raise ValueError(
                f"one packet takes int32 of shape (25, 3), got {samples.dtype} of {samples.shape}"
            )
        start_ms = (start_ns + 500_000) // 1_000_000
        if not 0 <= start_ms < _TIME_LIMIT_MS:
            raise ValueError(f"start time {start_ms} ms is outside 0 … {_TIME_LIMIT_MS - 1} (1970 … 2286)")
        time = f"{start_ms // 1000}.{start_ms % 1000:03d}"
        lines = (
            f"{{'{code}', {time}, {', '.join(map(str, column))}}}\n"
            for code, column in zip(self._codes, samples.T.tolist(), strict=True)
        )
        return "".join(lines).encode()
