"""edge-train on polarity networks, end to end on a few onsets."""

import json
import sys

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="the host side needs the [host] extra")

from motion_data import write_motions

from edge.polarity import PolarityCard
from zoo import commands, train_polarity
from zoo.polarity_network import load_polarity_keras

TINY = ("--dataset", "npz", "--epochs", 2, "--steps", 1, "--batch", 4)


@pytest.fixture(scope="module")
def motions(tmp_path_factory):
    """Forty onsets of known direction, and two that nobody could tell."""
    folder = tmp_path_factory.mktemp("data") / "motions"
    folder.mkdir()
    rng = np.random.default_rng(0)
    sign = np.concatenate([rng.choice([-1, 1], 40), [0, 0]])
    vertical = rng.standard_normal((42, 1000)) * 0.05
    vertical[:, 500:510] += sign[:, None] * np.sin(np.pi * np.arange(1, 11) / 11)
    np.savez(
        folder / "own.npz",
        vertical=vertical,
        onset=np.full(42, 500),
        polarity=sign,
        split=["train"] * 30 + ["dev"] * 10 + ["train"] * 2,
    )
    return folder


@pytest.fixture(scope="module", autouse=True)
def eagerly():
    """Op by op, because compiling takes longer than so few steps and answers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.Model, "run_eagerly", property(lambda model: True, lambda model, value: None))
        yield


def _train(network, data, run, *more):
    words = (network, "--data", data, "--run", run, *TINY, *more)
    return train_polarity.main([str(word) for word in words])


@pytest.fixture(scope="module")
def run(motions, tmp_path_factory):
    """The folder of a finished run of the station's network."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    assert _train("polarity", motions, folder) == 0
    return folder


def test_the_station_network_is_trained_and_can_be_asked(run):
    network = load_polarity_keras(run / "best.keras")
    card = network.card
    assert (run / "curve.png").stat().st_size > 1000
    assert card.training["data"]["analyst"] == 30
    assert card.training["command"].startswith("edge-train polarity --data motions")
    assert network.logits(np.ones((3, card.input.window), np.float32)).shape == (3,)


def test_an_interrupted_run_goes_on_as_if_nothing_had_been(run, motions, tmp_path, monkeypatch):
    def interrupt(self, epoch, logs=None):
        on_epoch_end(self, epoch, logs)
        raise KeyboardInterrupt

    on_epoch_end = train_polarity.PolarityCheckpoint.on_epoch_end
    monkeypatch.setattr(train_polarity.PolarityCheckpoint, "on_epoch_end", interrupt)
    assert _train("polarity", motions, tmp_path) == 130
    monkeypatch.undo()
    assert _train("polarity", motions, tmp_path) == 0

    x = np.random.default_rng(1).standard_normal((4, 160)).astype(np.float32)
    whole, cut = (load_polarity_keras(folder / "best.keras").logits(x) for folder in (run, tmp_path))
    np.testing.assert_allclose(cut, whole, atol=1e-5)


def test_a_run_of_another_command_is_not_gone_on_with(run, motions, capsys):
    assert _train("polarity", motions, run, "--seed", 1) == 2
    assert "another run" in capsys.readouterr().err


def test_a_full_size_network_is_trained_with_the_options_it_was_published_with(motions, tmp_path):
    options = ("--unknown", "class", "--monitor", "val_loss", "--mode", "min", "--patience", 3)
    rate, loss = ("--learning-rate", 0.001), ("--loss", "categorical_crossentropy")
    assert _train("attention2d", motions, tmp_path, *options, *rate, *loss) == 0

    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    card = PolarityCard.from_json((tmp_path / "best.json").read_text())
    assert len(log) == 2
    assert "val_loss" in log[0]
    assert card.training["data"]["unknown"] == 2


def test_a_network_that_picks_as_well_is_trained_by_how_well_it_tells_motions(motions, tmp_path):
    """With no option but how long, and it can be asked as the station's is."""
    assert _train("joint", motions, tmp_path, "--epochs", 1) == 0

    (line,) = (json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines())
    network = load_polarity_keras(tmp_path / "best.keras")
    windows = np.random.default_rng(0).uniform(-1, 1, (3, network.card.input.window)).astype(np.float32)
    windows[:, 0] = 1.0  # normalised already
    prob = network.model.predict(windows[..., None], verbose=0)["polarity"]
    assert 0 <= line["val_accuracy"] <= 1
    np.testing.assert_allclose(np.exp(network.logits(windows)), prob[:, 0] / prob[:, 1], rtol=1e-4)


def test_patience_ends_a_run(motions, tmp_path):
    options = ("--epochs", 6, "--patience", 1, "--monitor", "val_loss", "--learning-rate", 10.0)
    assert _train("polarity", motions, tmp_path, *options) == 0

    assert len((tmp_path / "log.jsonl").read_text().splitlines()) < 6


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--unknown", "class"), "no class for unknown"),
        (("--synthetic", 2), "share"),
        (("--epochs", 0), "at least 1"),
        (("--dataset", "ins"), "no metadata"),
        (("--loss", "crossentropy"), "no loss of that name"),
        (("--learning-rate", 1e30), "the loss of epoch 1 is no number"),
        (("--weights", "absent.keras"), "--weights absent.keras are none of polarity"),
        (("--weights", "zoo/weights/lppn.keras"), "--weights zoo/weights/lppn.keras are none of polarity"),
    ],
)
def test_what_cannot_be_trained_on_is_one_line(motions, tmp_path, words, told, capsys):
    assert _train("polarity", motions, tmp_path, *words) == 2

    error = capsys.readouterr().err
    assert error.startswith("edge-train: ")
    assert error.count("\n") == 1
    assert told in error


@pytest.mark.parametrize("rate", [-1, 0, "nan"])
def test_a_learning_rate_that_is_none_is_refused_not_replaced(motions, tmp_path, rate, capsys):
    with pytest.raises(SystemExit):
        _train("polarity", motions, tmp_path, "--learning-rate", rate)
    assert f"--learning-rate: '{rate}' is no number above 0" in capsys.readouterr().err


def test_a_folder_of_noise_without_noise_is_named(motions, tmp_path, capsys):
    write_motions(tmp_path / "loud", ["positive", "negative"], "train")
    assert _train("polarity", motions, tmp_path / "run", "--noise", tmp_path / "loud") == 2
    assert "loud: no noise in the train split" in capsys.readouterr().err


def test_a_value_that_no_epoch_has_chooses_none(motions, tmp_path, capsys):
    with pytest.raises(SystemExit):
        _train("polarity", motions, tmp_path, "--monitor", "val_acuracy")
    assert "--monitor" in capsys.readouterr().err


def test_edge_train_takes_the_name_of_a_polarity_network(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["edge-train", "ross", "--help"])
    with pytest.raises(SystemExit):
        commands.train()

    assert "first moved up or down" in capsys.readouterr().out
