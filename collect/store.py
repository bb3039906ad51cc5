"""Where picks are kept: SQLite or PostgreSQL by URL, the same code through SQLAlchemy Core."""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from sqlite3 import OperationalError
from typing import Any

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    Row,
    Select,
    Table,
    create_engine,
    event,
    func,
    inspect,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.schema import CreateIndex, CreateTable

from collect.schema import ARRIVALS, EVENTS, METADATA, PICKS, STAMP, VERSION
from edge.pick import Pick

_BEGIN_TRIES, _BEGIN_WAIT_S = 50, 0.1
_FIELDS = [column.name for column in PICKS.columns if column.name not in ("revision", "received_ns")]
_SAME = (PICKS.c.station == ARRIVALS.c.station) & (PICKS.c.id == ARRIVALS.c.pick)

BEGINNING = 0x65646765
"""Number of the lock, in PostgreSQL, under which tables are made."""


class StoreError(Exception):
    """The store cannot be used; one line says why."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """One pick of an event. `residual_s`: observed minus computed time, seconds."""

    pick: Pick
    residual_s: float


@dataclass(frozen=True, slots=True)
class Event:
    """A located event. `time_ns`: origin time, UTC nanoseconds; `latitude`, `longitude`: degrees;
    `depth_km` below sea level; `rms_s`: of the arrivals' residuals, seconds; `method`: who found it, and
    how."""

    id: str
    time_ns: int
    latitude: float
    longitude: float
    depth_km: float
    rms_s: float
    method: str
    arrivals: tuple[Arrival, ...]


class Store:
    """Picks by (station, id), and the events made of them. A process may have several, of the same
    database."""

    def __init__(self, url: str, *, begin: bool = True) -> None:
        """Opens the database of an SQLAlchemy URL, and with `begin` makes the tables that it lacks.
        StoreError if it cannot be opened, holds tables of another version, or has none to be read."""
        address = _address(url)
        # Passwords are in the query too, at times.
        self._name = address.set(query={}).render_as_string(hide_password=True)
        self._engine = _engine(address, begin)
        self._insert = (postgresql if self._engine.dialect.name == "postgresql" else sqlite).insert
        with self._transaction() as connection:
            if begin:
                self._stamp(connection)
            self._check_version(connection)
            if begin:
                for table in METADATA.sorted_tables:
                    _make(connection, table)
        insert = self._insert(PICKS)
        self._upsert = insert.on_conflict_do_update(
            index_elements=[PICKS.c.station, PICKS.c.id],
            set_={
                column.name: insert.excluded[column.name]
                for column in PICKS.columns
                if not column.primary_key
            },
            where=PICKS.c.revision < insert.excluded.revision,
        ).returning(PICKS.c.id)

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        """All of it or nothing; StoreError, of one line, where the database cannot."""
        try:
            with self._engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            cause = error.orig if isinstance(error, DBAPIError) else error
            first_line = str(cause).partition("\n")[0]
            raise StoreError(f"store {self._name}: {first_line}") from error

    def _stamp(self, connection: Connection) -> None:
        if self._engine.dialect.name == "postgresql":
            # IF NOT EXISTS alone does not keep apart several that begin one database at once.
            connection.execute(select(func.pg_advisory_xact_lock(BEGINNING)))
        _make(connection, STAMP)
        connection.execute(self._insert(STAMP).values(key=1, version=VERSION).on_conflict_do_nothing())

    def _check_version(self, connection: Connection) -> None:
        if not inspect(connection).has_table(STAMP.name):
            raise StoreError(f"store {self._name}: holds no picks of edge-collect")
        version = connection.scalar(select(STAMP.c.version))
        if version != VERSION:
            raise StoreError(
                f"store {self._name}: its tables are of version {version}, this program's of {VERSION}: "
                "use another database, or the program that made them"
            )

    def save(self, picks: Sequence[Pick], received_ns: int) -> int:
        """Commits picks, all or none; how many of them were new, or newer than what was there. The others
        are duplicates. StoreError if the database cannot take them now."""
        newest: dict[tuple[str, str], Pick] = {}
        for pick in picks:
            known = newest.setdefault((pick.station, pick.id), pick)
            if known.update < pick.update:
                newest[pick.station, pick.id] = pick
        if not newest:
            return 0
        # Always in one order: two collectors that hold the same picks must not wait for each other.
        rows = [_row(newest[key], received_ns) for key in sorted(newest)]
        with self._transaction() as connection:
            return len(connection.execute(self._upsert, rows).all())

    def picks(self, begin_ns: int, end_ns: int, *, rejected: bool = False) -> list[Pick]:
        """Picks with begin <= time < end, by time; those rejected by their station only if asked for.
        StoreError, here and below, if the database cannot."""
        wanted = select(PICKS).where(PICKS.c.time_ns >= begin_ns, PICKS.c.time_ns < end_ns)
        if not rejected:
            wanted = wanted.where(PICKS.c.status != "rejected")
        wanted = wanted.order_by(PICKS.c.time_ns, PICKS.c.station, PICKS.c.id)
        with self._transaction() as connection:
            return [_pick(row) for row in connection.execute(wanted)]

    def taken(self, begin_ns: int, end_ns: int) -> set[tuple[str, str]]:
        """Station and id of the picks with begin <= time < end of events that reach out of this period:
        `replace_events` leaves those events as they are."""
        wanted = (
            select(PICKS.c.station, PICKS.c.id)
            .join(ARRIVALS, _SAME)
            .where(PICKS.c.time_ns >= begin_ns, PICKS.c.time_ns < end_ns)
            .where(ARRIVALS.c.event.not_in(_events_within(begin_ns, end_ns)))
        )
        with self._transaction() as connection:
            return {(row.station, row.id) for row in connection.execute(wanted)}

    def replace_events(self, begin_ns: int, end_ns: int, events: Iterable[Event]) -> None:
        """Events all of whose picks have begin <= time < end become these."""
        old = EVENTS.c.id.in_(_events_within(begin_ns, end_ns))
        with self._transaction() as connection:
            connection.execute(EVENTS.delete().where(old))
            for one in events:
                _insert_event(connection, one)

    def events(self, begin_ns: int, end_ns: int, *, rejected: bool = False) -> list[Event]:
        """Events with begin <= origin time < end, by time, with their picks as they are now; those that
        were rejected since only if asked for."""
        wanted = select(EVENTS).where(EVENTS.c.time_ns >= begin_ns, EVENTS.c.time_ns < end_ns)
        with self._transaction() as connection:
            return [
                Event(**row._mapping, arrivals=_arrivals(connection, row.id, rejected))
                for row in connection.execute(wanted.order_by(EVENTS.c.time_ns)).all()
            ]

    def close(self) -> None:
        self._engine.dispose()


def _address(url: str) -> URL:
    try:
        address = make_url(url)
        if address.get_backend_name() not in ("sqlite", "postgresql"):
            raise ArgumentError("another kind of database")
        address.get_dialect()
    except (ArgumentError, NoSuchModuleError) as error:
        # Without the URL, which may hold a password.
        raise StoreError(
            "no such store: give sqlite:///picks.db or postgresql+psycopg://user@host/database"
        ) from error
    return address.set(drivername="postgresql+psycopg") if address.drivername == "postgresql" else address


def _engine(address: URL, begin: bool) -> Engine:
    if address.get_backend_name() == "sqlite" and not begin:
        # By a mere path SQLite would make the file that is missing.
        path = Path(address.database or "").absolute()
        if not path.exists():
            raise StoreError(f"store {path}: there is none; collecting makes it, see edge-collect --help")
        address = address.set(database=path.as_uri()).update_query_dict({"mode": "rw", "uri": "true"})
    try:
        engine = create_engine(address)
    except ModuleNotFoundError as error:
        raise StoreError(f"{error.name} is missing: pip install 'edge-pick[postgres]'") from error
    if engine.dialect.name == "sqlite":

        @event.listens_for(engine, "connect")
        def durable(connection: Any, _: object) -> None:
            # What is acknowledged must outlive a power cut; readers do not wait for the writer. This mode
            # stays with the file, and setting it would wait.
            if begin:
                _write_ahead(connection)
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA busy_timeout=10000")
            connection.execute("PRAGMA foreign_keys=ON")

    return engine


def _make(connection: Connection, table: Table) -> None:
    connection.execute(CreateTable(table, if_not_exists=True))
    for index in table.indexes:
        connection.execute(CreateIndex(index, if_not_exists=True))


def _events_within(begin_ns: int, end_ns: int) -> Select[Any]:
    """Ids of the events all of whose picks have begin <= time < end."""
    return (
        select(ARRIVALS.c.event)
        .join(PICKS, _SAME)
        .group_by(ARRIVALS.c.event)
        .having(func.min(PICKS.c.time_ns) >= begin_ns, func.max(PICKS.c.time_ns) < end_ns)
    )


def _write_ahead(connection: Any) -> None:
    """SQLite's journal ahead of the file. Of programs that begin one file together some are told at once that
    it is locked, whatever the timeout."""
    for _ in range(_BEGIN_TRIES):
        with suppress(OperationalError):
            connection.execute("PRAGMA journal_mode=WAL")
            return
        time.sleep(_BEGIN_WAIT_S)
    connection.execute("PRAGMA journal_mode=WAL")


def _row(pick: Pick, received_ns: int) -> dict[str, Any]:
    fields = {name: getattr(pick, name) for name in _FIELDS}
    return fields | {
        "channels": ",".join(pick.channels),
        "revision": pick.update,
        "received_ns": received_ns,
    }


def _pick(row: Row[Any]) -> Pick:
    fields = {name: getattr(row, name) for name in _FIELDS}
    return Pick(**fields | {"channels": tuple(row.channels.split(",")), "update": row.revision})


def _arrivals(connection: Connection, event_id: str, rejected: bool) -> tuple[Arrival, ...]:
    wanted = select(PICKS, ARRIVALS.c.residual_s).join(ARRIVALS, _SAME).where(ARRIVALS.c.event == event_id)
    if not rejected:
        wanted = wanted.where(PICKS.c.status != "rejected")
    rows = connection.execute(wanted.order_by(PICKS.c.time_ns, PICKS.c.station, PICKS.c.id))
    return tuple(Arrival(_pick(row), row.residual_s) for row in rows)


def _insert_event(connection: Connection, one: Event) -> None:
    fields = {column.name: getattr(one, column.name) for column in EVENTS.columns}
    connection.execute(EVENTS.insert().values(fields))
    connection.execute(
        ARRIVALS.insert(),
        [
            {
                "event": one.id,
                "station": arrival.pick.station,
                "pick": arrival.pick.id,
                "residual_s": arrival.residual_s,
            }
            for arrival in one.arrivals
        ],
    )
