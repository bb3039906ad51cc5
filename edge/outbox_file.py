"""The SQLite file of an outbox: what can be in it, and every way to read and change it."""

import itertools
import os
import sqlite3
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edge.pick import Pick

_LUMP = 100
"""Of too many, this part of the most is dropped at once: sorting for every pick would be slow."""
_PAGE_BYTES, _CHECKPOINT_PAGES = 1024, 256
"""Every pick rewrites some pages: small ones write half as much."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS pick
  (seq INTEGER PRIMARY KEY, born_s REAL NOT NULL, phase TEXT NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS sink
  (name TEXT PRIMARY KEY, released INTEGER NOT NULL, seen_s REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS fact (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Entry:
    """A pick and its place in the order of sending, counted from 1."""

    seq: int
    pick: Pick


@dataclass(frozen=True, slots=True)
class Known:
    """What a file knows of earlier runs.

    `last`: the last place that was given. `age_s`: running time when it was last written. `installation`:
    None in a new file. `dropped`: picks, since the file began.
    """

    last: int
    age_s: float
    installation: str | None
    dropped: int


class OutboxFile:
    """Open for one process alone, with a write-ahead log. Of too many picks all S are dropped before the
    first P. Errors are those of sqlite3: OperationalError where the disk fails, DatabaseError itself where
    the file is damaged.

    `count`: picks in the file.
    """

    def __init__(self, path: Path, max_picks: int, max_age_s: float) -> None:
        self._max_picks = max_picks
        self._max_age_s = max_age_s
        self._db = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            self._db.execute(f"PRAGMA page_size = {_PAGE_BYTES}")  # of a new file
            self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
            if self._db.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
                raise sqlite3.DatabaseError("database disk image is malformed")
            self._db.executescript(_SCHEMA)
            (self.count,) = self._db.execute("SELECT count(*) FROM pick").fetchone()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        with suppress(sqlite3.Error):  # what it holds is on the disk already
            self._db.close()

    def known(self) -> Known:
        last, born_s = self._db.execute("SELECT max(seq), max(born_s) FROM pick").fetchone()
        released, seen_s = self._db.execute("SELECT max(released), max(seen_s) FROM sink").fetchone()
        facts = dict(self._db.execute("SELECT name, value FROM fact").fetchall())
        return Known(
            max(last or 0, released or 0),
            max(born_s or 0.0, seen_s or 0.0),
            facts.get("installation"),
            facts.get("dropped", 0),
        )

    def places(self) -> dict[str, int]:
        """Up to which place each sink has let go."""
        return dict(self._db.execute("SELECT name, released FROM sink").fetchall())

    def forget_sinks(self, age_s: float) -> None:
        """Those that were not given for the longest time that a pick is kept, before a running time."""
        self._db.execute("DELETE FROM sink WHERE seen_s < ?", (age_s - self._max_age_s,))

    def put_behind(self, shift: int, age_s: float) -> None:
        """All picks so many places later, and everything older by so much; no sink has let go of any."""
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute("UPDATE pick SET seq = seq + ?, born_s = born_s - ?", (shift, age_s))
            self._db.execute("UPDATE sink SET released = 0, seen_s = seen_s - ?", (age_s,))

    def note(self, name: str, value: str | int) -> None:
        """A fact, in place of what was known of it."""
        self._db.execute("INSERT OR REPLACE INTO fact VALUES (?, ?)", (name, value))

    def read(self, after: int, limit: int) -> list[Entry]:
        """The next picks after a place, in order. ValueError for one that is damaged."""
        query = "SELECT seq, body FROM pick WHERE seq > ? ORDER BY seq LIMIT ?"
        rows = self._db.execute(query, (after, limit)).fetchall()
        return [Entry(seq, Pick.from_json(body.decode())) for seq, body in rows]

    def count_after(self, place: int, few: bool) -> int:
        """Picks after a place. `few`: whether they are fewer than the others, which then take longer to
        count."""
        query = f"SELECT count(*) FROM pick WHERE seq {'>' if few else '<='} ?"
        (counted,) = self._db.execute(query, (place,)).fetchone()
        return int(counted if few else self.count - counted)

    def write(
        self,
        born: Collection[tuple[float, Entry]],
        released: Mapping[str, int],
        now_s: float,
        dropped_before: int,
        synchronous: str,
    ) -> int:
        """In one transaction: new picks with their birth, and up to where sinks have let go. What all have
        let go of is deleted; what is too old or too many is dropped: how many."""
        self._db.execute(f"PRAGMA synchronous = {synchronous}")
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._insert(born, ((name, place, now_s) for name, place in released.items()))
            count = self.count + len(born)
            gone = "DELETE FROM pick WHERE seq <= (SELECT min(released) FROM sink)"
            count -= self._db.execute(gone).rowcount
            old = "DELETE FROM pick WHERE seq < (SELECT seq FROM pick WHERE born_s >= ? ORDER BY seq LIMIT 1)"
            dropped = self._db.execute(old, (now_s - self._max_age_s,)).rowcount
            if count - dropped > self._max_picks:
                surplus = max(count - dropped - self._max_picks, self._max_picks // _LUMP)
                least = "SELECT seq FROM pick ORDER BY phase = 'P', seq LIMIT ?"
                query = f"DELETE FROM pick WHERE seq IN ({least})"
                dropped += self._db.execute(query, (surplus,)).rowcount
            if dropped:
                self.note("dropped", dropped_before + dropped)
        self.count = count - dropped
        return dropped

    def _insert(
        self, born: Iterable[tuple[float, Entry]], released: Iterable[tuple[str, int, float]]
    ) -> None:
        self._db.executemany(
            "INSERT OR REPLACE INTO pick VALUES (?, ?, ?, ?)",  # some may be there, if a commit broke
            [(one.seq, born_s, one.pick.phase, one.pick.to_json().encode()) for born_s, one in born],
        )
        self._db.executemany("INSERT OR REPLACE INTO sink VALUES (?, ?, ?)", released)


def put_aside(path: Path) -> Path:
    """Renames a closed file to PATH.corrupt (then .corrupt-1, …), where the disk lets it: the name."""
    names = (f"{path}.corrupt{-n or ''}" for n in itertools.count())
    aside = Path(next(name for name in names if not os.path.exists(name)))
    with suppress(OSError):  # on a read-only disk it stays, and is tried again
        path.replace(aside)
        Path(f"{path}-wal").replace(f"{aside}-wal")
    return aside
