"""Ablation: each variant is trained as given but for one thing, and its spread is stated."""

import json

import numpy as np
import pytest

pytest.importorskip("keras", reason="the host side needs the [host] extra")

from benchmarks import ablation
from benchmarks.ablation import main, variants, without
from edge.card import Card
from zoo import options


def test_options_are_taken_out_with_their_values():
    given = ["--data", "a", "--data", "b", "-n", "4", "--data", "c"]
    assert without(given, "--data", keep=1) == ["--data", "a", "-n", "4"]
    assert without(given, "--data") == ["-n", "4"]
    assert without(given, "--teachers") == given


def test_each_variant_is_trained_with_every_seed(quakes, edge_train, tmp_path, monkeypatch, capsys):
    def in_this_process(commands, jobs):
        for command in commands.values():
            arguments = command[command.index("lppn") + 1 :]
            assert edge_train(arguments[-1], *arguments[:-2]) == 0

    monkeypatch.setattr(ablation, "pinned", in_this_process)
    # One of the options that it changes: each is two runs more.
    monkeypatch.setattr(ablation, "OTHERS", (("recipe", "station"),))
    runs = tmp_path / "runs"
    small = ("-n", "4", "--batch", "4", "--backbone", "wide")
    data = ("--data", str(quakes), "--dev", str(quakes), *small)
    assert main(["--runs", str(runs), "--seeds", "2", "--steps", "1", "--", *data]) == 0
    results = json.loads((runs / "ablation.json").read_text())
    given = "python -m benchmarks.ablation --runs runs --steps 1 --seeds 2 -- --data quakes "
    assert results["command"].startswith(given)
    assert (results["data"], results["splits"]) == ("quakes", ["dev"])
    rows = {row["variant"]: row for row in results["rows"]}
    # One data folder, no teachers and no continuous records: without them nothing would change.
    assert list(rows) == ["as given", "--recipe station"]
    for row in rows.values():
        assert set(row["mean"]) == {"score", "P@0.1", "P@0.5", "S@0.1", "S@0.5"}
        assert np.isfinite([*row["mean"].values(), *row["std"].values()]).all()
    cards = [Card.from_json((runs / f"recipe-station-{seed}" / "best.json").read_text()) for seed in (0, 1)]
    assert [card.training["seed"] for card in cards] == [0, 1]
    assert all("--recipe station" in card.training["command"] for card in cards)
    table = (runs / "ablation.md").read_text()
    assert capsys.readouterr().out.endswith(table)
    assert table.count(" ± ") == 2 * 5


def test_what_is_given_already_is_no_variant():
    given = ["--data", "a", "--dev", "a", "--recipe", "station", "--normalisation", "max-abs"]
    given += ["--backbone", "wide"]
    parsed = options.parse(["lppn", *given, "--run", "runs"])
    assert list(variants(given, parsed, None)) == ["as given", "--backbone published", "--backbone causal"]


def test_one_seed_is_no_answer(quakes, tmp_path, capsys):
    data = ("--data", str(quakes), "--dev", str(quakes))
    assert main(["--runs", str(tmp_path), "--seeds", "1", "--", *data]) == 1
    assert "--seeds must be 2 or more" in capsys.readouterr().err
