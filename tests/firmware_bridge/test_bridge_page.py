"""What docs/bridge-protocol.md shows is what the code sends."""

import re
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from firmware_bridge import cobs
from firmware_bridge.bridge_frames import (
    Channel,
    Hello,
    Status,
    decode_config,
    decode_data,
    decode_head,
    decode_hello,
    decode_status,
    decode_time,
    encode_data,
    encode_hello,
    encode_status,
    encode_time,
)
from firmware_bridge.bridge_frames import Time as TimeFrame

PAGE = (Path(__file__).parents[2] / "docs/bridge-protocol.md").read_text(encoding="utf-8")


def said_of_hello(payload: bytes) -> list[str]:
    hello = decode_hello(payload)
    said = [
        f"{name} = {getattr(hello, name)}"
        for name in ("config", "device_id", "tick_hz", "rate_mhz", "network", "station", "location")
    ]
    said.append(f"channels = {len(hello.channels)}")
    for channel in hello.channels:
        said += [
            f"{name} = {getattr(channel, name)}" for name in ("code", "unit", "mantissa", "exponent", "gain")
        ]
    return said


def said_of_data(payload: bytes) -> list[str]:
    tick, samples = decode_data(payload, 3)
    said = [f"config = {decode_config(payload)}", f"tick = {tick}", f"n = {len(samples)}"]
    for column in samples.T:
        differences = [int(difference) for difference in np.diff(column)]
        least = (
            bits for bits in range(1, 33) if all(-(1 << bits - 1) <= d < 1 << bits - 1 for d in differences)
        )
        bits = next(least) if any(differences) else 0
        said += [f"bits = {bits}", f"first sample = {column[0]}"]
        if bits:
            said.append("differences = " + ", ".join(map(str, differences)))
    return said


def said_of_time(payload: bytes) -> list[str]:
    time = decode_time(payload)
    utc = datetime.fromtimestamp(time.utc_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return [
        f"tick = {time.tick}",
        f"utc = {utc}",
        f"quality = {time.quality}",
        f"satellites = {time.satellites}",
    ]


def said_of_status(payload: bytes) -> list[str]:
    status = decode_status(payload)
    return [
        f"temperature = {status.temperature}",
        f"supply = {status.voltage}",
        f"latitude = {status.latitude}",
        f"longitude = {status.longitude}",
        f"elevation = {status.elevation}",
    ]


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("hello", said_of_hello),
        ("data", said_of_data),
        ("time", said_of_time),
        ("status", said_of_status),
    ],
)
def test_frames_on_the_page_decode_to_what_it_says(kind: str, said: Callable[[bytes], list[str]]) -> None:
    (block,) = re.findall(rf"```{kind}\n(.*?)```\n```wire\n(.*?)```", PAGE, re.DOTALL)
    lines = [re.split(r"  +", line, maxsplit=1) for line in block[0].splitlines()]
    wire = bytes.fromhex(block[1])
    body = cobs.decode(wire[:-1])
    assert wire[-1] == 0
    assert b"".join(bytes.fromhex(octets) for octets, _ in lines) == body
    payload = body[:-4]
    assert zlib.crc32(payload).to_bytes(4, "little") == body[-4:]
    version, number, sequence = decode_head(payload)
    head = [f"version {version}, type {number}", f"sequence = {sequence}"]
    assert [label for _, label in lines] == [*head, *said(payload), "CRC-32"]


def test_frames_on_the_page_are_what_the_encoder_makes() -> None:
    wires = [bytes.fromhex(block) for block in re.findall(r"```wire\n(.*?)```", PAGE, re.DOTALL)]
    geophone = tuple(Channel(code, "m/s", 309_237_645, 1, 64) for code in ("EHZ", "EHN", "EHE"))
    hello = Hello(7, 439_041_101, 1_000_000, 100_000, "AM", "SHED", "00", geophone)
    samples = np.array(
        [[100, 103, 101, 101, 98], [-7] * 5, [1000, 990, 1010, 1005, 1000]], np.int32
    ).T  # fmt: skip
    midnight = int(datetime(2026, 11, 22, tzinfo=UTC).timestamp())
    assert wires == [
        encode_hello(0, hello),
        encode_data(1, 7, 2_500_000, samples),
        encode_time(2, TimeFrame(3_000_000, midnight, 2, 9)),
        encode_status(3, Status(21.5, 12.04, 47.1234567, -122.5, 130.25)),
    ]


def test_examples_of_cobs_and_crc() -> None:
    pairs = re.findall(r"`([0-9 ]+)`\s+becomes\s+`([0-9 ]+)`", PAGE)
    assert len(pairs) == 2
    for data, encoded in pairs:
        assert cobs.encode(bytes.fromhex(data)) == bytes.fromhex(encoded)
    assert f"`123456789` give {zlib.crc32(b'123456789'):08X}" in PAGE


def test_shares_of_the_line_are_those_of_the_worst_case() -> None:
    table = PAGE.partition("| samples per second | bytes per second |")[2]
    bauds = (57_600, 115_200, 230_400, 460_800)
    rows = re.findall(r"^\| (\d+) \| (\d+) \|(.*)\|$", table, re.MULTILINE)
    assert [int(rate) for rate, _, _ in rows] == [100, 200, 250, 500, 1000]
    hello = encode_hello(0, Hello(0, 0, 1000, 1, "AM", "SHED", "", tuple(Channel(f"EH{c}") for c in "ZNE")))
    others = (
        len(hello) / 2 + len(encode_time(1, TimeFrame(0, 0, 2, 0))) + len(encode_status(1, Status())) / 10
    )
    for rate, told, shares in rows:
        n = int(rate) // 10
        body = 9 + 3 * (5 + 4 * (n - 1)) + 4
        needed = 10 * (cobs.longest(body) + 1) + others
        assert int(told) == needed
        fractions = (10 * needed / baud for baud in bauds)
        assert [share.strip() for share in shares.split("|")] == [
            f"{100 * fraction:.0f} %" if fraction < 1 else "–" for fraction in fractions
        ]
