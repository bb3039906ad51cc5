"""What goes wrong on the way: each fault does what it says, as often as it says, and the same again."""

from collections.abc import Iterator

import numpy as np
import pytest

from firmware_bridge.faults import FAULTS, Fault, Jump, apply_faults, parse_fault

NS = 1_000_000_000
TENTH_NS = NS // 10
SENT = [((k + 1) * TENTH_NS, k.to_bytes(2) * 50) for k in range(1000)]
"""100 s of a packet of 100 bytes each 100 ms, each different."""


def through(*faults: str, seed: int = 0) -> list[tuple[int, bytes | None]]:
    return list(apply_faults(iter(SENT), [parse_fault(text) for text in faults], seed))


def data_of(packets: list[tuple[int, bytes | None]]) -> list[bytes]:
    return [data for _, data in packets if data is not None]


def joined(packets: list[tuple[int, bytes | None]]) -> bytes:
    return b"".join(data_of(packets))


def test_without_faults_all_is_as_it_was() -> None:
    assert through() == SENT
    zeros = ["flip=0", "drop=0", "lose=0", "duplicate=0", "reorder=0", "garbage=0", "jitter=0", "drift=0"]
    assert through(*zeros) == SENT


def test_flip() -> None:
    arrived = through("flip=0.01")
    assert [(due_ns, len(data or b"")) for due_ns, data in arrived] == [(due_ns, 100) for due_ns, _ in SENT]
    changed = np.frombuffer(joined(arrived), np.uint8) ^ np.frombuffer(joined([*SENT]), np.uint8)
    assert np.unpackbits(changed).mean() == pytest.approx(0.01, rel=0.1)


def test_drop() -> None:
    assert len(joined(through("drop=0.1"))) == pytest.approx(90_000, rel=0.02)
    assert joined(through("drop=1", "flip=0.5")) == b""


def test_lose() -> None:
    arrived = through("lose=0.2")
    assert len(arrived) == pytest.approx(800, rel=0.1)
    assert arrived == [packet for packet in SENT if packet in set(arrived)]


def test_duplicate() -> None:
    arrived = through("duplicate=0.2")
    assert len(arrived) == pytest.approx(1200, rel=0.1)
    assert sorted(set(arrived)) == SENT
    assert all(arrived.count(packet) <= 2 for packet in SENT[:100])


def test_reorder() -> None:
    numbers = [int.from_bytes(data[:2]) for data in data_of(through("reorder=0.2"))]
    assert sorted(numbers) == list(range(1000))
    moved = [number - place for place, number in enumerate(numbers)]
    assert set(moved) == {-1, 0, 1}
    assert moved.count(1) == pytest.approx(1000 / 6, rel=0.2)  # 0.2 of those that did not just move
    late = through("reorder=1")
    assert late[0] == (2 * TENTH_NS, SENT[1][1])
    assert late[1] == (2 * TENTH_NS, SENT[0][1])


def test_garbage() -> None:
    arrived = through("garbage=0.2")
    assert [packet for packet in arrived if packet in set(SENT)] == SENT
    garbage = [data for data in data_of(arrived) if data not in set(data_of([*SENT]))]
    assert len(garbage) == pytest.approx(200, rel=0.2)
    assert {len(data) for data in garbage} <= set(range(1, 65))


def test_stall() -> None:
    arrived = through("stall=10:3")
    assert data_of(arrived) == data_of([*SENT])
    for (due_ns, _), (sent_ns, _) in zip(arrived, SENT, strict=True):
        into_ns = sent_ns % (10 * NS)
        stalled = sent_ns >= 10 * NS and into_ns < 3 * NS
        assert due_ns == (sent_ns - into_ns + 3 * NS if stalled else sent_ns)


def test_jitter() -> None:
    arrived = through("jitter=250")
    assert data_of(arrived) == data_of([*SENT])
    due = [due_ns for due_ns, _ in arrived]
    assert due == sorted(due)
    late_ms = [(due_ns - sent_ns) / 1e6 for due_ns, (sent_ns, _) in zip(due, SENT, strict=True)]
    assert min(late_ms) >= 0
    assert 200 < max(late_ms) <= 250


@pytest.mark.parametrize("ppm", [-50_000, 100, 25_000])
def test_drift(ppm: int) -> None:
    arrived = through(f"drift={ppm}")
    assert data_of(arrived) == data_of([*SENT])
    # What a crystal that is fast takes for 100 s is less.
    assert arrived[-1][0] == pytest.approx(100 * NS / (1 + ppm * 1e-6), abs=1)


def test_unplug() -> None:
    arrived = through("unplug=20.05:3")
    gone, back = arrived.index((20_050_000_000, None)), arrived.index((23_050_000_000, b""))
    assert arrived[:gone] == SENT[:200]
    assert back == gone + 1
    assert arrived[back + 1 :] == SENT[230:]


def test_unplug_twice_and_beyond_the_end() -> None:
    arrived = through("unplug=20:1", "unplug=99:1000", "unplug=5000:1")
    events = [(due_ns / NS, data) for due_ns, data in arrived if not data]
    assert events == [(20, None), (21, b""), (99, None), (1099, b"")]
    assert len(arrived) == len(events) + 1000 - 10 - 11


def test_a_clock_that_jumps_leaves_the_line_alone() -> None:
    assert parse_fault("clock=10:-0.5") == Jump(at_s=10.0, by_s=-0.5)
    assert through("clock=10:-0.5") == SENT


def test_the_same_seed_repeats_a_run_and_another_does_not() -> None:
    faults = ["flip=0.01", "lose=0.1", "garbage=0.1", "jitter=50", "unplug=10:2"]
    assert through(*faults, seed=7) == through(*faults, seed=7)
    assert through(*faults, seed=7) != through(*faults, seed=8)


def test_two_faults_of_a_kind_are_two() -> None:
    assert len(through("lose=0.5", "lose=0.5")) == pytest.approx(250, rel=0.2)


def test_nothing_is_asked_for_ahead_of_its_time() -> None:
    """A record that starts now starts with the first packet, and one that repeats never ends."""
    asked = 0

    def endless() -> Iterator[tuple[int, bytes]]:
        nonlocal asked
        while True:
            asked += 1
            yield asked * TENTH_NS, b"packet"

    usages = "flip=.1 drop=.1 lose=0 duplicate=.1 reorder=0 garbage=.1 stall=9:1 jitter=9 drift=9 unplug=9:1"
    faults = [parse_fault(text) for text in usages.split()]
    arriving = apply_faults(endless(), faults, seed=0)
    assert asked == 0
    next(arriving)
    assert asked == 1


@pytest.mark.parametrize("kind", FAULTS, ids=lambda kind: kind.usage)
def test_every_fault_is_written_as_its_usage_says(kind: type[Fault]) -> None:
    name, _, arguments = kind.usage.partition("=")
    numbers = ":".join("1" for _ in arguments.split(":"))
    assert isinstance(parse_fault(f"{name}={numbers}"), kind)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("flop=1", "no fault 'flop': there are flip=P, drop=P"),
        ("", "there are"),
        ("flip", "write flip=P"),
        ("flip=often", "write flip=P"),
        ("flip=0.1:0.2", "write flip=P"),
        ("stall=10", "write stall=EVERY:SECONDS"),
        ("flip=1.5", "P is a number from 0 to 1"),
        ("lose=nan", "P is a number"),
        ("stall=0:1", "EVERY is"),
        ("unplug=5:-1", "SECONDS is"),
        ("clock=5:inf", "BY is"),
    ],
)
def test_what_is_no_fault_is_refused_in_one_line(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words) as refusal:
        parse_fault(text)
    assert "\n" not in str(refusal.value)
