"""The convert command: a trained run becomes what the station loads, or one line says why not."""

import io
import shutil
from contextlib import redirect_stdout

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="conversion needs the [host] extra")
if keras.backend.backend() != "tensorflow":
    pytest.skip("conversion runs on the TensorFlow backend", allow_module_level=True)

import h5py

from convert import cli
from convert.verify import Difference, Verification
from edge.model import load_model
from zoo.network import load_keras
from zoo.scores import scoring


@pytest.fixture(scope="module")
def converted(quakes, tmp_path_factory):
    """The folder that the command filled, what it wrote to be seen in report.txt beside it."""
    out = tmp_path_factory.mktemp("models") / "new"
    command = ["--int8", "--stream", "lppn", "--data", quakes, "--out", out]
    with redirect_stdout(io.StringIO()) as report:
        assert cli.main([*map(str, command), "--windows", "12"]) == 0
    (out.parent / "report.txt").write_text(report.getvalue())
    return out


def test_the_station_loads_what_convert_wrote(converted):
    assert sorted(path.name for path in converted.iterdir()) == ["lppn.json", "lppn.tflite"]
    network = load_model(converted / "lppn.tflite")  # checks the hash, the shapes and the dtypes
    heads = len(network.card.stream.delays)
    words = network.step(np.zeros((2, 64, 3), np.float32), network.begin(2))
    assert words.shape == (2, heads, 8, 4)


def test_the_card_tells_where_the_model_comes_from_and_what_it_reaches(converted):
    trained = load_keras(cli.WEIGHTS / "lppn.keras").card
    card = load_model(converted / "lppn.tflite").card
    assert card.name == "lppn"
    assert (card.input, card.cells) == (trained.input, trained.cells)
    assert card.training == trained.training
    assert card.quantisation["form"] == "stream"
    assert card.quantisation["data"] == ["quakes, train"]
    assert "CONV_2D" in card.quantisation["ops"]
    assert all(0 < threshold < 1 for threshold in card.thresholds.values())
    assert all(0 < sigma < 0.5 for sigma in card.sigma_s.values())
    dev = card.metrics["dev"]
    assert dev["traces"] == 5
    assert dev["int8"]
    for phase, measured in dev["int8"].items():
        assert measured["threshold"] == card.thresholds[phase]
        assert 0 < measured["f1_0.5s"] <= measured["best_f1_0.5s"] <= 1
    assert dev["int8_minus_float"]["mean"] < 0.05


def test_the_report_has_a_line_for_each_model_and_phase(converted):
    report = (converted.parent / "report.txt").read_text()
    card = load_model(converted / "lppn.tflite").card
    assert card.identity in report
    for phase in card.metrics["dev"]["int8"]:
        assert f"\n{phase} float" in report
        assert f"\n{phase} int8" in report


def refuse(capsys, *command):
    """The line with which a command ends that cannot be done."""
    assert cli.main(["lppn", "--int8", *map(str, command)]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("convert: ")
    return line


def test_missing_weights_are_named(quakes, tmp_path, capsys):
    line = refuse(capsys, "--weights", tmp_path / "absent.keras", "--data", quakes, "--out", tmp_path)
    assert "no model at" in line
    assert "absent.keras" in line


def test_weights_without_their_card_are_named(tiny_run, quakes, tmp_path, capsys):
    lonely = tmp_path / "lonely.keras"
    lonely.write_bytes((tiny_run / "best.keras").read_bytes())
    line = refuse(capsys, "--weights", lonely, "--data", quakes, "--out", tmp_path)
    assert "lonely.json is missing" in line


def test_only_a_causal_network_can_be_a_step_of_a_stream(tiny_run, quakes, tmp_path, capsys):
    out = tmp_path / "models"
    line = refuse(capsys, "--stream", "--weights", tiny_run / "best.keras", "--data", quakes, "--out", out)
    assert "only a causal network" in line
    assert not list(out.iterdir())


def test_missing_data_are_named(tiny_run, tmp_path, capsys):
    best = tiny_run / "best.keras"
    line = refuse(capsys, "--weights", best, "--data", tmp_path / "nowhere", "--out", tmp_path)
    assert "has no metadata.csv" in line


def test_data_from_which_nothing_can_be_calibrated_are_told(quakes, tmp_path, capsys):
    broken = shutil.copytree(quakes, tmp_path / "broken")
    with h5py.File(broken / "waveforms.hdf5", "a") as file:
        for name, stored in list(file["data"].items()):
            shape = stored.shape
            del file[f"data/{name}"]
            file[f"data/{name}"] = np.full(shape, np.nan)
    line = refuse(capsys, "--data", broken, "--out", tmp_path / "models", "--windows", 12)
    assert "nothing to calibrate on" in line


def test_another_backend_is_refused(tiny_run, quakes, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    line = refuse(capsys, "--weights", tiny_run / "best.keras", "--data", quakes, "--out", tmp_path)
    assert "unset KERAS_BACKEND" in line


def test_what_cannot_be_verified_does_not_replace_a_model(converted, quakes, tmp_path, capsys, monkeypatch):
    ready = (converted / "lppn.tflite").read_bytes()
    monkeypatch.setattr("convert.forms.to_int8", lambda model, calibration: ready)
    data = tmp_path / "train_only"
    data.mkdir()
    (data / "waveforms.hdf5").symlink_to(quakes / "waveforms.hdf5")
    (data / "metadata.csv").write_text((quakes / "metadata.csv").read_text().replace(",dev,", ",test,"))
    out = tmp_path / "models"
    out.mkdir()
    (out / "lppn.tflite").write_bytes(b"the model of yesterday")
    line = refuse(capsys, "--data", data, "--out", out, "--windows", 12)
    assert "has no split 'dev'" in line
    assert [path.name for path in out.iterdir()] == ["lppn.tflite"]
    assert (out / "lppn.tflite").read_bytes() == b"the model of yesterday"


def verification(picks):
    """Both models made `picks`, (seconds, probability) of P; the traces have P at 10 s and no S."""
    labels = [
        scoring.Labels(name, "test", "earthquake", 60.0, {"P": 10.0, "S": None}, {"P": 20.0, "S": np.nan})
        for name in picks
    ]
    made = {name: [scoring.TracePick("P", *pick) for pick in some] for name, some in picks.items()}
    comparisons = {phase: scoring.compare(labels, made, phase) for phase in ("P", "S")}
    return Verification(len(labels), comparisons, comparisons, Difference(0, 0.0, 0.0, 0.0, 0.0))


def test_thresholds_part_right_picks_from_false_ones():
    verified = verification({"a": [(10.02, 0.8), (15.0, 0.3)], "b": [(9.98, 0.7), (20.0, 0.4)]})
    thresholds = verified.thresholds(None)
    assert 0.4 < thresholds["P"] <= 0.7
    assert verified.sigma_s(thresholds)["P"] == pytest.approx(0.02)
    assert verified.metrics(thresholds)["int8"]["P"]["f1_0.5s"] == 1.0


def test_a_phase_without_labels_or_never_found_gets_no_threshold():
    assert set(verification({"a": [(10.0, 0.8)]}).thresholds(None)) == {"P"}
    assert verification({"a": [(15.0, 0.8)], "b": []}).thresholds(None) == {}


def test_one_pick_alone_does_not_claim_a_sigma_of_zero():
    verified = verification({"a": [(10.0, 0.8)]})
    assert verified.sigma_s(verified.thresholds(None))["P"] > 0
