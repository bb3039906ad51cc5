"""What edge-bench writes, from figures made up."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.bench.compare import Comparison, Contest, ratios
from benchmarks.bench.footprint import Install, ModelSize
from benchmarks.bench.machine import Health, Machine
from benchmarks.bench.peers import AGAIN, STA_LTA, STEP, WHOLE
from benchmarks.bench.process import Replayed, Started
from benchmarks.bench.report import Report, markdown, write
from benchmarks.bench.stages import PICK, POLARITY, Stages
from benchmarks.bench.stations import Flood, Served
from benchmarks.bench.timing import Meter


def test_percentiles_are_of_the_steady_runs_and_the_first_run_stands_apart() -> None:
    meter = Meter(wall_ns=[9_000_000, *(1000 * k for k in range(101))], cpu_ns=[0, *[2000] * 100, 204_000])
    times = meter.times(signal_s=0.5, warm_up=1)
    assert (times.first_us, times.runs) == (9000.0, 101)
    assert (times.p50_us, times.p95_us, times.p99_us, times.max_us) == (50.0, 95.0, 99.0, 100.0)
    assert (times.cpu_us, times.cpu_p50_us) == (4.0, 2.0)
    assert times.realtime_factor == pytest.approx(0.5 / 50e-6)
    assert times.cpu_s_per_station_day == pytest.approx(4e-6 / 0.5 * 86_400)


def test_a_meter_notes_each_time_it_is_entered() -> None:
    meter = Meter()
    for _ in range(3):
        with meter:
            pass
    assert len(meter.wall_ns) == len(meter.cpu_ns) == 3
    with pytest.raises(ValueError, match="3 runs are too few after a warm-up of 3"):
        meter.times(1.0, warm_up=3)


def test_ratios_are_taken_round_by_round() -> None:
    hop_s = 0.5
    costs = {STEP: [1.0, 2.0, 1.0], AGAIN: [10.0, 40.0, 15.0], WHOLE: [30.0, 30.0, 60.0], STA_LTA: [60.0] * 3}
    found = {one.what: one for one in ratios(costs, hop_s)}
    again = found[f"{AGAIN} / {STEP}"]  # once a second, against two hops a second
    assert (again.median, again.least, again.most) == (7.5, 5.0, 10.0)
    whole = found[f"{WHOLE} / {STA_LTA}"]  # both at every hop
    assert (whole.median, whole.least, whole.most) == (0.5, 0.5, 1.0)
    assert len(found) == 2


@pytest.fixture
def report() -> Report:
    times = Meter(wall_ns=[2000] * 3, cpu_ns=[1000] * 3).times(0.64, warm_up=1)
    rare = Meter(wall_ns=[2000] * 3, cpu_ns=[1000] * 3).times(60.0, warm_up=1)
    cool = Health(50.0, 2400.0, "performance", 0, None)
    return Report(
        command="edge-bench --compare",
        quick=False,
        records=[],
        machine=Machine("A processor", None, "aarch64", 4, 4096, "Linux 6", "3.13", {}, None, 3, 0.0),
        model=ModelSize("lppn@01234567", 223.0, 0.64, 0.46, 0.72, 12.5),
        install=Install({"numpy": 75.0, "edge-pick": 5.0}, 80.0),
        health=[cool, cool],
        stages=Stages({PICK: times, POLARITY: rare}, 7, "a runtime 1.0", "cpu"),
        served=[Served(64, 16, 100.0, 10_000.0, 0.006, 0.02, 120.0, 90.0, 3)],
        flood=Flood(64, 60, 6.0, 60.0),
        started=Started(0.4, 0.5, 0.9, 58.0),
        replayed=[Replayed(4096, 19.0, 86_400.0, 9.5, 9.0, 70.0, 120)],
        comparison=Comparison(
            rounds=20,
            hop_s=0.64,
            contestants=[
                Contest(WHOLE, None, 64.0, 60.0, 70.0, False),
                Contest(STA_LTA, None, 90.0, 80.0, 99.0, True),
            ],
            ratios=ratios({WHOLE: [64.0], STA_LTA: [90.0]}, 0.64),
            invoke_us=22.0,
            litert_benchmark_us=20.0,
            missing={"PyTorch": "not there"},
        ),
        skipped={"PyTorch": "not there"},
    )


def test_json_holds_what_the_page_promises(report: Report, tmp_path: Path) -> None:
    write(report, tmp_path / "here")
    written = json.loads((tmp_path / "here.json").read_text())
    assert (written["edge_bench"], written["valid"], written["invalid_because"]) == (1, True, [])
    page = (Path(__file__).parents[2] / "docs" / "benchmarks.md").read_text()
    promised = [line.split("`")[1] for line in page.splitlines() if line.startswith("| `")]
    assert sorted(written) == sorted(promised)
    whole = written["stages"]["times"][PICK]
    assert {"first_us", "runs", "p50_us", "p95_us", "p99_us", "max_us", "realtime_factor"} <= whole.keys()
    assert whole["cpu_s_per_station_day"] == pytest.approx(0.135)


def test_tables_tell_all_parts(report: Report) -> None:
    text = markdown(report)
    for told in (
        "A processor",
        "pinned to core 3",
        "10,000",
        "60 ms instead of 6 ms",
        "58 MB",
        "replay of 24 h",
        "one a minute, add 1.07% to the cost of picking",
    ):
        assert told in text
    assert f"{WHOLE} / {STA_LTA}" in text
    assert "- PyTorch: not there" in text
    assert "Invalid" not in text
    assert "Provisional" not in text


def test_a_throttled_run_is_invalid(report: Report) -> None:
    report.health.append(replace(report.health[0], throttled=0x40004))
    assert json.loads(report.to_json())["valid"] is False
    assert "**Invalid: the Raspberry Pi reported throttled during the run.**" in markdown(report)


def test_a_busy_computer_is_told(report: Report) -> None:
    report.machine = replace(report.machine, load_1min=2.5)
    assert "**Provisional: other programs kept the computer busy** (load 2.5 on 4 cores" in markdown(report)


def test_an_edge_tpu_that_is_not_used_is_told(report: Report) -> None:
    report.machine = replace(report.machine, edge_tpu="USB")
    assert "Edge TPU on USB, not used: the model ran on cpu" in markdown(report)


def test_the_picture_is_drawn(report: Report, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="drawing needs the [demo] extra")
    from benchmarks.bench.plot import draw

    draw(report, tmp_path / "here.png")
    assert (tmp_path / "here.png").read_bytes().startswith(b"\x89PNG")
