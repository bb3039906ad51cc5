"""One row a pick: the latest word of its station on it, and nobody else's."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from network import PICK, picks_of

pytest.importorskip("sqlalchemy", reason="the receiving end needs the [collect] extra")
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.schema import CreateTable, DropTable

from collect.schema import ARRIVALS, EVENTS, PICKS, STAMP
from collect.store import Arrival, Event, Store, StoreError

ALL = (0, 2**62)


@pytest.fixture
def store(store_url):
    opened = Store(store_url)
    yield opened
    opened.close()


@settings(max_examples=30)
@given(st.lists(st.lists(st.integers(0, 5), max_size=4), max_size=4))
def test_the_highest_update_stays_and_of_equal_ones_the_first(batches):
    store = Store("sqlite://")
    sent = [
        [replace(PICK, update=update, prob=n / 10) for update in batch] for n, batch in enumerate(batches)
    ]
    changes = sum(store.save(batch, 0) for batch in sent)
    everything = [pick for batch in sent for pick in batch]
    best = max(everything, key=lambda pick: pick.update, default=None)
    assert store.picks(*ALL) == ([] if best is None else [best])
    assert changes <= len(batches)


def test_an_update_replaces_and_an_older_one_does_not(store):
    early = replace(PICK, status="preliminary")
    final = replace(PICK, update=1, time_ns=PICK.time_ns + 10_000_000, prob=0.95)
    assert store.save([early], 0) == 1
    assert store.save([final], 0) == 1
    assert store.save([early, final], 0) == 0
    assert store.picks(*ALL) == [final]


def test_a_station_cannot_replace_the_pick_of_another(store):
    stranger = replace(PICK, station="XX.OTHER.00", update=9)
    assert store.save([PICK], 0) == 1
    assert store.save([stranger], 0) == 1
    assert store.picks(*ALL) == [stranger, PICK]


def test_rejected_picks_stay_and_are_given_if_asked_for(store):
    rejected = replace(PICK, update=1, status="rejected")
    store.save([replace(PICK, status="preliminary"), rejected], 0)
    assert store.picks(*ALL) == []
    assert store.picks(*ALL, rejected=True) == [rejected]


def test_collectors_that_write_the_same_picks_at_once_do_not_wait_for_each_other(store_url):
    picks = picks_of(300)
    stores = [Store(store_url) for _ in range(3)]
    orders = [picks, picks[::-1], picks[100:] + picks[:100]]
    with ThreadPoolExecutor(3) as pool:
        stored = list(
            pool.map(
                lambda one: sum(one[0].save(one[1], 0) for _ in range(3)), zip(stores, orders, strict=True)
            )
        )
    assert sum(stored) == 300
    assert len(stores[0].picks(*ALL)) == 300
    for one in stores:
        one.close()


def test_a_database_is_begun_once_however_many_begin_it(store_url):
    with ThreadPoolExecutor(4) as pool:
        stores = list(pool.map(Store, [store_url] * 4))
    assert stores[0].save([PICK], 0) == 1
    assert stores[3].picks(*ALL) == [PICK]
    for one in stores:
        one.close()


def test_a_table_partitioned_as_the_documentation_says_is_used_as_before(postgres):
    url = postgres.url("partitioned")
    picks = picks_of(20) + picks_of(20, "XX.OTHER.")
    store = Store(url)
    store.save(picks, 0)
    lines = (Path(__file__).parents[2] / "docs" / "scaling.md").read_text()
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in lines.partition("```sql\n")[2].partition("```")[0].split(";\n"):
            if statement.strip():
                connection.execute(text(statement))
    again = Store(url)
    assert again.save([*picks, replace(picks[3], update=1)], 0) == 1
    assert again.save([replace(PICK, station="XX.NEW.")], 0) == 1
    assert len(again.picks(*ALL)) == 41
    with engine.connect() as connection:
        indexes = text("SELECT count(*) FROM pg_indexes WHERE tablename = 'picks'")
        assert connection.scalar(indexes) == 2  # of the key and of the time, each once
    engine.dispose()
    store.close()
    again.close()


def test_tables_of_another_version_are_refused_and_left_alone(store_url):
    Store(store_url).close()
    engine = create_engine(store_url)
    with engine.begin() as connection:
        connection.execute(STAMP.update().values(version=0))
    with pytest.raises(StoreError, match="version 0, this program's of 1"):
        Store(store_url)
    with engine.connect() as connection:
        assert connection.execute(STAMP.select()).all() == [(1, 0)]
    engine.dispose()


def test_nothing_is_added_to_a_database_of_another_version(store_url):
    engine = create_engine(store_url)
    with engine.begin() as connection:
        connection.execute(CreateTable(STAMP))
        connection.execute(STAMP.insert().values(key=1, version=0))
    with pytest.raises(StoreError, match="version 0, this program's of 1"):
        Store(store_url)
    assert inspect(engine).get_table_names() == [STAMP.name]
    engine.dispose()


def test_a_database_without_picks_is_not_begun_by_a_reader(store_url):
    engine = create_engine(store_url)
    engine.connect().close()  # makes SQLite's file
    with pytest.raises(StoreError, match="holds no picks of edge-collect"):
        Store(store_url, begin=False)
    assert inspect(engine).get_table_names() == []
    engine.dispose()


def test_what_the_database_cannot_do_is_one_line(store_url):
    store = Store(store_url)
    engine = create_engine(store_url)
    with engine.begin() as connection:
        for table in (ARRIVALS, PICKS, EVENTS):
            connection.execute(DropTable(table))
    engine.dispose()
    works = (store.picks, store.events, store.taken, lambda *period: store.replace_events(*period, []))
    for work in works:
        with pytest.raises(StoreError) as caught:
            work(*ALL)
        assert "\n" not in str(caught.value)
    store.close()


def test_a_password_is_never_said():
    pytest.importorskip("psycopg", reason="PostgreSQL needs the [postgres] extra")
    for url in (
        "postgresql://me:secret@127.0.0.1:1/picks",
        "postgresql://me@127.0.0.1:1/picks?password=secret",
        "mysql://me:secret@localhost/picks",
        "me:secret@localhost",
    ):
        with pytest.raises(StoreError) as caught:
            Store(url)
        assert "secret" not in str(caught.value)


def test_a_plain_postgresql_url_will_do(postgres):
    store = Store(postgres.url("plain").replace("+psycopg", ""))
    assert store.save([PICK], 0) == 1
    store.close()


def test_a_file_that_is_no_database_is_refused(tmp_path):
    (tmp_path / "picks.db").write_bytes(b"no database" * 1000)
    with pytest.raises(StoreError, match="file is not a database"):
        Store(f"sqlite:///{tmp_path / 'picks.db'}")


def event(name, own):
    arrivals = tuple(Arrival(pick, 0.1) for pick in own)
    return Event(name, own[0].time_ns - 1, 46.0, 8.0, 10.0, 0.1, "test", arrivals)


def test_an_event_that_reaches_out_of_the_period_stays_and_keeps_its_picks(store):
    picks = picks_of(9)
    store.save(picks, 0)
    begin, end = picks[2].time_ns, picks[7].time_ns
    first, second, third = event("a", picks[:3]), event("b", picks[3:6]), event("c", picks[6:])
    store.replace_events(*ALL, [first, second, third])
    assert store.taken(begin, end) == {(pick.station, pick.id) for pick in (picks[2], picks[6])}
    assert store.taken(*ALL) == set()
    store.replace_events(begin, end, [])
    assert store.events(*ALL) == [first, third]


def test_events_of_a_period_are_replaced_with_their_arrivals(store):
    picks = picks_of(6)
    store.save(picks, 0)
    first, second = event("a", picks[:3]), event("b", picks[3:])
    store.replace_events(*ALL, [first, second])
    assert store.events(*ALL) == [first, second]
    other = event("c", picks[3:5])
    store.replace_events(picks[3].time_ns, ALL[1], [other])
    assert store.events(*ALL) == [first, other]


def test_a_pick_that_was_rejected_since_is_left_out_of_its_event(store):
    picks = picks_of(3)
    store.save(picks, 0)
    arrivals = tuple(Arrival(pick, 0.0) for pick in picks)
    store.replace_events(*ALL, [Event("a", 1, 46.0, 8.0, 10.0, 0.1, "test", arrivals)])
    store.save([replace(picks[1], update=1, status="rejected")], 0)
    (event,) = store.events(*ALL)
    assert [arrival.pick for arrival in event.arrivals] == [picks[0], picks[2]]
    assert len(store.events(*ALL, rejected=True)[0].arrivals) == 3
