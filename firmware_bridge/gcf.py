"""Güralp GCF, both ways: blocks (`gcf_block`) in frames of a serial line (`brp`), or bare as in files."""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firmware_bridge import brp
from firmware_bridge.gcf_block import (
    BLOCK_BYTES,
    HEADER_BYTES,
    Header,
    read_samples,
    start_step,
    system_of,
    write_block,
)
from firmware_bridge.packet import Packet, Stream, channel_codes
from firmware_bridge.stats import DecoderStats
from firmware_bridge.wire import NO_IDENTITY, Declared

_NS = 1_000_000_000
_FULL = 250
"""Samples that fill a block when no difference fits less than 32 bits."""
_SYSTEM = "EDGE"
_STREAMS = ("EDGEZ2", "EDGEN2", "EDGEE2")
_ACCELEROMETERS = ("ACC", "AXL")
# Nothing guards the header of a bare block; dates from 2000 to 2059 rule out most accidents, above all the
# small numbers of a quiet signal.
_BARE_FROM_NS = 946_684_800 * _NS
_BARE_UNTIL_NS = 2_840_140_800 * _NS
# What every such header has at the least: of eight accidents seven are passed over without a closer look.
_CODES = re.escape(bytes(code for code in range(256) if code & 7 in (1, 2, 4)))
_BEGINS = re.compile(
    rb"(?s)(?=.{4}[\x00-\x7f].{3}[\x1c-\xc8].{5}[" + _CODES + rb"][^\x00])|" + re.escape(brp.MARK)
)
_STATUS = "00"
_TEXT = bytes([*b"\0\t\r\n", *range(32, 127)])


@dataclass(frozen=True, slots=True, eq=False)
class _Block:
    """A good block. `samples`: None where it brings none: it is text, or a frame sent again."""

    header: Header
    samples: NDArray[np.int32] | None
    wire_bytes: int


class Decoder:
    """Bytes of a Güralp digitizer, or of a GCF file, to packets of one channel each (`wire.Decoder`).

    Streams of ground motion (component letter Z, N or E) become packets; all others (mass positions,
    auxiliary and calibration inputs, status text) are good packets that bring none. The instrument code is
    N where the stream id names a Minimus' accelerometer (?ACC…, ?AXL…), else H, with the band letters of
    broadband sensors. Unless declared, the station is the system id, cut to five characters. A second
    stream with the band and instrument code of a first, from another tap or sensor, gets the
    location T1, the next T2, …, in the order in which they come: two signals never share a name.

    `meta`: "system", "stream" and "tap" ids, with "digitizer" and "gain" where the system id has them.
    The clock is "unknown": a digitizer takes its time from GPS as a rule, but a block does not say so.
    In a leap second `start_ns` is that of the midnight which follows, so that two seconds in a row have the
    same; that is counted as a time jump.

    A frame counts only if its header is plausible, size, checksum and last sample fit, and the first
    difference is 0; the checksum may be that of the block alone. A frame that is sent again, as nobody
    acknowledged it, brings its samples once. From the first good frame on, bare blocks are not looked for:
    every frame holds one, and damage to the frame would go unnoticed.

    Nothing guards the header of a bare block. So it must also be of the years 2000 to 2059 and whole
    (1024 bytes), and lie a multiple of these behind the last good one or the first byte of all, or else be
    followed by a header of the same system; text must be that of a status stream. A bare block in which
    a frame begins is none: it is what is left of a frame before that.

    Never more than one frame, or one bare block and a header, is held back.
    """

    def __init__(self, declared: Declared = Declared()) -> None:
        self.stats = DecoderStats()
        self._declared = declared.identity
        self._buffer = bytearray()
        self._passed = 0  # bytes of the line before the buffer, counted from the last good bare block
        self._framed = False
        self._last_frame = b""
        self._taps: dict[tuple[str, str], list[tuple[str, str]]] = {}  # by station and first two code letters
        self._due_ns: dict[tuple[str, str], int] = {}  # by system and stream

    def feed(self, data: bytes) -> list[Packet]:
        """Take the next bytes, cut anywhere, and return the packets they complete, in wire order."""
        self._buffer += data
        packets: list[Packet] = []
        position = 0
        try:
            while True:
                start = self._next_start(position)
                self.stats.skipped_bytes += start - position
                position = start
                block = self._block(position)
                if block is None:
                    position += 1
                    self.stats.skipped_bytes += 1
                    continue
                self.stats.good_packets += 1
                packets += self._packets(block)
                position += block.wire_bytes
        except EOFError:
            del self._buffer[:position]
            self._passed += position
        return packets

    def _take(self, start: int, count: int) -> bytes:
        """Raises EOFError until these bytes are here."""
        if start + count > len(self._buffer):
            raise EOFError
        return bytes(self._buffer[start : start + count])

    def _next_start(self, position: int) -> int:
        if self._framed:
            start = self._buffer.find(brp.MARK, position)
            return start if start >= 0 else len(self._buffer)
        found = _BEGINS.search(self._buffer, position)
        undecided = max(
            position, len(self._buffer) - HEADER_BYTES + 1
        )  # from there on a header is not all here
        return min(found.start(), undecided) if found else undecided

    def _block(self, position: int) -> _Block | None:
        """The good frame or bare block that begins here, if one does."""
        if self._take(position, 1) == brp.MARK:
            head = self._take(position, brp.HEAD.size + HEADER_BYTES)
            _, sequence, size = brp.HEAD.unpack_from(head)
            header = Header.read(head[brp.HEAD.size :])
            if header and header.fits(size):
                return self._frame(position, header, sequence, size)
        return None if self._framed else self._bare(position)

    def _frame(self, position: int, header: Header, sequence: int, size: int) -> _Block | None:
        wire = self._take(position, brp.HEAD.size + size + brp.TAIL.size)
        body = wire[brp.HEAD.size + HEADER_BYTES : -brp.TAIL.size]
        samples = read_samples(header, body) if header.rate else None
        if not brp.intact(wire) or (header.rate and samples is None):
            self.stats.bad_checksums += 1
            return None
        self._framed = True
        again = wire == self._last_frame
        if self._last_frame and not again:
            missing = (sequence - self._last_frame[1] - 1) % 256
            # Half of the numbers ahead is rather back: a block sent late, or a digitizer that began anew.
            self.stats.lost_packets += missing if missing < 128 else 0
        self._last_frame = wire
        return _Block(header, None if again else samples, len(wire))

    def _bare(self, position: int) -> _Block | None:
        header = Header.read(self._take(position, HEADER_BYTES))
        if header is None or not _BARE_FROM_NS <= header.start_ns < _BARE_UNTIL_NS:
            return None
        if header.rate and any(self._take(position + HEADER_BYTES + 4, 4 // header.code)):
            return None  # the first difference: found out early, most accidents keep nothing back
        if self._encloses_frame(position, HEADER_BYTES + header.body_bytes):
            return None
        body = self._take(position + HEADER_BYTES, header.body_bytes)
        samples = read_samples(header, body) if header.rate else None
        if header.rate and samples is None:
            self.stats.bad_checksums += 1
            return None
        if not header.rate and (header.stream_id[-2:] != _STATUS or body.translate(None, _TEXT)):
            return None
        in_step = (self._passed + position) % BLOCK_BYTES == 0
        span = BLOCK_BYTES if in_step else BLOCK_BYTES + HEADER_BYTES
        if self._encloses_frame(position, span):
            return None
        behind = Header.read(self._take(position, span)[-HEADER_BYTES:])
        if not in_step and (behind is None or behind.system != header.system):
            return None
        self._passed = -position
        return _Block(header, samples, BLOCK_BYTES)

    def _encloses_frame(self, position: int, span: int) -> bool:
        """Whether a frame begins within these bytes, as far as they are here, be it damaged further on."""
        end = min(position + span, len(self._buffer))
        start = self._buffer.find(brp.MARK, position + 1, end)
        while 0 <= start <= end - brp.HEAD.size - HEADER_BYTES:
            _, _, size = brp.HEAD.unpack_from(self._buffer, start)
            block = start + brp.HEAD.size
            header = Header.read(bytes(self._buffer[block : block + HEADER_BYTES]))
            if header and header.fits(size):
                return True
            start = self._buffer.find(brp.MARK, start + 1, end)
        return False

    def _packets(self, block: _Block) -> list[Packet]:
        header = block.header
        stream = header.stream_id
        letter, tap = stream[-2:-1], stream[-1]
        if block.samples is None or letter not in ("Z", "N", "E"):
            return []
        system, flags = system_of(header.system)
        due_ns = self._due_ns.get((system, stream))
        if due_ns is not None and abs(header.start_ns - due_ns) > _NS / header.rate / 2:
            self.stats.time_jumps += 1
        self._due_ns[system, stream] = header.start_ns + round(header.samples * _NS / header.rate)
        instrument = "N" if stream[-5:-2] in _ACCELEROMETERS else "H"
        (code,) = channel_codes(header.rate, instrument, letter, broadband=True)
        network, station, location = self._declared or (NO_IDENTITY[0], system[:5], NO_IDENTITY[2])
        taps = self._taps.setdefault((station, code[:2]), [])
        source = system, stream[:-2] + tap
        if source not in taps:
            taps.append(source)
        if place := taps.index(source):
            location = f"T{place}"
        return [
            Packet(
                stream=Stream(network, station, location, (code,)),
                start_ns=header.start_ns,
                rate=header.rate,
                samples=block.samples[:, None],
                clock="unknown",
                meta={"system": system, "stream": stream, "tap": tap, **flags},
                wire_bytes=block.wire_bytes,
            )
        ]


class Encoder:
    """Samples to BRP frames, as a Güralp digitizer sends them (`wire.Encoder`).

    `rate`: whole Hz up to 250, or one of the rates with a code of their own; ValueError for others. A packet
    is one second (one sample below 1 Hz), above 250 Hz as many steps of the rate's start times as
    surely fit a block. The system is EDGE, the streams EDGEZ2, EDGEN2 and EDGEE2.
    """

    def __init__(self, rate: float) -> None:
        _, steps = start_step(rate)
        self._rate = rate
        per_step = max(int(rate), 1) // steps
        self.samples_per_packet = per_step if steps == 1 else _FULL // per_step * per_step
        self._sequence = 0

    def encode(self, start_ns: int, samples: NDArray[np.int32]) -> bytes:
        """Three frames, of Z, N and E, with differences as small as they allow.

        `start_ns`: UTC of the first sample, from 1989-11-17 to 2079-08-04: a whole second up to 250 Hz, else
        a multiple of the rate's step. `samples`: int32 counts of shape (samples_per_packet, 3).
        Raises ValueError for another start or other samples.
        """
        if samples.shape != (self.samples_per_packet, 3) or samples.dtype != np.int32:
            raise ValueError(
                f"one packet takes int32 of shape ({self.samples_per_packet}, 3), "
                f"got {samples.dtype} of {samples.shape}"
            )
        blocks = [
            write_block(_SYSTEM, stream, start_ns, self._rate, column)
            for stream, column in zip(_STREAMS, samples.T, strict=True)
        ]
        frames = b"".join(brp.frame(self._sequence + place, block) for place, block in enumerate(blocks))
        self._sequence = (self._sequence + len(blocks)) % 256
        return frames
