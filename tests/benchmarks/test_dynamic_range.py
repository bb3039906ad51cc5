"""The small P before a large S: what is done to the records, and that the curve tells pickers apart."""

import json
from dataclasses import replace

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

pytest.importorskip("h5py", reason="the host side needs the [host] extra")
pytest.importorskip("matplotlib", reason="the host side needs the [host] extra")

from window_network import ByWindow

from benchmarks import dynamic_range
from benchmarks.dynamic_range import fits, main, measure, peaks, with_ratio, without_drift
from edge.card import Card, CellSpec, InputSpec, StreamSpec
from firmware_bridge.synthetic import synthetic_earthquake
from zoo.data.seisbench import Trace, read_traces

RATE = 100.0
P, S = 2000, 2600
STRIDE = 8
BEFORE = 38
"""Cells of the detector's memory, 3 s."""


def quake(seed=0, **changes):
    """P of 30 dB at 20 s and S at 26 s."""
    fields = {
        "name": f"t{seed}", "source": "test", "event": "", "station": "XX.TEST", "rate": RATE,
        "samples": synthetic_earthquake(seed).samples, "present": "ZNE", "p_sample": P, "s_sample": S,
        "p_unlabelled": False, "s_unlabelled": False, "polarity": None, "category": "earthquake",
        "quality": "analyst", "unit": "counts",
    }  # fmt: skip
    return Trace(**(fields | changes))


class Detector(ByWindow):
    """A P wherever the window, rounded to a number of bits, rises to five times what moved in the 3 s before:
    as good a picker as its input is. It looks ahead so far that it sees P with S behind it."""

    def __init__(self, bits):
        self.card = Card(
            name="detector", task="picking", licence="MIT",
            input=InputSpec(RATE, 1536, 1.0, {"name": "max-abs"}),
            cells=CellSpec(STRIDE, "linear"),
            stream=StreamSpec(hop=256, delays=[768 // STRIDE], separation_s=1.0),
            thresholds={"P": 0.5, "S": 0.5},
            sigma_s={"P": 0.1, "S": 0.1},
        )  # fmt: skip
        self._steps = 2 ** (bits - 1) - 1

    def infer(self, window):
        moving = np.abs(np.rint(window * self._steps)).max(axis=1)
        cells = moving.reshape(-1, STRIDE).max(axis=1)
        before = sliding_window_view(cells, BEFORE)[:-1].max(axis=1)
        logits = np.zeros((len(cells), 3), np.float32)
        logits[BEFORE:, 1] = np.where(cells[BEFORE:] > 5 * np.maximum(before, 1.0), 20.0, 0.0)
        return logits, np.full(len(cells), 0.5, np.float32)


@pytest.fixture
def few_ratios(monkeypatch):
    monkeypatch.setattr(dynamic_range, "RATIOS_DB", (0, 24, 60))


@pytest.mark.parametrize("ratio_db", [0, 6, 30, 60])
@pytest.mark.parametrize("unit", [1.0, 1e-9])
def test_the_ratio_is_the_one_wanted_and_what_precedes_s_is_untouched(ratio_db, unit):
    before = without_drift(quake(samples=synthetic_earthquake(0).samples * unit + 3e6 * unit))
    after = with_ratio(before, ratio_db)
    p_peak, s_peak = peaks(after)
    assert 20 * np.log10(s_peak / p_peak) == pytest.approx(ratio_db, abs=1e-6)
    np.testing.assert_array_equal(after.samples[: S - 10], before.samples[: S - 10])
    factor = after.samples[S:] / before.samples[S:]
    np.testing.assert_allclose(factor, factor[0, 0], rtol=1e-9)


def test_the_cross_fade_has_no_step():
    """It would be an onset of its own."""
    flat = replace(quake(), samples=np.ones((6000, 3)))
    rise = np.diff(with_ratio(flat, 40).samples[:, 0])
    assert np.flatnonzero(rise).tolist() == list(range(S - 10, S))
    np.testing.assert_allclose(rise[S - 10 : S], 9.9)


@pytest.mark.parametrize(
    "changes",
    [
        {"p_sample": None},
        {"s_sample": None},
        {"s_unlabelled": True},
        {"s_sample": P + 190},
        {"s_sample": 6000.0},
        {"p_sample": 1000, "s_sample": 1800},
        {"samples": np.zeros((6000, 3), np.int32)},
    ],
)
def test_records_that_could_not_show_it_are_left_out(changes):
    """Without a label, S too near, S after the end, "P" in the noise, a dead record."""
    assert fits(without_drift(quake()))
    assert not fits(without_drift(quake(**changes)))


def test_eight_bits_lose_the_p_that_sixteen_keep(few_ratios):
    traces = [without_drift(quake(seed)) for seed in range(3)]
    recalls = {}
    for bits in (8, 16):
        curve = measure(Detector(bits), f"{bits} bits", traces, 0.5)
        recalls[bits] = [point.scores[0.5].recall for point in curve.points]
    assert recalls[8][0] == recalls[16][0] == 1.0
    assert recalls[8][-1] == 0.0
    assert recalls[16][-1] == 1.0


def test_the_command_prints_draws_and_writes(quakes, few_ratios, tmp_path, monkeypatch, capsys):
    bits = {"coarse.tflite": 8, "fine.keras": 16}
    monkeypatch.setattr(dynamic_range, "open_network", lambda path: Detector(bits[path.name]))
    plot, measured = tmp_path / "plot.png", tmp_path / "measured.json"
    files = ("--out", str(plot), "--json", str(measured))
    assert main([*bits, "--data", str(quakes), *files]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "recall of P in percent, 4 traces, threshold 0.5"
    assert printed[1].split() == ["S/P,", "dB", "0", "24", "60"]
    assert [line.split()[-3:] for line in printed[2:]] == [["100", "100", "0"]] * 2 + [["100"] * 3] * 2
    content = json.loads(measured.read_text())
    assert content["command"] == (
        "python -m benchmarks.dynamic_range coarse.tflite fine.keras --data quakes --split dev "
        "--threshold 0.5"
    )
    assert (content["data"], content["splits"], content["threshold"]) == ("quakes", ["dev"], 0.5)
    assert content["traces"] == [t.name for t in read_traces(quakes, "dev") if t.p_sample is not None]
    coarse, fine = content["curves"]
    assert coarse["model"].endswith("/coarse.tflite, float32, max-abs")
    assert [point["ratio_db"] for point in coarse["points"]] == [0, 24, 60]
    assert [point["0.5"]["found"] for point in coarse["points"]] == [4, 4, 0]
    assert [point["0.1"]["recall"] for point in fine["points"]] == [1.0, 1.0, 1.0]
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_all_models_pick_at_one_threshold(quakes, few_ratios, tmp_path, monkeypatch, capsys):
    """P of probability 0.6, which the second model would lose at the threshold of its own card."""

    class Doubtful(Detector):
        def __init__(self, threshold):
            super().__init__(16)
            self.card = replace(self.card, thresholds={"P": threshold, "S": 0.5})

        def infer(self, window):
            logits, onset = super().infer(window)
            return np.where(logits > 0, np.float32(np.log(3.0)), logits), onset

    cards = {"first.tflite": 0.3, "second.keras": 0.8}
    monkeypatch.setattr(dynamic_range, "open_network", lambda path: Doubtful(cards[path.name]))
    measured = tmp_path / "measured.json"
    for options, threshold, found in (([], 0.3, 4), (["--threshold", "0.9"], 0.9, 0)):
        assert main([*cards, "--data", str(quakes), "--json", str(measured), *options]) == 0
        assert f"threshold {threshold}" in capsys.readouterr().out.splitlines()[0]
        content = json.loads(measured.read_text())
        assert content["threshold"] == threshold
        assert [curve["points"][0]["0.5"]["found"] for curve in content["curves"]] == [found, found]


def test_what_is_wrong_is_one_line(quakes, tmp_path, monkeypatch, capsys):
    assert main([str(tmp_path / "absent.tflite"), "--data", str(quakes)]) == 1
    assert "no model at" in capsys.readouterr().err
    monkeypatch.setattr(dynamic_range, "open_network", lambda path: Detector(8))
    monkeypatch.setattr(dynamic_range, "LEAST_SNR_DB", 90.0)
    assert main(["some.tflite", "--data", str(quakes)]) == 1
    assert "no trace in dev with a P of 90 dB and an S at least 2 s later" in capsys.readouterr().err
    assert main(["some.tflite", "--data", str(quakes), "--threshold", "1.5"]) == 1
    assert "--threshold 1.5: expected a probability between 0 and 1" in capsys.readouterr().err
