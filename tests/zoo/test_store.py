"""Prepared records: written once, read back to the bit, made anew when what they depend on changes."""

import os
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("h5py", reason="the zoo needs the [host] extra")

from edge.card import InputSpec
from edge.cells import PHASES
from zoo.data import prepare
from zoo.data.labels import Arrival
from zoo.data.prepare import trace_store
from zoo.data.records import Record, record_of
from zoo.data.seisbench import read_traces
from zoo.data.store import Records, default_cache, silent, stored

SPEC = InputSpec(100.0, 1024, 1.0, {"name": "max-abs"})


def noise(seed, n=300):
    return np.random.default_rng(seed).normal(size=(n, 3)).astype(np.float32)


P, S = Arrival("P", 100.25, True, 1.0), Arrival("S", 170.5, False, 0.8)
MIXED = [
    ("analyst", Record("a", "north", noise(0), (P, S), ())),
    ("noise", Record("b", "south", noise(1), (), ())),
    ("analyst", Record("åé", "south", noise(2, 500), (S,), ((0.0, 20.5), (30.0, 40.0)))),
    ("analyst", Record("scrap", "north", noise(3, 99), (P,), ())),
    ("noise", Record("c", "north", noise(4), (), ((1.0, 2.0),))),
]


@pytest.fixture
def store(tmp_path):
    return stored(tmp_path / "cache", {"name": "mixed"}, 100.0, lambda: iter(MIXED))


def assert_same(one, two):
    assert (one.name, one.source, one.arrivals, one.unknown) == (
        two.name,
        two.source,
        two.arrivals,
        two.unknown,
    )
    assert one.samples.dtype == np.float32
    np.testing.assert_array_equal(one.samples, two.samples)


def refuse():
    raise AssertionError("prepared again")


def test_records_come_back_as_they_were(store):
    for read, (_, record) in zip(store, MIXED, strict=True):
        assert_same(read, record)
    assert not store[0].samples.flags.writeable


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8),
            st.integers(1, 4),
            st.lists(
                st.builds(
                    Arrival, st.sampled_from(PHASES), st.floats(0, 1e6), st.booleans(), st.floats(0, 1)
                ),
                max_size=3,
            ),
            st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)), max_size=3),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_any_records_come_back_as_they_were(tmp_path_factory, rows):
    records = [
        Record(name, name[:1], noise(k, n), tuple(arrivals), tuple(unknown))
        for k, (name, n, arrivals, unknown) in enumerate(rows)
    ]
    cache = tmp_path_factory.mktemp("cache")
    for read, record in zip(
        stored(cache, {"name": "any"}, 1.0, lambda: (("q", one) for one in records)), records, strict=True
    ):
        assert_same(read, record)


def test_rows_are_chosen_by_quality_and_source_without_scraps(store):
    assert store.qualities == ["analyst", "noise"]
    assert store.rows("analyst").tolist() == [0, 2]
    assert store.rows("analyst", ["north"]).tolist() == [2]
    assert store.rows("noise", ["north", "south"]).tolist() == []
    assert store.rows("correlation").tolist() == []
    assert store.counts() == {"north": 3, "south": 2}


def test_records_of_several_stores_follow_each_other(store):
    both = Records([(store, store.rows("noise")), (store, store.rows("none")), (list(store), np.array([2]))])
    assert [record.name for record in both] == ["b", "c", "åé"]
    assert len(both) == 3
    assert both[-1].name == "åé"
    assert [record.name for record in both[1:]] == ["c", "åé"]
    with pytest.raises(IndexError):
        both[3]
    for records in (both, store, list(store)):
        assert silent(records).tolist() == [not record.arrivals and not record.unknown for record in records]


def test_what_is_there_is_not_prepared_again(store, tmp_path):
    again = stored(tmp_path / "cache", {"name": "mixed"}, 100.0, refuse)
    assert [record.name for record in again] == [record.name for record in store]
    for changed in ({"key": {"name": "mixed", "corner": 2.0}}, {"rate_hz": 50.0}):
        arguments = {"key": {"name": "mixed"}, "rate_hz": 100.0} | changed
        with pytest.raises(AssertionError, match="prepared again"):
            stored(tmp_path / "cache", prepare=refuse, **arguments)


@pytest.mark.parametrize("error", [ValueError("a bad trace"), KeyboardInterrupt()])
def test_an_interruption_leaves_nothing_behind(tmp_path, error):
    def prepare():
        yield from MIXED
        raise error

    with pytest.raises(type(error)):
        stored(tmp_path, {"name": "mixed"}, 100.0, prepare)
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []


def test_what_a_killed_process_left_is_no_store(tmp_path):
    whole = stored(tmp_path, {"name": "mixed"}, 100.0, lambda: iter(MIXED))
    (folder,) = (path for path in tmp_path.iterdir() if path.is_dir())
    (folder / "store.json").unlink()
    folder.rename(folder.with_name(f"{folder.name}.partial"))
    assert len(stored(tmp_path, {"name": "mixed"}, 100.0, lambda: iter(MIXED))) == len(whole)
    assert [path for path in tmp_path.iterdir() if path.suffix == ".partial"] == []


@pytest.mark.parametrize("name", ["samples.f32", "records.npy", "arrivals.npy", "spans.npy", "store.json"])
def test_a_damaged_store_says_what_to_do(store, tmp_path, name):
    (path,) = (tmp_path / "cache").glob(f"*/{name}")
    os.truncate(path, path.stat().st_size - 12)
    with pytest.raises(ValueError, match="delete it"):
        stored(tmp_path / "cache", {"name": "mixed"}, 100.0, refuse)


def test_a_full_disk_is_told(tmp_path):
    def prepare():
        yield MIXED[0]
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="no space left in"):
        stored(tmp_path, {"name": "mixed"}, 100.0, prepare)


def test_the_cache_is_where_the_platform_keeps_them(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/somewhere")
    assert default_cache() == Path("/var/somewhere/edge-pick")
    for value in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", value)
        assert default_cache() == Path.home() / ".cache" / "edge-pick"


def test_a_folder_of_traces_is_stored_as_training_wants_it(quakes, tmp_path):
    store = trace_store(quakes, [], SPEC, tmp_path)
    traces = list(read_traces(quakes, "train"))
    for record, trace in zip(store, traces, strict=True):
        assert_same(record, record_of(trace, SPEC))
    assert Counter({q: len(store.rows(q)) for q in store.qualities}) == Counter(t.quality for t in traces)


def test_traces_are_prepared_anew_when_data_teachers_or_filter_change(quakes, tmp_path, monkeypatch):
    folder = shutil.copytree(quakes, tmp_path / "data")
    picks = tmp_path / "picks.json"
    picks.write_text('{"a": {"t": []}, "b": {"t": []}}')
    prepared = []
    record_of = prepare.record_of
    monkeypatch.setattr(prepare, "record_of", lambda *args: (prepared.append(1), record_of(*args))[1])

    def times(teachers=(), spec=SPEC):
        prepared.clear()
        trace_store(folder, teachers, spec, tmp_path / "cache")
        return len(prepared)

    assert times() == 10
    assert times() == 0
    assert times(spec=replace(SPEC, highpass_hz=None)) == 10
    assert times(spec=replace(SPEC, window=2048)) == 0
    assert times([picks]) == 10
    os.utime(folder / "metadata.csv", ns=(0, 0))
    assert times() == 10


def test_windows_of_a_store_are_those_of_the_same_records_in_memory(quakes, tmp_path):
    pytest.importorskip("keras", reason="the zoo needs the [host] extra")
    from zoo.data.windows import WindowMixer
    from zoo.train import groups_of

    groups = groups_of([trace_store(quakes, [], SPEC, tmp_path)])
    in_memory = {name: (share, list(records)) for name, (share, records) in groups.items()}
    (x, targets), (x2, targets2) = (
        WindowMixer(which, SPEC, 8).batch(np.random.default_rng(0), 40) for which in (groups, in_memory)
    )
    np.testing.assert_array_equal(x, x2)
    np.testing.assert_array_equal(targets["cls"], targets2["cls"])


def test_folders_that_hold_no_data_are_told(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"has no metadata\.csv"):
        trace_store(tmp_path, [], SPEC, tmp_path / "cache")
    (tmp_path / "metadata.csv").write_text("trace_name,split\na,train\n")
    with pytest.raises(FileNotFoundError, match=r"has no waveforms\.hdf5"):
        trace_store(tmp_path, [], SPEC, tmp_path / "cache")
