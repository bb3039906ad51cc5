"""The load test loses nothing, and its table has a line for each way of receiving."""

import json

import pytest

pytest.importorskip("sqlalchemy", reason="the receiving end needs the [collect] extra")
pytest.importorskip("paho.mqtt", reason="the receiving end needs the [collect] extra")
from benchmarks.collect_load import __main__ as load
from benchmarks.uplink.broker import Broker


def test_a_small_network_is_received_whole(tmp_path, monkeypatch, capsys):
    try:
        with Broker(tmp_path):
            pass
    except RuntimeError as error:
        pytest.skip(str(error))
    for name, value in {
        "STATIONS": 30,
        "CONNECTIONS": 3,
        "BACKLOG": 120,
        "RATES": (60,),
        "LIVE_S": 1,
    }.items():
        monkeypatch.setattr(load, name, value)
    assert load.main(["--out", str(tmp_path), "--name", "small"]) == 0
    printed = capsys.readouterr().out
    assert printed.strip() == (tmp_path / "small.md").read_text().strip()
    rows = json.loads((tmp_path / "small.json").read_text())["rows"]
    assert [(row["way"], row["rate"]) for row in rows] == [
        ("only counting", None),
        ("SQLite", None),
        ("SQLite", 60),
    ]
    counted, stored, live = (row["received"] for row in rows)
    assert counted["number"] == 119  # after the first
    assert 0 <= stored["number"] < 120
    p50, p95, p99, most = live["delays_ms"]
    assert 0 < p50 <= p95 <= p99 <= most
    lines = [line.split("|")[1].strip() for line in printed.splitlines() if line.startswith("| ")]
    assert lines == ["", "only counting", "SQLite", "SQLite"]
