"""COBS against its definition: no zero inside, the data back, and no more bytes than promised."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge import cobs

RUN = bytes(range(1, 255))
"""The longest run without a zero that one piece holds."""


def by_definition(data: bytes) -> bytes:
    """Byte by byte: a zero or 254 bytes end a piece; the zero thought at the end ends the last."""
    encoded, piece = b"", b""
    for place, byte in enumerate(data):
        if byte:
            piece += bytes([byte])
        if not byte or (len(piece) == 254 and place == len(data) - 1):
            encoded, piece = encoded + bytes([len(piece) + 1]) + piece, b""
            if byte:
                return encoded
        elif len(piece) == 254:
            encoded, piece = encoded + b"\xff" + piece, b""
    return encoded + bytes([len(piece) + 1]) + piece


data_with_runs = st.lists(
    st.one_of(st.binary(max_size=20), st.integers(250, 520).map(lambda n: (RUN * 3)[:n]), st.just(b"\x00")),
    max_size=8,
).map(b"".join)


@pytest.mark.parametrize(
    ("data", "encoded"),
    [
        (b"", b"\x01"),
        (b"\x00", b"\x01\x01"),
        (b"\x00\x00", b"\x01\x01\x01"),
        (b"\x11\x22\x00\x33", b"\x03\x11\x22\x02\x33"),
        (b"\x11\x22\x33\x44", b"\x05\x11\x22\x33\x44"),
        (b"\x11\x00\x00\x00", b"\x02\x11\x01\x01\x01"),
        (RUN, b"\xff" + RUN),
        (b"\x00" + RUN, b"\x01\xff" + RUN),
        (RUN + b"\x00", b"\xff" + RUN + b"\x01\x01"),
        (RUN + b"\xff", b"\xff" + RUN + b"\x02\xff"),
        (RUN[1:] + b"\xff\x00", b"\xff" + RUN[1:] + b"\xff\x01\x01"),
        (RUN[2:] + b"\x00\x01", b"\xfd" + RUN[2:] + b"\x02\x01"),
    ],
)
def test_published_examples(data: bytes, encoded: bytes) -> None:
    assert cobs.encode(data) == encoded
    assert cobs.decode(encoded) == data


@given(data_with_runs)
def test_encoded_as_defined_without_a_zero_and_back(data: bytes) -> None:
    encoded = cobs.encode(data)
    assert encoded == by_definition(data)
    assert 0 not in encoded
    assert len(encoded) <= cobs.longest(len(data))
    assert cobs.decode(encoded) == data


@pytest.mark.parametrize("runs", [1, 2])
def test_an_empty_piece_after_a_full_one_at_the_end_is_accepted(runs: int) -> None:
    assert cobs.decode((b"\xff" + RUN) * runs + b"\x01") == RUN * runs


@pytest.mark.parametrize("encoded", [b"\x02", b"\xff" + RUN[:-1], b"\x03\x11\x22\x05\x33"])
def test_a_piece_cut_short_is_refused(encoded: bytes) -> None:
    with pytest.raises(ValueError, match="within a piece"):
        cobs.decode(encoded)


def test_a_zero_inside_is_refused() -> None:
    with pytest.raises(ValueError, match="zero"):
        cobs.decode(b"\x03\x11\x00")
