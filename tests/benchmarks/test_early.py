"""The picture of early picks shows what the card says, and a card that says nothing is refused."""

from dataclasses import replace

import pytest

pytest.importorskip("matplotlib", reason="pictures need the [host] extra")

from benchmarks.early import main
from edge.card import read_card
from edge.model import DEFAULT_MODEL


def test_a_card_with_early_picks_is_drawn(tmp_path):
    out = tmp_path / "early.png"
    assert main([str(DEFAULT_MODEL.with_suffix(".json")), "--out", str(out)]) == 0
    assert out.read_bytes().startswith(b"\x89PNG")


def test_a_card_without_early_picks_is_refused_in_one_line(tmp_path, capsys):
    card = read_card(DEFAULT_MODEL)
    path = tmp_path / "mute.json"
    path.write_text(replace(card, stream=replace(card.stream, early=None)).to_json())
    assert main([str(path), "--out", str(tmp_path / "early.png")]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert "says nothing of early picks" in line
    assert list(tmp_path.iterdir()) == [path]
