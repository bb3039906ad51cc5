"""The C that `convert --c-array` writes compiles, and is the model; what cannot be is said in a line."""

import hashlib
import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert", reason="convert reads models by the schema of ai-edge-litert")

from benchmarks.answers import first_motions
from convert import cli
from edge.card import card_path
from edge.coda import CODA_S
from edge.model import load_model, model_path, quantise
from edge.polarity import load_polarity, normalised, read

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
    OP(Add) OP(BatchMatMul) OP(Concatenation) OP(Conv2D) OP(DepthwiseConv2D) OP(Mul) OP(Pad) OP(Reshape)
    OP(Softmax) OP(StridedSlice) OP(Sub)
}};
int main() {{
    Resolver resolver;
    return !({P}_ADD_OPS(resolver) && resolver.known.size() == {P}_OPS);
}}
"""


def compiled(folder, compiler, program, *sources, given=b""):
    """What a program beside a header writes to its output; it ends well, and nothing is warned of."""
    if not shutil.which(compiler[0]):
        pytest.skip(f"{compiler[0]} is not installed")
    main = folder / ("main.c" if compiler[0] == "gcc" else "main.cpp")
    main.write_text(program)
    strict = ("-Wall", "-Wextra", "-Werror", "-pedantic")
    subprocess.run([*compiler, *strict, main, *sources, "-lm", "-o", folder / "main"], check=True, cwd=folder)
    return subprocess.run([folder / "main"], check=True, capture_output=True, input=given).stdout


FILLS_X = """
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include "polarity.h"

int main(void) {
    static float window[POLARITY_WINDOW];
    static int8_t x[POLARITY_X_LENGTH];
    while (fread(window, sizeof window, 1, stdin) == 1) {
        float largest = 0;
        for (int i = 0; i < POLARITY_WINDOW; i++)
            largest = fmaxf(largest, fabsf(window[i]));
        for (int i = 0; i < POLARITY_WINDOW; i++) {
            float steps = rintf(window[i] / largest / POLARITY_X_SCALE) + POLARITY_X_ZERO_POINT;
            x[i] = (int8_t)fminf(fmaxf(steps, -128), 127);
        }
        fwrite(x, sizeof x, 1, stdout);
    }
    return 0;
}
"""
READS_UP = """
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include "polarity.h"

int main(void) {
    int8_t up;
    while (fread(&up, 1, 1, stdin) == 1) {
        double real = (up - POLARITY_UP_ZERO_POINT) * POLARITY_UP_SCALE;
        double prob = 1 / (1 + exp(-real / POLARITY_TEMPERATURE));
        double likelier = fmax(prob, 1 - prob);
        int told = likelier >= POLARITY_THRESHOLD && prob != 0.5;
        printf("%s %.3f\\n", !told ? "unknown" : prob > 0.5 ? "up" : "down", likelier);
    }
    return 0;
}
"""


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


@pytest.mark.parametrize("name", ["lppn-tiny", "lppn", "lppn-large", "polarity"])
def test_the_header_names_the_ops_that_a_resolver_has_to_know(name, tmp_path, without_micro):
    write(tmp_path, name)
    stem = name.replace("-", "_")
    program = RESOLVER.format(stem=stem, P=stem.upper())
    compiled(tmp_path, ("g++", "-std=c++11"), program)


def test_firmware_that_follows_the_header_of_the_polarity_model_says_what_the_station_says(
    tmp_path, without_micro
):
    write(tmp_path, "polarity")
    reader = load_polarity()
    motions = first_motions(reader.card)
    noise = np.random.default_rng(1).normal(size=motions.shape).astype(np.float32)
    windows = np.concatenate([motions, -motions, noise])
    shown = compiled(tmp_path, ("gcc", "-std=c99"), FILLS_X, given=windows.astype("<f4").tobytes())
    [x] = reader.describe().inputs
    np.testing.assert_array_equal(np.frombuffer(shown, np.int8), quantise(normalised(windows), x).ravel())
    [up] = reader.describe().outputs
    answers = np.rint(reader.logits(windows) / up.scale + up.zero_point).astype(np.int8)
    told = compiled(tmp_path, ("gcc", "-std=c99"), READS_UP, given=answers.tobytes()).decode().splitlines()
    assert told == [f"{motion.polarity} {motion.prob:.3f}" for motion in read(reader, windows)]
    assert {line.split()[0] for line in told} == {"up", "down", "unknown"}


def test_the_window_in_the_header_of_the_polarity_model_is_that_of_its_card(tmp_path, without_micro, capsys):
    write(tmp_path, "polarity")
    spec = load_polarity().card.input
    header = (tmp_path / "polarity.h").read_text()
    for name, value in (
        ("RATE_HZ", f"{spec.rate_hz}f"),
        ("HIGHPASS_HZ", f"{spec.highpass_hz}f"),
        ("WINDOW", spec.window),
        ("BEFORE", spec.before),
        ("NORMALISATION", '"max-abs"'),
    ):
        assert f"#define POLARITY_{name} {value}\n" in header
    assert (tmp_path / "polarity.c").stat().st_size > 0
    assert "multiplications a P" in capsys.readouterr().out


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


def test_a_polarity_model_of_ones_own_is_known_by_its_card(tmp_path, without_micro, capsys):
    own = tmp_path / "mine.tflite"
    shutil.copy(model_path("polarity"), own)
    card_path(own).write_text(card_path(model_path("polarity")).read_text())
    write(tmp_path, own)
    assert "#define MINE_THRESHOLD " in (tmp_path / "mine.h").read_text()
    card_path(own).write_text(card_path(own).read_text().replace('"threshold": 0', '"threshold": 2'))
    assert "threshold = 2.75 must be" in refusal(capsys, own, "--c-array")


@pytest.mark.parametrize("text", ["", "[]", '{"task": "weather"}', "[" * 100_000])
def test_a_card_that_is_none_is_told(text, own, capsys):
    card_path(own).write_text(text)
    assert "card" in refusal(capsys, own, "--edgetpu")


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
        (["polarity", "--c-array", "--data", "labelled"], "convert it first"),
        (["polarity", "--int8", "--data", "labelled", "--stream"], "polarity is no picker"),
        (["lppn", "--int8"], "needs --int8, --data"),
        (["lppn", "--int8", "--data", "labelled", "--windows", "0"], "--windows must be at least 1"),
        (["polarity", "--int8", "--data", "labelled", "--windows", "-3"], "--windows must be at least 1"),
        (["lppn", "--int8", "--data", "labelled", "--records", "hill"], "give --continuous FOLDER"),
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


def test_what_of_the_polarity_model_an_edge_tpu_would_leave_is_what_its_card_says(capsys):
    assert cli.main(["polarity", "--edgetpu"]) == 0
    *refused, total = capsys.readouterr().out.splitlines()
    assert refused == load_polarity().card.quantisation["not_edgetpu"]
    first = refused[0].split()[1]
    assert re.fullmatch(rf"polarity: of \d+ ops the first {first} would run on the Edge TPU", total)
