"""What firmware has to know of a picker: how a hop goes in, and what of its answers is an onset."""

from collections.abc import Iterator, Sequence
from math import prod

from convert.c import literal
from convert.contract import Contract
from edge.backend import TensorSpec
from edge.card import Card
from edge.cells import PHASES
from edge.coda import CODA_S, SURE_P

TEXT = """\
/* The samples: Z N E, one sample's three after another's, through a second-order Butterworth high-pass, then
 * normalised as edge/preprocess.py of edge-pick does under that name, then to x's integers, rounded to even
 * and limited to -128 ... 127. */
{samples}

/* cls: logits of noise, P, S, which softmax makes probabilities. ofs: where in its cell the onset is,
 * {offset}. Onsets are the peaks of probability as in edge/cells.py of edge-pick. */
{answers}

{step}"""
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
OFFSETS = {"sigmoid": "1 / (1 + exp(-ofs))", "linear": "ofs limited to 0 ... 1"}


def picker_contract(prefix: str, card: Card, inputs: Sequence[TensorSpec]) -> Contract:
    """Of a picker with these inputs; all names begin with `prefix`."""
    streams = any(spec.name == "state" for spec in inputs)
    x = next(spec for spec in inputs if spec.name == "x")
    before = x.shape[2] - card.stream.hop
    if streams:
        kept = 3 * before + sum(prod(spec.shape) for spec in inputs if spec.name != "x")
        reach = f"#define {prefix}_BEFORE {before}"
    else:
        kept = prod(x.shape)
        reach = f"#define {prefix}_WINDOW {x.shape[2]}"
    return Contract(
        kind="seismic phase picker",
        answer="cls",
        text=TEXT.format(
            samples="\n".join((*_samples(prefix, card), reach)),
            offset=OFFSETS[card.cells.offset],
            answers="\n".join(_answers(prefix, card)),
            step=STREAM_STEP if streams else WINDOW_STEP,
        ),
        kept=f"{kept} to keep between hops",
        each="a hop",
        every_s=card.stream.hop / card.input.rate_hz,
    )


def _samples(prefix: str, card: Card) -> Iterator[str]:
    yield f"#define {prefix}_RATE_HZ {literal(card.input.rate_hz)}"
    if card.input.highpass_hz is None:
        yield "/* no high-pass */"
    else:
        yield f"#define {prefix}_HIGHPASS_HZ {literal(card.input.highpass_hz)}"
    for key, value in card.input.normalisation.items():
        name = "NORMALISATION" if key == "name" else f"NORMALISATION_{key.upper()}"
        yield f"#define {prefix}_{name} {literal(value)}"
    yield f"#define {prefix}_HOP {card.stream.hop}"


def _answers(prefix: str, card: Card) -> Iterator[str]:
    yield f"#define {prefix}_STRIDE {card.cells.stride} /* samples a cell */"
    yield f"#define {prefix}_DELAY_COUNT {len(card.stream.delays)}"
    yield f"#define {prefix}_DELAYS {{{', '.join(map(str, card.stream.delays))}}} /* cells */"
    yield f"#define {prefix}_SEPARATION_S {literal(card.stream.separation_s)} /* closer onsets are one */"
    yield f"#define {prefix}_CODA_S {literal(CODA_S)} /* after an S a less likely one is its coda, */"
    yield f"#define {prefix}_SURE_P {literal(SURE_P)} /* unless a P of this probability is between them */"
    for phase in PHASES:
        yield f"#define {prefix}_THRESHOLD_{phase} {literal(card.thresholds[phase])}"
        if card.stream.early:
            yield f"#define {prefix}_EARLY_{phase} {literal(card.stream.early[phase])}"
        yield f"#define {prefix}_SIGMA_S_{phase} {literal(card.sigma_s[phase])}"
