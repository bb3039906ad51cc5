"""Answers as hashes: every shipped model has them, whatever its task."""

import sys

import pytest

from benchmarks import answers
from edge.model import DEFAULT_MODEL

MODELS = sorted(DEFAULT_MODEL.parent.glob("*.tflite"))


@pytest.mark.parametrize("model", MODELS, ids=[model.stem for model in MODELS])
def test_a_shipped_model_has_answers_by_either_kind_of_kernels(model, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["answers", str(model)])
    answers.main()
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [what for _, what, _ in rows] == ["shown", "default", "reference"]
    assert {identity.partition("@")[0] for identity, _, _ in rows} == {model.stem}
    assert rows[0][2] not in (rows[1][2], rows[2][2])
