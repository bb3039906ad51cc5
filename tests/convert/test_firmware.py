"""The C that `convert --c-array` writes compiles, and is the model; what cannot be is said in a line."""

import hashlib
import json
import shutil
import subprocess
import sys

import pytest

pytest.importorskip("ai_edge_litert", reason="convert reads models by the schema of ai-edge-litert")

from convert import cli
from edge.card import card_path
from edge.coda import CODA_S
from edge.model import load_model, model_path

NETWORKS = pytest.mark.parametrize("name", ["lppn-tiny", "lppn", "lppn-large"])
PROGRAM = """
#include <stdint.h>
#include <stdio.h>
#include "{stem}.h"

int main(void) {{
    static const int delays[{P}_DELAY_COUNT] = {P}_DELAYS;
    if ((uintptr_t){stem}_model % 16)
        return 1;
    printf("%s %s %d %d %d %d %d %d\\n", {P}_IDENTITY, {P}_SHA256, {P}_HOP, {P}_STRIDE,
           delays[0], delays[{P}_DELAY_COUNT - 1], {P}_X_ZERO_POINT, {P}_CLS_LENGTH);
    printf("%.9g %.9g %.9g\\n", {P}_X_SCALE, {P}_THRESHOLD_P, {P}_CODA_S);
    return fwrite({stem}_model, 1, sizeof {stem}_model, stdout) != {P}_LENGTH;
}}
"""
RESOLVER = """
#include <set>
#include <string>
#include "{stem}.h"
enum Status {{ kTfLiteOk }};
struct Resolver {{
    std::set<std::string> known;
#define OP(Name) Status Add##Name() {{ known.insert(#Name); return kTfLiteOk; }}
    OP(Add) OP(Concatenation) OP(Conv2D) OP(DepthwiseConv2D) OP(Pad) OP(Reshape) OP(StridedSlice)
}};
int main() {{
    Resolver resolver;
    return !({P}_ADD_OPS(resolver) && resolver.known.size() == {P}_OPS);
}}
"""


def compiled(folder, compiler, program, *sources):
    """What a program beside a header writes to its output; it ends well, and nothing is warned of."""
    if not shutil.which(compiler[0]):
        pytest.skip(f"{compiler[0]} is not installed")
    main = folder / ("main.c" if compiler[0] == "gcc" else "main.cpp")
    main.write_text(program)
    command = [*compiler, "-Wall", "-Wextra", "-Werror", "-pedantic", main, *sources, "-o", folder / "main"]
    subprocess.run(command, check=True, cwd=folder)
    return subprocess.run([folder / "main"], check=True, capture_output=True).stdout


@pytest.fixture
def without_micro(monkeypatch):
    """As if tflite-micro were not installed: nothing is measured."""
    monkeypatch.setitem(sys.modules, "tflite_micro.python.tflite_micro", None)


@pytest.fixture
def own(tmp_path):
    """A model of somebody's own: lppn-tiny under a name that C would not take."""
    model = tmp_path / "4 home.tflite"
    shutil.copy(model_path("lppn-tiny"), model)
    shutil.copy(card_path(model_path("lppn-tiny")), card_path(model))
    return model


def write(out, name):
    assert cli.main(["--int8", str(name), "--c-array", "--out", str(out)]) == 0


@NETWORKS
def test_the_array_is_the_model_and_the_header_what_its_card_says(name, tmp_path, without_micro):
    write(tmp_path, name)
    stem = name.replace("-", "_")
    program = PROGRAM.format(stem=stem, P=stem.upper())
    out = compiled(tmp_path, ("gcc", "-std=c99"), program, tmp_path / f"{stem}.c")
    words, numbers, model = out.split(b"\n", 2)
    network = load_model(model_path(name))
    card, description = network.card, network.describe()
    [x] = [spec for spec in description.inputs if spec.name == "x"]
    [cls] = [spec for spec in description.outputs if spec.name == "cls"]
    identity, sha256, *whole = words.decode().split()
    assert model == model_path(name).read_bytes()
    assert identity == card.identity
    assert sha256 == hashlib.sha256(model).hexdigest()
    first, *_, last = card.stream.delays
    length = cls.shape[1] * cls.shape[2] * 3
    expected = [card.stream.hop, card.cells.stride, first, last, x.zero_point, length]
    assert [int(word) for word in whole] == expected
    real = [float(word) for word in numbers.split()]
    assert real == pytest.approx([x.scale, card.thresholds["P"], CODA_S], rel=1e-6)


@NETWORKS
def test_the_header_names_the_ops_that_a_resolver_has_to_know(name, tmp_path, without_micro):
    write(tmp_path, name)
    stem = name.replace("-", "_")
    program = RESOLVER.format(stem=stem, P=stem.upper())
    compiled(tmp_path, ("g++", "-std=c++11"), program)


def test_the_same_model_makes_the_same_files(tmp_path, without_micro):
    for folder in ("one", "two"):
        write(tmp_path / folder, "lppn")
    for name in ("lppn.h", "lppn.c"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_an_arena_that_is_not_measured_is_not_made_up(tmp_path, without_micro, capsys):
    write(tmp_path, "lppn-tiny")
    assert "define LPPN_TINY_ARENA" not in (tmp_path / "lppn_tiny.h").read_text()
    assert "pip install 'edge-pick[micro]'" in capsys.readouterr().out


@pytest.mark.parametrize("compiler", [("gcc", "-std=c11"), ("g++", "-std=c++11", "-x", "c++")])
def test_a_model_of_ones_own_gets_a_name_that_c_takes(compiler, own, tmp_path, without_micro):
    write(tmp_path, own)
    program = PROGRAM.format(stem="_4_home", P="_4_HOME")
    out = compiled(tmp_path, compiler, program, tmp_path / "_4_home.c")
    assert out.endswith(own.read_bytes())


def refusal(capsys, *command):
    assert cli.main([*map(str, command)]) == 2
    [line] = capsys.readouterr().err.splitlines()
    return line


@pytest.mark.parametrize("door", ["--c-array", "--edgetpu"])
def test_a_model_that_is_not_there_or_not_its_cards_is_named(door, own, tmp_path, capsys):
    assert "no model at absent.tflite" in refusal(capsys, "absent.tflite", door)
    card_path(own).write_text(card_path(model_path("lppn")).read_text())
    assert "is not the model of its card" in refusal(capsys, own, door)


def test_a_card_that_promises_another_dtype_is_refused(own, tmp_path, capsys):
    fields = json.loads(card_path(own).read_text())
    fields["quantisation"]["dtype"] = "float32"
    card_path(own).write_text(json.dumps(fields))
    assert "are not float32" in refusal(capsys, own, "--c-array", "--out", tmp_path / "c")
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["lppn", "--c-array", "--data", "labelled"], "convert it first"),
        (["lppn", "--edgetpu", "--stream"], "convert it first"),
        (["lppn", "--c-array", "--edgetpu"], "not allowed with"),
        (["lppn", "--int8"], "needs --int8, --data"),
        (["lppn", "--data", "labelled"], "needs --int8, --data"),
        (["own.tflite", "--int8", "--data", "labelled"], "one of lppn-tiny, lppn, lppn-large"),
    ],
)
def test_what_contradicts_itself_is_refused(command, words, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(command)
    assert ended.value.code == 2
    assert words in capsys.readouterr().err


@NETWORKS
def test_all_ops_of_the_shipped_models_would_run_on_an_edge_tpu(name, capsys):
    assert cli.main([name, "--edgetpu"]) == 0
    [line] = capsys.readouterr().out.splitlines()
    assert "nothing is known that keeps any of its" in line
