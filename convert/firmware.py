"""An int8 model as C for TFLite Micro: the array, and a header that says what firmware has to know of it."""

import json
import re
from collections.abc import Iterator, Sequence
from math import prod
from pathlib import Path

import numpy as np

from convert.graph import ends_of, multiplications, ops_of
from convert.micro import Arena, smallest_arena
from edge.backend import TensorSpec
from edge.card import Card
from edge.cells import PHASES
from edge.coda import CODA_S, SURE_P
from edge.model import load_model

A_LINE = 16
"""Bytes of the array."""
ALIGNMENT = """\
#if defined(__cplusplus)
#define {P}_ALIGNED alignas(16)
#elif defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L
#define {P}_ALIGNED _Alignas(16)
#elif defined(__GNUC__)
#define {P}_ALIGNED __attribute__((aligned(16)))
#else
#error "flatbuffers are read in place: say here how this compiler aligns an array to 16 bytes"
#endif"""
STREAM_STEP = """\
/* A step, whenever there are HOP new samples:
 *   x           the last BEFORE samples of the x before, then the new ones
 *   state, sums next_state and next_sums of the step before, byte for byte
 *   cls, ofs    of head k, frame i: the cell DELAYS[k] before the i-th of the HOP / STRIDE new ones
 * At a segment's beginning all three inputs are silence, that is their zero points (not 0).
 * The interpreter uses the memory of its inputs and outputs for other things: before each Invoke() write all
 * inputs, after it copy all outputs to memory of your own. */"""
WINDOW_STEP = """\
/* A step, whenever there are HOP new samples:
 *   x           the last WINDOW samples; silence, the zero point, before a segment's beginning
 *   cls, ofs    frame i: the i-th cell of the window. Of the HOP / STRIDE cells that end DELAYS[k] before the
 *               window does the answers are due, for each k, the better the later
 * The interpreter uses the memory of its input for other things: write x before each Invoke(). */"""
HEADER = """\
/* A seismic phase picker for TensorFlow Lite Micro, made by `convert --c-array`. All names begin with {P}_,
 * which the comments leave out. */
#ifndef {P}_H
#define {P}_H

#define {P}_IDENTITY {identity} /* as picks carry it */
#define {P}_SHA256 "{sha256}"
#define {P}_LICENCE {licence}

/* The flatbuffer: tflite::GetModel({p}_model). It stays in flash. */
#define {P}_LENGTH {length}
{alignment}
#ifdef __cplusplus
extern "C" {{
#endif
extern const unsigned char {p}_model[{P}_LENGTH];
#ifdef __cplusplus
}}
#endif

{arena}

/* static tflite::MicroMutableOpResolver<OPS> resolver; if (!ADD_OPS(resolver)) ... */
#define {P}_OPS {op_count}
#define {P}_ADD_OPS(resolver) \\
    ({add_ops})

/* Tensors, all int8, by their index: interpreter.input(X), interpreter.output(CLS), and so on. LENGTH is in
 * elements, that is bytes; real = (integer - ZERO_POINT) * SCALE. */
{tensors}

/* The samples: Z N E, one sample's three after another's, through a second-order Butterworth high-pass, then
 * normalised as edge/preprocess.py of edge-pick does under that name, then to x's integers, rounded to even
 * and limited to -128 ... 127. */
{samples}

/* cls: logits of noise, P, S, which softmax makes probabilities. ofs: where in its cell the onset is,
 * {offset}. Onsets are the peaks of probability as in edge/cells.py of edge-pick. */
{answers}

{step}

#endif
"""
SOURCE = """\
#include "{stem}.h"

{P}_ALIGNED const unsigned char {p}_model[{P}_LENGTH] = {{
{array}
}};
"""
ARENA = """\
/* alignas(16) uint8_t arena[ARENA]: the least in which {runtime} ran the model
 * with its reference kernels on a 64-bit computer. Pointers of 32 bits need less, the scratch memory of
 * optimised kernels (CMSIS-NN, ESP-NN) more: see arena_used_bytes() on the device. */
#define {P}_ARENA {size}"""
NO_ARENA = """\
/* The arena was not measured: pip install 'edge-pick[micro]' and make this file again, or try one on the
 * device and see arena_used_bytes(). */"""
AND = " && \\\n     "
OFFSETS = {"sigmoid": "1 / (1 + exp(-ofs))", "linear": "ofs limited to 0 ... 1"}


def write(model: Path, out: Path) -> str:
    """Writes `<model>.h` and `<model>.c` of a .tflite with its card to the folder `out`, their name made one
    of C's, and returns what they need as text. The arena is measured where tflite-micro is installed.

    What `load_model` raises, BackendError if TFLite Micro refuses the model, ValueError if it is not int8.
    """
    card, content = load_model(model).card, model.read_bytes()
    try:
        arena = smallest_arena(content)
    except ModuleNotFoundError:
        arena = None
    stem = re.sub(r"\W|^(?=\d)", "_", model.stem, flags=re.ASCII)
    out.mkdir(parents=True, exist_ok=True)
    for suffix, text in ((".h", header(stem, content, card, arena)), (".c", source(stem, content))):
        (out / stem).with_suffix(suffix).write_text(text, "utf-8")
    return _budget(out / stem, content, card, arena)


def header(stem: str, model: bytes, card: Card, arena: Arena | None) -> str:
    """The header: `stem` begins all names in it. ValueError if the model is not int8 at both ends."""
    inputs, outputs = ends_of(model)
    if any(spec.dtype != "int8" for spec in (*inputs, *outputs)):
        raise ValueError(f"{card.identity} is not int8: firmware has no use for it")
    prefix = stem.upper()
    return HEADER.format(
        P=prefix,
        p=stem,
        identity=json.dumps(card.identity),
        sha256=card.sha256,
        licence=json.dumps(card.licence),
        length=len(model),
        alignment=ALIGNMENT.format(P=prefix),
        arena=_arena(prefix, arena),
        op_count=len(_op_names(model)),
        add_ops=AND.join(f"(resolver).{_adder(name)}() == kTfLiteOk" for name in _op_names(model)),
        tensors="\n".join((*_tensors(prefix, inputs), *_tensors(prefix, outputs))),
        samples="\n".join(_samples(prefix, card, inputs)),
        answers="\n".join(_answers(prefix, card)),
        offset=OFFSETS[card.cells.offset],
        step=STREAM_STEP if _streams(inputs) else WINDOW_STEP,
    )


def source(stem: str, model: bytes) -> str:
    """The array."""
    lines = (model[at : at + A_LINE] for at in range(0, len(model), A_LINE))
    array = "\n".join("    " + ", ".join(f"0x{byte:02x}" for byte in line) + "," for line in lines)
    return SOURCE.format(stem=stem, P=stem.upper(), p=stem, array=array)


def _streams(inputs: Sequence[TensorSpec]) -> bool:
    return any(spec.name == "state" for spec in inputs)


def _op_names(model: bytes) -> list[str]:
    return sorted({op.name for op in ops_of(model)})


def _adder(name: str) -> str:
    """DEPTHWISE_CONV_2D to AddDepthwiseConv2D."""
    return "Add" + "".join(word if word[0].isdigit() else word.capitalize() for word in name.split("_"))


def _arena(prefix: str, arena: Arena | None) -> str:
    if arena is None:
        return NO_ARENA
    return ARENA.format(P=prefix, size=arena.size, runtime=arena.runtime)


def _tensors(prefix: str, specs: Sequence[TensorSpec]) -> Iterator[str]:
    for index, spec in enumerate(specs):
        name = f"{prefix}_{spec.name.upper()}"
        shape = "".join(f"[{length}]" for length in spec.shape)
        yield f"#define {name} {index} /* {shape} */"
        yield f"#define {name}_LENGTH {prod(spec.shape)}"
        yield f"#define {name}_SCALE {_literal(float(spec.scale))}"
        yield f"#define {name}_ZERO_POINT ({spec.zero_point})"


def _samples(prefix: str, card: Card, inputs: Sequence[TensorSpec]) -> Iterator[str]:
    x = next(spec for spec in inputs if spec.name == "x")
    yield f"#define {prefix}_RATE_HZ {_literal(card.input.rate_hz)}"
    if card.input.highpass_hz is None:
        yield "/* no high-pass */"
    else:
        yield f"#define {prefix}_HIGHPASS_HZ {_literal(card.input.highpass_hz)}"
    for key, value in card.input.normalisation.items():
        name = "NORMALISATION" if key == "name" else f"NORMALISATION_{key.upper()}"
        yield f"#define {prefix}_{name} {_literal(value)}"
    yield f"#define {prefix}_HOP {card.stream.hop}"
    if _streams(inputs):
        yield f"#define {prefix}_BEFORE {x.shape[2] - card.stream.hop}"
    else:
        yield f"#define {prefix}_WINDOW {x.shape[2]}"


def _answers(prefix: str, card: Card) -> Iterator[str]:
    yield f"#define {prefix}_STRIDE {card.cells.stride} /* samples a cell */"
    yield f"#define {prefix}_DELAY_COUNT {len(card.stream.delays)}"
    yield f"#define {prefix}_DELAYS {{{', '.join(map(str, card.stream.delays))}}} /* cells */"
    yield f"#define {prefix}_SEPARATION_S {_literal(card.stream.separation_s)} /* closer onsets are one */"
    yield f"#define {prefix}_CODA_S {_literal(CODA_S)} /* after an S a less likely one is its coda, */"
    yield f"#define {prefix}_SURE_P {_literal(SURE_P)} /* unless a P of this probability is between them */"
    for phase in PHASES:
        yield f"#define {prefix}_THRESHOLD_{phase} {_literal(card.thresholds[phase])}"
        if card.stream.early:
            yield f"#define {prefix}_EARLY_{phase} {_literal(card.stream.early[phase])}"
        yield f"#define {prefix}_SIGMA_S_{phase} {_literal(card.sigma_s[phase])}"


def _literal(value: float | str) -> str:
    """A value as C: floats in the shortest digits that are the same float."""
    if isinstance(value, float):
        return str(np.float32(value)) + "f"
    return json.dumps(value)


def _budget(path: Path, model: bytes, card: Card, arena: Arena | None) -> str:
    inputs, _ = ends_of(model)
    names = _op_names(model)
    if _streams(inputs):
        before = next(spec for spec in inputs if spec.name == "x").shape[2] - card.stream.hop
        kept = 3 * before + sum(prod(spec.shape) for spec in inputs if spec.name != "x")
    else:
        kept = prod(inputs[0].shape)
    work = multiplications(model) / 1e6
    hop_s = card.stream.hop / card.input.rate_hz
    memory = f"{arena.size} of arena ({arena.runtime})" if arena else "arena not measured"
    return "\n".join(
        (
            f"{path}.h, {path.name}.c: {card.identity} for TFLite Micro",
            f"flash, bytes: {len(model)} of model, and the kernels of {', '.join(names)}",
            f"RAM, bytes:   {memory}, {kept} to keep between hops",
            f"work:         {work:.2f} M multiplications a hop, {work / hop_s:.2f} M a second of signal",
        )
        + (() if arena else ("to measure the arena: pip install 'edge-pick[micro]', and again",))
    )
