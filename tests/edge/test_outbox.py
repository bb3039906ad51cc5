"""A pick that was added is there after a kill, a full disk or a damaged file, until every sink has let go."""

import os
import resource
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing, contextmanager
from dataclasses import replace
from math import inf, nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from some_pick import PICK

from edge.outbox import Outbox, OutboxError

DAY_S = 86_400.0
ADD_UNTIL_KILLED = """
import sys
from pathlib import Path
from dataclasses import replace
from edge.outbox import Outbox
from edge.pick import Pick
outbox = Outbox(Path(sys.argv[1]), print)
first = outbox.register("sink") + 1 + outbox.depth(outbox.register("sink"))
pick = Pick.from_json(sys.argv[2])
for n in range(first, first + 100_000):
    outbox.add(replace(pick, id=f"{n:016x}"))
    print(n, flush=True)
"""


def numbered(n, phase="P"):
    return replace(PICK, id=f"{n:016x}", phase=phase)


def ids(entries):
    return [int(entry.pick.id, 16) for entry in entries]


class Hours:
    """A clock that is set."""

    def __init__(self):
        self.s = 0.0

    def __call__(self):
        return self.s


@pytest.fixture
def lines():
    return []


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "outbox.sqlite"


@contextmanager
def disk_full_at(n_bytes):
    """No file of this process grows beyond so much."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@contextmanager
def no_file_to_be_opened_but_one():
    """SQLite, which needs two, opens none."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.open(os.devnull, os.O_RDONLY)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free + 1, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


@contextmanager
def unreadable(path):
    """Reading the open file fails, as it does on a disk with a loose plug."""
    (number,) = (n for n in map(int, os.listdir("/proc/self/fd")) if at(n) == str(path))
    kept, writable = os.dup(number), os.open(os.devnull, os.O_WRONLY)
    os.dup2(writable, number)
    try:
        yield
    finally:
        os.dup2(kept, number)
        os.close(kept)
        os.close(writable)


def at(descriptor):
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except FileNotFoundError:
        return None


@settings(max_examples=40)
@given(
    st.lists(
        st.sampled_from(["add", "send a", "send b", "restart"]) | st.integers(1, 9),
        max_size=30,
    )
)
def test_every_sink_gets_every_pick_in_order(tmp_path_factory, steps):
    path = tmp_path_factory.mktemp("outbox") / "outbox.sqlite"
    outbox = Outbox(path, pytest.fail)
    place = {sink: outbox.register(sink) for sink in "ab"}
    got = {"a": [], "b": []}
    added = 0
    for step in [*steps, "send a", "send b"]:
        if step == "add":
            added += 1
            outbox.add(numbered(added))
        elif step == "restart":
            outbox.close()
            outbox = Outbox(path, pytest.fail)
            assert {sink: outbox.register(sink) for sink in "ab"} == place
        else:
            sink, limit = (step[-1], 1000) if isinstance(step, str) else ("a", step)
            for entry in outbox.due(place[sink], limit):
                got[sink].append(int(entry.pick.id, 16))
                place[sink] = entry.seq
            outbox.release(sink, place[sink])
    outbox.close()
    assert got == {"a": list(range(1, added + 1)), "b": list(range(1, added + 1))}
    rows = sqlite3.connect(path).execute("SELECT count(*) FROM pick").fetchone()
    assert rows == (0,)


def test_a_pick_stays_until_every_sink_has_let_go(path, lines):
    outbox = Outbox(path, lines.append)
    for sink in ("slow", "fast"):
        outbox.register(sink)
    outbox.add(PICK)
    outbox.release("fast", 1)
    assert [entry.pick for entry in outbox.due(0, 10)] == [PICK]
    outbox.release("slow", 1)
    assert outbox.due(0, 10) == []
    outbox.close()
    assert lines == []


def test_a_new_sink_gets_what_comes_from_now_on(path, lines):
    outbox = Outbox(path, lines.append)
    outbox.register("old")
    outbox.add(numbered(1))
    place = outbox.register("new")
    outbox.add(numbered(2))
    assert ids(outbox.due(place, 10)) == [2]
    assert outbox.depth(place) == 1
    outbox.close()


def test_depth_is_what_is_left_after_a_place(path, lines, monkeypatch):
    monkeypatch.setattr("edge.outbox._SHORT", 4)
    outbox = Outbox(path, lines.append)
    outbox.register("sink")
    for n in range(1, 11):
        outbox.add(numbered(n))
    assert [outbox.depth(place) for place in range(11)] == list(range(10, -1, -1))
    outbox.release("sink", 3)
    assert [outbox.depth(place) for place in range(3, 11)] == list(range(7, -1, -1))
    outbox.close()


def test_killed_at_any_moment_it_holds_all_that_it_said_it_holds(path):
    said = Counter()
    for after in (1, 3, 8):
        adder = subprocess.Popen(
            [sys.executable, "-c", ADD_UNTIL_KILLED, path, PICK.to_json()], stdout=subprocess.PIPE, text=True
        )
        for _ in range(after):
            said[int(adder.stdout.readline())] += 1
        adder.kill()
        said.update(map(int, adder.communicate()[0].split()))
    outbox = Outbox(path, pytest.fail)
    held = ids(outbox.due(0, 1_000_000))
    outbox.close()
    assert held == list(range(1, len(held) + 1))
    assert set(said) <= set(held)
    assert len(held) - len(said) <= 3  # added, and killed before it was said


def test_too_many_are_dropped_oldest_first_and_s_before_p(path, lines):
    outbox = Outbox(path, lines.append, max_picks=6)
    outbox.register("sink")
    for n, phase in enumerate("PSPSPSPP", 1):
        outbox.add(numbered(n, phase))
    assert ids(outbox.due(0, 100)) == [1, 3, 5, 6, 7, 8]
    for n in range(9, 12):
        outbox.add(numbered(n, "P"))
    assert ids(outbox.due(0, 100)) == [5, 7, 8, 9, 10, 11]
    assert outbox.dropped == 5
    outbox.close()
    assert Outbox(path, lines.append).dropped == 5
    assert len(lines) == 5


def test_old_ones_are_dropped_by_running_time(path, lines):
    clock = Hours()
    outbox = Outbox(path, lines.append, max_age_s=30 * DAY_S, monotonic=clock)
    outbox.register("sink")
    outbox.add(numbered(1))
    clock.s = 20 * DAY_S
    outbox.add(numbered(2))
    outbox.close()
    clock.s = 0.0  # a reboot; nobody knows how long the power was off
    outbox = Outbox(path, lines.append, max_age_s=30 * DAY_S, monotonic=clock)
    clock.s = 10.5 * DAY_S
    outbox.add(numbered(3))
    assert ids(outbox.due(0, 10)) == [2, 3]
    assert outbox.dropped == 1
    outbox.close()


def test_a_sink_whose_link_is_down_for_long_keeps_its_place(path, lines):
    clock = Hours()
    outbox = Outbox(path, lines.append, max_age_s=30 * DAY_S, monotonic=clock)
    outbox.register("down")
    for day in range(1, 32):
        clock.s = day * DAY_S
        outbox.add(numbered(day))
    outbox.close()
    clock.s = 0.0
    outbox = Outbox(path, lines.append, max_age_s=30 * DAY_S, monotonic=clock)
    assert outbox.register("down") == 0
    outbox.add(numbered(32))
    assert ids(outbox.due(0, 100)) == list(range(1, 33))
    assert outbox.dropped == 0
    outbox.close()


def test_a_sink_no_longer_given_is_waited_for_as_long(path, lines):
    clock = Hours()
    outbox = Outbox(path, lines.append, max_age_s=30 * DAY_S, monotonic=clock)
    outbox.register("given")
    outbox.register("gone")
    outbox.add(numbered(1))
    for day in (29, 31):
        outbox.close()
        outbox = Outbox(path, lines.append, max_age_s=30 * DAY_S, monotonic=clock)
        outbox.register("given")
        clock.s = day * DAY_S
        outbox.add(numbered(day))
        outbox.release("given", outbox.due(0, 100)[-1].seq)
        assert (1 in ids(outbox.due(0, 100))) == (day == 29)
    outbox.close()
    outbox = Outbox(path, lines.append, max_age_s=30 * DAY_S, monotonic=clock)
    assert outbox.register("gone") == 3  # as a new one
    outbox.close()


def test_a_full_disk_loses_nothing_while_the_station_runs(path, lines):
    outbox = Outbox(path, lines.append)
    place = outbox.register("sink")
    outbox.add(numbered(1))
    with disk_full_at(path.stat().st_size + 40_000):
        for n in range(2, 200):
            outbox.add(numbered(n))
        assert outbox.problem
        assert ids(outbox.due(place, 1000)) == list(range(1, 200))
        assert outbox.depth(place) == 199
    outbox.add(numbered(200))
    assert outbox.problem is None
    outbox.close()
    assert ["memory" in line or "written again" in line for line in lines] == [True, True]
    outbox = Outbox(path, lines.append)
    assert ids(outbox.due(0, 1000)) == list(range(1, 201))
    outbox.close()


def test_a_disk_that_is_full_from_the_start_is_waited_for(path, lines):
    path.parent.mkdir()
    with disk_full_at(0):
        outbox = Outbox(path, lines.append)
        place = outbox.register("sink")
        outbox.add(numbered(1))
        assert ids(outbox.due(place, 10)) == [1]
        outbox.close()
    assert "1 picks could not be written" in lines[-1]


def test_what_all_have_let_go_of_does_not_stay_in_memory(path, lines):
    path.parent.mkdir()
    with disk_full_at(0):
        outbox = Outbox(path, lines.append, max_picks=3)
        for sink in ("slow", "fast"):
            outbox.register(sink)
        for n in range(1, 10):
            outbox.add(numbered(n))
            outbox.release("fast", n)
            assert ids(outbox.due(n - 1, 10)) == [n]
            outbox.release("slow", n)
            assert outbox.depth(0) == 0
        outbox.close()
    assert outbox.dropped == 0
    assert not any("could not be written" in line for line in lines)


@pytest.mark.parametrize("recovers", ["while it runs", "at its end"])
def test_picks_of_an_earlier_run_go_out_when_the_disk_recovers(path, lines, recovers):
    outbox = Outbox(path, lines.append, max_picks=100)
    outbox.register("sink")
    outbox.register("gone")
    for n in range(1, 4):
        outbox.add(numbered(n))
    name = outbox.installation
    outbox.close()
    with no_file_to_be_opened_but_one():
        outbox = Outbox(path, lines.append)
        place = outbox.register("sink")
        outbox.add(numbered(4))
        outbox.add(numbered(5))
        (first, _) = outbox.due(place, 10)
        assert ids([first]) == [4]
        outbox.release("sink", first.seq)
        assert outbox.problem
    if recovers == "while it runs":
        outbox.add(numbered(6))
        assert outbox.problem is None
        assert ids(outbox.due(first.seq, 10)) == [5, 6, 1, 2, 3]
        assert outbox.depth(first.seq) == 5
    outbox.close()
    assert not any("could not be written" in line for line in lines)
    outbox = Outbox(path, lines.append)
    left = [5, 6, 1, 2, 3] if recovers == "while it runs" else [5, 1, 2, 3]
    place = outbox.register("sink")
    entries = outbox.due(place, 10)
    assert ids(entries) == left
    outbox.add(numbered(7))
    assert ids(outbox.due(entries[-1].seq, 10)) == [7]
    assert outbox.depth(place) == len(left) + 1
    assert (outbox.installation, outbox.dropped) == (name, 0)
    outbox.close()


def test_a_closed_one_stays_closed(path, lines):
    outbox = Outbox(path, lines.append)
    outbox.register("late")
    outbox.add(PICK)
    outbox.close()
    outbox.release("late", 1)
    successor = Outbox(path, lines.append)  # nobody else has it open
    assert ids(successor.due(successor.register("late"), 10)) == [int(PICK.id, 16)]
    successor.close()


def test_a_file_that_cannot_be_read_for_a_moment_is_kept(path, lines):
    outbox = Outbox(path, lines.append)
    outbox.register("sink")
    for n in range(1, 151):  # more than SQLite keeps in memory
        outbox.add(replace(numbered(n), model="x" * 20_000))
    outbox.close()
    outbox = Outbox(path, lines.append)
    place = outbox.register("sink")
    with unreadable(path):
        assert outbox.due(place, 1000) == []
        assert "disk I/O error" in outbox.problem
    assert ids(outbox.due(place, 1000)) == list(range(1, 151))
    outbox.add(numbered(151))
    assert outbox.problem is None
    outbox.close()
    assert not path.with_name("outbox.sqlite.corrupt").exists()


def test_memory_ends_too(path, lines):
    path.parent.mkdir()
    with disk_full_at(0):
        outbox = Outbox(path, lines.append, max_picks=2)
        outbox.register("sink")
        for n, phase in enumerate("PSPP", 1):
            outbox.add(numbered(n, phase))
        assert ids(outbox.due(0, 10)) == [3, 4]
        assert outbox.dropped == 2


@pytest.mark.parametrize("damage", ["header", "middle", "text", "cut"])
def test_a_damaged_file_is_put_aside(path, lines, damage):
    outbox = Outbox(path, lines.append)
    outbox.register("sink")
    for n in range(1, 100):
        outbox.add(numbered(n))
    outbox.close()
    whole = path.read_bytes()
    spoilt = {
        "header": b"x" * 100 + whole[100:],
        "middle": whole[:9000] + b"\xff" * 9000 + whole[18000:],
        "text": whole.replace(b'"station"', b'"stat\xff\xff\xff"'),
        "cut": whole[: len(whole) // 2],
    }
    path.write_bytes(spoilt[damage])
    outbox = Outbox(path, lines.append)
    place = outbox.register("sink")
    assert outbox.due(place, 10) == []
    outbox.add(numbered(100))
    assert ids(outbox.due(place, 10)) == [100]
    outbox.close()
    assert path.with_name("outbox.sqlite.corrupt").stat().st_size >= len(spoilt[damage])
    assert any("outbox.sqlite.corrupt" in line for line in lines)
    assert ids(Outbox(path, lines.append).due(0, 10)) == [100]


def test_what_is_put_aside_is_counted_and_kept(path, lines):
    outbox = Outbox(path, lines.append)
    for n in range(3):
        place = outbox.register("sink")
        outbox.add(numbered(n))
        outbox.close()
        with closing(sqlite3.connect(path)) as db, db:
            db.execute("UPDATE pick SET body = ?", (f"no pick {n}".encode(),))
        outbox = Outbox(path, lines.append)
        assert outbox.due(place, 10) == []
        assert outbox.dropped == n + 1
    outbox.close()
    kept = [path.with_name(f"outbox.sqlite.corrupt{end}") for end in ("", "-1", "-2")]
    assert [b"no pick %d" % n in file.read_bytes() for n, file in enumerate(kept)] == [True] * 3


@pytest.mark.parametrize(
    "values",
    [
        {"amp": inf},
        {"amp": 1.79769e308},  # rounded it is infinite
        {"prob": nan},
        {"clock_sigma": inf},
        {"time_ns": 10**21},
        {"time_ns": -46 * 10**18},  # the year has three digits
        {"sigma": np.float32(0.1)},
    ],
)
def test_a_pick_that_could_not_be_read_again_is_refused_and_costs_no_other(path, lines, values):
    outbox = Outbox(path, lines.append)
    place = outbox.register("sink")
    outbox.add(numbered(1))
    with pytest.raises(ValueError, match="not a pick"):
        outbox.add(replace(PICK, **values))
    outbox.add(numbered(2))
    outbox.close()
    outbox = Outbox(path, lines.append)
    assert ids(outbox.due(place, 10)) == [1, 2]
    outbox.close()
    assert lines == []


def test_two_processes_do_not_share_one(path, lines):
    outbox = Outbox(path, lines.append)
    with pytest.raises(OutboxError, match="another edge-pick has it open"):
        Outbox(path, lines.append)
    outbox.close()


def test_a_wrong_path_stops_at_the_start(tmp_path, lines):
    (tmp_path / "file").touch()
    with pytest.raises(OutboxError, match="--outbox"):
        Outbox(tmp_path / "file" / "outbox.sqlite", lines.append)
    with pytest.raises(OutboxError, match="--outbox"):
        Outbox(tmp_path, lines.append)


def test_an_installation_keeps_its_name(path, lines):
    outbox = Outbox(path, lines.append)
    name = outbox.installation
    outbox.close()
    assert Outbox(path, lines.append).installation == name
    assert Outbox(path.with_name("other"), lines.append).installation != name
