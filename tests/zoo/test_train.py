"""edge-train: it learns, it can be interrupted anywhere, and it says what is wrong in one line."""

import ast
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="the zoo needs the [host] extra")

import zoo
from edge.card import Card
from edge.cells import softmax
from zoo import dev_score, losses, train
from zoo.data.labels import Arrival, label_cells
from zoo.distil import DistilledMixer
from zoo.network import load_keras, predict


def log_of(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def weights_of(model):
    return [np.asarray(keras.ops.convert_to_numpy(v)) for v in model.weights + model.optimizer.variables]


def test_a_run_leaves_a_log_its_checkpoints_and_a_model_with_its_card(tiny_run):
    log = log_of(tiny_run)
    assert [line["epoch"] for line in log] == [1, 2]
    assert log[1]["loss"] < log[0]["loss"]
    assert all(0 <= line["score"] <= 1 for line in log)
    assert (tiny_run / "last.keras").is_file()
    network = load_keras(tiny_run / "best.keras")
    assert network.card.training["data"] == {"quakes": 10}
    assert network.card.input.window == 512
    words = network.step(np.zeros((2, 64, 3), np.float32), network.begin(2))
    assert words.shape == (2, len(network.card.stream.delays), 8, 4)


def test_an_interrupted_run_goes_on_as_if_nothing_had_been(
    tiny_run, edge_train, tmp_path, monkeypatch, capsys
):
    folder = tmp_path / "run"
    done = train.Checkpoint.on_epoch_end

    def interrupt(self, epoch, logs=None):
        done(self, epoch, logs)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(train.Checkpoint, "on_epoch_end", interrupt)
        assert edge_train(folder) == 130
    message = "edge-train: interrupted; the same command goes on after epoch 1"
    assert capsys.readouterr().err.splitlines()[-1] == message
    assert len(log_of(folder)) == 1
    assert edge_train(folder) == 0
    assert [line["epoch"] for line in log_of(folder)] == [1, 2]
    one, two = (keras.saving.load_model(run / "last.keras") for run in (tiny_run, folder))
    assert int(two.optimizer.iterations) == 4
    if keras.backend.backend() == "tensorflow":  # the others do not see the same batches, see test_windows
        for a, b in zip(weights_of(one), weights_of(two), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5)


def test_a_run_can_begin_with_the_weights_of_another(tiny_run, edge_train, tmp_path):
    """At next to no learning rate it still has them at its end."""
    weights = ("--weights", tiny_run / "best.keras", "--steps", 2)
    assert edge_train(tmp_path / "run", *weights, "--learning-rate", 1e-12) == 0
    one = keras.saving.load_model(tiny_run / "best.keras")
    two = keras.saving.load_model(tmp_path / "run" / "last.keras")
    for a, b in zip(one.trainable_weights, two.trainable_weights, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.parametrize("other", [("-n", 3), ("--highpass", 2)])
def test_weights_of_another_network_are_refused(tiny_run, edge_train, tmp_path, capsys, other):
    assert edge_train(tmp_path / "run", "--weights", tiny_run / "best.keras", *other) == 2
    assert "another network or input" in capsys.readouterr().err.splitlines()[-1]


def test_a_loss_that_is_no_number_ends_the_run_and_leaves_what_was_good(edge_train, tmp_path, capsys):
    folder = tmp_path / "run"
    assert edge_train(folder, "--learning-rate", 1e30) == 2
    assert capsys.readouterr().err.splitlines()[-1].endswith("is no number: lower --learning-rate")
    assert not (folder / "last.keras").exists()


def test_weights_may_come_from_another_window(tiny_run, edge_train, tmp_path):
    weights = ("--weights", tiny_run / "best.keras", "-T", 1024)
    assert edge_train(tmp_path / "run", *weights, "--learning-rate", 1e-12) == 0
    short, long = (load_keras(run / "best.keras") for run in (tiny_run, tmp_path / "run"))
    assert long.card.input.window == 1024
    for a, b in zip(short.model.trainable_weights, long.model.trainable_weights, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_a_wider_run_begins_as_the_narrower_one_ended(tiny_run, edge_train, tmp_path):
    weights = ("--weights", tiny_run / "best.keras", "-n", 5)
    assert edge_train(tmp_path / "run", *weights, "--learning-rate", 1e-12) == 0
    narrow, wide = (load_keras(run / "best.keras") for run in (tiny_run, tmp_path / "run"))
    assert wide.card.training["from"] == narrow.card.training
    x = np.random.default_rng(0).normal(size=(2, 1, narrow.card.input.window, 3)).astype(np.float32)
    for name, said in narrow.model.predict_on_batch(x).items():
        np.testing.assert_allclose(wide.model.predict_on_batch(x)[name], said, atol=0.05)


def test_a_distilled_run_learns_what_the_other_network_says(tiny_run, edge_train, tmp_path):
    teacher = ("--distil", tiny_run / "best.keras", "--steps", 2)
    assert edge_train(tmp_path / "run", *teacher, "--seed", 7) == 0
    taught = load_keras(tmp_path / "run" / "best.keras").card
    assert taught.training["distilled"] == load_keras(tiny_run / "best.keras").card.training


def test_half_of_a_target_is_the_teachers_as_far_as_it_knows_and_all_where_nobody_picked(tiny_run):
    teacher = load_keras(tiny_run / "best.keras")
    windows = np.random.default_rng(1).normal(size=(2, 1, 512, 3)).astype(np.float32)
    cls = np.zeros((2, 1, 64, 3), np.float32)
    cls[:, :, 8:, 0] = 1.0  # nobody looked at the first eight cells
    cls[0, 0, 20] = 0.0, 1.5, 0.0
    targets = {"cls": cls, "ofs": np.ones((2, 1, 64, 2), np.float32)}

    class Fixed:
        def batch(self, rng, size):
            return windows, targets

    x, taught = DistilledMixer(Fixed(), teacher).batch(np.random.default_rng(0), 2)
    says = softmax(predict(teacher.model, {"x": windows})["cls"])
    np.testing.assert_array_equal(x, windows)
    known = 64 - teacher.card.stream.delays[-1]
    mixed = (0.5 * cls + 0.5 * says)[:, :, :known]
    np.testing.assert_allclose(taught["cls"][:, :, :known], mixed, atol=1e-5)
    np.testing.assert_array_equal(taught["cls"][:, :, known:], cls[:, :, known:])
    np.testing.assert_array_equal(taught["ofs"], targets["ofs"])


def test_a_network_of_other_cells_is_not_distilled(tiny_run, edge_train, tmp_path, capsys):
    other = ("-S", 16, "--backbone", "published", "--distil", tiny_run / "best.keras")
    assert edge_train(tmp_path / "run", *other) == 2
    assert "cannot be distilled" in capsys.readouterr().err.splitlines()[-1]


def test_a_finished_run_is_left_as_it_is(tiny_run, edge_train):
    before = {path.name: path.read_bytes() for path in tiny_run.iterdir()}
    assert edge_train(tiny_run) == 0
    assert {path.name: path.read_bytes() for path in tiny_run.iterdir()} == before


def test_an_interruption_while_saving_spares_the_checkpoints_before(tiny_run, tmp_path):
    kept = {name: (tiny_run / name).read_bytes() for name in ("last.keras", "best.keras", "log.jsonl")}
    for name, content in kept.items():
        (tmp_path / name).write_bytes(content)

    class Interrupted:
        def save(self, path, **_):
            path.write_bytes(b"half a")
            raise KeyboardInterrupt

    card = Card.from_json((tiny_run / "best.json").read_text())
    for score in (0.0, 1.0):  # while saving the last one, while saving the best one
        checkpoint = train.Checkpoint(train.Run(tmp_path), card, lambda _, score=score: {"score": score})
        checkpoint.set_model(Interrupted())
        with pytest.raises(KeyboardInterrupt):
            checkpoint.on_epoch_end(2)
    assert {name: (tmp_path / name).read_bytes() for name in kept} == kept


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--data", "nowhere"], "nowhere has no metadata.csv"),
        (["-S", 12], "S must be one of"),
        (["-T", 1000], "multiple of 8·S = 64"),
        (["-n", 0], "at least 1"),
        (["-S", 64, "--backbone", "published"], "stream.hop and last of stream.delays exceed input.window"),
        (["--steps", 0], "--steps, --epoch and --batch must be at least 1"),
        (["--batch", 0], "--steps, --epoch and --batch must be at least 1"),
        (["--highpass", 50], "highpass_hz"),
        (["--weights", "absent.keras"], "no card beside absent.keras"),
        (["--steps", 5], "no multiple of --epoch 2"),
        (["--teachers", "absent.json"], "no picks file at absent.json"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_one_line(edge_train, tmp_path, capsys, arguments, words):
    assert edge_train(tmp_path / "run", *arguments) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("edge-train: ")
    assert words in line
    assert not (tmp_path / "run" / "log.jsonl").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--learning-rate", -1], "--learning-rate: '-1' is no number above 0"),
        (["--learning-rate", 0], "--learning-rate: '0' is no number above 0"),
        (["--learning-rate", "nan"], "--learning-rate: 'nan' is no number above 0"),
        (["--learning-rate", "inf"], "--learning-rate: 'inf' is no number above 0"),
        (["--learning-rate", "fast"], "--learning-rate: 'fast' is no number above 0"),
        (["--seed", -1], "--seed: '-1' is no whole number from 0 on"),
        (["--continuous-from", "noon"], "--continuous-from: 'noon' is no time, as 2019-07-04T17:33:00Z"),
        (["--continuous-from", "2020-01-01"], "give --continuous FOLDER"),
        (["--continuous-source", "valley"], "give --continuous FOLDER"),
    ],
)
def test_options_that_nothing_could_be_done_with_are_named(edge_train, tmp_path, capsys, arguments, words):
    with pytest.raises(SystemExit) as ended:
        edge_train(tmp_path / "run", *arguments)
    assert ended.value.code == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("log.jsonl", b'{"epoch'),
        ("log.jsonl", b"\xff\xff"),
        ("log.jsonl", b"[]\n"),
        ("best.json", b"{"),
        ("best.json", None),
        ("last.keras", b"junk"),
        ("last.keras", None),
    ],
)
def test_the_damaged_file_of_a_run_is_named_and_left_as_it_is(
    name, content, tiny_run, edge_train, tmp_path, capsys
):
    run = shutil.copytree(tiny_run, tmp_path / "run")
    (run / name).unlink()
    if content is not None:
        (run / name).write_bytes(content)
    assert edge_train(run) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert str(run / name) in line
    assert "name another --run" in line
    assert (run / name).read_bytes() == content if content is not None else not (run / name).exists()


def test_data_without_a_sample_are_no_damaged_cache(edge_train, tmp_path, capsys):
    h5py = pytest.importorskip("h5py")
    folder = write_set(tmp_path / "hollow", "train", 100)
    with h5py.File(folder / "waveforms.hdf5", "a") as file:
        for name, stored in list(file["data"].items()):
            shape = (*stored.shape[:-1], 0)
            del file[f"data/{name}"]
            file[f"data/{name}"] = np.zeros(shape)
    assert edge_train(tmp_path / "run", "--data", folder, "--without", "quakes") == 2
    assert "hollow has no samples to train on" in capsys.readouterr().err


AS_ON_A_TERMINAL = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background
from zoo.train import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs process groups")
def test_control_c_ends_the_command_with_one_line_and_nothing_left_running(quakes, tmp_path):
    run = tmp_path / "run"
    tiny = ["-n", "4", "-S", "8", "-T", "512", "--steps", "1000000", "--epoch", "2", "--batch", "4"]
    folders = ["--data", quakes, "--dev", quakes, "--run", run, "--cache", quakes.parent / "cache"]
    process = subprocess.Popen(
        [sys.executable, "-c", AS_ON_A_TERMINAL, "lppn", *map(str, folders), *tiny],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        cwd=Path(zoo.__file__).parents[1],
    )  # fmt: skip
    try:
        epoch_ends = (line for line in process.stdout if line.startswith("  dev "))
        next(epoch_ends)  # the log follows or is there; the second one says that it is
        next(epoch_ends)
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=300)
    finally:
        process.kill()
    kept = len(log_of(run))
    assert process.returncode == 130
    assert kept >= 2
    own = [line for line in errors.splitlines() if line.startswith("edge-train")]
    assert own == [f"edge-train: interrupted; the same command goes on after epoch {kept}"]
    assert "Traceback" not in errors
    assert keras.saving.load_model(run / "last.keras").optimizer.iterations >= 2 * kept
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def write_set(folder, split, rate, sources=("",)):
    h5py = pytest.importorskip("h5py")
    folder.mkdir()
    rows = [f"{k},{split},{rate},{source}\n" for k, source in enumerate(sources)]
    (folder / "metadata.csv").write_text("trace_name,split,trace_sampling_rate_hz,source\n" + "".join(rows))
    with h5py.File(folder / "waveforms.hdf5", "w") as waveforms:
        for k in range(len(sources)):
            waveforms[f"data/{k}"] = np.ones((3, 100 * rate), np.int32)
    return folder


def test_a_source_left_out_is_not_trained_on_and_told_in_the_card(quakes, tmp_path, monkeypatch):
    monkeypatch.setattr(train, "WindowMixer", lambda groups, *_: groups)
    others = write_set(tmp_path / "others", "train", 100, ["north", "south", "north"])

    def prepare(*arguments):
        folders = (
            "--data",
            quakes,
            "--data",
            others,
            "--dev",
            quakes,
            "--run",
            tmp_path,
            "--cache",
            tmp_path,
        )
        card, groups, _ = train.prepare(train.parse(["lppn", *map(str, (*folders, *arguments))]))
        return card.training, {record.source for _, records in groups.values() for record in records}

    training, sources = prepare()
    assert training["data"] == {"quakes": 10, "others": 3}
    assert "without" not in training
    assert "--without" not in training["command"]
    assert sources == {"quakes", "north", "south"}
    training, sources = prepare("--without", "north")
    assert training["data"] == {"quakes": 10, "others": 1}
    assert training["without"] == ["north"]
    assert "--without north" in training["command"]
    assert sources == {"quakes", "south"}
    with pytest.raises(ValueError, match="there are north, quakes, south"):
        prepare("--without", "nroth")
    with pytest.raises(ValueError, match="no trace is left"):
        prepare("--without", "north", "--without", "south", "--without", "quakes")
    with pytest.raises(ValueError, match="give --continuous-source NAME"):
        prepare("--continuous", others)
    with pytest.raises(ValueError, match="drop one"):
        prepare("--without", "north", "--continuous", others, "--continuous-source", "north")


def test_data_without_an_onset_are_refused_rather_than_learnt_from_in_vain(quakes, tmp_path):
    folder = write_set(tmp_path / "unknown", "train", 100, ["north"])
    args = ["lppn", "--data", folder, "--dev", quakes, "--run", tmp_path, "--cache", tmp_path]
    with pytest.raises(ValueError, match="onset of P or S; onsets are read from columns such as"):
        train.prepare(train.parse([str(word) for word in args]))


def test_of_a_large_dev_split_a_part_is_scored(tmp_path, monkeypatch):
    folder = write_set(tmp_path / "large", "dev", 20, ["x"] * 10)
    assert len(dev_score.dev_traces(folder)) == 10
    monkeypatch.setattr(dev_score, "MOST_DEV_TRACES", 4)
    assert [trace.name for trace in dev_score.dev_traces(folder)] == ["0", "3", "6", "9"]


def test_data_of_a_rate_that_no_station_has_are_refused_in_one_line(edge_train, tmp_path, capsys):
    slow = write_set(tmp_path / "slow", "train", 10)
    assert edge_train(tmp_path / "run", "--data", slow) == 2
    assert "sample rate 10 Hz is outside" in capsys.readouterr().err


def test_data_without_a_dev_split_are_refused_in_one_line(edge_train, tmp_path, capsys):
    only_train = write_set(tmp_path / "only_train", "train", 100)
    assert edge_train(tmp_path / "run", "--dev", only_train) == 2
    assert "has no split 'dev'" in capsys.readouterr().err


def test_the_run_of_another_network_is_not_gone_on_with(tiny_run, edge_train, capsys):
    assert edge_train(tiny_run, "-n", 5) == 2
    assert "holds another run" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["sigmoid", "linear"])
def test_losses_vanish_for_the_answer_that_the_decoder_reads_as_the_label(kind):
    labels = label_cells([Arrival("P", 203.7), Arrival("S", 390.2)], [(420, 440)], slice(64, 512), 512, 8)
    logits = np.where(labels.cls > 0, 30.0, 0.0)[None, None]
    fraction = np.clip(labels.ofs[:, :1], 1e-6, 1 - 1e-6)
    raw = (np.log(fraction / (1 - fraction)) if kind == "sigmoid" else fraction)[None, None]

    def loss(function, target, answer):
        tensors = (keras.ops.convert_to_tensor(a, "float32") for a in (target[None, None], answer))
        return float(function(*tensors)[0])

    offset_loss = losses.sigmoid_offset_loss if kind == "sigmoid" else losses.linear_offset_loss
    assert loss(offset_loss, labels.ofs, raw) == pytest.approx(0, abs=1e-9)
    assert loss(offset_loss, labels.ofs, raw + 0.1) > 1e-4
    assert loss(losses.cell_loss, labels.cls, logits) == pytest.approx(0, abs=1e-5)
    not_asked = ~labels.cls.any(axis=1)
    logits[0, 0, not_asked] = np.random.default_rng(0).normal(0, 100, (not_asked.sum(), 3))
    assert loss(losses.cell_loss, labels.cls, logits) == pytest.approx(0, abs=1e-5)
    assert loss(losses.cell_loss, labels.cls, logits[..., [1, 0, 2]]) > 30


def test_the_card_of_a_run_is_one_that_the_station_accepts(tiny_run):
    card = Card.from_json((tiny_run / "best.json").read_text())
    assert card.training["backend"] == keras.backend.backend()


def test_the_zoo_runs_on_any_keras_backend():
    """No file of it names TensorFlow, PyTorch or JAX."""
    named = {}
    for path in Path(zoo.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for module in modules:
                if module.split(".")[0] in {"tensorflow", "torch", "jax"}:
                    named[path.name] = module
    assert named == {}
