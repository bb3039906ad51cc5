"""Picks on their way upstream, in a file that survives the process, the power and the network."""

import errno
import itertools
import os
import secrets
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from edge.pick import Pick

Report = Callable[[str], None]

MAX_PICKS = 100_000
"""As many wait at most, some 50 MB."""
MAX_AGE_S = 30 * 86_400.0
_LUMP = 100
"""Of too many, this part of the most is dropped at once: sorting for every pick would be slow."""
_SHORT = 1000
_PAGE_BYTES, _CHECKPOINT_PAGES = 1024, 256
"""Every pick rewrites some pages: small ones write half as much."""
_MAY_PASS = (errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO)
"""A disk fails so, and may recover; other errors are a wrong path."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS pick
  (seq INTEGER PRIMARY KEY, born_s REAL NOT NULL, phase TEXT NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS sink
  (name TEXT PRIMARY KEY, released INTEGER NOT NULL, seen_s REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS fact (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
"""


class OutboxError(Exception):
    """The outbox cannot be used as it is configured; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A pick and its place in the order of sending, counted from 1."""

    seq: int
    pick: Pick


class Outbox:
    """A queue in an SQLite file (write-ahead log) that several sinks read, each at its own pace.

    `add` returns when the pick is on the disk, by one write that is synced. A pick leaves the file when every
    sink has let go of it (`release`).

    Beyond `max_picks`, or `max_age_s` of running time, picks are dropped and counted: the oldest first, and
    of too many all S before the first P, since an event is found by its P. Age is counted while a station
    runs, by a clock that nobody sets. A sink that is no longer asked for is waited for as long.

    A file that cannot be written (full, read-only) costs durability and nothing else: picks wait in memory,
    go out from there, and are written with the next that can be. If it can be opened only then, what earlier
    runs left in it goes out after them. A damaged file is put aside as `PATH.corrupt` (then `.corrupt-1`, …),
    what it held is counted as dropped, and a new one begun. `report` gets a line for each of these. Methods
    may be called from any thread.

    `dropped`: picks dropped since the file began. `problem`: what keeps picks from the disk now.
    `installation`: 8 hex digits that tell this outbox from that of any other station.
    """

    def __init__(
        self,
        path: Path,
        report: Report,
        max_picks: int = MAX_PICKS,
        max_age_s: float = MAX_AGE_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """OutboxError if there can be no file at `path`, or if another process has it."""
        self.dropped = 0
        self.problem: str | None = None
        self.installation = secrets.token_hex(4)
        self._path = path
        self._report = report
        self._max_picks = max_picks
        self._max_age_s = max_age_s
        self._monotonic = monotonic
        self._began_s = monotonic()
        self._next = 1
        self._count = 0  # of picks in the file
        self._unsaved: deque[tuple[float, Entry]] = deque()  # picks that are not, with their birth
        self._released: dict[str, int] = {}
        self._given: set[str] = set()  # sinks of this run
        self._to_save: set[str] = set()  # sinks whose place in the file is behind
        self._closed = False
        self._changed = threading.Condition()
        self._db: sqlite3.Connection | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.open("ab").close()
        except OSError as error:
            if error.errno not in _MAY_PASS:
                raise OutboxError(
                    f"outbox {path}: {error.strerror}; name another file by --outbox"
                ) from error
        try:
            self._open()
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY:
                raise OutboxError(
                    f"outbox {path}: another edge-pick has it open; give each its own by --outbox"
                ) from error
            self._fail(error)

    def register(self, sink: str) -> int:
        """The place up to which the sink has let go. A new one gets what is added from now on."""
        with self._changed:
            released = self._released.setdefault(sink, self._next - 1)
            self._given.add(sink)
            self._to_save.add(sink)
            self._save("NORMAL")
            return released

    def add(self, pick: Pick) -> None:
        """Returns when the pick is on the disk, or has been said not to be. ValueError for one that could not
        be read again, which would have the whole file taken for damaged."""
        try:
            line = pick.to_json()
        except (ValueError, OverflowError, TypeError) as error:  # a time or number that has no such form
            raise ValueError(f"not a pick: {error}") from error
        Pick.from_json(line)
        with self._changed:
            self._unsaved.append((self._now_s(), Entry(self._next, pick)))
            self._next += 1
            self._to_save |= self._given  # still given, however long their links are down
            self._save("FULL")
            if len(self._unsaved) > self._max_picks:
                least = next((one for one in self._unsaved if one[1].pick.phase == "S"), self._unsaved[0])
                self._unsaved.remove(least)
                self.dropped += 1
            self._changed.notify_all()

    def due(self, after: int, limit: int, wait_s: float = 0.0) -> list[Entry]:
        """The next picks after the place `after`, in order, at most `limit`. If there are none, waits for
        them, or to be woken."""
        with self._changed:
            found = self._read(after, limit)
            if not found and wait_s > 0:
                self._changed.wait(wait_s)
                found = self._read(after, limit)
            return found

    def wake(self) -> None:
        """Whoever waits for picks returns."""
        with self._changed:
            self._changed.notify_all()

    def release(self, sink: str, seq: int) -> None:
        """The sink no longer needs the picks up to the place `seq`. Written without a sync: after a power cut
        they may be sent again."""
        with self._changed:
            if seq > self._released[sink]:
                self._released[sink] = seq
                self._to_save.add(sink)
                gone = min(self._released.values())
                while self._unsaved and self._unsaved[0][1].seq <= gone:
                    self._unsaved.popleft()
                self._save("NORMAL")

    def depth(self, after: int) -> int:
        """How many picks there are after the place `after`."""
        with self._changed:
            saved = 0
            with self._minding_the_disk():
                if self._db:
                    # Whichever side of that place is short: a long one takes long to count.
                    short_after = self._next - after < _SHORT
                    query = f"SELECT count(*) FROM pick WHERE seq {'>' if short_after else '<='} ?"
                    (saved,) = self._db.execute(query, (after,)).fetchone()
                    saved = saved if short_after else self._count - saved
            return int(saved) + sum(entry.seq > after for _, entry in self._unsaved)

    def close(self) -> None:
        """Tries a last time to write what waits in memory, and says what is lost. From then on nothing is
        written: a courier may still be busy when the file is another process's."""
        with self._changed:
            if self._closed:
                return
            if self._unsaved:
                self._save("FULL")
            if self._unsaved:
                self._report(f"outbox {self._path}: {len(self._unsaved)} picks could not be written")
            self._disconnect()
            self._closed = True

    def _now_s(self) -> float:
        return self._monotonic() - self._began_s

    def _read(self, after: int, limit: int) -> list[Entry]:
        found: list[Entry] = []
        try:
            if self._db:
                query = "SELECT seq, body FROM pick WHERE seq > ? ORDER BY seq LIMIT ?"
                rows = self._db.execute(query, (after, limit)).fetchall()
                found = [Entry(seq, Pick.from_json(body.decode())) for seq, body in rows]
        except sqlite3.OperationalError as error:
            self._fail(error)
            return []  # not the later ones from memory: whoever takes them has passed over these
        except (sqlite3.DatabaseError, ValueError) as error:  # ValueError: damaged within a text
            self._put_aside(str(error))  # what can no longer be read must not keep the others from going out
        found += [entry for _, entry in self._unsaved if entry.seq > after]
        return found[:limit]

    def _save(self, synchronous: str) -> None:
        if self._closed:
            return
        if not self._saved(synchronous) and self._db is None and self.problem is None:
            self._saved(synchronous)  # into the file that was begun in place of a damaged one

    def _saved(self, synchronous: str) -> bool:
        with self._minding_the_disk():
            if not self._db:
                self._open()
            assert self._db
            self._db.execute(f"PRAGMA synchronous = {synchronous}")
            dropped, count = self._write(self._db)
            self._count = count
            self._unsaved.clear()
            self._to_save.clear()
            if dropped:
                self.dropped += dropped
                self._report(f"outbox {self._path}: {dropped} picks dropped that some sink has not taken")
            if self.problem:
                self.problem = None
                self._report(f"outbox {self._path}: written again")
            return True
        return False

    def _write(self, db: sqlite3.Connection) -> tuple[int, int]:
        """One transaction: how many picks were dropped, and how many are in the file now."""
        now_s = self._now_s()
        with db:
            db.execute("BEGIN IMMEDIATE")
            db.executemany(
                "INSERT OR REPLACE INTO pick VALUES (?, ?, ?, ?)",  # some may be there, if a commit broke
                [
                    (one.seq, born_s, one.pick.phase, one.pick.to_json().encode())
                    for born_s, one in self._unsaved
                ],
            )
            db.executemany(
                "INSERT OR REPLACE INTO sink VALUES (?, ?, ?)",
                [(name, self._released[name], now_s) for name in self._to_save],
            )
            count = self._count + len(self._unsaved)
            count -= db.execute("DELETE FROM pick WHERE seq <= (SELECT min(released) FROM sink)").rowcount
            dropped = db.execute(
                "DELETE FROM pick WHERE seq < (SELECT seq FROM pick WHERE born_s >= ? ORDER BY seq LIMIT 1)",
                (now_s - self._max_age_s,),
            ).rowcount
            if count - dropped > self._max_picks:
                surplus = max(count - dropped - self._max_picks, self._max_picks // _LUMP)
                least = "SELECT seq FROM pick ORDER BY phase = 'P', seq LIMIT ?"
                dropped += db.execute(f"DELETE FROM pick WHERE seq IN ({least})", (surplus,)).rowcount
            if dropped:
                total = self.dropped + dropped
                db.execute("INSERT OR REPLACE INTO fact VALUES ('dropped', ?)", (total,))
        return dropped, count - dropped

    def _open(self) -> None:
        db = sqlite3.connect(self._path, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            db.execute(f"PRAGMA page_size = {_PAGE_BYTES}")  # of a new file
            db.execute("PRAGMA locking_mode = EXCLUSIVE")
            db.execute("PRAGMA journal_mode = WAL")
            db.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
            if db.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
                raise sqlite3.DatabaseError("database disk image is malformed")
            db.executescript(_SCHEMA)
            self._take_over(db)
        except BaseException:
            db.close()
            raise
        self._db = db

    def _take_over(self, db: sqlite3.Connection) -> None:
        """What the file knows of earlier runs, unless this run began it."""
        count, last, born_s = db.execute("SELECT count(*), max(seq), max(born_s) FROM pick").fetchone()
        released, seen_s = db.execute("SELECT max(released), max(seen_s) FROM sink").fetchone()
        facts = dict(db.execute("SELECT name, value FROM fact").fetchall())
        last, age_s = max(last or 0, released or 0), max(born_s or 0.0, seen_s or 0.0)
        installation, dropped = facts.get("installation", self.installation), facts.get("dropped", 0)
        if installation != self.installation:
            db.execute("DELETE FROM sink WHERE seen_s < ?", (age_s - self._max_age_s,))
            if self._next > 1:
                shift = max(last, self._next - 1)
                self._put_behind(db, shift, age_s)
                last += shift
        places = dict(db.execute("SELECT name, released FROM sink").fetchall())
        db.execute("INSERT OR IGNORE INTO fact VALUES ('installation', ?)", (installation,))
        total = self.dropped + (dropped if installation != self.installation else 0)
        if total > dropped:
            db.execute("INSERT OR REPLACE INTO fact VALUES ('dropped', ?)", (total,))
        if self._next == 1:
            self._began_s -= age_s  # age goes on from there
        self.installation, self.dropped, self._count = installation, total, count
        self._next = max(self._next, last + 1)
        self._released = places | self._released

    def _put_behind(self, db: sqlite3.Connection, shift: int, age_s: float) -> None:
        """Picks of an earlier run, found when this one has given out places: they go out after its own, to
        every sink again."""
        with db:
            db.execute("BEGIN IMMEDIATE")
            db.execute("UPDATE pick SET seq = seq + ?, born_s = born_s - ?", (shift, age_s))
            db.execute("UPDATE sink SET released = 0, seen_s = seen_s - ?", (age_s,))

    def _disconnect(self) -> None:
        if self._db:
            with suppress(sqlite3.Error):  # what it holds is on the disk already
                self._db.close()
            self._db = None

    @contextmanager
    def _minding_the_disk(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            self._fail(error)

    def _fail(self, error: sqlite3.DatabaseError) -> None:
        """A file that cannot be written is tried again with the next pick; a damaged one is put aside."""
        if type(error) not in (sqlite3.OperationalError, sqlite3.DatabaseError):
            raise error
        if type(error) is sqlite3.OperationalError:
            if self.problem is None:
                self._report(f"outbox {self._path}: {error}; picks wait in memory, which a power cut loses")
            self.problem = str(error)
            return
        self._put_aside(str(error))

    def _put_aside(self, why: str) -> None:
        self._disconnect()
        names = (f"{self._path}.corrupt{-n or ''}" for n in itertools.count())
        aside = Path(next(name for name in names if not os.path.exists(name)))
        self._report(f"outbox {self._path}: damaged ({why}); kept as {aside.name}, a new one is begun")
        with suppress(OSError):  # on a read-only disk it stays, and is tried again
            self._path.replace(aside)
            Path(f"{self._path}-wal").replace(f"{aside}-wal")
        self.dropped += self._count
        self._count = 0
        self._to_save = set(self._released)
