"""Accuracy against cost: the shipped model on made-up earthquakes, and where the numbers come from."""

import json
from pathlib import Path

import pytest

pytest.importorskip("h5py", reason="the host side needs the [host] extra")
pytest.importorskip("matplotlib", reason="the host side needs the [host] extra")
pytest.importorskip("ai_edge_litert", reason="needs LiteRT")

from benchmarks.pareto import main

SHIPPED = Path(__file__).parents[2] / "edge" / "models" / "lppn.tflite"


def test_the_dev_split_is_measured_and_told(
    quakes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plot, numbers = tmp_path / "plot.png", tmp_path / "numbers.json"
    options = ["--data", str(quakes), "--out", str(plot), "--json", str(numbers)]
    assert main([str(SHIPPED), *options]) == 0
    results = json.loads(numbers.read_text())
    assert results["command"] == "python -m benchmarks.pareto lppn.tflite --data quakes --split dev"
    assert (results["data"], results["splits"]) == ("quakes", ["dev"])
    (model,) = results["models"]
    assert model["name"] == "lppn"
    assert model["kilobytes"] == SHIPPED.stat().st_size / 1000
    assert model["mmac_second"] > 0
    assert sorted(model["f1"]) == ["P@0.1", "P@0.5", "S@0.1", "S@0.5"]
    assert model["f1"]["P@0.5"] > 0.5
    printed = capsys.readouterr().out
    assert printed.endswith(f"\n\nData: quakes (dev). Command: `{results['command']}`\n")
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_models_of_one_name_are_refused(quakes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["old/lppn.tflite", "new/lppn.tflite", "--data", str(quakes)]) == 1
    assert capsys.readouterr().err == (
        "pareto: old/lppn.tflite and new/lppn.tflite are all called lppn; rename them\n"
    )
