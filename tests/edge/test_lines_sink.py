"""Picks reach the file and the terminal, and none is lost because a disk was full for a while."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from some_pick import PICK

from edge.pick import NS, Pick
from edge.sinks.lines import FileSink, LineSink

PICKS = [replace(PICK, id=f"{n:016x}", time_ns=PICK.time_ns + n * NS) for n in range(5)]
DEV_FULL = Path("/dev/full")


def read(path):
    return [Pick.from_json(line) for line in path.read_text().splitlines()]


@pytest.fixture
def lines():
    return []


def test_lines_are_json_or_readable():
    written = []
    for as_json in (True, False):
        sink = LineSink(written.append, as_json)
        sink.send(PICK)
        sink.close()
    assert Pick.from_json(written[0]) == PICK
    assert written[1].startswith("2023-11-14T22:13:20.000000Z  P  XX.TEST.00")
    assert all("\n" not in line for line in written)


def test_a_pick_is_in_the_file_before_the_next_comes(tmp_path, lines):
    sink = FileSink(tmp_path / "picks.jsonl", lines.append)
    for n, pick in enumerate(PICKS, 1):
        sink.send(pick)
        assert read(tmp_path / "picks.jsonl") == PICKS[:n]
    sink.close()
    assert lines == []


def test_a_restart_appends(tmp_path, lines):
    path = tmp_path / "picks.jsonl"
    for part in (PICKS[:2], PICKS[2:]):
        sink = FileSink(path, lines.append)
        for pick in part:
            sink.send(pick)
        sink.close()
    assert read(path) == PICKS


def test_a_line_cut_short_by_a_power_failure_does_not_spoil_the_next(tmp_path, lines):
    path = tmp_path / "picks.jsonl"
    path.write_text(PICKS[0].to_json() + "\n" + PICKS[1].to_json()[:50])
    sink = FileSink(path, lines.append)
    for pick in PICKS[2:]:
        sink.send(pick)
    sink.close()
    whole = path.read_text().splitlines()
    assert [Pick.from_json(line) for line in whole[:1] + whole[2:]] == [PICKS[0], *PICKS[2:]]


def test_a_file_without_picks_is_left_as_it_is(tmp_path, lines):
    path = tmp_path / "picks.jsonl"
    path.write_text("unfinished")
    FileSink(path, lines.append).close()
    assert path.read_text() == "unfinished"


def test_a_file_that_cannot_be_opened_is_an_error_at_once(tmp_path, lines):
    with pytest.raises(OSError, match="no_such_folder"):
        FileSink(tmp_path / "no_such_folder" / "picks.jsonl", lines.append)
    with pytest.raises(OSError, match="directory"):
        FileSink(tmp_path, lines.append)


@pytest.mark.skipif(not DEV_FULL.exists(), reason="no /dev/full on this system")
def test_on_a_full_disk_picks_wait_and_are_said_to_be_lost_only_at_the_end(lines):
    sink = FileSink(DEV_FULL, lines.append)
    sink.send(PICKS[0])
    sink.send(PICKS[1])
    assert lines == ["/dev/full: No space left on device; picks wait in memory to be written"]
    with pytest.raises(OSError, match="/dev/full: 2 picks could not be written"):
        sink.close()


class SmallDisk:
    """A raw file on a disk with `room` bytes left."""

    def __init__(self, file, room):
        self._file = file
        self.room = room

    def write(self, data):
        if self.room == 0:
            raise OSError(28, "No space left on device")
        written = self._file.write(data[: self.room])
        self.room -= written
        return written

    def close(self):
        self._file.close()


@pytest.mark.parametrize("room", [0, 1, 200, 400, 700])
def test_once_there_is_room_again_everything_is_written_in_order(tmp_path, lines, monkeypatch, room):
    path = tmp_path / "picks.jsonl"
    disk = SmallDisk(path.open("ab", buffering=0), room)
    monkeypatch.setattr(Path, "open", lambda *_, **__: disk)
    sink = FileSink(path, lines.append)
    monkeypatch.undo()
    for pick in PICKS[:4]:
        sink.send(pick)
    assert "picks wait in memory" in lines[-1]
    for line in path.read_text().splitlines()[:-1]:
        json.loads(line)
    disk.room = 1_000_000
    sink.send(PICKS[4])
    sink.close()
    assert read(path) == PICKS


@pytest.fixture
def full_disk(tmp_path, lines, monkeypatch):
    """On a disk without room, a sink that keeps two picks waiting beside the one it has begun to write."""
    monkeypatch.setattr("edge.sinks.lines.WAITING_MAX", 2)
    path = tmp_path / "picks.jsonl"
    disk = SmallDisk(path.open("ab", buffering=0), 0)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", lambda *_, **__: disk)
        sink = FileSink(path, lines.append)
    return sink, disk, path


def test_of_too_many_waiting_picks_the_oldest_go_and_are_counted_in_one_line(full_disk, lines):
    sink, disk, path = full_disk
    for pick in PICKS:
        sink.send(pick)
    assert len(lines) == 1
    disk.room = 1_000_000
    sink.close()
    assert lines[1:] == [f"{path}: can be written again, 2 picks lost"]
    # The first was being written when the disk filled up: a line begun must be ended.
    assert read(path) == [PICKS[0], *PICKS[3:]]


def test_picks_of_an_earlier_outage_are_not_counted_again(full_disk, lines):
    sink, disk, path = full_disk
    for pick in PICKS:
        sink.send(pick)
    disk.room = 1_000_000
    sink.send(PICKS[0])
    disk.room = 0
    sink.send(PICKS[1])
    disk.room = 1_000_000
    sink.close()
    assert lines[-1] == f"{path}: can be written again, 0 picks lost"


def test_dropped_and_waiting_picks_are_all_lost_if_the_disk_stays_full(full_disk):
    sink, _, path = full_disk
    for pick in PICKS:
        sink.send(pick)
    with pytest.raises(OSError, match=f"{path}: 5 picks could not be written"):
        sink.close()
    assert read(path) == []
