"""JSON objects found in a stream of bytes, whatever lies between them."""

import json
from collections.abc import Iterator
from typing import Any, NoReturn

LONGEST = 32_768
"""Bytes of the longest object that is waited for."""

_OWN_SPACE = 2
"""So many bytes of white space before an object, the line end of the one before, are its own."""


def _refuse(literal: str) -> NoReturn:
    raise ValueError(f"{literal} is no JSON number")


class JsonObjects:
    """Finds objects that are complete, one a line or end to end, in other text or not; does no I/O.

    A damaged object costs no other: a `{` where no object begins is skipped alone, as soon as the bytes up
    to a `}` show it, or when `LONGEST` bytes have not ended it. NaN and Infinity are damage.
    """

    def __init__(self) -> None:
        self._decode = json.JSONDecoder(parse_constant=_refuse).raw_decode
        self._buffer = b""

    def feed(self, data: bytes) -> Iterator[tuple[dict[str, Any] | None, int]]:
        """Each object with its length in bytes, and each stretch that is none as (None, its length).

        To be exhausted before the next call.
        """
        buffer = self._buffer + data
        # Objects end in "}": up to the last one the verdict is the same however the bytes were cut.
        # Latin-1 gives one character a byte; names and numbers are ASCII.
        text = buffer[: buffer.rfind(b"}") + 1].decode("latin-1")
        position = 0
        while (brace := buffer.find(b"{", position)) >= 0:
            before = buffer[position:brace]
            junk = _without_line_end(before)
            if junk:
                yield None, junk
            position += junk
            found, end = self._object_at(text, brace)
            if end == 0 and len(buffer) - brace <= LONGEST:
                self._buffer = buffer[position:]
                return
            yield found, max(end, brace + 1) - position
            position = max(end, brace + 1)
        junk = _without_line_end(buffer[position:])
        if junk:
            yield None, junk
        self._buffer = buffer[position + junk :]

    def _object_at(self, text: str, brace: int) -> tuple[dict[str, Any] | None, int]:
        """The object and its end; None and the place behind the brace if none begins there, None and 0
        if it may still become one."""
        try:
            if brace >= len(text):
                return None, 0
            found, end = self._decode(text, brace)
            return (found, end) if end - brace <= LONGEST else (None, brace + 1)
        except json.JSONDecodeError as error:
            unfinished = error.pos >= len(text) or error.msg.startswith("Unterminated")
            return None, 0 if unfinished else brace + 1
        except (ValueError, RecursionError):  # NaN, a number of thousands of digits, brackets without end
            return None, brace + 1


def _without_line_end(between: bytes) -> int:
    """Length less the white space that belongs to what comes next."""
    tail = between[-_OWN_SPACE:]
    return len(between) - len(tail) + len(tail.rstrip())
