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

    def wait(self, expected: set[Key], seconds: float) -> list[Key]:
        """What is stored once all that is expected is there, or after so long."""
        deadline_s = monotonic() + seconds
        while not expected <= set(rows := self.rows()) and monotonic() < deadline_s:
            sleep(0.1)
        return rows

    def __enter__(self) -> "EdgeCollect":
        return self

    def __exit__(self, *error: object) -> None:
        self._process.terminate()
        self._process.wait()
        self._log.close()
