"""`edge-collect` as it would run, and what is in its store."""

import sqlite3
import subprocess
import sys
from collections.abc import Collection
from contextlib import closing
from pathlib import Path
from time import monotonic, sleep

from edge.pick import Pick

Key = tuple[str, str, int]
"""Station, id and update."""


def last_words(picks: Collection[Pick]) -> set[Key]:
    """What a collector holds after these picks: of each id the last update."""
    last: dict[tuple[str, str], int] = {}
    for pick in picks:
        key = pick.station, pick.id
        last[key] = max(pick.update, last.get(key, 0))
    return {(*key, update) for key, update in last.items()}


def missing(due: Collection[Pick], stored: Collection[Key]) -> set[Key]:
    """The last words on picks of which neither that nor a later one is stored."""
    held = {(station, id_): update for station, id_, update in stored}
    return {key for key in last_words(due) if held.get(key[:2], -1) < key[2]}


def unexpected(possible: Collection[Pick], stored: Collection[Key]) -> int:
    """How many rows are stored again under one id, or are no pick that there can be."""
    known = {(pick.station, pick.id, pick.update) for pick in possible}
    return len(stored) - len({key[:2] for key in stored if key in known})


class EdgeCollect:
    """A process of `edge-collect` on a broker, its SQLite store in `folder`."""

    def __init__(self, folder: Path, url: str) -> None:
        self._store = folder / "collected.sqlite"
        self._log = (folder / "edge-collect.log").open("ab")
        command = [sys.executable, "-m", "collect.cli", url, "--store", f"sqlite:///{self._store}"]
        self._process = subprocess.Popen(command, stdout=self._log, stderr=self._log)

    def rows(self) -> list[Key]:
        """What is stored now."""
        if not self._store.exists():
            return []
        with closing(sqlite3.connect(self._store, timeout=10)) as store:
            try:
                return list(store.execute("SELECT station, id, revision FROM picks"))
            except sqlite3.OperationalError:
                return []  # its tables are just being made

    def wait(self, due: Collection[Pick], seconds: float) -> list[Key]:
        """What is stored once the last words on these picks are there, or after so long."""
        deadline_s = monotonic() + seconds
        while missing(due, rows := self.rows()) and monotonic() < deadline_s:
            sleep(0.1)
        return rows

    def __enter__(self) -> "EdgeCollect":
        return self

    def __exit__(self, *error: object) -> None:
        self._process.terminate()
        self._process.wait()
        self._log.close()
