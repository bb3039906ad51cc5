"""Delays: every head of a network is scored as if it were the only one, each when its answer is due."""

import json

import pytest

keras = pytest.importorskip("keras", reason="the host side needs the [host] extra")

from benchmarks.delay import main, points
from zoo.dev_score import DevScore, dev_traces
from zoo.network import load_keras


@pytest.fixture(scope="module")
def several_heads(edge_train, tmp_path_factory):
    run = tmp_path_factory.mktemp("delays")
    assert edge_train(run, "--backbone", "causal", "--delays", 2, 8, "--steps", 2) == 0
    return run / "best.keras"


def test_each_head_is_scored_after_its_delay(several_heads, quakes):
    first, last = points(load_keras(several_heads), quakes)
    assert (first.delay_s, last.delay_s) == (0.16, 0.64)
    network = load_keras(several_heads)
    trained = DevScore(network.card, dev_traces(quakes))(network.model)
    assert last.f1 == {key: round(value, 4) for key, value in trained.items()}
    assert first.f1.keys() == last.f1.keys()


def test_table_picture_and_numbers(several_heads, quakes, tmp_path, capsys):
    picture, numbers = tmp_path / "delay.png", tmp_path / "delay.json"
    outputs = ("--out", str(picture), "--json", str(numbers))
    assert main([str(several_heads), "--data", str(quakes), *outputs]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    results = json.loads(numbers.read_text())
    assert results["command"] == "python -m benchmarks.delay best.keras --data quakes"
    assert [point["delay_s"] for point in results["points"]] == [0.16, 0.64]
    table = capsys.readouterr().out
    assert "| 0.16 s" in table
    assert "| 0.64 s" in table


def test_one_head_has_nothing_to_be_compared_with(tiny_run, quakes, capsys):
    assert main([str(tiny_run / "best.keras"), "--data", str(quakes)]) == 1
    assert "has one head; train with several --delays" in capsys.readouterr().err
