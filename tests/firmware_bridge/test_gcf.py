"""Güralp GCF: what the manuals and real files say, both ways, and what damage may and may not do."""

import struct
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from firmware_bridge import brp
from firmware_bridge.gcf import Decoder, Encoder
from firmware_bridge.gcf_block import BLOCK_BYTES, Header, read_samples, start_step, system_of, write_block
from firmware_bridge.packet import Packet
from firmware_bridge.wire import Declared

NS = 1_000_000_000
START_NS = 1_700_000_000 * NS
CAPTURES = Path(__file__).resolve().parents[3] / "shared" / "data" / "captures"
CODED_RATES = (0.1, 0.125, 0.2, 0.25, 0.5, 400, 500, 800, 1000, 2000, 4000, 625, 1250, 2500, 5000)
RATES = (*CODED_RATES, 1, 4, 20, 40, 50, 99, 100, 125, 200, 249, 250)

rates = st.sampled_from([float(rate) for rate in RATES])
seeds = st.integers(0, 2**32 - 1)


def capture(name: str) -> bytes:
    path = CAPTURES / name
    if not path.exists():
        pytest.skip("needs the real GCF files of the shared data")
    return path.read_bytes()


def counts(seed: int, n: int, amplitude: int = 1000) -> NDArray[np.int32]:
    return np.random.default_rng(seed).integers(-amplitude, amplitude, n).astype(np.int32)


def block(
    stream: str = "6018Z2",
    start_ns: int = START_NS,
    rate: float = 100.0,
    samples: NDArray[np.int32] | None = None,
    system: str = "6281",
) -> bytes:
    return write_block(system, stream, start_ns, rate, counts(1, 100) if samples is None else samples)


def padded(*blocks: bytes) -> bytes:
    """As in a file; what fills up a block there is whatever was in the writer's memory."""
    filler = np.random.default_rng(0).bytes(BLOCK_BYTES)
    return b"".join(one + filler[len(one) :] for one in blocks)


def framed(*blocks: bytes) -> bytes:
    return b"".join(brp.frame(sequence, one) for sequence, one in enumerate(blocks))


def text_block(text: bytes, stream: str = "628100") -> bytes:
    date = block()[8:12]
    text = text.ljust(-len(text) // 4 * -4, b" ")
    return (
        struct.pack(">II", int("6281", 36), int(stream, 36)) + date + bytes([0, 0, 4, len(text) // 4]) + text
    )


def with_bytes(wire: bytes, place: int, new: bytes) -> bytes:
    return wire[:place] + new + wire[place + len(new) :]


def decode(line: bytes, declared: Declared = Declared()) -> list[Packet]:
    return Decoder(declared).feed(line)


def seconds(first: int, n: int, stream: str = "6018Z2") -> list[bytes]:
    """n blocks of one second each."""
    return [block(stream, START_NS + k * NS, samples=counts(k, 100)) for k in range(first, first + n)]


def starts(packets: list[Packet]) -> list[int]:
    """Seconds after `START_NS`."""
    return [(packet.start_ns - START_NS) // NS for packet in packets if packet.start_ns is not None]


# --- What others wrote


@pytest.mark.parametrize(
    ("name", "code", "rate", "stream", "second", "blocks"),
    [
        ("guralp_20160603_1910n.gcf", "CHN", 500.0, "6018N2", "19:10:00", (500, 500)),
        ("guralp_20160603_1955n.gcf", "HHN", 100.0, "6018N4", "19:55:00", (200, 100)),
    ],
)
def test_real_files(
    name: str, code: str, rate: float, stream: str, second: str, blocks: tuple[int, ...]
) -> None:
    decoder = Decoder()
    packets = decoder.feed(capture(name))
    start_ns = int(datetime.fromisoformat(f"2016-06-03T{second}+00:00").timestamp()) * NS
    span_ns = round(blocks[0] * NS / rate)
    assert [packet.start_ns for packet in packets] == [start_ns, start_ns + span_ns]
    assert tuple(len(packet.samples) for packet in packets) == blocks
    for packet in packets:
        assert packet.stream.station_id == "XX.6281.00"
        assert packet.stream.channels == (code,)
        assert packet.rate == rate
        assert packet.clock == "unknown"
        assert packet.meta == {
            "system": "6281", "stream": stream, "tap": stream[-1], "digitizer": "DM24", "gain": 1
        }  # fmt: skip
        assert packet.samples.dtype == np.int32
        assert packet.wire_bytes == BLOCK_BYTES
    assert decoder.stats.good_packets == 2
    assert decoder.stats.skipped_bytes == 0
    assert decoder.stats.time_jumps == 0

    obspy = pytest.importorskip("obspy", reason="compares with ObsPy's reader")
    (trace,) = obspy.read(str(CAPTURES / name), format="GCF")
    assert np.array_equal(np.concatenate([packet.samples[:, 0] for packet in packets]), trace.data)
    assert packets[0].start_ns == trace.stats.starttime.ns
    assert packets[0].meta["stream"] == trace.stats.gcf.stream_id


@pytest.mark.parametrize("name", ["guralp_20160603_1910n.gcf", "guralp_20160603_1955n.gcf"])
def test_real_blocks_written_anew_are_the_same(name: str) -> None:
    data = capture(name)
    for place, packet in zip((0, BLOCK_BYTES), decode(data), strict=True):
        assert packet.start_ns is not None
        assert packet.rate is not None
        samples = packet.samples[:, 0].astype(np.int32)
        new = block("6018" + packet.meta["stream"][-2:], packet.start_ns, packet.rate, samples)
        # The id's flags and the filter table are the digitizer's, and so is how far it compresses.
        assert new[4:12] == data[place + 4 : place + 12]
        assert new[13] == data[place + 13]
        assert new[14] in (data[place + 14], 2 * data[place + 14])


@pytest.mark.parametrize("rate", RATES)
def test_obspy_reads_our_blocks_alike(rate: float, tmp_path: Path) -> None:
    obspy = pytest.importorskip("obspy", reason="compares with ObsPy's reader")
    _, steps = start_step(rate)
    start_ns = START_NS + (steps - 1) * NS // steps
    samples = counts(2, 40)
    path = tmp_path / "one.gcf"
    path.write_bytes(padded(block(rate=rate, start_ns=start_ns, samples=samples)))
    (trace,) = obspy.read(str(path), format="GCF")
    (packet,) = decode(path.read_bytes())
    assert np.array_equal(trace.data, packet.samples[:, 0])
    assert np.array_equal(trace.data, samples)
    assert trace.stats.sampling_rate == pytest.approx(packet.rate)
    assert trace.stats.starttime.ns == pytest.approx(packet.start_ns, abs=1000)
    assert packet.start_ns == start_ns
    assert (trace.stats.gcf.system_id, trace.stats.gcf.stream_id) == ("6281", "6018Z2")


def test_the_manuals_example_of_an_id() -> None:
    assert system_of(825_913) == ("HPA1", {})


@pytest.mark.parametrize(
    ("flags", "system", "told"),
    [
        (0x0000_0000, "ZIK0ZJ", {}),
        (0x8000_0000, "ZZZZZ", {"digitizer": "DM24"}),
        (0x9C00_0000, "ZZZZZ", {"digitizer": "CD24", "gain": 4}),
        (0xF800_0000, "ZZZZ", {"digitizer": "Affinity", "gain": 64}),
        (0xC400_0000, "ZZZZ", {"digitizer": "Minimus"}),
    ],
)
def test_extended_system_ids(flags: int, system: str, told: dict[str, str | int]) -> None:
    word = struct.pack(">I", flags | int(system, 36))
    (packet,) = decode(framed(with_bytes(block(), 0, word)))
    assert packet.meta == {"system": system, "stream": "6018Z2", "tap": "2", **told}
    assert packet.stream.station == system[:5]


@pytest.mark.parametrize("scope", ["header and block", "block alone"])
def test_either_checksum_is_taken(scope: str) -> None:
    wire = b"G\x07" + struct.pack(">H", len(block())) + block()
    wire += struct.pack(">H", sum(wire if scope == "header and block" else block()) % 65_536)
    (packet,) = decode(wire)
    assert packet.wire_bytes == len(wire)
    if scope == "header and block":
        assert wire == brp.frame(7, block())
    assert decode(wire[:-1] + bytes([wire[-1] ^ 1])) == []


def test_leap_second_has_the_time_of_the_midnight_behind_it() -> None:
    midnight_ns = int(datetime(2017, 1, 1, tzinfo=UTC).timestamp()) * NS
    before, leap, after = (
        block(start_ns=midnight_ns + k * NS, samples=counts(k + 1, 100)) for k in (-1, -1, 0)
    )
    day_and_second = struct.unpack(">I", leap[8:12])[0] + 1
    assert day_and_second & 0x1FFFF == 86_400
    decoder = Decoder()
    packets = decoder.feed(framed(before, with_bytes(leap, 8, struct.pack(">I", day_and_second)), after))
    assert [packet.start_ns for packet in packets] == [midnight_ns - NS, midnight_ns, midnight_ns]
    assert decoder.stats.time_jumps == 1


@pytest.mark.parametrize(("rate_code", "denominator"), [(174, 2), (182, 5), (175, 16), (194, 20)])
def test_fractions_of_a_second_above_250_hz(rate_code: int, denominator: int) -> None:
    data = bytearray(block(samples=counts(3, 100, 20)))
    assert data[14] == 4
    data[13] = rate_code
    for numerator in range(32):
        data[14] = (numerator & 15) << 4 | numerator >> 4 << 3 | 4
        packets = decode(framed(bytes(data)))
        within = numerator < denominator
        assert [packet.start_ns for packet in packets] == [START_NS + numerator * NS // denominator] * within


def test_upper_compression_bits_mean_nothing_up_to_250_hz() -> None:
    (packet,) = decode(framed(with_bytes(block(samples=counts(3, 100, 20)), 14, b"\xfc")))
    assert packet.start_ns == START_NS
    assert np.array_equal(packet.samples[:, 0], counts(3, 100, 20))


@given(seeds)
def test_differences_cut_to_24_bits(seed: int) -> None:
    samples = counts(seed, 100, 1 << 23)
    whole = block(samples=samples)
    assert whole[14] == 1
    differences = np.frombuffer(whole[20:-4], np.uint8).reshape(-1, 4)[:, 1:].tobytes()
    (packet,) = decode(framed(whole[:20] + differences + whole[-4:]))
    assert np.array_equal(packet.samples[:, 0], samples)


# --- Both ways


@given(rates, seeds, st.sampled_from([1, 60, 15_000, 1 << 23, 1 << 31]), st.integers(0, 19))
def test_what_is_encoded_is_decoded(rate: float, seed: int, amplitude: int, step: int) -> None:
    encoder = Encoder(rate)
    _, steps = start_step(rate)
    n = encoder.samples_per_packet
    samples = counts(seed, 3 * n, amplitude).reshape(n, 3)
    start_ns = START_NS + step * NS // steps if step < steps else START_NS + step * NS
    decoder = Decoder()
    packets = decoder.feed(encoder.encode(start_ns, samples))
    assert [packet.meta["stream"] for packet in packets] == ["EDGEZ2", "EDGEN2", "EDGEE2"]
    for packet, column in zip(packets, samples.T, strict=True):
        assert packet.start_ns == start_ns
        assert packet.rate == rate
        assert np.array_equal(packet.samples, column[:, None])
    assert decoder.stats.good_packets == 3
    assert decoder.stats.skipped_bytes == 0


@pytest.mark.parametrize("rate", RATES)
def test_packets_follow_each_other_without_a_step(rate: float) -> None:
    encoder, decoder = Encoder(rate), Decoder()
    n = encoder.samples_per_packet
    for packet in range(100):
        start_ns = START_NS + round(packet * n * NS / rate)
        decoder.feed(encoder.encode(start_ns, counts(packet, 3 * n).reshape(n, 3)))
    assert decoder.stats.good_packets == 300  # the sequence number has begun anew
    assert decoder.stats.time_jumps == 0
    assert decoder.stats.lost_packets == 0


@pytest.mark.parametrize(
    ("step", "n", "bytes_each"),
    [(127, 100, 1), (-128, 100, 1), (128, 100, 2), (-129, 100, 2), (1 << 15, 100, 4), (1, 50, 2), (1, 25, 4)],
)
def test_differences_are_as_small_as_they_can_be(step: int, n: int, bytes_each: int) -> None:
    samples = np.zeros(n, np.int32)
    samples[n // 2 :] = step
    assert len(block(samples=samples)) == 24 + n * bytes_each
    (packet,) = decode(framed(block(samples=samples)))
    assert np.array_equal(packet.samples[:, 0], samples)


@pytest.mark.parametrize("rate", [0.0, 0.3, 157.0, 175.0, 251.0, 300.0, 99.5, float("nan")])
def test_encoder_refuses_rates(rate: float) -> None:
    with pytest.raises(ValueError, match="GCF has no"):
        Encoder(rate)


@pytest.mark.parametrize(
    ("rate", "start_ns", "samples", "words"),
    [
        (100.0, START_NS + NS // 2, np.zeros((100, 3), np.int32), "whole second"),
        (500.0, START_NS + NS // 4, np.zeros((250, 3), np.int32), "1/2 s"),
        (100.0, 627_264_000 * NS - NS, np.zeros((100, 3), np.int32), "1989"),
        (100.0, 3_458_419_200 * NS + 86_400 * NS, np.zeros((100, 3), np.int32), "2079"),
        (100.0, START_NS, np.zeros((99, 3), np.int32), "shape"),
        (100.0, START_NS, np.zeros((100, 2), np.int32), "shape"),
        (100.0, START_NS, np.zeros((100, 3)), "float64"),
    ],
)
def test_encoder_refuses(rate: float, start_ns: int, samples: NDArray[np.int32], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Encoder(rate).encode(start_ns, samples)


@pytest.mark.parametrize("n", [0, 251, 1004])
def test_a_block_has_no_more_samples_than_fit(n: int) -> None:
    with pytest.raises(ValueError, match="records"):
        block(samples=np.zeros(n, np.int32))


# --- Names


def test_the_operator_names_the_station() -> None:
    (packet,) = decode(framed(block()), Declared(identity=("AB", "CDE", "07")))
    assert packet.stream.station_id == "AB.CDE.07"
    assert packet.meta["system"] == "6281"


def channels(*streams: tuple[str, float]) -> list[str]:
    packets = decode(framed(*(block(stream, rate=rate) for stream, rate in streams)))
    return [f"{packet.stream.location}.{packet.stream.channels[0]}" for packet in packets]


def test_taps_at_rates_of_different_bands_need_no_location() -> None:
    assert channels(("6018Z0", 500), ("6018Z2", 100), ("6018Z4", 20), ("6018Z6", 1)) == [
        "00.CHZ", "00.HHZ", "00.BHZ", "00.LHZ"
    ]  # fmt: skip


def test_two_signals_never_share_a_name() -> None:
    first = [("6018Z2", 200.0), ("6018N2", 200.0), ("6018E2", 200.0)]
    second = [("6018E4", 100.0), ("6018N4", 100.0), ("6018Z4", 100.0)]
    other_sensor = [("6018Z3", 100.0)]
    assert channels(*first, *second, *other_sensor, *first) == [
        "00.HHZ", "00.HHN", "00.HHE", "T1.HHE", "T1.HHN", "T1.HHZ", "T2.HHZ", "00.HHZ", "00.HHN", "00.HHE"
    ]  # fmt: skip


def test_two_digitizers_on_a_line_are_two_stations_unless_they_are_declared_one() -> None:
    line = framed(block(system="DG1"), block(system="DG2"))
    assert [packet.stream.station_id for packet in decode(line)] == ["XX.DG1.00", "XX.DG2.00"]
    declared = Declared(identity=("AB", "CDE", "07"))
    assert [packet.stream.station_id for packet in decode(line, declared)] == ["AB.CDE.07", "AB.CDE.T1"]


def test_accelerometers_of_a_minimus() -> None:
    assert channels(("0VELZ0", 100), ("0ACCZ0", 100), ("0AXLZ0", 100)) == ["00.HHZ", "00.HNZ", "T1.HNZ"]


def test_what_is_no_ground_motion_is_good_and_brings_no_packet() -> None:
    decoder = Decoder()
    slow = [block(stream, rate=4.0) for stream in ("6018M8", "6018M9", "6018MA", "6018X2", "6018C2")]
    assert decoder.feed(framed(*slow)) == []
    assert decoder.stats.good_packets == 5
    assert decoder.stats.skipped_bytes == 0


# --- What else comes over the line


def test_status_text_brings_no_packet() -> None:
    one, two = seconds(0, 2)
    for make in (framed, padded):
        decoder = Decoder()
        packets = decoder.feed(make(one, text_block(b"GPS: 3D fix, clock locked\r\n"), two))
        assert starts(packets) == [0, 1]
        assert decoder.stats.good_packets == 3
        assert decoder.stats.skipped_bytes == 0


def test_bytes_between_frames_are_skipped() -> None:
    one, two = (brp.frame(sequence, data) for sequence, data in enumerate(seconds(0, 2)))
    between = [
        b"\x01\x82",
        b"\x02\x82\x00\x18\x5a\xa0",
        b"GURALP DM24 ready\r\n> ",
        b"G",
        b"GG\x00",
        bytes(50),
    ]
    for noise in between:
        decoder = Decoder()
        assert starts(decoder.feed(noise + one + noise + two + noise + bytes(2000))) == [0, 1]
        assert decoder.stats.skipped_bytes == 3 * len(noise) + 2000
        assert decoder.stats.bad_checksums == 0


def test_frames_are_delivered_at_once() -> None:
    decoder = Decoder()
    for sequence, data in enumerate(seconds(0, 5)):
        assert len(decoder.feed(brp.frame(sequence, data))) == 1


# --- Damage


@given(st.integers(0, 10_000), st.integers(1, 255), st.sampled_from([1, 100, 10_000, 1 << 30]))
def test_one_changed_byte_loses_that_frame_and_no_other(place: int, change: int, amplitude: int) -> None:
    wires = [
        bytearray(brp.frame(k, block(start_ns=START_NS + k * NS, samples=counts(k, 100, amplitude))))
        for k in range(4)
    ]
    wires[1][place % (len(wires[1]) - brp.TAIL.size)] ^= change
    decoder = Decoder()
    packets = decoder.feed(b"".join(wires) + bytes(2000))
    assert starts(packets) == [0, 2, 3]
    assert decoder.stats.skipped_bytes == len(wires[1]) + 2000
    assert decoder.stats.lost_packets == 1
    assert decoder.stats.time_jumps == 1


@given(st.integers(20, 10_000), st.integers(1, 255))
def test_a_changed_sample_in_a_file_loses_that_block_and_no_other(place: int, change: int) -> None:
    blocks = [bytearray(padded(data)) for data in seconds(0, 4)]
    length = len(seconds(1, 1)[0])
    blocks[1][20 + place % (length - 20)] ^= change
    decoder = Decoder()
    assert starts(decoder.feed(b"".join(blocks))) == [0, 2, 3]
    assert decoder.stats.skipped_bytes == BLOCK_BYTES


@given(st.integers(0, 15), st.integers(1, 255))
def test_a_changed_header_in_a_file_hurts_no_other_block(place: int, change: int) -> None:
    blocks = [bytearray(padded(data)) for data in seconds(0, 4)]
    blocks[1][place] ^= change
    got = [(packet.start_ns, packet.samples.tobytes()) for packet in decode(b"".join(blocks))]
    for second in (0, 2, 3):
        assert (START_NS + second * NS, counts(second, 100).tobytes()) in got
    assert len(got) <= 4


@given(st.integers(0, 3 * BLOCK_BYTES), st.binary(min_size=1, max_size=1500))
def test_a_file_with_bytes_too_many_is_read_on_behind_them(place: int, garbage: bytes) -> None:
    data = b"".join(padded(one) for one in seconds(0, 8))
    packets = decode(data[:place] + garbage + data[place:])
    intact = [second for second in range(7) if not second * BLOCK_BYTES < place < (second + 1) * BLOCK_BYTES]
    assert [second for second in starts(packets) if second in intact] == intact


@pytest.mark.parametrize("amplitude", [20, 1000, 1 << 30])
def test_a_line_may_be_joined_anywhere(amplitude: int) -> None:
    blocks = [block(start_ns=START_NS + k * NS, samples=counts(k, 100, amplitude)) for k in range(3)]
    first, *others = (brp.frame(sequence, data) for sequence, data in enumerate(blocks))
    for missed in range(1, len(first) + 1):
        assert starts(decode(first[missed:] + b"".join(others))) == [1, 2]


def test_the_block_of_a_damaged_frame_is_not_taken_for_a_bare_one() -> None:
    wires = [bytearray(brp.frame(k, data)) for k, data in enumerate(seconds(0, 3))]
    for date_byte in (12, 13, 14, 15):
        wires[0][date_byte] ^= 1
        assert starts(decode(b"".join(wires))) == [1, 2]
        wires[0][date_byte] ^= 1


@pytest.mark.parametrize(
    ("place", "new"),
    [
        (8, b"\x35\x09\xff\xff"),  # second 131,071 of the day
        (13, b"\xff"),  # no such rate
        (14, b"\x03"),  # no such compression
        (14, b"\x04"),  # another compression
        (15, b"\x00"),  # no records
        (15, b"\x31"),  # fewer records than the frame has
        (20, b"\x00\x01"),  # the first difference is not 0
        (30, b"\x7f"),  # a difference
        (-1, b"\x99"),  # the last sample
    ],
)
def test_a_frame_must_make_sense_even_if_its_checksum_is_right(place: int, new: bytes) -> None:
    good = block()
    bad = good[:-1] + new if place == -1 else with_bytes(good, place, new)
    assert bad != good
    decoder = Decoder()
    assert decoder.feed(framed(bad) + bytes(2000)) == []
    assert decoder.stats.good_packets == 0
    assert decoder.stats.skipped_bytes >= len(good)


def test_a_block_is_refused_whole_if_it_does_not_end_as_it_says() -> None:
    data = block()
    header = Header.read(data[:16])
    assert header is not None
    assert read_samples(header, data[16:]) is not None
    assert read_samples(header, with_bytes(data, len(data) - 4, b"\x00\x00\x00\x00")[16:]) is None


# --- Counters


@pytest.mark.parametrize(
    ("sequences", "lost"),
    [
        ([0, 1, 2, 3], 0),
        ([254, 255, 0, 1], 0),
        ([0, 1, 4], 2),
        ([250, 3], 8),
        ([7, 8, 5, 6, 9], 2),  # two sent late
        ([100, 0, 1], 0),  # switched on anew
    ],
)
def test_lost_frames_show_in_the_sequence(sequences: list[int], lost: int) -> None:
    decoder = Decoder()
    for sequence, data in zip(sequences, seconds(0, len(sequences)), strict=True):
        decoder.feed(brp.frame(sequence, data))
    assert decoder.stats.lost_packets == lost


def test_a_frame_that_nobody_acknowledged_brings_its_samples_once() -> None:
    one, two = (brp.frame(sequence, data) for sequence, data in enumerate(seconds(0, 2)))
    decoder = Decoder()
    assert starts(decoder.feed(one + one + two + two + two)) == [0, 1]
    assert decoder.stats.lost_packets == 0
    assert decoder.stats.time_jumps == 0
    assert decoder.stats.skipped_bytes == 0


def test_time_jumps_are_counted_stream_by_stream() -> None:
    decoder = Decoder()
    vertical, north = seconds(0, 3), seconds(0, 3, "6018N2")
    line = framed(vertical[0], north[0], vertical[1], vertical[2], north[2])
    assert starts(decoder.feed(line)) == [0, 0, 1, 2, 2]
    assert decoder.stats.time_jumps == 1
