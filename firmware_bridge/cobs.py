"""Consistent Overhead Byte Stuffing (Cheshire & Baker, IEEE/ACM Trans. Netw. 7, 1999): bytes without 0x00.

The data, with a zero thought after their end, are cut after every zero and after every 254 bytes without one.
Each piece goes out without its zero, led by a code byte, its length plus one: 0xFF stands for 254 bytes that
no zero follows. All that it costs is a byte and another one for every 254.
"""

_LONGEST_RUN = 254


def longest(data_bytes: int) -> int:
    """Greatest length that `data_bytes` bytes can take when encoded; never less than they need."""
    return data_bytes + data_bytes // _LONGEST_RUN + 1


def encode(data: bytes) -> bytes:
    """Bytes without 0x00 that `decode` turns back into `data`."""
    encoded = bytearray()
    runs = data.split(b"\x00")
    for k, run in enumerate(runs, start=1):
        while len(run) >= _LONGEST_RUN:
            encoded.append(_LONGEST_RUN + 1)
            encoded += run[:_LONGEST_RUN]
            run = run[_LONGEST_RUN:]
            if k == len(runs) and not run:
                return bytes(encoded)  # the end of the data follows a full piece: no empty one between
        encoded.append(len(run) + 1)
        encoded += run
    return bytes(encoded)


def decode(encoded: bytes) -> bytes:
    """The data that were encoded; ValueError for bytes that no encoder makes.

    An empty piece after a full one at the end, which encoders without look-ahead send, is accepted.
    """
    if b"\x00" in encoded:
        raise ValueError("COBS data hold no zero")
    data = bytearray()
    place = 0
    while place < len(encoded):
        code = encoded[place]
        end = place + code
        if end > len(encoded):
            raise ValueError("COBS data end within a piece")
        data += encoded[place + 1 : end]
        place = end
        if code <= _LONGEST_RUN and place < len(encoded):
            data.append(0)
    return bytes(data)
