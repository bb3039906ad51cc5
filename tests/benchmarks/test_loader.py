"""The benchmark of the loader: it runs, and says which of the two is slower."""

import json

import pytest

pytest.importorskip("keras", reason="the host side needs the [host] extra")

from benchmarks import loader
from benchmarks.loader import Speed, Speeds, main, report


def test_speeds_of_loader_trainer_and_both(quakes, op_by_op, tmp_path, capsys, monkeypatch):
    built = loader.LPPNConfig
    monkeypatch.setattr(loader, "LPPNConfig", lambda **_: built(n=4, S=8, T=512))
    monkeypatch.setattr(loader, "compile_model", op_by_op)
    arguments = ["--data", str(quakes), "--cache", str(tmp_path), "--steps", "1"]
    assert main([*arguments, "--json"]) == 0
    measured = json.loads(capsys.readouterr().out)
    for name in ("loader", "trainer", "together"):
        assert measured[name]["windows_per_s"] > 0
        assert measured[name]["cpu_ms"] > 0
    assert measured["keeps_up"] == pytest.approx(
        measured["loader"]["windows_per_s"] / measured["trainer"]["windows_per_s"]
    )


@pytest.mark.parametrize(("rate", "verdict"), [(900.0, "keeps up"), (300.0, "starves the trainer")])
def test_the_verdict(rate, verdict):
    speeds = Speeds(2, Speed(rate, 1.5), Speed(600.0, 3.0), Speed(400.0, 4.5))
    assert report(speeds).endswith(f"it {verdict}")


def test_no_data_is_told_in_one_line(tmp_path, capsys):
    assert main(["--data", str(tmp_path), "--cache", str(tmp_path)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("loader: ")
