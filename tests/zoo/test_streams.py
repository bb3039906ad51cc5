"""Training records from continuous ones: picks on which pickers agree stay on their onsets."""

import csv

import numpy as np
import pytest

pytest.importorskip("h5py", reason="the zoo needs the [host] extra")

from pymseed import MS3TraceList, nslc2sourceid

from edge.card import InputSpec
from edge.pick import NS, format_time
from zoo.data.streams import stream_records

SPEC = InputSpec(100.0, 1024, None, {"name": "max-abs"})
START_NS = 1_700_000_000 * NS
SPIKES = {"P": 90.0, "S": 95.5}


def table(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)


def pick(phase, second, models=None):
    row = {
        "network": "XX",
        "station": "AAA",
        "phase": phase,
        "time": format_time(START_NS + round(second * NS)),
    }
    return row if models is None else {**row, "n_models": models}


@pytest.fixture
def folder(tmp_path):
    """Three minutes with a gap after the second, two onsets that are agreed on, one that is not."""
    samples = np.random.default_rng(0).integers(-50, 50, (18_000, 3)).astype(np.int32)
    for second in SPIKES.values():
        samples[round(second * 100)] = 100_000
    with MS3TraceList() as traces:
        for letter, column in zip("ZNE", samples.T, strict=True):
            name = nslc2sourceid("XX", "AAA", "", f"HH{letter}")
            for begin, end in ((0, 12_000), (12_100, 18_000)):
                part = np.ascontiguousarray(column[begin:end])
                traces.add_data(name, part, "i", 100.0, starttime=START_NS + begin * NS // 100)
        traces.to_file(tmp_path / "a.mseed", format_version=2)
    table(
        tmp_path / "manifest.csv",
        [
            {"source": "swarm", "file": "a.mseed", "network": "XX", "station": "AAA",
             "start": format_time(START_NS), "end": format_time(START_NS + 180 * NS)},
        ],
    )  # fmt: skip
    agreed = [pick("P", SPIKES["P"], 3), pick("S", SPIKES["S"], 2)]
    table(tmp_path / "peer_consensus_picks.csv", agreed)
    table(tmp_path / "peer_picks_raw.csv", [pick("P", SPIKES["P"]), pick("P", 100.0)])
    return tmp_path


def test_labels_sit_on_their_onsets_and_doubtful_picks_are_not_asked(folder):
    (record,) = stream_records(folder, "swarm", START_NS, SPEC)  # what is behind the gap is too short
    assert len(record.samples) == 12_000
    peaks = [
        int(np.abs(record.samples[int(a.sample) - 50 : int(a.sample) + 50, 0]).argmax())
        for a in record.arrivals
    ]
    assert peaks == [50, 50]
    assert [(a.phase, a.timed, a.weight) for a in record.arrivals] == [("P", True, 0.8), ("S", False, 0.5)]
    assert record.unknown == ((9950.0, 10_050.0),)


def test_what_came_before_is_left_out(folder):
    (record,) = stream_records(folder, "swarm", START_NS + 30 * NS, SPEC)
    assert len(record.samples) == 9000
    assert [a.sample for a in record.arrivals] == [6000.0, 6550.0]


def test_nothing_left_to_train_on_is_told(folder):
    for source, second in (("other", 0), ("swarm", 100)):
        with pytest.raises(ValueError, match=f"no records of '{source}'"):
            list(stream_records(folder, source, START_NS + second * NS, SPEC))
