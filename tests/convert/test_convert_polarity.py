"""convert --int8 polarity: a polarity network becomes what the station loads, or one line says why not."""

import io
from contextlib import redirect_stdout
from dataclasses import replace

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="conversion needs the [host] extra")
if keras.backend.backend() != "tensorflow":
    pytest.skip("conversion runs on the TensorFlow backend", allow_module_level=True)

from motion_data import ONSET, record, write_motions

from convert import cli
from convert.graph import ops_of
from convert.polarity import RIGHT, fitted
from edge.card import card_path
from edge.polarity import PolarityCard, PolarityInput, load_polarity, up
from zoo.polarity.compact import CompactConfig, build, describe
from zoo.polarity.onsets import Onset
from zoo.polarity_network import load_polarity_keras

CONFIG = CompactConfig(window=64, widths=(4, 4, 4, 4))
CARD = PolarityCard(
    name="polarity",
    task="polarity",
    licence="MIT",
    input=PolarityInput(100.0, CONFIG.window, 40, 1.0, {"name": "max-abs"}),
    temperature=1.0,
    threshold=0.75,
    training={"network": "polarity", **describe(CONFIG), "seed": 3},
    metrics={"ablation": {"pool": 0.9}},
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "clear"
    write_motions(folder, ["positive", "negative"] * 4, "train")
    write_motions(folder, ["positive", "negative"] * 4 + ["undecidable"], "dev", 8)
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A network that has learned nothing, with the statistics of no easy batch norm."""
    keras.utils.set_random_seed(3)
    model = build(CONFIG)
    rng = np.random.default_rng(3)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            size = layer.gamma.shape[0]
            layer.set_weights([rng.uniform(0.5, 2, size), *rng.normal(0, 0.3, (2, size)), np.ones(size)])
    path = tmp_path_factory.mktemp("weights") / "polarity.keras"
    model.save(path)
    card_path(path).write_text(CARD.to_json())
    return path


@pytest.fixture(scope="module")
def converted(data, weights, tmp_path_factory):
    """The folder that the command filled, what it wrote to be seen in report.txt beside it."""
    out = tmp_path_factory.mktemp("models") / "new"
    command = ["--int8", "polarity", "--weights", weights, "--data", data, "--out", out]
    with redirect_stdout(io.StringIO()) as report:
        assert cli.main([*map(str, command)]) == 0
    (out.parent / "report.txt").write_text(report.getvalue())
    return out


def test_the_station_loads_what_convert_wrote_and_all_of_it_is_int8(converted):
    assert sorted(path.name for path in converted.iterdir()) == ["polarity.json", "polarity.tflite"]
    load_polarity(converted / "polarity.tflite")  # checks the hash, the shapes and the dtypes
    ops = ops_of((converted / "polarity.tflite").read_bytes())
    dtypes = {dtype for op in ops for dtype, _ in (*op.inputs, *op.outputs)}
    assert dtypes <= {"INT8", "INT32"}  # shapes and biases are INT32


def test_the_shipped_model_answers_as_its_weights_do():
    int8, trained = load_polarity(), load_polarity_keras(cli.WEIGHTS / "polarity.keras")
    assert int8.card.input == trained.card.input
    spec = int8.card.input
    windows = np.stack([record(sign, k)[0, ONSET - spec.before : ONSET + spec.after].astype(np.float32)
                        for k in range(10) for sign in (1, -1)])  # fmt: skip
    a, b = (up(reader.logits(windows), int8.card) for reader in (int8, trained))
    assert np.abs(a - b).max() < 0.1


def test_the_card_tells_where_the_model_comes_from_and_what_it_reaches(converted):
    card = load_polarity(converted / "polarity.tflite").card
    assert (card.training, card.input) == (CARD.training, CARD.input)
    assert card.metrics["ablation"] == CARD.metrics["ablation"]
    assert card.quantisation["data"] == ["clear, train"]
    assert card.quantisation["mmac"] > 0
    dev = card.metrics["dev"]
    assert dev["data"] == "clear, dev"
    assert dev["command"].startswith("convert --int8 polarity --weights polarity.keras --data clear")
    for kind in ("float", "int8"):
        assert {who: scores["labels"] for who, scores in dev[kind].items()} == {"analyst": 8, "picker": 8}
    assert dev["sign_flip"]["float"]["logit_worst"] < 1e-5
    assert dev["sign_flip"]["int8"]["windows"] == dev["int8_minus_float"]["windows"] == 18


def test_the_report_has_a_line_for_each_model_and_onset(converted):
    report = (converted.parent / "report.txt").read_text()
    assert load_polarity(converted / "polarity.tflite").card.identity in report
    for line in ("analyst   float", "picker    int8", "int8 - float: logits", "upside down, int8: logits"):
        assert f"\n{line}" in report


def onsets(signs):
    return [Onset(f"m{k}", "a", 10.0, {1: True, -1: False, 0: None}[sign], None, 0.0)
            for k, sign in enumerate(signs)]  # fmt: skip


def test_the_temperature_makes_probabilities_honest():
    """Logits that are three times too sure: seven of ten with a logit of 3 ln(7/3) are right."""
    signs = [1, -1] * 250
    right = np.arange(500) // 2 % 10 < 7
    logits = 3 * np.log(7 / 3) * np.where(right, signs, np.negative(signs))
    card = fitted(CARD, {"analyst": onsets(signs)}, {"analyst": logits})
    assert card.temperature == pytest.approx(3.0, rel=0.05)
    assert up(logits[:1], card)[0] == pytest.approx(0.7, abs=0.01)


def test_few_labels_that_are_all_right_make_no_model_certain():
    signs = [1, -1] * 10
    logits = np.array(signs) * 2.0
    card = fitted(CARD, {"analyst": onsets(signs)}, {"analyst": logits})
    assert up(logits[:1], card)[0] == pytest.approx(21 / 22, abs=0.01)


def test_the_threshold_is_the_lowest_from_which_on_enough_are_right():
    signs = [1] * 200
    logits = np.linspace(0.01, 4, 200)
    logits[:60:2] *= -1  # guesses below a logit of 1.2
    card = fitted(CARD, {"analyst": onsets([*signs, 0])}, {"analyst": np.append(logits, -9.0)})
    prob = np.maximum(up(logits, card), 1 - up(logits, card))
    for threshold, enough in ((card.threshold, True), (card.threshold - 0.01, False)):
        told = prob >= threshold
        assert (np.mean(logits[told] > 0) >= RIGHT) == enough


def test_the_threshold_is_for_both_kinds_of_onsets():
    signs = [1] * 100
    sure, unsure = np.full(100, 3.0), np.linspace(-1, 3, 100)
    shown = {"analyst": onsets(signs), "picker": onsets(signs)}
    both = fitted(CARD, shown, {"analyst": sure, "picker": unsure})
    assert both.threshold > fitted(CARD, shown, {"analyst": sure, "picker": sure}).threshold


def refuse(capsys, *command):
    """The line with which a command ends that cannot be done."""
    assert cli.main(["--int8", "polarity", *map(str, command)]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("convert: ")
    return line


def test_a_dev_split_without_directions_is_refused_and_the_old_model_stays(weights, tmp_path, capsys):
    write_motions(tmp_path / "none", ["positive"], "train")
    write_motions(tmp_path / "none", ["undecidable"], "dev", 1)
    (tmp_path / "polarity.tflite").write_bytes(b"the old one")
    line = refuse(capsys, "--weights", weights, "--data", tmp_path / "none", "--out", tmp_path)
    assert "no first motion is labelled on the dev split" in line
    assert (tmp_path / "polarity.tflite").read_bytes() == b"the old one"


def moved(data, folder, p_sample):
    """The same data with the labels of the dev split elsewhere."""
    folder.mkdir()
    (folder / "waveforms.hdf5").symlink_to(data / "waveforms.hdf5")
    with (data / "metadata.csv").open(newline="") as old, (folder / "metadata.csv").open("w") as new:
        for line in old:
            new.write(line.replace(f",{ONSET},", f",{p_sample},") if ",dev," in line else line)
    return folder


def test_a_dev_split_of_which_nothing_can_be_shown_is_refused(data, weights, tmp_path, capsys):
    early = moved(data, tmp_path / "early", 10)
    line = refuse(capsys, "--weights", weights, "--data", early, "--out", tmp_path)
    assert "none has its whole window" in line
    assert not (tmp_path / "polarity.tflite").exists()


def test_onsets_that_the_picker_does_not_find_leave_what_int8_costs_there_open(
    data, weights, converted, tmp_path, capsys, monkeypatch
):
    ready = (converted / "polarity.tflite").read_bytes()
    monkeypatch.setattr("convert.polarity.to_int8", lambda model, calibration: ready)
    quiet = moved(data, tmp_path / "quiet", ONSET // 2)
    command = ["--weights", weights, "--data", quiet, "--out", tmp_path]
    assert cli.main(["--int8", "polarity", *map(str, command)]) == 0
    report = capsys.readouterr().out
    assert "\npicker: no onset of a known first motion" in report
    assert "where 0.8 and more are told" in report  # at the analyst's onsets


def test_a_full_size_network_is_refused_by_name(data, weights, tmp_path, capsys):
    big = tmp_path / "best.keras"
    big.write_bytes(weights.read_bytes())
    card = replace(CARD, name="polarity-ross", training={"network": "ross"})
    card_path(big).write_text(card.to_json())
    line = refuse(capsys, "--weights", big, "--data", data, "--out", tmp_path)
    assert "best.keras is polarity-ross: the station's network, polarity, alone can be converted" in line


def test_missing_weights_are_named(data, tmp_path, capsys):
    line = refuse(capsys, "--weights", tmp_path / "absent.keras", "--data", data, "--out", tmp_path)
    assert "no model at" in line
    assert "absent.keras" in line


@pytest.mark.parametrize("option", [["--stream"], ["--continuous", "records"]])
def test_what_is_for_pickers_alone_is_refused(option, data, capsys):
    with pytest.raises(SystemExit):
        cli.main(["--int8", "polarity", *option, "--data", str(data)])
    assert "polarity is no picker" in capsys.readouterr().err


def test_a_card_of_another_rate_than_the_pickers_is_refused(data, weights, tmp_path, capsys):
    other = tmp_path / "polarity.keras"
    other.write_bytes(weights.read_bytes())
    card_path(other).write_text(replace(CARD, input=replace(CARD.input, rate_hz=50.0)).to_json())
    assert "50 Hz" in refuse(capsys, "--weights", other, "--data", data, "--out", tmp_path)
