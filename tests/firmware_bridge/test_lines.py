"""Plain lines: what columns are taken for, what times make of them, and which damage shows."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.lines import Decoder, Encoder
from firmware_bridge.packet import Packet
from firmware_bridge.wire import Declared

MS = 1_000_000
RNG = np.random.default_rng(5)
ROWS = RNG.integers(-(1 << 31), 1 << 31, (400, 3)).tolist()
HEADED = b"millis,z,n,e\r\n"


def lines(rows: Iterable[Sequence[object]], separator: str = ",", end: str = "\r\n") -> bytes:
    return "".join(separator.join(map(str, row)) + end for row in rows).encode()


def timed(rows: Sequence[Sequence[object]], step: float, origin: float = 0) -> list[list[object]]:
    return [[int(origin + k * step), *row] for k, row in enumerate(rows)]


def samples(packets: Sequence[Packet]) -> list[list[float]]:
    return [row for packet in packets for row in packet.samples.tolist()]


def test_the_first_line_may_be_the_rest_of_one() -> None:
    wire = b"23,-4,5\r\n" + lines(ROWS)
    decoder = Decoder()
    assert samples(decoder.feed(wire)) == ROWS
    assert decoder.stats.skipped_bytes == len(b"23,-4,5\r\n")


@pytest.mark.parametrize("separator", [",", ";", "\t", " ", ", ", " ; "])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_separators_and_line_ends(separator: str, end: str) -> None:
    packets = Decoder().feed(b"\n" + lines(ROWS, separator, end))
    assert samples(packets) == ROWS
    assert {packet.stream.channels for packet in packets} == {("EHZ", "EHN", "EHE")}
    assert {packet.samples.dtype for packet in packets} == {np.dtype(np.int32)}


def test_one_column_is_a_vertical_without_time() -> None:
    column = [[row[0]] for row in ROWS]
    packets = Decoder().feed(b"\n" + lines(column))
    assert samples(packets) == column
    assert {packet.stream.channels for packet in packets} == {("EHZ",)}
    assert {(packet.start_ns, packet.rate, packet.clock) for packet in packets} == {(None, None, "unknown")}


@pytest.mark.parametrize(
    ("step", "unit_ns", "rate"),
    [
        (10, MS, 100.0),
        (4, MS, 250.0),
        (2.5, MS, 400.0),
        (32, MS, 31.25),
        (10.05, MS, 100.0),
        (13, MS, 76.92),
        (5000, 1000, 200.0),
        (999.7, 1000, 1000.0),
        (1000.3, 1000, 1000.0),
    ],
)
def test_a_steadily_rising_first_column_is_time_and_tells_the_rate(
    step: float, unit_ns: int, rate: float
) -> None:
    decoder = Decoder()
    packets = decoder.feed(b"\n" + lines(timed(ROWS, step, 123_456)))
    assert samples(packets) == ROWS
    assert {packet.rate for packet in packets} == {rate}
    assert {packet.clock for packet in packets} == {"device"}
    assert decoder.stats.time_jumps == 0
    for k, packet in enumerate(packets):
        assert packet.start_ns is not None
        assert abs(packet.start_ns - (123_456 + 10 * k * step) * unit_ns) <= unit_ns + 0.05 * step * unit_ns


def test_a_time_before_one_vertical() -> None:
    packets = Decoder().feed(b"\n" + lines(timed([row[:1] for row in ROWS], 10)))
    assert samples(packets) == [row[:1] for row in ROWS]
    assert packets[0].stream.channels == ("EHZ",)


@pytest.mark.parametrize(
    "rows",
    [
        [row * 2 for row in ROWS],
        [[*row, 7] for row in ROWS],
        [row[:2] for row in ROWS],
        [[10 * k, *row[:2]] for k, row in enumerate(ROWS)],
        [[k, *row[:2]] for k, row in enumerate(ROWS)],
    ],
    ids=[
        "six columns",
        "four without a time",
        "two without a time",
        "a time where z should be",
        "a counter where z should be",
    ],
)
def test_columns_that_may_be_anything_are_not_guessed(rows: list[list[int]]) -> None:
    decoder = Decoder()
    wire = b"\n" + lines(rows) + b"end\n\xff\n"
    assert decoder.feed(wire) == []
    assert decoder.stats.skipped_bytes == len(wire)


@pytest.mark.parametrize("columns", [1, 3])
@pytest.mark.parametrize("lost", [(), range(0, 400, 20)], ids=["all lines", "some lost"])
@pytest.mark.parametrize("header", ["", "t,z,n,e", "# TIME;Z"])
def test_a_column_that_counts_lines_is_no_clock(columns: int, lost: Sequence[int], header: str) -> None:
    rows = [[k % 256, *row[:columns]] for k, row in enumerate(ROWS) if k not in lost]
    packets = Decoder().feed(header.encode() + b"\n" + lines(rows))
    assert samples(packets) == [row[1:] for row in rows][: len(samples(packets))]
    assert len(samples(packets)) > len(rows) - 10
    assert packets[0].stream.channels == ("EHZ", "EHN", "EHE")[:columns]
    assert {(packet.start_ns, packet.rate, packet.clock) for packet in packets} == {(None, None, "unknown")}


def test_a_clock_of_1000_hz_in_millis_is_named() -> None:
    packets = Decoder().feed(HEADED + lines(timed(ROWS, 1)))
    assert samples(packets) == ROWS
    assert {packet.rate for packet in packets} == {1000.0}


def test_a_packet_came_with_its_last_line() -> None:
    packets = Decoder().feed(b"z,n,e\n" + lines([[10**k, 2, 3] for k in range(10)] * 3))
    assert [packet.wire_bytes for packet in packets] == [len(b"1000000000,2,3\r\n")] * 3


@pytest.mark.parametrize("header", ["x,y,z", "micros,X,Y,Z", "# t x y z"])
def test_a_header_may_name_the_horizontals_x_and_y(header: str) -> None:
    rows = [[x, y, z] for z, x, y in ROWS]
    wire = lines(rows if header == "x,y,z" else timed(rows, 4000))
    packets = Decoder().feed(b"hello\n" + header.encode() + b"\n" + wire)
    assert samples(packets) == ROWS
    assert [code[-1] for code in packets[0].stream.channels] == ["Z", "X", "Y"]
    packets = Decoder(Declared(columns=("y", "z"))).feed(b"\n" + lines([row[1:] for row in rows]))
    assert samples(packets) == [[z, y] for z, _, y in ROWS]


@pytest.mark.parametrize("header", ["e,micros,z,n", "#e; us; z; n", "E time Z N", "# e\tt\tz\tn"])
def test_a_header_names_the_columns(header: str) -> None:
    rows = [[e, 4000 * k, z, n] for k, (z, n, e) in enumerate(ROWS)]
    decoder = Decoder()
    packets = decoder.feed(header.encode() + b"\n" + lines(rows))
    assert samples(packets) == ROWS
    assert {packet.rate for packet in packets} == {250.0}
    assert decoder.stats.skipped_bytes == 0


def test_declared_columns_go_before_a_header_and_before_guesses() -> None:
    rows = [[7, n, z, e] for z, n, e in ROWS]
    declared = Declared(("AB", "CDE", ""), 50.0, ("-", "n", "z", "e"), "m/s")
    packets = Decoder(declared).feed(HEADED + lines(rows))
    assert samples(packets) == ROWS
    assert packets[0].stream.station_id == "AB.CDE."
    assert packets[0].stream.channels == ("SHZ", "SHN", "SHE")
    assert packets[0].rate == 50.0
    assert packets[0].meta == {"unit": "m/s"}


@pytest.mark.parametrize(
    "columns", [(), ("millis",), ("z", "z"), ("z", "h"), ("z", "n", "y"), ("millis", "micros", "z"), ("-",)]
)
def test_columns_that_cannot_be_are_refused_in_one_line(columns: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"^columns .*: name each of z, n, e .*$"):
        Decoder(Declared(columns=columns))


def test_samples_with_fractions_are_floats_and_times_with_fractions_leave_counts() -> None:
    rows = [[f"{1.7e9 + k / 50:.2f}", *row] for k, row in enumerate(ROWS)]
    packets = Decoder().feed(b"seconds,z,n,e\n" + lines(rows))
    assert samples(packets) == ROWS
    assert packets[0].samples.dtype == np.int32
    assert packets[0].clock == "unknown"
    assert abs((packets[0].start_ns or 0) - 1_700_000_000_000_000_000) < 1000
    packets = Decoder().feed(b"z\n" + lines([["-1.5e-3"], ["+.25"], ["3."], ["7"]] * 5))
    assert samples(packets) == [[-0.0015], [0.25], [3.0], [7.0]] * 5
    assert packets[0].samples.dtype == np.float64


@pytest.mark.parametrize("unit", ["millis", "micros"])
def test_a_counter_that_wraps_makes_no_jump(unit: str) -> None:
    step = 10 if unit == "millis" else 10_000
    origin = (1 << 32) - 200 * step + 3
    rows = [[(origin + step * k) % (1 << 32), *row] for k, row in enumerate(ROWS)]
    decoder = Decoder()
    packets = decoder.feed(f"{unit},z,n,e\n".encode() + lines(rows))
    assert samples(packets) == ROWS
    assert decoder.stats.time_jumps == 0
    assert {int(np.diff([a.start_ns, b.start_ns])[0]) for a, b in pairwise(packets)} == {100 * MS}


def test_lost_lines_end_the_packet_and_are_counted() -> None:
    rows = timed(ROWS, 10)
    decoder = Decoder()
    packets = decoder.feed(HEADED + lines(rows[:203] + rows[206:]))
    assert decoder.stats.time_jumps == 1
    assert [len(packet.samples) for packet in packets[19:22]] == [10, 3, 10]
    assert packets[21].start_ns == 2_060 * MS
    assert samples(packets) == (ROWS[:203] + ROWS[206:])[: len(samples(packets))]


def test_one_late_line_is_no_jump() -> None:
    rows = timed(ROWS, 10)
    rows[205][0], rows[219][0] = 2_059, 10
    decoder = Decoder()
    packets = decoder.feed(HEADED + lines(rows))
    assert samples(packets) == ROWS
    assert decoder.stats.time_jumps == 0
    assert [packet.start_ns for packet in packets] == [100 * k * MS for k in range(40)]


def test_a_digitizer_that_starts_again_at_another_rate_is_followed() -> None:
    decoder = Decoder()
    packets = decoder.feed(HEADED + lines(timed(ROWS, 10)) + HEADED + lines(timed(ROWS, 5)))
    assert [packet.rate for packet in packets] == [100.0] * 40 + [200.0] * (len(packets) - 40)
    assert len(samples(packets)) > 760


def test_another_number_of_columns_is_damage_at_first_and_a_new_layout_in_the_end() -> None:
    decoder = Decoder()
    wire = HEADED + lines(timed(ROWS, 10)) + b"1,2,3\n" + lines(timed(ROWS, 10, 4000)) + lines(ROWS)
    packets = decoder.feed(wire)
    assert samples(packets) == ROWS + ROWS + ROWS
    assert decoder.stats.skipped_bytes == len(b"1,2,3\n")
    assert packets[-1].start_ns is None


@pytest.mark.parametrize(
    "line",
    [
        b"1,2147483648,3",
        b"1,nan,3",
        b"1,inf,3",
        b"1,2_0,3",
        b"1,0x10,3",
        b"1,2,\xb3",
        b"1,2",
        b"7" * 300,
        b"q1,2,3",
        b"q,-2,3.5",
    ],
)
def test_a_line_that_shows_its_damage_is_skipped_and_no_packet_spans_it(line: bytes) -> None:
    decoder = Decoder()
    packets = decoder.feed(b"z,n,e\n" + lines(ROWS[:25]) + line + b"\n" + lines(ROWS[25:50]) + b"\xff\n")
    assert [len(packet.samples) for packet in packets] == [10, 10, 5, 10, 10, 5]
    assert samples(packets) == ROWS[:50]
    assert decoder.stats.skipped_bytes == len(line) + 1 + 2


@pytest.mark.parametrize("text", [b"GPS: 7 satellites", b"# 1,2,3", b"", b"// z", b"$GPGGA,1,2*7F"])
def test_text_between_the_lines_is_no_damage(text: bytes) -> None:
    decoder = Decoder()
    packets = decoder.feed(b"z,n,e\n" + lines(ROWS[:25]) + text + b"\r\n" + lines(ROWS[25:50]))
    assert [len(packet.samples) for packet in packets] == [10] * 5
    assert samples(packets) == ROWS[:50]
    assert decoder.stats.skipped_bytes == len(text) + 2


def test_a_single_column_that_is_no_number_is_damage() -> None:
    column = [row[:1] for row in ROWS[:50]]
    packets = Decoder().feed(b"z\n" + lines(column[:25]) + b"q17\r\n" + lines(column[25:]) + b"\xff\n")
    assert [len(packet.samples) for packet in packets] == [10, 10, 5, 10, 10, 5]
    assert samples(packets) == column


def test_few_lines_between_damage_are_not_believed() -> None:
    decoder = Decoder()
    wire = b"z,n,e\n" + (lines(ROWS[:9]) + b"1,2\n") * 40 + b"\xff\n"
    assert decoder.feed(wire) == []
    assert decoder.stats.good_packets == 0
    assert decoder.stats.skipped_bytes == len(wire)


@pytest.mark.parametrize("reader", [9_600, 57_600, 230_400])
def test_another_baud_rate_makes_no_packets(reader: int) -> None:
    rows = timed(ROWS, 10)
    levels = [1] * 30
    for byte in HEADED + lines(rows):
        levels += [0, *(byte >> k & 1 for k in range(8)), 1]
    heard, at, bit = bytearray(), 0.0, 115_200 / reader
    while at + 10 * bit < len(levels):
        if levels[int(at)]:
            at += 0.25
            continue
        heard.append(sum(levels[int(at + (k + 1.5) * bit)] << k for k in range(8)))
        at += 9.5 * bit
    decoder = Decoder()
    assert decoder.feed(bytes(heard)) == []


@given(
    st.lists(st.tuples(*[st.integers(-(1 << 31), (1 << 31) - 1)] * 3), min_size=10, max_size=60),
    st.integers(0, 1 << 40),
    st.sampled_from([50.0, 100.0, 250.0, 500.0]),
)
def test_any_counts_come_back(rows: list[tuple[int, int, int]], start_ms: int, rate: float) -> None:
    encoder = Encoder(rate)
    n = encoder.samples_per_packet
    sent = np.resize(np.array(rows, np.int32), (6 * n, 3))
    wires = [
        encoder.encode(start_ms * MS + round(k * 1e9 / rate), sent[k : k + n]) for k in range(0, len(sent), n)
    ]
    packets = Decoder(Declared(rate=rate)).feed(b"".join(wires))
    assert samples(packets) == sent[: len(samples(packets))].tolist()
    assert len(sent) - len(samples(packets)) < 10


@given(
    st.lists(
        st.text("0123456789+-.eE,; \t_naif#zt", max_size=12) | st.sampled_from(["1", "-2.5", "1e3"]),
        max_size=120,
    )
)
def test_whatever_looks_like_numbers_ends_up_counted_once(texts: list[str]) -> None:
    texts = ["z", *texts, "\xff"]
    wire = "".join(f"{text:12}\n" for text in texts).encode("latin-1")
    decoder = Decoder()
    packets = decoder.feed(wire)
    for packet in packets:
        assert np.isfinite(packet.samples).all()
    good_lines, rest = divmod(len(wire) - decoder.stats.skipped_bytes, 13)
    headers = sum(not any(character.isdigit() for character in text) for text in texts)
    assert rest == 0
    assert 0 <= good_lines - len(samples(packets)) <= headers
