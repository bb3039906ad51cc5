"""The C encoder of the bridge protocol: its frames are those of the Python encoder, byte for byte."""

import shutil
import struct
import subprocess
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from firmware_bridge import cobs
from firmware_bridge.bridge import Decoder
from firmware_bridge.bridge_frames import (
    MOST_BODY_BYTES,
    PPS,
    UNITS,
    Channel,
    Hello,
    Status,
    Time,
    encode_data,
    encode_hello,
    encode_status,
    encode_time,
    most_samples,
)

ROOT = Path(__file__).parents[2]
HEADER = ROOT / "firmware_bridge" / "c"
C = Path(__file__).parent / "c"
WARNINGS = ("-Wall", "-Wextra", "-Werror", "-pedantic")
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
MOST_CODE_BYTES = 1536
ROOM = 10_000
"""Of an output buffer in which more would fit than a frame may be long."""
EHZ = Channel("EHZ", "m/s", 773_094_113, 0, 16)
HELLO = Hello(7, 0xDEADBEEF, 1_000_000, 100_000, "XX", "SHED", "00", (EHZ, Channel("EHN"), Channel("EHE")))
COUNTS = np.array([[100, -5, 0], [101, -5, 0], [-(2**31), -4, 0], [2**31 - 1, -6, 0]], np.int32)
NOON = Time(4_000_000_000, 1_795_089_600, PPS, 9)
HEALTH = Status(-12.34, 5.021, 47.9876543, -179.9999999, 612.5)


def need(tool: str) -> str:
    return shutil.which(tool) or pytest.skip(f"{tool} is not installed")


def compile_with(tool: str, *arguments: str | Path) -> None:
    result = subprocess.run([need(tool), *arguments], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


Run = Callable[[list[bytes]], list[bytes]]
"""Requests of driver.c to the frames it made, one for each request but Q; b"" where it made none."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    driver = tmp_path_factory.mktemp("driver") / "driver"
    compile_with("gcc", "-std=c99", *WARNINGS, *SANITIZERS, C / "driver.c", "-o", driver)

    def answers(requests: list[bytes]) -> list[bytes]:
        result = subprocess.run([driver], input=b"".join(requests), capture_output=True, check=False)
        assert result.returncode == 0, result.stderr.decode()
        frames = []
        place = 0
        while place < len(result.stdout):
            (length,) = struct.unpack_from("<H", result.stdout, place)
            place += 2 + length
            frames.append(result.stdout[place - length : place])
        return frames

    return answers


def ask_hello(hello: Hello, room: int = ROOM) -> bytes:
    names = [name.encode() for name in (hello.network, hello.station, hello.location)]
    units = [UNITS.index(channel.unit) for channel in hello.channels]
    return raw_hello(hello, names, units, room)


def raw_hello(hello: Hello, names: list[bytes], units: list[int], room: int = ROOM) -> bytes:
    numbers = (hello.config, hello.device_id, hello.tick_hz, hello.rate_mhz)
    request = struct.pack("<HBIII9s9s9sB", room, *numbers, *names, len(hello.channels))
    channels = b"".join(
        struct.pack("<4sBibB", channel.code.encode(), unit, channel.mantissa, channel.exponent, channel.gain)
        for channel, unit in zip(hello.channels[:8], units, strict=False)
    )
    return b"H" + request + channels.ljust(8 * 11, b"\x00")


def ask_data(tick: int, samples: NDArray[np.int32], room: int = ROOM) -> bytes:
    return b"D" + struct.pack("<HIBB", room, tick, *samples.shape) + samples.astype("<i4").tobytes()


def ask_time(time: Time, room: int = ROOM) -> bytes:
    return b"T" + struct.pack("<HIIBB", room, time.tick, time.utc_s, time.quality, time.satellites)


def ask_status(status: Status, room: int = ROOM) -> bytes:
    none = -(1 << 31)
    fields = (
        -(1 << 15) if status.temperature is None else round(status.temperature * 100),
        0 if status.voltage is None else round(status.voltage * 1000),
        none if status.latitude is None else round(status.latitude * 1e7),
        none if status.longitude is None else round(status.longitude * 1e7),
        none if status.elevation is None else round(status.elevation * 100),
    )
    return b"S" + struct.pack("<HhHiii", room, *fields)


class Session:
    """What a sender is asked, a hello first, and the frames that the Python encoder makes of it."""

    def __init__(self, hello: Hello, sequence: int = 0) -> None:
        self.sequence = sequence
        self.requests = [b"Q" + struct.pack("<H", sequence)]
        self.frames: list[bytes] = []
        self.add_hello(hello)

    def add(self, request: bytes, frame: bytes) -> None:
        self.requests.append(request)
        self.frames.append(frame)
        if frame:
            self.sequence = self.sequence % 65_535 + 1

    def add_hello(self, hello: Hello) -> None:
        self.hello = hello
        self.add(ask_hello(hello), encode_hello(self.sequence, hello))

    def add_data(self, tick: int, samples: NDArray[np.int32]) -> None:
        try:
            frame = encode_data(self.sequence, self.hello.config, tick, samples)
        except ValueError:  # over the 2,048 bytes
            frame = b""
        self.add(ask_data(tick, samples), frame)

    def add_time(self, time: Time) -> None:
        self.add(ask_time(time), encode_time(self.sequence, time))

    def add_status(self, status: Status) -> None:
        self.add(ask_status(status), encode_status(self.sequence, status))


def integers(bits: int, *, signed: bool = False) -> st.SearchStrategy[int]:
    low = -(1 << bits - 1) if signed else 0
    return st.integers(low, low + (1 << bits) - 1)


SYMBOLS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
# Codes all at random would hardly ever share an instrument: draw them from few.
CODES = st.builds("{}{}".format, st.sampled_from(["EH", "EN", "A0", "9Z"]), st.sampled_from("ZNE"))
CHANNELS = st.builds(
    Channel, CODES, st.sampled_from(UNITS), integers(32, signed=True), integers(8, signed=True), integers(8)
)
HELLOS = st.builds(
    Hello,
    integers(8),
    integers(32),
    st.integers(1000, 2**32 - 1),
    st.integers(1, 2**32 - 1),
    st.text(SYMBOLS, min_size=1, max_size=8),
    st.text(SYMBOLS, min_size=1, max_size=8),
    st.text(SYMBOLS, max_size=8),
    st.lists(CHANNELS, min_size=1, max_size=8, unique_by=lambda channel: channel.code).map(tuple),
)
TIMES = st.builds(Time, integers(32), integers(32), st.integers(0, 2), integers(8))


def measured(low: int, high: int, steps_per_unit: float) -> st.SearchStrategy[float | None]:
    return st.none() | st.integers(low, high).map(lambda steps: steps / steps_per_unit)


STATUSES = st.builds(
    Status,
    measured(-(2**15) + 1, 2**15 - 1, 100),
    measured(1, 2**16 - 1, 1000),
    measured(-(2**31) + 1, 2**31 - 1, 1e7),
    measured(-(2**31) + 1, 2**31 - 1, 1e7),
    measured(-(2**31) + 1, 2**31 - 1, 100),
)


@st.composite
def counts(draw: st.DrawFn, channels: int) -> NDArray[np.int32]:
    """Samples that start anywhere and differ, each channel, by up to so many bits; modulo 2**32."""
    n = draw(st.integers(1, 255) | st.integers(1, 12))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    columns = []
    for _ in range(channels):
        half = (1 << draw(st.integers(0, 32))) // 2
        differences = rng.integers(-half, max(half, 1), n)
        differences[0] = draw(integers(32, signed=True))
        columns.append(np.cumsum(differences).astype(np.int32))
    return np.stack(columns, axis=1)


@st.composite
def sessions(draw: st.DrawFn) -> Session:
    """What a sender sends in a while, a hello first."""
    session = Session(draw(HELLOS), draw(st.sampled_from([0, 1, 65_530]) | integers(16)))
    for kind in draw(st.lists(st.sampled_from("HDDDTS"), max_size=12)):
        if kind == "H":
            session.add_hello(draw(HELLOS))
        elif kind == "D":
            session.add_data(draw(integers(32)), draw(counts(len(session.hello.channels))))
        elif kind == "T":
            session.add_time(draw(TIMES))
        else:
            session.add_status(draw(STATUSES))
    return session


@given(session=sessions())
def test_frames_are_those_of_the_python_encoder(run: Run, session: Session) -> None:
    assert run(session.requests) == session.frames


@given(samples=st.integers(1, 8).flatmap(counts), tick=integers(32))
def test_any_samples(run: Run, samples: NDArray[np.int32], tick: int) -> None:
    channels = tuple(Channel(f"{k // 3}H{'ZNE'[k % 3]}") for k in range(samples.shape[1]))
    session = Session(replace(HELLO, channels=channels))
    session.add_data(tick, samples)
    assert run(session.requests) == session.frames


@pytest.mark.parametrize(
    "column",
    [
        [0],
        [-(2**31)] * 255,
        [0, 2**31 - 1, -(2**31), 0],
        [-(2**31), 2**31 - 1, -1, -1],
        *([0, low, 0] for low in (1, -1, -2, -3, -128, 128, -(2**30), 2**30, -(2**30) - 1)),
    ],
)
def test_samples_at_the_ends_of_widths(run: Run, column: list[int]) -> None:
    session = Session(replace(HELLO, channels=(EHZ,)))
    session.add_data(0, np.array(column, np.int32)[:, None])
    assert run(session.requests) == session.frames


def test_bodies_about_whole_cobs_blocks(run: Run) -> None:
    """Without zeros, a body of 254 bytes is one full block and no other behind it, one of 508 two."""
    session = Session(replace(HELLO, config=1, channels=(EHZ,)), 0x0101)
    rng = np.random.default_rng(1)
    for n in (*range(55, 70), *range(120, 132), *range(250, 256)):
        for _ in range(20):
            differences = rng.integers(1, 256, (n, 4), np.uint8).view("<i4")
            session.add_data(0x01010101, np.cumsum(differences, axis=0, dtype=np.int32))
    assert any(len(frame) == 256 and frame[0] == 0xFF for frame in session.frames)
    assert run(session.requests) == session.frames


def test_after_65535_comes_1(run: Run) -> None:
    session = Session(HELLO, 65_533)
    for _ in range(4):
        session.add_data(0, COUNTS)
    assert session.sequence == 3
    assert run(session.requests) == session.frames


@pytest.mark.parametrize("kind", ["hello", "data", "time", "status"])
def test_a_frame_goes_into_exactly_its_room_and_no_less(run: Run, kind: str) -> None:
    asks: dict[str, tuple[Callable[[int], bytes], bytes]] = {
        "hello": (partial(ask_hello, HELLO), encode_hello(1, HELLO)),
        "data": (partial(ask_data, 123_456, COUNTS), encode_data(1, HELLO.config, 123_456, COUNTS)),
        "time": (partial(ask_time, NOON), encode_time(1, NOON)),
        "status": (partial(ask_status, HEALTH), encode_status(1, HEALTH)),
    }
    ask, frame = asks[kind]
    made = run([ask_hello(HELLO), *(ask(room) for room in range(len(frame) + 1))])
    # None of the failures took a sequence number.
    assert made == [encode_hello(0, HELLO), *[b""] * len(frame), frame]


def test_max_frame_is_the_longest_frame_there_is(run: Run) -> None:
    loud = np.tile(np.array([0, -(2**31)], np.int32), 128)
    requests, longest = [], []
    for channels in range(1, 9):
        hello = replace(HELLO, channels=tuple(Channel(f"{k}HZ") for k in range(channels)))
        for n in range(1, 256):
            requests.append(b"M" + bytes((channels, n)))
            body = MOST_BODY_BYTES
            if n <= most_samples(channels):
                data = encode_data(0, 0, 0, np.tile(loud[:n, None], channels))
                body = max(len(cobs.decode(frame[:-1])) for frame in (data, encode_hello(0, hello)))
            longest.append(len(cobs.encode(b"\x01" * body)) + 1)
    assert [int.from_bytes(size, "little") for size in run(requests)] == longest


def unchecked(**fields: object) -> Hello:
    """The hello with other fields, past the checks of its class."""
    hello = replace(HELLO)
    for name, value in fields.items():
        object.__setattr__(hello, name, value)
    return hello


def with_codes(*codes: str) -> Hello:
    return unchecked(channels=tuple(replace(EHZ, code=code) for code in codes))


NAMES = [b"XX", b"SHED", b"00"]
ASKED_IN_VAIN = {
    "slow clock": ask_hello(unchecked(tick_hz=999)),
    "no rate": ask_hello(unchecked(rate_mhz=0)),
    "no network": raw_hello(HELLO, [b"", b"SHED", b""], [1] * 3),
    "no station": raw_hello(HELLO, [b"XX", b"", b""], [1] * 3),
    "small letter": raw_hello(HELLO, [b"XX", b"SHeD", b""], [1] * 3),
    "space": raw_hello(HELLO, [b"XX", b"SHED", b"  "], [1] * 3),
    "name with /": raw_hello(HELLO, [b"XX", b"SH/D", b""], [1] * 3),
    "name with :": raw_hello(HELLO, [b"XX", b"SH:D", b""], [1] * 3),
    "name with @": raw_hello(HELLO, [b"XX", b"SH@D", b""], [1] * 3),
    "name with [": raw_hello(HELLO, [b"XX", b"SH[D", b""], [1] * 3),
    "letter beyond ASCII": raw_hello(HELLO, [b"XX", b"SH\xc9D", b""], [1] * 3),
    "nine letters and no NUL": raw_hello(HELLO, [b"XX", b"ABCDEFGHI", b""], [1] * 3),
    "unknown unit": raw_hello(HELLO, NAMES, [1, 6, 1]),
    "no channels": ask_hello(with_codes()),
    "nine channels": ask_hello(with_codes(*(f"{k}HZ" for k in range(9)))),
    "short code": ask_hello(with_codes("EH")),
    "long code without NUL": ask_hello(with_codes("EHZZ")),
    "small code": ask_hello(with_codes("EHz")),
    "a code twice": ask_hello(with_codes("EHZ", "EHN", "EHZ")),
    "four of an instrument": ask_hello(with_codes("EHZ", "ENZ", "EHN", "EHE", "EH1")),
    "no samples": ask_data(0, np.empty((0, 3), np.int32)),
    "more than 2,048 bytes": ask_data(
        0, np.tile(np.array([0, -(2**31)], np.int32), 128)[:255, None].repeat(3, 1)
    ),
    "unknown quality": ask_time(replace(NOON, quality=3)),
}


@pytest.mark.parametrize("request_in_vain", ASKED_IN_VAIN.values(), ids=list(ASKED_IN_VAIN))
def test_what_is_invalid_makes_no_frame_and_leaves_no_trace(run: Run, request_in_vain: bytes) -> None:
    session = Session(HELLO)
    session.add(request_in_vain, b"")
    session.add_data(1, COUNTS)
    assert run(session.requests) == session.frames


def test_a_hello_without_room_leaves_the_old_one_in_force(run: Run) -> None:
    session = Session(HELLO)
    session.add(ask_hello(replace(HELLO, config=8, channels=(EHZ,)), room=20), b"")
    session.add_data(1, COUNTS)
    assert run(session.requests) == session.frames


def test_nothing_goes_before_the_first_hello(run: Run) -> None:
    """Sequence number 0 belongs to a hello."""
    made = run([ask_data(0, COUNTS), ask_time(NOON), ask_status(HEALTH), ask_hello(HELLO)])
    assert made == [b"", b"", b"", encode_hello(0, HELLO)]


def test_what_stands_behind_a_nul_is_not_sent(run: Run) -> None:
    names = [b"XX\x00old", b"SHED\x00\xffX", b"00\x00\x00\x00Y"]
    units = [UNITS.index(channel.unit) for channel in HELLO.channels]
    assert run([raw_hello(HELLO, names, units)]) == [encode_hello(0, HELLO)]


def test_header_and_driver_are_also_cpp() -> None:
    compile_with(
        "g++", "-x", "c++", "-std=c++11", *WARNINGS, "-fsyntax-only", C / "driver.c", C / "assertions.c"
    )


def test_sizes_hold_at_compile_time() -> None:
    compile_with("gcc", "-std=c99", *WARNINGS, "-fsyntax-only", C / "assertions.c")


def test_code_is_small_on_cortex_m() -> None:
    need("arm-none-eabi-gcc")
    table = subprocess.run(["sh", HEADER / "size.sh"], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in table.splitlines() if line.endswith(".o")]
    assert [row[-1] for row in rows] == ["cortex-m0.o", "cortex-m3.o", "cortex-m4.o"]
    for text, data, bss, *_ in rows:
        assert 0 < int(text) < MOST_CODE_BYTES
        assert int(data) == int(bss) == 0


def test_example_sketch_streams_an_adc_and_gnss_time(tmp_path: Path) -> None:
    """The ESP32 sketch on a simulated board for four seconds, read as the station reads it."""
    board = tmp_path / "board"
    include = ("-I", C / "arduino", "-I", HEADER)
    compile_with(
        "g++", "-std=c++17", *WARNINGS, *SANITIZERS, *include, C / "arduino" / "board.cpp", "-o", board
    )
    wire = subprocess.run([board], capture_output=True, check=True).stdout
    decoder = Decoder()
    packets = decoder.feed(wire)

    assert wire.startswith(b"\x00")
    assert decoder.stats.lost_packets == decoder.stats.bad_checksums == decoder.stats.time_jumps == 0
    assert {packet.stream.channels for packet in packets} == {("EHZ", "EHN", "EHE")}
    assert {packet.rate for packet in packets} == {100.0}
    samples = np.concatenate([packet.samples for packet in packets])
    k = np.arange(1, len(samples) + 1)
    assert len(samples) > 380  # of four seconds, less the start of the converter
    assert np.array_equal(samples, np.stack([k, -k, np.full_like(k, -(2**23))], axis=1))
    # One second without a fix, then the leap day's last, and two of March.
    marks = [packet.mark for packet in packets if packet.mark]
    second = 1_709_251_199_000_000_000
    assert [mark.utc_ns - second for mark in marks] == [0, 10**9, 2 * 10**9]
    # The first edge of which the time is known is 1.25 s after power-on, the tick wraps in between.
    power_on_ns = (0xFFFFFFFF - 1_500_000) * 1000
    assert [mark.device_ns - power_on_ns for mark in marks] == [1.25e9, 2.25e9, 3.25e9]
    assert packets[-1].meta["satellites"] == 7
