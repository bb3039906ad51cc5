"""Raspberry Shake lines: a real capture, the rate of each channel, and what is no line."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pymseed import MS3TraceList

from firmware_bridge.packet import Packet
from firmware_bridge.shake import Decoder, Encoder
from firmware_bridge.wire import Declared

CAPTURES = Path(__file__).parents[3] / "shared" / "data" / "captures"
MS = 1_000_000
START_NS = 1_580_372_810_003_000_000
LINE = b"{'EHZ', 1580372810.003, 16235, -16274, 0}"


def line(code: str, k: int, rate: float = 100.0, start_ns: int = START_NS) -> bytes:
    """The datagram number k of a channel, its number as all 25 samples."""
    ms = start_ns // 1_000_000 + round(k * 25_000 / rate)
    return f"{{'{code}', {ms / 1000:.3f}, {', '.join([str(k)] * 25)}}}".encode()


def numbers(packets: list[Packet], code: str) -> list[int]:
    return [int(packet.samples[0, 0]) for packet in packets if packet.stream.channels == (code,)]


@pytest.mark.skipif(not CAPTURES.is_dir(), reason="needs the captures in ../shared/data")
@pytest.mark.parametrize("way", ["file", "datagrams"])
def test_the_real_capture_decodes_to_the_samples_and_times_of_its_miniseed(way: str) -> None:
    wire = (CAPTURES / "raspberryshake_udp_R24FA.txt").read_bytes()
    file_reads = [wire[k : k + 999] for k in range(0, len(wire), 999)]
    decoder = Decoder(Declared(identity=("AM", "R24FA", "00")))
    packets = [
        packet
        for chunk in (file_reads if way == "file" else filter(None, wire.splitlines()))
        for packet in decoder.feed(chunk)
    ]
    assert len(packets) == decoder.stats.good_packets == 1760
    assert decoder.stats.time_jumps == 0
    assert decoder.stats.skipped_bytes == (len(b"TERM\r\r\n") if way == "file" else len(b"TERM"))

    traces = MS3TraceList()
    traces.add_file(CAPTURES / "raspberryshake_R24FA.mseed", unpack_data=True)
    assert len(traces) == 4
    for trace in traces:
        (segment,) = trace
        channel = "".join(trace.sourceid.split("_")[-3:])
        own = [packet for packet in packets if packet.stream.channels == (channel,)]
        samples = np.concatenate([packet.samples[:, 0] for packet in own])
        # The last sample of the file is not in the capture.
        assert np.array_equal(samples, segment.np_datasamples[:-1])
        assert {(packet.rate, packet.clock) for packet in own} == {(segment.samprate, "ntp")}
        # MiniSEED made from binary floating-point seconds is a microsecond early.
        for k, packet in enumerate(own):
            assert packet.start_ns == segment.starttime + 1000 + k * 250 * MS


def test_a_line_becomes_a_packet_of_one_channel() -> None:
    (packet,) = Decoder(Declared(rate=100.0)).feed(LINE)
    assert packet.stream.instrument == "XX.EDGE.00.EH"
    assert packet.stream.channels == ("EHZ",)
    assert (packet.start_ns, packet.rate, packet.clock) == (START_NS, 100.0, "ntp")
    assert packet.samples.dtype == np.int32
    assert packet.samples.tolist() == [[16235], [-16274], [0]]
    assert packet.wire_bytes == len(LINE)


@pytest.mark.parametrize(
    ("seconds", "start_ns"),
    [
        ("1580372810", 1_580_372_810_000_000_000),
        ("1580372810.5", 1_580_372_810_500_000_000),
        ("1580372810.007", 1_580_372_810_007_000_000),
        ("1580372810.123456", 1_580_372_810_123_456_000),
    ],
)
def test_times_are_read_to_the_last_digit(seconds: str, start_ns: int) -> None:
    (packet,) = Decoder(Declared(rate=100.0)).feed(f"{{'EHZ', {seconds}, 1}}".encode())
    assert packet.start_ns == start_ns


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n", b"\r\r\n"])
def test_lines_may_end_as_they_like(end: bytes) -> None:
    decoder = Decoder(Declared(rate=100.0))
    wire = (LINE + end) * 3
    packets = [packet for byte in wire for packet in decoder.feed(bytes([byte]))]
    assert len(packets) == 3
    assert decoder.stats.skipped_bytes == 0


@pytest.mark.parametrize(
    "line",
    [
        b"TERM\n",
        b"{'EHZ', 1580372810.003}\n",
        b"{'EHZ', 1580372810.003, 1, 2,}\n",
        b"{'EHZ', 1580372810.003, 1, 2",
        b"{'EHZ', 1580372810.003, 1, 2147483648}",
        b"{'EHZ', 1580372810.003, -2147483649, 2}",
        b"{'EHZ', 1580372810.003, 1, 2.5}",
        b"{'EHZ', 1580372810.003, 1, nan}",
        b"{'EHZ', -1580372810.003, 1, 2}",
        b"{'EH', 1580372810.003, 1, 2}",
        b"{'EHZZ', 1580372810.003, 1, 2}",
        b"{'E,Z', 1580372810.003, 1, 2}",
        b"{'EHZ', __import__('os'), 1, 2}",
        b"{'EHZ', 1580372810.003" + b", 1" * 1400 + b"}",
        b"\xff\x00{{{}}}'",
    ],
)
def test_anything_else_is_skipped_and_counted(line: bytes) -> None:
    decoder = Decoder(Declared(rate=100.0))
    packets = decoder.feed(line + LINE)
    assert [packet.samples[:, 0].tolist() for packet in packets] == [[16235, -16274, 0]]
    assert decoder.stats.good_packets == 1
    assert decoder.stats.skipped_bytes == len(line)


@pytest.mark.parametrize("rate", [50.0, 100.0, 200.0])
def test_each_channel_has_its_rate_and_loses_no_packet_to_it(rate: float) -> None:
    decoder = Decoder()
    lines = [line(code, k, own) for k in range(20) for code, own in (("EHZ", rate), ("HDF", 2 * rate))]
    packets = [packet for datagram in lines for packet in decoder.feed(datagram)]
    assert numbers(packets, "EHZ") == numbers(packets, "HDF") == list(range(20))
    for packet in packets:
        assert packet.rate == (rate if packet.stream.channels == ("EHZ",) else 2 * rate)
    assert decoder.stats.time_jumps == 0


@pytest.mark.parametrize("lost", [{1}, {2, 4, 6}, {1, 2, 3}, {12, 13}])
def test_lost_datagrams_do_not_spoil_the_rate(lost: set[int]) -> None:
    decoder = Decoder()
    kept = [k for k in range(20) if k not in lost]
    packets = [packet for k in kept for packet in decoder.feed(line("EHZ", k))]
    assert numbers(packets, "EHZ") == kept
    assert {packet.rate for packet in packets} == {100.0}
    assert decoder.stats.time_jumps == sum(b - a > 1 for a, b in pairwise(kept))


def test_random_loss_does_not_look_like_half_the_rate() -> None:
    kept = np.flatnonzero(np.random.default_rng(1).random(4000) > 0.25).tolist()
    decoder = Decoder()
    packets = [packet for k in kept for packet in decoder.feed(line("EHZ", k))]
    assert numbers(packets, "EHZ") == kept
    assert {packet.rate for packet in packets} == {100.0}


@pytest.mark.parametrize(("rate", "packets_to_follow"), [(200.0, 5), (62.5, 5), (50.0, 8)])
def test_a_channel_set_up_anew_is_followed(rate: float, packets_to_follow: int) -> None:
    decoder = Decoder()
    lines = [line("EHZ", k) for k in range(20)] + [line("EHZ", k, rate) for k in range(2000, 2020)]
    rates = [packet.rate for datagram in lines for packet in decoder.feed(datagram)]
    assert rates == [100.0] * (20 + packets_to_follow) + [rate] * (20 - packets_to_follow)


def test_doubled_and_reordered_datagrams_do_not_spoil_the_rate() -> None:
    order = [0, 1, 1, 2, 3, 5, 4, 6, 7, 8, 9, 10]
    decoder = Decoder()
    packets = [packet for k in order for packet in decoder.feed(line("EHZ", k))]
    assert numbers(packets, "EHZ") == order
    assert {packet.rate for packet in packets} == {100.0}


def test_a_declared_rate_goes_before_the_spacing() -> None:
    decoder = Decoder(Declared(rate=99.0))
    packets = [packet for k in range(20) for packet in decoder.feed(line("EHZ", k))]
    assert [packet.rate for packet in packets] == [99.0] * 20


def test_codes_without_end_do_not_fill_the_memory_nor_lose_a_live_channel() -> None:
    decoder = Decoder()
    packets = []
    for k in range(1000):
        for datagram in (line("EHZ", k), line(f"{k:03d}", k)):
            packets += decoder.feed(datagram)
    assert numbers(packets, "EHZ") == list(range(1000))
    assert len(packets) == 1000  # a code seen once never has a rate
    assert decoder.stats.skipped_bytes == sum(len(line(f"{k:03d}", k)) for k in range(1000 - 15))


def test_encoder_makes_three_datagrams_on_three_lines() -> None:
    encoder = Encoder(100)
    samples = np.random.default_rng(0).integers(-(2**31), 2**31, (25, 3)).astype(np.int32)
    lines = encoder.encode(START_NS + 499_999, samples).splitlines(keepends=True)
    assert [datagram[:24] for datagram in lines] == [
        b"{'EHZ', 1580372810.003, ", b"{'EHN', 1580372810.003, ", b"{'EHE', 1580372810.003, "
    ]  # fmt: skip
    decoder = Decoder(Declared(rate=100.0))
    packets = [packet for datagram in lines for packet in decoder.feed(datagram.rstrip())]
    assert np.array_equal(np.hstack([packet.samples for packet in packets]), samples)


@pytest.mark.parametrize(
    ("start_ns", "samples", "words"),
    [
        (0, np.zeros((25, 2), np.int32), "shape"),
        (0, np.zeros((25, 3)), "float64"),
        (-MS, np.zeros((25, 3), np.int32), "start time"),
        (10**19, np.zeros((25, 3), np.int32), "start time"),
    ],
)
def test_encoder_refuses_samples(start_ns: int, samples: NDArray[np.int32], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Encoder(100).encode(start_ns, samples)


def test_encoder_refuses_a_rate_that_no_spacing_tells() -> None:
    with pytest.raises(ValueError, match="128 Hz"):
        Encoder(128)
