"""Bytes of a digitizer captured in a file: recognised, and picked by `edge-pick --replay`."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pymseed import MS3TraceList
from resampled import resampled

from edge.capture import find_capture
from edge.cli import main
from edge.pick import NS, Pick
from firmware_bridge import gcf, shake
from firmware_bridge.gcf_block import BLOCK_BYTES, write_block
from firmware_bridge.packet import Packet
from firmware_bridge.simulator import packets_of
from firmware_bridge.synthetic import synthetic_earthquake
from firmware_bridge.wire import Declared

CAPTURES = Path(__file__).parents[3] / "shared" / "data" / "captures"
QUAKE = synthetic_earthquake()
WITH_UTC = ["anyshake3", "anyshake2", "gcf", "shake", "openeew", "ndjson"]

real_captures = pytest.mark.skipif(not CAPTURES.is_dir(), reason="the captures of ../shared are not here")


@pytest.fixture
def replay(capsys):
    """Runs edge-pick --replay here: exit status, picks, and our lines on standard error."""

    def run(*arguments):
        status = main(["--replay", *map(str, arguments)])
        out, err = capsys.readouterr()
        lines = [
            line.removeprefix("edge-pick: ") for line in err.splitlines() if line.startswith("edge-pick:")
        ]
        return status, [Pick.from_json(line) for line in out.splitlines()], lines

    return run


def captured(folder: Path, protocol: str, samples: NDArray[np.int32] = QUAKE.samples) -> Path:
    """The file of a program that wrote down what came; OpenEEW has no 100 Hz."""
    rate = 100.0
    if protocol == "openeew":
        rate = 125.0
        samples = resampled(samples, rate)
    path = folder / f"{protocol}.bin"
    path.write_bytes(b"".join(data for _, data in packets_of(samples, rate, QUAKE.start_ns, protocol)))
    return path


def first_p_s(picks: list[Pick]) -> float:
    return min((pick.time_ns - QUAKE.p_ns) / NS for pick in picks if pick.phase == "P")


@pytest.mark.parametrize("protocol", WITH_UTC)
def test_an_earthquake_in_the_bytes_of_any_protocol_with_utc_is_picked(replay, tmp_path, protocol):
    path = captured(tmp_path, protocol)
    status, picks, lines = replay(path)
    assert status == 0
    assert abs(first_p_s(picks)) < 0.2
    assert {len(pick.channels) for pick in picks} == {3}
    found = find_capture(path, Declared())
    assert found is not None
    assert found.protocol.name == protocol
    assert any(line.startswith(f"{path.name}: {found.protocol.title}, ") for line in lines)
    assert lines[-1].endswith(" S picked")


def test_single_channels_give_the_picks_of_all_together(replay, tmp_path):
    """A Raspberry Shake sends one channel a datagram, ndjson all of them: the samples are the same."""
    singles = replay(captured(tmp_path, "shake"), "--station", "AM.SHED.00")[1]
    joined = replay(captured(tmp_path, "ndjson"), "--station", "AM.SHED.00")[1]
    assert len(joined) > 1
    assert [pick.id for pick in singles] == [pick.id for pick in joined]
    assert {pick.station for pick in singles} == {"AM.SHED.00"}


def test_gcf_files_of_one_component_and_half_a_minute_each_are_one_record(replay, tmp_path):
    """As Scream! writes them, whose names sort by time and then by component."""
    whole = replay(captured(tmp_path, "gcf"))[1]
    parts = []
    for first in range(0, len(QUAKE.samples), 3000):
        for k, component in enumerate("ENZ"):
            path = tmp_path / f"{first:05d}{component.lower()}.gcf"
            blocks = [
                write_block(
                    "EDGE",
                    f"EDGE{component}2",
                    QUAKE.start_ns + i * NS // 100,
                    100.0,
                    QUAKE.samples[i : i + 100, k],
                ).ljust(BLOCK_BYTES, b"\0")
                for i in range(first, min(first + 3000, len(QUAKE.samples)), 100)
            ]
            path.write_bytes(b"".join(blocks))
            parts.append(path)
    status, picks, lines = replay(*parts)
    assert status == 0
    assert len(picks) > 1
    assert [pick.id for pick in picks] == [pick.id for pick in whole]
    assert {len(pick.channels) for pick in picks} == {3}
    blocks_in_all = 3 * len(QUAKE.samples) // 100
    assert lines[-2].startswith(
        f"{parts[0].name} and {len(parts) - 1} more: Güralp GCF, {blocks_in_all} packets"
    )
    assert len(lines) == 2


@pytest.mark.parametrize("protocol", ["anyshake1", "lines"])
def test_a_capture_without_utc_is_no_use_and_says_so_in_one_line(replay, tmp_path, protocol):
    path = captured(tmp_path, protocol)
    status, picks, lines = replay(path)
    assert picks == []
    (line,) = [line for line in lines if "UTC" in line]
    assert "not picked: it has sent no UTC yet" in line
    assert (status, lines) == (0, [line, lines[1], "0 P, 0 S picked"])
    assert lines[1].startswith(f"{path.name}: ")


def test_a_capture_and_miniseed_are_replayed_together(replay, tmp_path, write_mseed):
    capture, records = captured(tmp_path, "anyshake3"), write_mseed(tmp_path / "event.mseed", QUAKE.samples)
    picks = replay(capture, records)[1]
    assert {pick.station for pick in picks} == {"XX.EDGE.00", "XX.SYN.00"}
    assert len(picks) == len(replay(capture)[1]) + len(replay(records)[1])


def test_bytes_before_the_first_packet_and_damage_in_between_do_not_matter(replay, tmp_path):
    whole = captured(tmp_path, "anyshake3")
    content = whole.read_bytes()
    rng = np.random.default_rng(0)
    damaged = tmp_path / "damaged.bin"
    late = len(content) - 1000
    damaged.write_bytes(rng.bytes(200_000) + content[:late] + b"\xff" * 50 + content[late + 50 :])
    assert [pick.id for pick in replay(damaged)[1]][:2] == [pick.id for pick in replay(whole)[1]][:2]


def test_the_name_of_a_protocol_leaves_nothing_to_recognise(replay, tmp_path):
    path = captured(tmp_path, "anyshake3")
    assert replay(path, "--protocol", "anyshake3")[1] == replay(path)[1]


def test_a_capture_that_is_not_what_it_was_said_to_be_gives_nothing(replay, tmp_path):
    status, picks, _ = replay(captured(tmp_path, "anyshake3"), "--protocol", "openeew")
    assert (status, picks) == (2, [])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"these are notes\n" * 100, "not MiniSEED"),
        (b"", "empty file"),
        (np.random.default_rng(0).bytes(100_000), "not MiniSEED"),
    ],
    ids=["text", "nothing", "noise"],
)
def test_a_file_that_is_nothing_stays_a_file_that_is_no_miniseed(replay, tmp_path, content, said):
    path = tmp_path / "thing"
    path.write_bytes(content)
    assert find_capture(path, Declared()) is None
    assert replay(path) == (2, [], [f"nothing to replay; thing: {said}"])


# --- Real ones


def joined(packets: list[Packet], code: str) -> NDArray[np.generic]:
    """All samples of one channel."""
    return np.concatenate([packet.samples[:, 0] for packet in packets if packet.stream.channels == (code,)])


@real_captures
def test_a_real_datacast_gives_the_samples_of_its_records_and_is_replayed(replay):
    path = CAPTURES / "raspberryshake_udp_R24FA.txt"
    found = find_capture(path, Declared())
    assert found is not None
    assert found.protocol.name == "shake"
    packets = list(found.packets(shake.Decoder(Declared(("AM", "R24FA", "00")))))
    assert {packet.rate for packet in packets} == {100.0}
    records = MS3TraceList.from_file(str(CAPTURES / "raspberryshake_R24FA.mseed"), unpack_data=True)
    for trace in records:
        code = "".join(trace.sourceid.split("_")[-3:])
        (segment,) = trace
        expected = np.array(segment.datasamples)
        got = joined(packets, code)
        assert len(got) > 10_000
        np.testing.assert_array_equal(got, expected[: len(got)])
    status, picks, lines = replay(path, "--station", "AM.R24FA.00")
    assert status == 0
    assert f"{path.name}: Raspberry Shake datacast, 1760 packets, " in lines[-2]
    # A vertical geophone, and three accelerometers: an instrument each.
    assert any(line.startswith("AM.R24FA.00: only EHZ") for line in lines)
    assert {pick.station for pick in picks} <= {"AM.R24FA.00"}
    assert not [line for line in lines if "not picked" in line or "gap" in line]


@real_captures
@pytest.mark.parametrize(
    ("name", "rate"), [("guralp_20160603_1955n.gcf", 100.0), ("guralp_20160603_1910n.gcf", 500.0)]
)
def test_a_real_gcf_file_is_recognised_and_replayed(replay, name, rate):
    found = find_capture(CAPTURES / name, Declared())
    assert found is not None
    assert found.protocol.name == "gcf"
    packets = list(found.packets(gcf.Decoder()))
    assert {packet.rate for packet in packets} == {rate}
    starts = [packet.start_ns for packet in packets]
    assert all(start is not None and 1_464_900_000 < start / NS < 1_465_100_000 for start in starts)
    status, _, lines = replay(CAPTURES / name)
    assert status == 0
    assert lines[-2].startswith(f"{name}: Güralp GCF, 2 packets, ")
    assert not [line for line in lines if "not picked" in line]
