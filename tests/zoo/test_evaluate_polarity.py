"""`edge-evaluate --task polarity` from the command line to its files."""

import json
import re

import numpy as np
import pytest

pytest.importorskip("h5py", reason="the host side needs the [host] extra")
image = pytest.importorskip("matplotlib.image", reason="the host side needs the [host] extra")

from hypothesis import given
from hypothesis import strategies as st
from motion_data import ONSET, write_motions

from edge.card import card_path
from edge.polarity import DEFAULT_POLARITY, PolarityCard, PolarityInput
from zoo.evaluate import main
from zoo.scores.polarity import THRESHOLDS, Motions, by_snr, confusion, curve, interval, point, reliability

POLARITIES = ["positive", "negative"] * 4 + ["undecidable"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "clear"
    write_motions(folder, POLARITIES)
    return folder


def evaluated(*arguments):
    assert main([*map(str, arguments), "--task", "polarity"]) == 0


def test_a_picks_file_from_end_to_end(data, tmp_path, capsys):
    """Of eight first motions five are right, one is wrong, one is unknown, and one onset is not picked."""
    said = ["up", "down", "up", "down", "up", "up", "unknown", None, "up"]
    picks = {
        f"m{k}": [["S", ONSET + 400.0, 0.9, None, None]] if word is None
        else [["P", ONSET + 3.0, 0.9, word, 0.6 if word == "unknown" else 0.9],
              ["P", ONSET + 300.0, 0.9, "down", 0.9]]
        for k, word in enumerate(said)
    }  # fmt: skip
    (tmp_path / "mine.json").write_text(json.dumps(picks))
    out = tmp_path / "deep" / "out"
    evaluated(tmp_path / "mine.json", "--data", data, "--out", out)
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["command"] == "edge-evaluate mine.json --task polarity --data clear --out out"
    scores = metrics["onsets"]["at the picks"]
    assert (scores["labels"], scores["shown"], scores["told"], scores["right"]) == (8, 7, 6, 5)
    assert scores["confusion"] == {
        "up": {"up": 3, "down": 0, "unknown": 1, "none": 0},
        "down": {"up": 1, "down": 2, "unknown": 0, "none": 1},
    }
    assert scores["accuracy"] == pytest.approx(5 / 6, abs=1e-4)
    assert scores["coverage"] == pytest.approx(6 / 7, abs=1e-4)
    assert sum(part["labels"] for part in scores["by_snr_db"].values()) == 8
    assert scores["calibration"]["counts"] == [1, 0, 0, 0, 6]

    written = (out / "report.md").read_text()
    embedded = re.findall(r"!\[.+\]\((.+)\)", written)
    assert sorted(embedded) == sorted(path.name for path in out.glob("*.png"))
    assert len(embedded) == 4
    for name in embedded:
        drawn = image.imread(out / name)
        assert min(drawn.shape[:2]) > 200
        assert drawn[..., :3].std() > 0.05  # something is drawn
    printed = capsys.readouterr().out
    for told in (printed, written):
        assert "8 labelled first motions" in told
        assert re.search(r"at the picks \| down +\| 1 +\| 2 ", told)
    assert "png" not in printed


def test_the_shipped_model_at_the_analysts_onsets_and_the_pickers_own(data, tmp_path):
    evaluated(DEFAULT_POLARITY, "--data", data, "--split", "dev", "--out", tmp_path)
    onsets = json.loads((tmp_path / "metrics.json").read_text())["onsets"]
    analyst, own = onsets.values()
    assert (analyst["shown"], own["shown"]) == (8, 8)
    for scores in (analyst, own):
        assert scores["told"] == scores["right"] >= 4


def test_a_full_size_network_is_scored_as_the_shipped_one_is(data, tmp_path):
    pytest.importorskip("keras", reason="the host side needs the [host] extra")
    from zoo.polarity import attention2d

    path = tmp_path / "best.keras"
    attention2d.build().save(path)
    spec = PolarityInput(100.0, 400, 200, 1.0, {"name": "max-abs"})
    training = {"network": "attention2d"}
    card = PolarityCard("polarity-attention2d", "polarity", "MIT", spec, 1.0, 0.75, training=training)
    card_path(path).write_text(card.to_json())
    evaluated(path, "--data", data, "--split", "dev", "--out", tmp_path)
    onsets = json.loads((tmp_path / "metrics.json").read_text())["onsets"]
    assert [scores["shown"] for scores in onsets.values()] == [8, 8]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"m0": []}, "lacks trace 'm1'"),
        ({f"m{k}": [["P", 2000, 0.9]] for k in range(9)}, "is not [phase, sample, prob, polarity"),
        ({f"m{k}": [["P", 2000, 0.9, "left", 0.9]] for k in range(9)}, "must have up, down, unknown or null"),
        ({f"m{k}": [["P", 2000, 0.9, "up", 0.3]] for k in range(9)}, "a probability in 0.5…1"),
        ({f"m{k}": [["P", 2000, 0.9, "up", None]] for k in range(9)}, "a probability in 0.5…1"),
        ([], "is not a picks file"),
    ],
)
def test_what_cannot_be_scored_is_told_in_one_line(data, tmp_path, capsys, content, words):
    (tmp_path / "mine.json").write_text(json.dumps(content))
    assert main([str(tmp_path / "mine.json"), "--task", "polarity", "--data", str(data)]) == 1
    told = capsys.readouterr().err
    assert words in told
    assert told.count("\n") == 1


def test_continuous_records_have_no_labelled_first_motions(data, capsys):
    arguments = ["mine.json", "--task", "polarity", "--data", str(data), "--continuous", str(data)]
    assert main(arguments) == 1
    assert "--task polarity is scored on labelled traces" in capsys.readouterr().err


def test_traces_without_directions_are_no_score(tmp_path, capsys):
    write_motions(tmp_path / "none", ["undecidable"])
    assert main([str(DEFAULT_POLARITY), "--task", "polarity", "--data", str(tmp_path / "none")]) == 1
    assert "no labelled first motion" in capsys.readouterr().err


ROWS = st.lists(
    st.tuples(
        st.booleans(),
        st.floats(0, 1) | st.sampled_from([0.5, float("nan")]),
        st.floats(-10, 50) | st.just(float("nan")),
    ),
    max_size=40,
)


def motions(rows):
    up, prob, snr = zip(*rows, strict=True) if rows else ((), (), ())
    names = np.array([f"t{k}" for k in range(len(rows))], np.str_)
    return Motions(names, names, np.array(snr, float), np.array(up, bool), np.array(prob, float))


@given(ROWS, st.sampled_from(THRESHOLDS))
def test_counts_agree_with_each_other(rows, threshold):
    made = motions(rows)
    at, words = point(made, threshold), confusion(made, threshold)
    counts = {word: words["up"][word] + words["down"][word] for word in words["up"]}
    assert sum(counts.values()) == len(rows)
    assert at.shown == len(rows) - counts["none"]
    assert at.told == counts["up"] + counts["down"]
    assert at.right == words["up"]["up"] + words["down"]["down"]
    assert sum(len(part.names) for part in by_snr(made).values()) == len(rows)
    assert reliability(made).counts.sum() == at.shown
    told = [one.told for one in curve(made)]
    assert told == sorted(told, reverse=True)
    low, high = interval(at.right, at.told)
    assert 0 <= low <= (at.right / at.told if at.told else 0.5) <= high <= 1


@given(ROWS, st.sampled_from(THRESHOLDS))
def test_up_and_down_are_alike(rows, threshold):
    """Everything upside down scores the same."""
    turned = [(not up, 1 - prob, snr) for up, prob, snr in rows]
    if any(1 - (1 - prob) != prob for _, prob, _ in rows if prob == prob):
        return  # 1 - p is not exact
    one, other = motions(rows), motions(turned)
    assert point(one, threshold) == point(other, threshold)
    assert reliability(one).counts.tolist() == reliability(other).counts.tolist()


def test_an_honest_model_has_no_calibration_error():
    rows = [(k % 10 < 9, 0.9, 10.0) for k in range(100)]
    assert reliability(motions(rows)).ece == pytest.approx(0.0)
    rows = [(k % 10 < 5, 0.9, 10.0) for k in range(100)]
    assert reliability(motions(rows)).ece == pytest.approx(0.4)


def test_the_interval_is_wilsons():
    assert interval(10, 10) == (pytest.approx(0.7225, abs=1e-3), 1.0)
    assert interval(9, 10) == (pytest.approx(0.5958, abs=1e-3), pytest.approx(0.9821, abs=1e-3))
    assert interval(0, 0) == (0.0, 1.0)
