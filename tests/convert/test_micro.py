"""TFLite Micro takes the shipped models, in the memory that their headers state, and answers to the bit what
LiteRT's reference kernels do."""

import re

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert", reason="convert reads models by the schema of ai-edge-litert")
pytest.importorskip("tflite_micro", reason="TFLite Micro needs the [micro] extra, Linux on x86-64")

from benchmarks.answers import answers, first_motions, shown
from convert import cli
from convert.micro import STEP, Micro
from edge.backend import BackendError, LiteRT
from edge.card import read_card
from edge.model import model_path, network_on
from edge.polarity import PolarityNetwork, read_polarity_card

NETWORKS = pytest.mark.parametrize("name", ["lppn-tiny", "lppn", "lppn-large"])


@NETWORKS
def test_hop_by_hop_the_answers_are_those_of_the_reference_kernels(name):
    path = model_path(name)
    card = read_card(path)
    hops = shown(card)
    micro = answers(network_on(Micro(path.read_bytes()), card), hops)
    reference = answers(network_on(LiteRT(path, reference=True), card), hops)
    assert micro.std() > 0.5
    np.testing.assert_array_equal(micro, reference)


def test_first_motions_are_those_of_the_reference_kernels():
    path = model_path("polarity")
    card = read_polarity_card(path)
    windows = first_motions(card)
    micro = PolarityNetwork(card, Micro(path.read_bytes())).logits(windows)
    reference = PolarityNetwork(card, LiteRT(path, reference=True)).logits(windows)
    assert micro.std() > 0.5
    np.testing.assert_array_equal(micro, reference)


@pytest.mark.parametrize("name", ["lppn-tiny", "lppn"])
def test_the_header_states_the_least_arena_in_which_the_model_runs(name, tmp_path):
    assert cli.main(["--int8", name, "--c-array", "--out", str(tmp_path)]) == 0
    stem = name.replace("-", "_")
    found = re.search(r"_ARENA (\d+)\n", (tmp_path / f"{stem}.h").read_text())
    size = int(found[1])
    path = model_path(name)
    card = read_card(path)
    network = network_on(Micro(path.read_bytes(), size), card)
    network.step(shown(card)[0], network.begin(1))
    with pytest.raises(BackendError, match="does not take the model"):
        Micro(path.read_bytes(), size - STEP)


def test_the_header_of_the_polarity_model_states_the_least_arena_too(tmp_path):
    assert cli.main(["--int8", "polarity", "--c-array", "--out", str(tmp_path)]) == 0
    size = int(re.search(r"_ARENA (\d+)\n", (tmp_path / "polarity.h").read_text())[1])
    path = model_path("polarity")
    card = read_polarity_card(path)
    PolarityNetwork(card, Micro(path.read_bytes(), size)).logits(first_motions(card)[:1])
    with pytest.raises(BackendError, match="does not take the model"):
        Micro(path.read_bytes(), size - STEP)


def test_why_a_model_is_refused_is_told_in_one_line(capfd):
    with pytest.raises(BackendError) as refused:
        Micro(model_path("lppn").read_bytes(), 1024)
    assert len(str(refused.value).splitlines()) == 1
    assert "missing" in str(refused.value)
    assert capfd.readouterr().err == ""
