"""edge-train on polarity networks, end to end on a few onsets."""

import json
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("keras", reason="the host side needs the [host] extra")

from edge.polarity import PolarityCard
from zoo import train_polarity
from zoo.polarity.training import Compact, Published
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


@pytest.fixture(autouse=True)
def eagerly(monkeypatch):
    """Op by op, because compiling takes longer than so few steps."""

    def compile_model(self, model, *args):
        compiled[type(self)](self, model, *args)
        model.run_eagerly = True

    compiled = {form: form.compile for form in (Compact, Published)}
    for form in compiled:
        monkeypatch.setattr(form, "compile", compile_model)


def _train(network, data, run, *more):
    words = (network, "--data", data, "--run", run, *TINY, *more)
    return train_polarity.main([str(word) for word in words])


def test_the_station_network_is_trained_and_can_be_asked(motions, tmp_path):
    assert _train("polarity", motions, tmp_path / "run") == 0

    network = load_polarity_keras(tmp_path / "run" / "best.keras")
    card = network.card
    assert (tmp_path / "run" / "curve.png").stat().st_size > 1000
    assert card.training["data"]["analyst"] == 30
    assert card.training["command"].startswith("edge-train polarity --data motions")
    assert network.logits(np.ones((3, card.input.window), np.float32)).shape == (3,)


def test_an_interrupted_run_goes_on_as_if_nothing_had_been(motions, tmp_path, monkeypatch):
    assert _train("polarity", motions, tmp_path / "whole") == 0

    def interrupt(self, epoch, logs=None):
        on_epoch_end(self, epoch, logs)
        raise KeyboardInterrupt

    on_epoch_end = train_polarity.PolarityCheckpoint.on_epoch_end
    monkeypatch.setattr(train_polarity.PolarityCheckpoint, "on_epoch_end", interrupt)
    assert _train("polarity", motions, tmp_path / "cut") == 130
    monkeypatch.undo()
    assert _train("polarity", motions, tmp_path / "cut") == 0

    x = np.random.default_rng(1).standard_normal((4, 160)).astype(np.float32)
    whole, cut = (load_polarity_keras(tmp_path / run / "best.keras").logits(x) for run in ("whole", "cut"))
    np.testing.assert_allclose(cut, whole, atol=1e-5)


def test_a_run_of_another_command_is_not_gone_on_with(motions, tmp_path, capsys):
    assert _train("polarity", motions, tmp_path, "--steps", 1) == 0

    assert _train("polarity", motions, tmp_path, "--steps", 1, "--seed", 1) == 2
    assert "another run" in capsys.readouterr().err


@pytest.mark.parametrize("network", ["attention2d", "joint"])
def test_a_full_size_network_is_trained_with_the_options_it_was_published_with(motions, tmp_path, network):
    options = ("--steps", 1, "--unknown", "class", "--monitor", "val_loss", "--mode", "min", "--patience", 3)
    status = _train(
        network, motions, tmp_path, *options, "--learning-rate", 0.001, "--loss", "categorical_crossentropy"
    )

    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    card = PolarityCard.from_json((tmp_path / "best.json").read_text())
    assert status == 0
    assert len(log) == 2
    assert "val_loss" in log[0]
    assert card.training["data"]["unknown"] == 2


def test_patience_ends_a_run(motions, tmp_path):
    options = ("--epochs", 6, "--steps", 1, "--patience", 1, "--monitor", "val_loss", "--learning-rate", 10.0)
    assert _train("polarity", motions, tmp_path, *options) == 0

    assert len((tmp_path / "log.jsonl").read_text().splitlines()) < 6


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--unknown", "class"), "no class for unknown"),
        (("--synthetic", 2), "share"),
        (("--epochs", 0), "at least 1"),
        (("--dataset", "ins"), "no metadata"),
    ],
)
def test_what_cannot_be_trained_on_is_one_line(motions, tmp_path, words, told, capsys):
    assert _train("polarity", motions, tmp_path, *words) == 2

    error = capsys.readouterr().err
    assert error.startswith("edge-train: ")
    assert error.count("\n") == 1
    assert told in error


def test_edge_train_takes_the_name_of_a_polarity_network():
    code = "import sys; sys.argv = ['edge-train', 'ross', '--help']; from zoo.commands import train; train()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert "first moved up or down" in done.stdout
