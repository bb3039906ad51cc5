"""BRP, Güralp's Block Recovery Protocol: how a serial line carries blocks (`gcf`).

| offset | bytes | field                                                            |
|--------|-------|------------------------------------------------------------------|
| 0      | 1     | "G"                                                              |
| 1      | 1     | sequence number, modulo 256                                      |
| 2      | 2     | uint16 size of the block, 16 … 1024                              |
| 4      | size  | the block, cut to its real length                                |
| 4+size | 2     | uint16 sum of the bytes, modulo 65,536; big-endian as all of it  |

The sum is that of header and block (BRP specification); some firmware sums the block alone (DM24 manual).
After each frame the digitizer waits for an acknowledgement, 150 ms as a rule, then goes on without one.
"""

import struct

MARK = b"G"
HEAD = struct.Struct(">sBH")
TAIL = struct.Struct(">H")


def frame(sequence: int, block: bytes) -> bytes:
    """`block` as it goes over the line, `sequence` taken modulo 256; the sum is that of header and block."""
    wire = HEAD.pack(MARK, sequence % 256, len(block)) + block
    return wire + TAIL.pack(sum(wire) % 65_536)


def intact(wire: bytes) -> bool:
    """Whether the sum at the end of a whole frame is that of header and block, or of the block alone."""
    (told,) = TAIL.unpack_from(wire, len(wire) - TAIL.size)
    block = sum(wire[HEAD.size : -TAIL.size])
    return told in (block % 65_536, (block + sum(wire[: HEAD.size])) % 65_536)
