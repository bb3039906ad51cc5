"""A serial line, 8N1: how long bytes take, and what a receiver reads that is set to another speed.

The line is high when idle; a byte is a low start bit, eight data bits, lowest first, and a high stop bit.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

_BITS_PER_BYTE = 10
_NS = 1_000_000_000


def on_the_line(packets: Iterator[tuple[int, bytes | None]], baud: int) -> Iterator[tuple[int, bytes | None]]:
    """Packets of (due_ns, bytes) with the time at which their last bit has left a UART set to `baud`.

    The line takes one packet after the other: none begins before it is due or before the one ahead has
    left. Of None, which is no packet, only the order is kept.
    """
    free_ns = 0
    for due_ns, data in packets:
        free_ns = max(free_ns, due_ns) + len(data or b"") * _BITS_PER_BYTE * _NS // baud
        yield free_ns, data


class Receiver:
    """A UART set to `read_baud` on a line that carries `sent_baud`.

    As hardware does, it waits for the falling edge of a start bit, looks again half a bit later, goes
    back to waiting if the line is high by then (a glitch), and else samples the eight data bits and the
    stop bit at their centres. A low stop bit is a framing error; the byte is delivered all the same, as
    a terminal in raw mode does, and the line must go high before the next start bit. The edge is seen
    without delay.
    """

    def __init__(self, sent_baud: int, read_baud: int) -> None:
        self._ratio = sent_baud / read_baud  # bits of the sender per bit of ours
        # After so long a silence any frame of ours is over.
        self._longest_idle = int(_BITS_PER_BYTE * self._ratio) + 2
        self._line = np.ones(1, bool)  # what is not yet read, by bits of the sender

    def feed(self, data: bytes, idle_bits: int = 0) -> bytes:
        """What the receiver reads of bytes sent back to back, after the line was idle for `idle_bits`.

        A frame whose end is still to come is held back until then: the idle line before the next bytes
        ends it at the latest.
        """
        idle = np.ones(min(idle_bits, self._longest_idle), bool)
        line = np.concatenate([self._line, idle, _levels(data)])
        edges = np.flatnonzero(line[:-1] & ~line[1:]) + 1
        # Where each edge would be followed by the centres of start bit, data bits and stop bit.
        centres = (edges[:, None] + (np.arange(_BITS_PER_BYTE) + 0.5) * self._ratio).astype(np.int64)
        levels = line[np.minimum(centres, len(line) - 1)]
        frames = ~levels[:, 0]
        last_looks = np.where(frames, centres[:, -1], centres[:, 0])
        values = np.packbits(levels[:, 1:9], axis=1, bitorder="little")[:, 0].tolist()
        following = np.searchsorted(edges, last_looks, side="right")
        read = bytearray()
        k = 0
        # Lists, because going from edge to edge in an array is slow.
        whole, next_edge = (last_looks < len(line)).tolist(), following.tolist()
        while k < len(edges) and whole[k]:
            if frames[k]:
                read.append(values[k])
            k = next_edge[k]
        self._line = line[edges[k] - 1 :] if k < len(edges) else line[-1:]
        return bytes(read)


class Line:
    """What readers, who may set any speed at any time, make of what a UART sends at `baud`."""

    def __init__(self, baud: int) -> None:
        self._baud = self._read_baud = baud
        self._receiver = Receiver(baud, baud)
        self._free_ns = 0

    def as_read(self, end_ns: int, data: bytes, read_baud: int) -> bytes:
        """`end_ns`: when the last bit of `data` has left, as `on_the_line` gives it."""
        if read_baud != self._read_baud:
            self._read_baud = read_baud
            self._receiver = Receiver(self._baud, read_baud)
        idle_bits = round((end_ns - self._free_ns) * self._baud / _NS) - len(data) * _BITS_PER_BYTE
        self._free_ns = end_ns
        return self._receiver.feed(data, idle_bits)


def _levels(data: bytes) -> NDArray[np.bool_]:
    """The line bit by bit while it carries `data`."""
    bits = np.zeros((len(data), _BITS_PER_BYTE), bool)
    bits[:, 1:9] = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little").reshape(-1, 8)
    bits[:, 9] = True
    return bits.ravel()
