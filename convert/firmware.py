"""An int8 model as C for TFLite Micro: the array, and a header that says what firmware has to know of it."""

from collections.abc import Sequence
from pathlib import Path

from convert.c import array, identifier, literal, tensors
from convert.cards import checked_card
from convert.contract import Contract
from convert.graph import ends_of, multiplications, ops_of
from convert.micro import Arena, smallest_arena
from convert.picker_contract import picker_contract
from convert.polarity_contract import polarity_contract
from edge.backend import TensorSpec
from edge.card import Card
from edge.polarity import PolarityCard

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
HEADER = """\
/* A {kind} for TensorFlow Lite Micro, made by `convert --c-array`.
 * All names begin with {P}_, which the comments leave out. */
#ifndef {P}_H
#define {P}_H

#define {P}_IDENTITY {identity} /* picks carry that of their picker */
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

/* Tensors, all int8, by their index: interpreter.input(X), interpreter.output({answer}), and so on. LENGTH is
 * in elements, that is bytes; real = (integer - ZERO_POINT) * SCALE. */
{tensors}

{contract}

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
ADDERS = {"BATCH_MATMUL": "AddBatchMatMul"}
"""Of the resolver's methods those that are not named as their ops are."""


def write(model: Path, out: Path) -> str:
    """Writes `<model>.h` and `<model>.c` of a .tflite with its card, a picker or a polarity model, to the
    folder `out`, their name made one of C's, and returns what they need as text. The arena is measured where
    tflite-micro is installed.

    What `checked_card` raises, BackendError if TFLite Micro refuses the model, ValueError if it is not int8.
    """
    card, content = checked_card(model), model.read_bytes()
    try:
        arena = smallest_arena(content)
    except ModuleNotFoundError:
        arena = None
    stem = identifier(model.stem)
    inputs, _ = ends_of(content)
    contract = _contract(stem.upper(), card, inputs)
    out.mkdir(parents=True, exist_ok=True)
    for suffix, text in (
        (".h", header(stem, content, card, contract, arena)),
        (".c", SOURCE.format(stem=stem, P=stem.upper(), p=stem, array=array(content))),
    ):
        (out / stem).with_suffix(suffix).write_text(text, "utf-8")
    return _budget(out / stem, content, card, contract, arena)


def header(
    stem: str, model: bytes, card: Card | PolarityCard, contract: Contract, arena: Arena | None
) -> str:
    """The header: `stem` begins all names in it. ValueError if the model is not int8 at both ends."""
    inputs, outputs = ends_of(model)
    if any(spec.dtype != "int8" for spec in (*inputs, *outputs)):
        raise ValueError(f"{card.identity} is not int8: firmware has no use for it")
    prefix = stem.upper()
    return HEADER.format(
        P=prefix,
        p=stem,
        kind=contract.kind,
        identity=literal(card.identity),
        sha256=card.sha256,
        licence=literal(card.licence),
        length=len(model),
        alignment=ALIGNMENT.format(P=prefix),
        arena=_arena(prefix, arena),
        op_count=len(_op_names(model)),
        add_ops=AND.join(f"(resolver).{_adder(name)}() == kTfLiteOk" for name in _op_names(model)),
        answer=contract.answer.upper(),
        tensors="\n".join((*tensors(prefix, inputs), *tensors(prefix, outputs))),
        contract=contract.text,
    )


def _contract(prefix: str, card: Card | PolarityCard, inputs: Sequence[TensorSpec]) -> Contract:
    if isinstance(card, PolarityCard):
        return polarity_contract(prefix, card)
    return picker_contract(prefix, card, inputs)


def _op_names(model: bytes) -> list[str]:
    return sorted({op.name for op in ops_of(model)})


def _adder(name: str) -> str:
    """DEPTHWISE_CONV_2D to AddDepthwiseConv2D."""
    words = (word if word[0].isdigit() else word.capitalize() for word in name.split("_"))
    return ADDERS.get(name, "Add" + "".join(words))


def _arena(prefix: str, arena: Arena | None) -> str:
    if arena is None:
        return NO_ARENA
    return ARENA.format(P=prefix, size=arena.size, runtime=arena.runtime)


def _budget(
    path: Path, model: bytes, card: Card | PolarityCard, contract: Contract, arena: Arena | None
) -> str:
    work = multiplications(model) / 1e6
    memory = f"{arena.size} of arena ({arena.runtime})" if arena else "arena not measured"
    by_time = f", {work / contract.every_s:.2f} M a second of signal" if contract.every_s else ""
    return "\n".join(
        (
            f"{path}.h, {path.name}.c: {card.identity} for TFLite Micro",
            f"flash, bytes: {len(model)} of model, and the kernels of {', '.join(_op_names(model))}",
            f"RAM, bytes:   {memory}, {contract.kept}",
            f"work:         {work:.2f} M multiplications {contract.each}{by_time}",
        )
        + (() if arena else ("to measure the arena: pip install 'edge-pick[micro]', and again",))
    )
