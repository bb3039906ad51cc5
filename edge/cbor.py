"""The part of CBOR (RFC 8949) that picks use: one array of integers, byte strings, texts and nulls."""

from collections.abc import Sequence

Item = int | bytes | str | None

_UINT, _NEGATIVE, _BYTES, _TEXT, _ARRAY = range(5)
_NULL = 0xF6
_WIDTHS = {24: 1, 25: 2, 26: 4, 27: 8}


def pack(items: Sequence[Item]) -> bytes:
    """An array of definite length, every head in its shortest form. OverflowError beyond 64 bits."""
    return _head(_ARRAY, len(items)) + b"".join(_packed(item) for item in items)


def _packed(item: Item) -> bytes:
    if item is None:
        return bytes([_NULL])
    if isinstance(item, int):
        return _head(_UINT, item) if item >= 0 else _head(_NEGATIVE, -1 - item)
    data = item.encode() if isinstance(item, str) else item
    return _head(_TEXT if isinstance(item, str) else _BYTES, len(data)) + data


def _head(major: int, value: int) -> bytes:
    if value < 24:
        return bytes([major << 5 | value])
    for code, width in _WIDTHS.items():
        if value < 1 << 8 * width:
            return bytes([major << 5 | code]) + value.to_bytes(width, "big")
    raise OverflowError("CBOR integers have 64 bits at most")


def unpack(data: bytes) -> list[Item]:
    """What `pack` made, and nothing after it. ValueError for anything else."""
    major, count, at = _read_head(data, 0)
    if major != _ARRAY or count > len(data):
        raise ValueError("not a CBOR array")
    items: list[Item] = []
    for _ in range(count):
        if data[at : at + 1] == bytes([_NULL]):
            items.append(None)
            at += 1
            continue
        major, value, at = _read_head(data, at)
        if major in (_BYTES, _TEXT):
            content = data[at : at + value]
            if len(content) < value:
                raise ValueError("the CBOR array is cut short")
            at += value
            items.append(content.decode() if major == _TEXT else content)
        elif major in (_UINT, _NEGATIVE):
            items.append(value if major == _UINT else -1 - value)
        else:
            raise ValueError(f"an item of CBOR major type {major} has no place here")
    if at != len(data):
        raise ValueError("bytes after the CBOR array")
    return items


def _read_head(data: bytes, at: int) -> tuple[int, int, int]:
    """Major type, value, and where the head ends."""
    if at >= len(data):
        raise ValueError("the CBOR array is cut short")
    major, code = data[at] >> 5, data[at] & 31
    if code < 24:
        return major, code, at + 1
    width = _WIDTHS.get(code)
    if width is None or at + 1 + width > len(data):
        raise ValueError("the CBOR array is cut short, or not of definite length")
    return major, int.from_bytes(data[at + 1 : at + 1 + width], "big"), at + 1 + width
