"""What edge-bench runs does what it says it measures."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert", reason="needs LiteRT")

from benchmarks.bench import cli, peers
from benchmarks.bench.footprint import install, model_size
from benchmarks.bench.ground import RATE, cycle, ground_motion, lasting
from benchmarks.bench.process import write_miniseed
from benchmarks.bench.stages import INVOKE, NETWORK, POLARITY, WHOLE, StationPath, measure_stages
from benchmarks.bench.stations import serve
from edge.card import read_card
from edge.model import DEFAULT_MODEL, load_model
from edge.pick import NS
from firmware_bridge.synthetic import synthetic_earthquake

SCRIPT = """
import sys

BLOCKED = {"tensorflow", "keras", "torch", "obspy", "matplotlib", "h5py"}

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ImportError(f"the station side has no {name}")

sys.meta_path.insert(0, Blocker())
import benchmarks.bench.cli
"""


def test_it_starts_where_only_the_station_is_installed() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_ground_motion_is_the_same_each_time() -> None:
    ground = cycle()
    assert ground.shape == (10 * 60 * RATE, 3)
    assert np.array_equal(ground, cycle())
    assert np.array_equal(lasting(ground, 1200)[60_000:], ground)


def test_ground_motion_of_a_record(tmp_path: Path) -> None:
    write_miniseed(tmp_path / "record.mseed", cycle()[:6100], 512)
    assert np.array_equal(ground_motion([tmp_path / "record.mseed"]), cycle()[:6100])
    write_miniseed(tmp_path / "short.mseed", cycle()[:100], 512)
    with pytest.raises(ValueError, match="1 s are too short: give 60 s"):
        ground_motion([tmp_path / "short.mseed"])


def test_the_path_picks_the_earthquake() -> None:
    path = StationPath(load_model(), cycle())
    path.encode(70)
    picks = [pick for _ in range(70) for pick in path.hop()]
    made = synthetic_earthquake(0)
    onsets = [pytest.approx(onset_ns / NS, abs=0.2) for onset_ns in (made.p_ns, made.s_ns)]
    assert [pick.time_ns / NS for pick in picks] == onsets


def test_stages_are_timed_in_the_path() -> None:
    stages = measure_stages(DEFAULT_MODEL, cycle(), 20)
    assert stages.device == "cpu"
    assert {stages.times[name].runs for name in (WHOLE, "decode: bytes to packets")} == {20}
    assert stages.times[NETWORK].runs == stages.times[INVOKE].runs > 0
    assert stages.times[WHOLE].signal_s == 0.64
    assert (stages.times[POLARITY].signal_s, stages.times[POLARITY].runs) == (60.0, 20)
    assert 0 < stages.polarity_share < 1


def test_stations_are_served() -> None:
    served = serve(DEFAULT_MODEL, lasting(cycle(), 60), stations=3, seconds=40)
    assert (served.stations, served.seconds) == (3, 40)
    assert served.picks > 0


def test_footprint() -> None:
    found = install()
    assert {"edge-pick", "numpy", "pymseed"} <= found.megabytes.keys()
    assert found.megabytes.keys().isdisjoint({"tensorflow", "matplotlib", "pytest"})
    assert found.total_mb == pytest.approx(sum(found.megabytes.values()))
    size = model_size(DEFAULT_MODEL, read_card(DEFAULT_MODEL))
    assert size.cells_per_s == 12.5
    assert size.mmac_hop
    assert size.kilobytes == DEFAULT_MODEL.stat().st_size / 1000


def test_peers_that_are_not_installed_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_torch(given: peers.Setting) -> Iterator[peers.Contestant]:
        raise ModuleNotFoundError("No module named 'torch'", name="torch.nn")

    monkeypatch.setattr(peers, "GROUPS", {"Networks in PyTorch": (no_torch, "pip install torch")})
    found, missing = peers.contestants(peers.setting(DEFAULT_MODEL, cycle()))
    assert missing == {"Networks in PyTorch": "torch is not installed; pip install torch"}
    assert [one.name for one in found] == [peers.WHOLE, peers.STEP]
    for one in found:
        one.ready(3)
        one.call()


def test_obspy_takes_windows_of_the_ground() -> None:
    pytest.importorskip("obspy", reason="needs ObsPy")
    found = list(peers.by_obspy(peers.setting(DEFAULT_MODEL, cycle())))
    assert [one.name for one in found] == [peers.STA_LTA, peers.AR_PICKER]
    triggers = [any(len(on) for on in found[0].call()) for _ in range(30)]
    assert any(triggers)


def test_sizes_of_the_peers_networks() -> None:
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    from benchmarks.bench.nets_torch import EQTransformer, PhaseNet

    for module, samples, size in ((PhaseNet(), 3000, 268_443), (EQTransformer(), 3072, 376_935)):
        assert sum(weight.numel() for weight in module.parameters()) == size
        assert module.eval()(torch.zeros(1, 3, samples)).shape == (1, 3, samples)


def test_size_of_phasenet_in_keras() -> None:
    pytest.importorskip("keras", reason="the host side needs the [host] extra")
    from benchmarks.bench.nets_keras import phasenet

    model = phasenet()
    assert model.output.shape == (1, 3000, 3)
    assert sum(int(np.prod(weight.shape)) for weight in model.trainable_variables) == 268_443


def test_the_command_writes_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "QUICK", cli.Extent(4, (1,), 16, 8, 60, (512,), 1))
    assert cli.main(["--quick", "--out", str(tmp_path / "new" / "here")]) == 0
    text = (tmp_path / "new" / "here.md").read_text()
    assert capsys.readouterr().out == text
    assert "`edge-bench --quick --out here`" in text
    assert "A smoke run" in text
    written = json.loads((tmp_path / "new" / "here.json").read_text())
    assert [one["stations"] for one in written["served"]] == [1]
    started, (replayed,) = written["started"], written["replayed"]
    assert 0 < started["open_s"] <= started["first_sample_s"]
    assert started["import_s"] > 0
    assert (replayed["signal_s"], replayed["record_bytes"]) == (60, 512)
    assert replayed["picks"] >= 1
    assert replayed["peak_rss_mb"] > 1


def test_a_record_that_is_none_is_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.mseed").write_text("no record")
    assert cli.main(["--records", str(tmp_path / "text.mseed")]) == 1
    told = capsys.readouterr().err
    assert told.startswith("edge-bench: ")
    assert told.count("\n") == 1
