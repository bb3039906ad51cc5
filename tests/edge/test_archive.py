"""A replay gives every sample that the files hold, once, and names what it could not read."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pymseed import DataEncoding, MS3TraceList

from edge.archive import Archive, open_archive
from edge.portions import JOINED_S, joined
from edge.timeline import Timeline

S = 1_000_000_000
T0 = 1_750_000_000 * S
CONTINUOUS = Path(__file__).parents[2].parent / "shared" / "data" / "continuous"


def counts(n: int, seed: int = 0) -> NDArray[np.int32]:
    return np.random.default_rng(seed).integers(-1000, 1000, n).astype(np.int32)


def write(
    path: Path,
    pieces: Sequence[tuple[str, float, NDArray[np.generic] | bytes]],
    rate: float = 100.0,
    encoding: DataEncoding = DataEncoding.STEIM2,
    version: int = 2,
    kind: str = "i",
) -> Path:
    """Each piece (channel as "XX_AAA_00_HHZ", seconds after T0, samples) in 512-byte records, in order."""
    for name, at, samples in pieces:
        network, station, location, channel = name.split("_")
        traces = MS3TraceList()
        sourceid = f"FDSN:{network}_{station}_{location}_{'_'.join(channel)}"
        traces.add_data(sourceid, samples, kind, rate, starttime=T0 + round(at * S))
        traces.to_file(path, max_record_length=512, encoding=encoding, format_version=version)
    return path


def replay(archive: Archive) -> dict[str, tuple[NDArray[np.float64], list[float]]]:
    """By instrument: all its samples, and the starts of its segments in seconds after T0."""
    timelines = {name: Timeline(stream.channels) for name, stream in archive.instruments.items()}
    blocks = {name: [np.empty((0, 3))] for name in timelines}
    starts: dict[str, list[float]] = {name: [] for name in timelines}
    for packet in archive.packets():
        name = packet.stream.instrument
        for block in timelines[name].feed(packet):
            blocks[name].append(block.samples)
            if block.starts_segment:
                starts[name].append((block.start_ns - T0) / S)
    for name, timeline in timelines.items():
        blocks[name] += [block.samples for block in timeline.flush()]
    return {name: (np.concatenate(blocks[name]), starts[name]) for name in timelines}


def three(
    x: NDArray[np.int32], station: str = "XX_AAA_00_HH", at: float = 0.0
) -> list[tuple[str, float, NDArray[np.int32]]]:
    return [(station + letter, at, x[:, i]) for i, letter in enumerate("ZNE")]


def test_a_channel_of_one_letter_is_no_instrument_of_its_own(tmp_path: Path) -> None:
    x = counts(9000).reshape(-1, 3)
    short = [("XX_AAA__Z  ", 0.0, x[:, 0])]
    archive = open_archive([write(tmp_path / "a.mseed", [*three(x), *short], version=2)])
    assert list(archive.instruments) == ["XX.AAA.00.HH"]
    (line,) = archive.problems
    assert "XX.AAA..Z__: channel Z__ has no three-letter SEED code" in line


def test_components_in_any_order_and_many_files(tmp_path: Path) -> None:
    x = counts(9000).reshape(-1, 3)
    z, n, e = three(x)
    paths = [write(tmp_path / "b.mseed", [e, z]), write(tmp_path / "a.mseed", [n])]
    archive = open_archive(paths)
    assert archive.problems == []
    assert archive.instruments["XX.AAA.00.HH"].channels == ("HHZ", "HHN", "HHE")
    packets = list(archive.packets())
    assert len(packets) == archive.record_count
    assert [packet.start_ns for packet in packets] == sorted(packet.start_ns or 0 for packet in packets)
    assert {packet.samples.dtype for packet in packets} == {np.dtype(np.int32)}
    assert {packet.clock for packet in packets} == {"unknown"}
    samples, starts = replay(archive)["XX.AAA.00.HH"]
    np.testing.assert_array_equal(samples, x)
    assert starts == [0.0]


def test_each_instrument_of_a_station_stands_alone(tmp_path: Path) -> None:
    x = counts(3000).reshape(-1, 3)
    pieces = three(x) + three(-x, "XX_AAA_00_HN") + three(2 * x, "XX_AAA_10_HH") + three(3 * x, "XX_BBB__HH")
    replayed = replay(open_archive([write(tmp_path / "all.mseed", pieces)]))
    assert set(replayed) == {"XX.AAA.00.HH", "XX.AAA.00.HN", "XX.AAA.10.HH", "XX.BBB..HH"}
    np.testing.assert_array_equal(replayed["XX.AAA.00.HN"][0], -x)
    np.testing.assert_array_equal(replayed["XX.BBB..HH"][0], 3 * x)


def test_a_gap_stays_a_gap_and_overlap_comes_once(tmp_path: Path) -> None:
    x = counts(9000).reshape(-1, 3)
    pieces = three(x[:1000]) + three(x[700:1500], at=7.0) + three(x[1500:], at=60.0)
    samples, starts = replay(open_archive([write(tmp_path / "x.mseed", pieces)]))["XX.AAA.00.HH"]
    np.testing.assert_array_equal(samples, x)
    assert starts == [0.0, 60.0]


def test_a_file_or_its_copy_given_twice_is_read_once(tmp_path: Path) -> None:
    x = counts(9000).reshape(-1, 3)
    path = write(tmp_path / "x.mseed", three(x))
    copy = tmp_path / "copy.mseed"
    copy.write_bytes(path.read_bytes())
    archive = open_archive([path, tmp_path / "." / "x.mseed", copy])
    assert archive.record_count == 2 * open_archive([path]).record_count
    samples, _ = replay(archive)["XX.AAA.00.HH"]
    np.testing.assert_array_equal(samples, x)


@pytest.mark.parametrize(
    ("kind", "dtype", "encoding"),
    [("f", np.float32, DataEncoding.FLOAT32), ("d", np.float64, DataEncoding.FLOAT64)],
)
@pytest.mark.parametrize("version", [2, 3])
def test_floating_point_records_become_float64(
    tmp_path: Path, kind: str, dtype: type, encoding: DataEncoding, version: int
) -> None:
    x: NDArray[np.generic] = np.random.default_rng(1).standard_normal(1000).astype(dtype)
    path = write(tmp_path / "f.mseed", [("XX_AAA_00_HHZ", 0, x)], 100.0, encoding, version, kind)
    packets = list(open_archive([path]).packets())
    assert {packet.samples.dtype for packet in packets} == {np.dtype(np.float64)}
    np.testing.assert_array_equal(np.concatenate([packet.samples[:, 0] for packet in packets]), x)


def test_text_and_slow_streams_are_left_out(tmp_path: Path) -> None:
    path = write(tmp_path / "x.mseed", [("XX_AAA_00_HHZ", 0, counts(1000))])
    write(path, [("XX_AAA_00_LHZ", 0, counts(1000))], rate=1.0)
    write(path, [("XX_AAA_00_LOG", 0, b"clock locked")], 0.0, DataEncoding.TEXT, kind="t")
    archive = open_archive([path])
    assert list(archive.instruments) == ["XX.AAA.00.HH"]
    assert len(archive.problems) == 1
    assert archive.problems[0].startswith("XX.AAA.00.LHZ: sample rate 1 Hz is outside")
    assert {packet.stream.channels for packet in archive.packets()} == {("HHZ",)}


def test_of_many_channels_left_out_for_one_reason_there_is_one_line(tmp_path: Path) -> None:
    x = counts(9000).reshape(-1, 3)
    fast = write(tmp_path / "fast.mseed", three(x))
    slow = [(f"XX_{name}_00_LH{letter}", 0.0, x[:, 0]) for name in ("AAA", "BBB") for letter in "ZNE"]
    archive = open_archive([fast, write(tmp_path / "slow.mseed", slow, rate=1.0)])
    assert list(archive.instruments) == ["XX.AAA.00.HH"]
    (line,) = archive.problems
    assert line.startswith("XX.AAA.00.LHZ, XX.AAA.00.LHN, XX.AAA.00.LHE and 3 more: sample rate 1 Hz")
    assert " records left out" in line


def test_what_a_channel_tells_at_a_second_rate_at_the_same_time_is_left_out(tmp_path: Path) -> None:
    x = counts(90_000).reshape(-1, 3)
    path = write(tmp_path / "continuous.mseed", three(x))
    triggered = write(
        tmp_path / "triggered.mseed", three(counts(6000, seed=1).reshape(-1, 3), at=100.0), 200.0
    )
    archive = open_archive([triggered, path])
    assert len(archive.problems) == 3
    assert archive.problems[0].startswith("XX.AAA.00.HHZ: ")
    assert "at 200 Hz left out: there are others of the same time at another rate" in archive.problems[0]
    samples, starts = replay(archive)["XX.AAA.00.HH"]
    np.testing.assert_array_equal(samples, x)
    assert starts == [0.0]


def test_a_channel_that_changes_its_rate_is_played_at_both(tmp_path: Path) -> None:
    x = counts(90_000).reshape(-1, 3)
    path = write(tmp_path / "slow.mseed", three(x))
    fast = write(tmp_path / "fast.mseed", three(counts(6000, seed=1).reshape(-1, 3), at=300.0), 200.0)
    archive = open_archive([fast, path])
    assert archive.problems == []
    samples, starts = replay(archive)["XX.AAA.00.HH"]
    np.testing.assert_array_equal(samples[: len(x)], x)
    assert (len(samples) - len(x), starts) == (1000, [0.0, 300.0])


def test_what_a_damaged_file_still_holds_is_kept(tmp_path: Path) -> None:
    x = counts(30_000)
    path = write(tmp_path / "x.mseed", [("XX_AAA_00_HHZ", 0, x)])
    whole = list(open_archive([path]).packets())
    raw = bytearray(path.read_bytes())
    raw[512 * 3 : 512 * 3 + 64] = bytes(64)  # a header gone
    raw[512 * 7 : 512 * 7] = b"noise on the line"  # a stretch that is no record, moving all after it
    raw[-100:] = b""  # the last record cut short
    path.write_bytes(raw)
    archive = open_archive([path])
    assert archive.problems == ["x.mseed: 3 corrupt parts skipped (941 bytes)"]
    kept = list(archive.packets())
    assert [packet.start_ns for packet in kept] == [one.start_ns for one in [*whole[:3], *whole[4:-1]]]
    np.testing.assert_array_equal(kept[-1].samples, whole[-2].samples)


@pytest.mark.parametrize("byte", [200, 301, 500])
def test_a_record_with_damaged_samples_is_skipped_when_its_turn_comes(tmp_path: Path, byte: int) -> None:
    path = write(tmp_path / "x.mseed", [("XX_AAA_00_HHZ", 0, counts(30_000))])
    whole = list(open_archive([path]).packets())
    raw = bytearray(path.read_bytes())
    raw[512 * 4 + byte] ^= 0x15
    path.write_bytes(raw)
    archive = open_archive([path])
    assert archive.problems == []
    for _ in range(2):
        assert [one.start_ns for one in archive.packets()] == [one.start_ns for one in whole[:4] + whole[5:]]
        assert archive.problems == ["x.mseed: 1 corrupt part skipped (512 bytes)"]


def test_files_without_records_are_named(tmp_path: Path) -> None:
    empty, notes = tmp_path / "empty.mseed", tmp_path / "notes.txt"
    empty.touch()
    notes.write_text("000001 not a record, whatever it looks like: 000002D \n" * 100)
    good = write(tmp_path / "x.mseed", [("XX_AAA_00_HHZ", 0, counts(1000))])
    archive = open_archive([empty, notes, good])
    assert archive.problems == ["empty.mseed: empty file", "notes.txt: not MiniSEED"]
    assert sum(len(packet.samples) for packet in archive.packets()) == 1000


def test_nothing_to_replay_is_an_empty_archive(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    archive = open_archive([tmp_path / "empty"])
    assert archive.instruments == {}
    assert list(archive.packets()) == []


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"gone\.mseed: no such file"):
        open_archive([tmp_path / "gone.mseed"])


@pytest.mark.skipif(not CONTINUOUS.is_dir(), reason="needs the station records of ../shared/data/continuous")
@pytest.mark.parametrize(
    "name",
    [
        "ridgecrest/2019.185.17.CI.CCC.HH.mseed",
        "ridgecrest/2019.185.17.PB.B921.EH.mseed",
        "oklahoma_wilz/O2.WILZ.EH.20240203.mseed",
        "ipoc_chile/CX_20140401.PB01.HH.mseed",
    ],
)
def test_a_real_record_equals_obspys_reading(name: str) -> None:
    obspy = pytest.importorskip("obspy", reason="needs obspy as the second opinion")
    stream = obspy.read(str(CONTINUOUS / name)).merge()
    start = max(trace.stats.starttime for trace in stream)
    end = min(trace.stats.endtime for trace in stream)
    stream.trim(start, end, nearest_sample=True)
    archive = open_archive([CONTINUOUS / name])
    [(instrument, (samples, starts))] = replay(archive).items()
    assert archive.problems == []
    assert len(starts) == 1
    assert T0 / S + starts[0] == pytest.approx(start.timestamp, abs=0.005)
    for slot, code in enumerate(archive.instruments[instrument].channels):
        np.testing.assert_array_equal(samples[:, slot], stream.select(channel=code)[0].data, err_msg=code)


@pytest.mark.skipif(not CONTINUOUS.is_dir(), reason="needs the station records of ../shared/data/continuous")
def test_a_real_record_in_pieces_and_shuffled_replays_the_same(tmp_path: Path) -> None:
    path = CONTINUOUS / "ridgecrest" / "2019.185.17.CI.CCC.HH.mseed"
    raw = path.read_bytes()
    records = [raw[i : i + 4096] for i in range(0, len(raw), 4096)]
    records.sort(key=lambda record: hashlib.sha256(record).digest())
    (tmp_path / "a").write_bytes(b"".join(records[::2]))
    (tmp_path / "b").write_bytes(b"".join(records[1::2]))
    [(samples, starts)] = replay(open_archive([tmp_path / "a", tmp_path / "b"])).values()
    [(expected, expected_starts)] = replay(open_archive([path])).values()
    np.testing.assert_array_equal(samples, expected)
    assert starts == expected_starts


def many(*channels: tuple[str, float]) -> list[tuple[str, float, NDArray[np.int32]]]:
    """Channels of one instrument, each by its code and with so many thousand samples."""
    return [(f"XX_AAA_00_{code}", 0.0, counts(round(1000 * thousands))) for code, thousands in channels]


@pytest.mark.parametrize(
    ("channels", "kept", "left_out"),
    [
        # Both pairs of horizontals are there: the one with the most records stays.
        (
            [("HHZ", 3), ("HHN", 3), ("HHE", 3), ("HH1", 2), ("HH2", 2)],
            ("HHZ", "HHN", "HHE"),
            ["HH1", "HH2"],
        ),
        (
            [("HHZ", 3), ("HHN", 2), ("HHE", 2), ("HH1", 3), ("HH2", 3)],
            ("HHZ", "HH1", "HH2"),
            ["HHE", "HHN"],
        ),
        # One horizontal with more records than each of the others, but without its partner.
        ([("HHZ", 1), ("HHN", 3), ("HHE", 3), ("HH1", 4)], ("HHZ", "HHN", "HHE"), ["HH1"]),
        # Z goes with the pair 2, 3 as well, and 1, 2, 3 stand for Z, N, E where Z has less.
        ([("HHZ", 3), ("HH2", 2), ("HH3", 2), ("HH1", 1)], ("HHZ", "HH2", "HH3"), ["HH1"]),
        ([("HHZ", 1), ("HH1", 3), ("HH2", 3), ("HH3", 3)], ("HH1", "HH2", "HH3"), ["HHZ"]),
        # A fourth channel that goes with nothing.
        ([("HHZ", 1), ("HHN", 1), ("HHE", 1), ("HHC", 9)], ("HHZ", "HHN", "HHE"), ["HHC"]),
    ],
)
def test_of_more_than_three_channels_z_and_the_fullest_pair_are_kept_and_the_rest_is_named(
    tmp_path: Path, channels: list[tuple[str, float]], kept: tuple[str, ...], left_out: list[str]
) -> None:
    pieces = many(*channels)
    archive = open_archive([write(tmp_path / "x.mseed", pieces)])
    assert archive.instruments["XX.AAA.00.HH"].channels == kept
    got: dict[str, list[NDArray[np.generic]]] = {}
    for packet in archive.packets():
        got.setdefault(packet.stream.channels[0], []).append(packet.samples[:, 0])
    assert set(got) == set(kept)
    for name, _, samples in pieces:
        if (code := name.split("_")[-1]) in kept:
            np.testing.assert_array_equal(np.concatenate(got[code]), samples)
    assert archive.record_count == sum(map(len, got.values()))
    records = {
        code: open_archive([write(tmp_path / code, [piece])]).record_count
        for code, piece in zip((code for code, _ in channels), pieces, strict=True)
    }
    named = ", ".join(f"{code} ({records[code]} record{'s' * (records[code] > 1)})" for code in left_out)
    assert archive.problems == [
        f"XX.AAA.00.HH: {named} left out: more channels than Z and one pair of horizontals"
    ]


def test_four_channels_of_which_none_go_together_are_all_named(tmp_path: Path) -> None:
    path = write(tmp_path / "x.mseed", many(("HHA", 1), ("HHB", 1), ("HHC", 1), ("HHD", 1)))
    archive = open_archive([path])
    assert archive.instruments == {}
    assert list(archive.packets()) == []
    [problem] = archive.problems
    assert all(code in problem for code in ("HHA", "HHB", "HHC", "HHD"))


def test_another_instrument_keeps_its_channels_whatever_its_neighbour_has(tmp_path: Path) -> None:
    x = counts(3000).reshape(-1, 3)
    pieces = [*many(("HHZ", 3), ("HHN", 3), ("HHE", 3), ("HH1", 2)), *three(x, "XX_AAA_00_HN")]
    archive = open_archive([write(tmp_path / "x.mseed", pieces)])
    assert archive.instruments["XX.AAA.00.HN"].channels == ("HNZ", "HNN", "HNE")
    np.testing.assert_array_equal(replay(archive)["XX.AAA.00.HN"][0], x)


def test_short_records_are_joined_to_packets_of_half_a_minute(tmp_path: Path) -> None:
    """A gap stays one, and so does what begins at another time than it should."""
    z, n = counts(20_000), counts(9_000, 1)
    pieces = [
        ("XX_AAA_00_HHZ", 0.0, z),
        ("XX_AAA_00_HHN", 0.0, n[:6_000]),
        ("XX_AAA_00_HHN", 60.002, n[6_000:]),  # 2 ms late
    ]
    archive = open_archive([write(tmp_path / f"{k}.mseed", [piece]) for k, piece in enumerate(pieces)])
    records = list(archive.packets())
    packets = joined(records)
    assert len(packets) < len(records) / 3
    assert [one.start_ns for one in packets] == sorted(one.start_ns or 0 for one in packets)
    for code, samples in (("HHZ", z), ("HHN", n)):
        of_it = [one for one in packets if one.stream.channels == (code,)]
        np.testing.assert_array_equal(np.concatenate([one.samples[:, 0] for one in of_it]), samples)
        assert max(len(one.samples) for one in of_it) < 100 * (JOINED_S + 20)
    begins = {(one.start_ns or 0) - T0 for one in packets if one.stream.channels == ("HHN",)}
    assert 60_002_000_000 in begins
