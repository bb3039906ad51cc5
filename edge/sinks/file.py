"""`file:///PATH`: JSON lines, each on the disk before the pick is let go of."""

import os
from collections.abc import Sequence
from pathlib import Path

from edge.sinks.address import Address, AddressError
from edge.sinks.lines import ends_within_a_line
from edge.sinks.link import Letter, Link, LinkError


class FileLink(Link):
    """Opened for each batch, so that it may be rotated, or lie on a disk that comes and goes."""

    batch = 100

    def __init__(self, address: Address) -> None:
        """AddressError for a path that is not absolute."""
        address.allow()
        if address.host or not address.path.startswith("/"):
            raise AddressError(f"{address.name}: give file:///PATH with three slashes")
        self._path = Path(address.path)

    def deliver(self, letters: Sequence[Letter]) -> int:
        before = b"\n" if ends_within_a_line(self._path) else b""
        data = before + b"".join(letter.data + b"\n" for letter in letters)
        with self._path.open("ab", buffering=0) as file:
            whole = file.tell()
            try:
                if file.write(data) < len(data):
                    raise LinkError(f"{self._path}: the disk is full")
                os.fsync(file.fileno())
            except BaseException:
                file.truncate(whole)  # no line twice, or half of one
                raise
        return len(letters)
