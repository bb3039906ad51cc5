"""Picks on their way upstream, in a file that survives the process, the power and the network."""

import errno
import secrets
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from edge.outbox_file import Entry, OutboxFile, put_aside
from edge.pick import Pick
from edge.terminal import Report

MAX_PICKS = 100_000
"""As many wait at most, some 50 MB."""
MAX_AGE_S = 30 * 86_400.0
_SHORT = 1000
_MAY_PASS = (errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO)
"""A disk fails so, and may recover; other errors are a wrong path."""


class OutboxError(Exception):
    """The outbox cannot be used as it is configured; the message says what to do."""


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
        self._unsaved: deque[tuple[float, Entry]] = deque()  # picks that are not, with their birth
        self._released: dict[str, int] = {}
        self._given: set[str] = set()  # sinks of this run
        self._to_save: set[str] = set()  # sinks whose place in the file is behind
        self._closed = False
        self._changed = threading.Condition()
        self._file: OutboxFile | None = None
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
                if self._file:
                    saved = self._file.count_after(after, few=self._next - after < _SHORT)
            return saved + sum(entry.seq > after for _, entry in self._unsaved)

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
            if self._file:
                self._file.close()
                self._file = None
            self._closed = True

    def _now_s(self) -> float:
        return self._monotonic() - self._began_s

    def _read(self, after: int, limit: int) -> list[Entry]:
        found: list[Entry] = []
        try:
            if self._file:
                found = self._file.read(after, limit)
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
        if not self._saved(synchronous) and self._file is None and self.problem is None:
            self._saved(synchronous)  # into the file that was begun in place of a damaged one

    def _saved(self, synchronous: str) -> bool:
        with self._minding_the_disk():
            if not self._file:
                self._open()
            assert self._file
            released = {name: self._released[name] for name in self._to_save}
            dropped = self._file.write(self._unsaved, released, self._now_s(), self.dropped, synchronous)
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

    def _open(self) -> None:
        file = OutboxFile(self._path, self._max_picks, self._max_age_s)
        try:
            self._take_over(file)
        except BaseException:
            file.close()
            raise
        self._file = file

    def _take_over(self, file: OutboxFile) -> None:
        """What the file knows of earlier runs, unless this run began it."""
        known = file.known()
        last, dropped, installation = known.last, known.dropped, known.installation or self.installation
        if installation != self.installation:
            file.forget_sinks(known.age_s)
            if self._next > 1:
                # Found when this run has given out places: they go out after its own, to every sink again.
                shift = max(last, self._next - 1)
                file.put_behind(shift, known.age_s)
                last += shift
        places = file.places()
        total = self.dropped + (dropped if installation != self.installation else 0)
        if known.installation is None:
            file.note("installation", installation)
        if total > dropped:
            file.note("dropped", total)
        if self._next == 1:
            self._began_s -= known.age_s  # age goes on from there
        self.installation, self.dropped = installation, total
        self._next = max(self._next, last + 1)
        self._released = places | self._released

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
        if self._file:
            self._file.close()
            self.dropped += self._file.count
            self._file = None
        aside = put_aside(self._path)
        self._report(f"outbox {self._path}: damaged ({why}); kept as {aside.name}, a new one is begun")
        self._to_save = set(self._released)
