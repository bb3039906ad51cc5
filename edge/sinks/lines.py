"""Where picks go: lines on standard output, and a file of JSON lines."""

import os
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from edge.pick import Pick
from edge.terminal import Report

WAITING_MAX = 100_000
"""Picks that wait in memory for a full disk, about 50 MB of them at most."""


class Sink(Protocol):
    """Takes picks one by one."""

    def send(self, pick: Pick) -> None: ...

    def close(self) -> None: ...


class LineSink:
    """A line a pick through `write`: readable, or JSON."""

    def __init__(self, write: Callable[[str], None], as_json: bool) -> None:
        self._write = write
        self._as_json = as_json

    def send(self, pick: Pick) -> None:
        self._write(pick.to_json() if self._as_json else pick.to_text())

    def close(self) -> None:
        """Nothing is held back."""


class FileSink:
    """Appends JSON lines to a file, each written through before the next.

    Appending, so that a restart loses nothing; a pick written twice has the same id. A line that a power
    cut left unfinished is closed first, so that it does not spoil the next. Picks that cannot be written
    (a full disk) wait in memory and are tried again with the next one and at the end; beyond `WAITING_MAX`
    the oldest are dropped. `report` gets a line when that begins, and one with the picks lost when it ends.
    """

    def __init__(self, path: Path, report: Report) -> None:
        """OSError if the file cannot be opened."""
        self._file = path.open("ab", buffering=0)
        self._path = path
        self._report = report
        self._waiting: deque[bytes] = deque()
        self._before = b"\n" if ends_within_a_line(path) else b""
        self._rest = b""  # of the line that is being written
        self._failing = False
        self._dropped = 0

    def send(self, pick: Pick) -> None:
        self._waiting.append(pick.to_json().encode() + b"\n")
        self._drain()
        if len(self._waiting) > WAITING_MAX:
            self._waiting.popleft()
            self._dropped += 1

    def close(self) -> None:
        """Tries the waiting picks a last time; OSError if they are lost."""
        self._drain()
        self._file.close()
        if self._failing:
            lost = self._dropped + len(self._waiting) + 1
            raise OSError(f"{self._path}: {lost} picks could not be written")

    def _drain(self) -> None:
        while self._rest or self._waiting:
            if not self._rest:
                self._rest = self._before + self._waiting.popleft()
                self._before = b""
            try:
                written = self._file.write(self._rest)
            except OSError as error:
                if not self._failing:
                    self._failing = True
                    self._report(f"{self._path}: {error.strerror}; picks wait in memory to be written")
                return
            self._rest = self._rest[written:]  # not empty if the disk filled up within the line
        if self._failing:
            self._report(f"{self._path}: can be written again, {self._dropped} picks lost")
            self._failing = False
            self._dropped = 0


def ends_within_a_line(path: Path) -> bool:
    """Whether a file ends in a line that a power cut left unfinished."""
    if not path.is_file() or path.stat().st_size == 0:
        return False
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"
