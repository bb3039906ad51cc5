"""Training traces that show what a trace of another split shows are known, however the records lie."""

import csv
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

h5py = pytest.importorskip("h5py", reason="the host side needs the [host] extra")

from edge.card import InputSpec
from zoo.data.overlaps import overlapping
from zoo.data.prepare import trace_store

RATE_HZ = 50


def row(name, start_s, seconds=60.0, station="ABC", **changes):
    start = datetime(2016, 8, 24, 1, 36, tzinfo=UTC) + timedelta(seconds=start_s)
    return {
        "trace_name": name,
        "station_network_code": "XX",
        "station_code": station,
        "trace_start_time": start.isoformat().replace("+00:00", "Z"),
        "trace_npts": str(round(seconds * RATE_HZ)),
        "trace_sampling_rate_hz": str(RATE_HZ),
        **changes,
    }


SPANS = st.lists(st.tuples(st.integers(0, 300), st.integers(1, 90), st.sampled_from("AB")), max_size=12)


@given(SPANS, SPANS)
def test_what_overlaps_is_what_looking_at_every_pair_finds(mine, theirs):
    rows = [row(str(k), *span) for k, span in enumerate(mine)]
    others = [row(f"other {k}", *span) for k, span in enumerate(theirs)]
    expected = {
        str(k)
        for k, (a, m, here) in enumerate(mine)
        if any(a < b + n and b < a + m and here == there for b, n, there in theirs)
    }
    assert overlapping(rows, others) == expected


def test_records_that_touch_do_not_overlap():
    others = [row("before", -60), row("after", 60)]
    assert overlapping([row("between", 0)], others) == set()
    assert overlapping([row("between", -0.02)], others) == {"between"}


def test_the_same_code_in_another_network_is_another_station():
    assert overlapping([row("a", 0)], [row("b", 0, station_network_code="YY")]) == set()


@pytest.mark.parametrize(
    "column", ["station_code", "trace_start_time", "trace_npts", "trace_sampling_rate_hz"]
)
def test_a_row_that_does_not_say_where_or_when_it_is_overlaps_nothing(column):
    assert overlapping([row("a", 0, **{column: ""})], [row("b", 0)]) == set()
    assert overlapping([row("a", 0)], [row("b", 0, **{column: ""})]) == set()


def test_a_time_that_cannot_be_read_is_told_with_its_trace():
    with pytest.raises(ValueError, match=r"trace 'a': .* 'yesterday'"):
        overlapping([row("a", 0, trace_start_time="yesterday")], [])


@pytest.mark.parametrize("rate", ["0", "nan", "1e-320"])
def test_a_rate_that_gives_no_length_is_told_with_its_trace(rate):
    with pytest.raises(ValueError, match=r"trace 'a': when it begins and ends is unclear"):
        overlapping([row("a", 0, trace_sampling_rate_hz=rate)], [])


def test_training_records_leave_out_what_dev_and_test_show(tmp_path, capsys):
    rows = [
        row("far", 1000) | {"split": "train"},
        row("near dev", 100) | {"split": "train"},
        row("near test", 400) | {"split": "train"},
        row("dev", 130) | {"split": "dev"},
        row("test", 370) | {"split": "test"},
        row("nowhere", 130, trace_npts="") | {"split": "train"},
    ]
    with (tmp_path / "metadata.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    with h5py.File(tmp_path / "waveforms.hdf5", "w") as file:
        for one in rows:
            file[f"data/{one['trace_name']}"] = np.random.default_rng(0).normal(size=(3, 3000))
    spec = InputSpec(100.0, 512, 1.0, {"name": "max-abs"})
    store = trace_store(tmp_path, [], spec, tmp_path / "cache")
    assert [record.name for record in store] == ["far", "nowhere"]
    assert "1 of 4 training traces do not say where, when and how long they are" in capsys.readouterr().err
