"""Differences of samples in the least bits that hold them all, as the bridge protocol carries them."""

import numpy as np
from numpy.typing import NDArray


def bits_needed(differences: NDArray[np.int32]) -> int:
    """Least width, 0 … 32, that holds every difference in two's complement; 0 when all are 0."""
    if not differences.any():
        return 0
    # The bits of a negative number turned over: -2**k takes as many as 2**k - 1.
    return int(np.max(differences ^ (differences >> 31))).bit_length() + 1


def pack_differences(differences: NDArray[np.int32], bits: int) -> bytes:
    """The low `bits` bits of each int32, one after another, least significant first; unused bits are 0."""
    octets = np.ascontiguousarray(differences, "<i4").view(np.uint8).reshape(-1, 4)
    wide = np.unpackbits(octets, axis=1, bitorder="little")
    return np.packbits(wide[:, :bits], bitorder="little").tobytes()


def unpack_differences(packed: bytes, count: int, bits: int) -> NDArray[np.int32]:
    """`count` int32 from two's complement numbers of `bits` bits; the inverse of `pack_differences`."""
    if count == 0 or bits == 0:
        return np.zeros(count, np.int32)
    flat = np.unpackbits(np.frombuffer(packed, np.uint8), count=count * bits, bitorder="little")
    wide = np.empty((count, 32), np.uint8)
    wide[:, :bits] = flat.reshape(count, bits)
    wide[:, bits:] = wide[:, bits - 1 : bits]  # the sign goes on to the top
    return np.packbits(wide, axis=1, bitorder="little").view("<i4")[:, 0].astype(np.int32)


def packed_bytes(count: int, bits: int) -> int:
    """What so many of them take."""
    return (count * bits + 7) // 8
