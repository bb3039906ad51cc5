"""Where picks are kept: SQLite or PostgreSQL by URL, the same code through SQLAlchemy Core."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, Row, create_engine, event, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.schema import CreateIndex, CreateTable

from collect.schema import ARRIVALS, EVENTS, METADATA, PICKS, STAMP, VERSION
from edge.pick import Pick

_FIELDS = [column.name for column in PICKS.columns if column.name not in ("revision", "received_ns")]

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

    def __init__(self, url: str) -> None:
        """Opens or begins the database of an SQLAlchemy URL. StoreError if it cannot be, or if it holds
        tables of another version."""
        try:
            self._engine = _engine(url)
            self._insert = (postgresql if self._engine.dialect.name == "postgresql" else sqlite).insert
            self._prepare()
        except (ArgumentError, NoSuchModuleError) as error:
            raise StoreError(
                f"{url!r} is no store: sqlite:///picks.db or postgresql+psycopg://user@host/database"
            ) from error
        except SQLAlchemyError as error:
            raise StoreError(f"cannot open the store: {_first_line(error)}") from error
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

    def _prepare(self) -> None:
        with self._engine.begin() as connection:
            if self._engine.dialect.name == "postgresql":
                # IF NOT EXISTS alone does not keep apart several that begin one database at once.
                connection.execute(select(func.pg_advisory_xact_lock(BEGINNING)))
            for table in METADATA.sorted_tables:
                connection.execute(CreateTable(table, if_not_exists=True))
                for index in table.indexes:
                    connection.execute(CreateIndex(index, if_not_exists=True))
            connection.execute(self._insert(STAMP).values(key=1, version=VERSION).on_conflict_do_nothing())
        with self._engine.connect() as connection:
            version = connection.scalar(select(STAMP.c.version))
        if version != VERSION:
            raise StoreError(
                f"the store's tables are of version {version}, this program's of {VERSION}: "
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
        try:
            with self._engine.begin() as connection:
                return len(connection.execute(self._upsert, rows).all())
        except DBAPIError as error:
            raise StoreError(_first_line(error)) from error

    def picks(self, begin_ns: int, end_ns: int, *, rejected: bool = False) -> list[Pick]:
        """Picks with begin <= time < end, by time; those rejected by their station only if asked for."""
        wanted = select(PICKS).where(PICKS.c.time_ns >= begin_ns, PICKS.c.time_ns < end_ns)
        if not rejected:
            wanted = wanted.where(PICKS.c.status != "rejected")
        wanted = wanted.order_by(PICKS.c.time_ns, PICKS.c.station, PICKS.c.id)
        with self._engine.connect() as connection:
            return [_pick(row) for row in connection.execute(wanted)]

    def replace_events(self, begin_ns: int, end_ns: int, events: Iterable[Event]) -> None:
        """Events that have a pick with begin <= time < end become these."""
        same = (PICKS.c.station == ARRIVALS.c.station) & (PICKS.c.id == ARRIVALS.c.pick)
        within = (PICKS.c.time_ns >= begin_ns, PICKS.c.time_ns < end_ns)
        with self._engine.begin() as connection:
            old = connection.scalars(
                select(ARRIVALS.c.event).distinct().join(PICKS, same).where(*within)
            ).all()
            for one in old:
                connection.execute(EVENTS.delete().where(EVENTS.c.id == one))
            for one in events:
                _insert_event(connection, one)

    def events(self, begin_ns: int, end_ns: int, *, rejected: bool = False) -> list[Event]:
        """Events with begin <= origin time < end, by time, with their picks as they are now; those that
        were rejected since only if asked for."""
        wanted = select(EVENTS).where(EVENTS.c.time_ns >= begin_ns, EVENTS.c.time_ns < end_ns)
        with self._engine.connect() as connection:
            return [
                Event(**row._mapping, arrivals=_arrivals(connection, row.id, rejected))
                for row in connection.execute(wanted.order_by(EVENTS.c.time_ns)).all()
            ]

    def close(self) -> None:
        self._engine.dispose()


def _engine(url: str) -> Engine:
    address = make_url(url)
    if address.get_backend_name() not in ("sqlite", "postgresql"):
        raise ArgumentError(url)
    try:
        engine = create_engine(address)
    except ModuleNotFoundError as error:
        raise StoreError(f"{error.name} is missing: pip install 'edge-pick[postgres]'") from error
    if engine.dialect.name == "sqlite":

        @event.listens_for(engine, "connect")
        def durable(connection: Any, _: object) -> None:
            # What is acknowledged must outlive a power cut; readers do not wait for the writer.
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA busy_timeout=10000")
            connection.execute("PRAGMA foreign_keys=ON")

    return engine


def _first_line(error: SQLAlchemyError) -> str:
    cause = error.orig if isinstance(error, DBAPIError) else error
    return str(cause).partition("\n")[0]


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
    same = (PICKS.c.station == ARRIVALS.c.station) & (PICKS.c.id == ARRIVALS.c.pick)
    wanted = select(PICKS, ARRIVALS.c.residual_s).join(ARRIVALS, same).where(ARRIVALS.c.event == event_id)
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
