"""The tables, alike in SQLite and PostgreSQL."""

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
)

VERSION = 1
"""Of these tables; a store of another one is refused, not changed."""

METADATA = MetaData()

STAMP = Table(
    "edge_collect",
    METADATA,
    Column("key", Integer, primary_key=True, autoincrement=False),  # 1: there is one row
    Column("version", Integer, nullable=False),
)

PICKS = Table(
    "picks",
    METADATA,
    # A station can only ever replace its own picks, whatever ids it makes up.
    Column("station", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("revision", Integer, nullable=False),  # the pick's `update`, which is a word of SQL
    Column("status", Text, nullable=False),
    Column("phase", Text, nullable=False),
    Column("time_ns", BigInteger, nullable=False),
    Column("prob", Float(53), nullable=False),
    Column("sigma", Float(53), nullable=False),
    Column("snr_db", Float(53)),
    Column("amp", Float(53), nullable=False),
    Column("amp_unit", Text, nullable=False),
    Column("polarity", Text),
    Column("polarity_prob", Float(53)),
    Column("clock", Text, nullable=False),
    Column("clock_sigma", Float(53)),
    Column("latency_s", Float(53), nullable=False),
    Column("channels", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("received_ns", BigInteger, nullable=False),
    Index("picks_by_time", "time_ns"),
)

EVENTS = Table(
    "events",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("time_ns", BigInteger, nullable=False),
    Column("latitude", Float(53), nullable=False),
    Column("longitude", Float(53), nullable=False),
    Column("depth_km", Float(53), nullable=False),
    Column("rms_s", Float(53), nullable=False),
    Column("method", Text, nullable=False),
    Index("events_by_time", "time_ns"),
)

ARRIVALS = Table(
    "arrivals",
    METADATA,
    Column("event", Text, ForeignKey("events.id", ondelete="CASCADE"), primary_key=True),
    Column("station", Text, primary_key=True),
    Column("pick", Text, primary_key=True),
    Column("residual_s", Float(53), nullable=False),
)
