"""The polarity model for the station: int8, its probabilities made honest, verified beside the float one."""

import hashlib
import math
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from convert.edgetpu import refusals
from convert.graph import multiplications, ops_of
from convert.quantize import to_int8
from edge.card import CardError, card_path
from edge.first_motion import Polariser
from edge.model import load_model
from edge.polarity import PolarityCard, Reader, first_motion, load_polarity, normalised, up
from edge.preprocess import Window
from zoo.commands import STATION
from zoo.data.seisbench import Trace, read_traces
from zoo.polarity.compact import CompactConfig, build
from zoo.polarity.onsets import Onset, at_labels, at_picks, logits_of, motions
from zoo.polarity.temperature import temperature
from zoo.polarity_network import KerasPolarity, load_polarity_keras
from zoo.scores.polarity import COVERAGE, THRESHOLDS, Motions, measured, point

RIGHT = 0.95
"""At least this share of the directions that are told shall be right."""
ACCURACY_COST = 0.01
"""What int8 may cost."""

Floats = NDArray[np.float64]
Shown = Mapping[str, Sequence[Onset]]
"""Onsets by who made them: analyst, picker."""


def convert_polarity(weights: Path, folders: Sequence[Path], out: Path, windows: int, command: str) -> str:
    """Converts, verifies on the dev split of the first folder, writes; returns the report as text.

    ValueError for a model that would not run in int8 throughout; what the readers of weights and data raise.
    """
    trained = load_polarity_keras(weights)
    if trained.network != STATION:
        raise CardError(
            f"{weights} is {trained.card.name}: the station's network, {STATION}, alone can be converted"
        )
    picker = load_model().card
    if not trained.card.input.held_by(picker.input):
        raise ValueError(f"{weights.name} asks for {trained.card.input}, which {picker.name} does not hold")
    dev = _shown(trained, list(read_traces(folders[0], "dev")))
    if all(onset.up is None or onset.window is None for onset in dev["analyst"]):
        raise ValueError(
            "no first motion is labelled on the dev split, or none has its whole window: temperature and "
            "threshold need some"
        )
    traces = (trace for folder in folders for trace in read_traces(folder, "train"))
    buffer = to_int8(_for_one(trained), _calibration(_shown(trained, list(traces)), windows))
    ops = ops_of(buffer)
    left = {op.name for op in ops for dtype, _ in (*op.inputs, *op.outputs) if dtype == "FLOAT32"}
    if left:
        raise ValueError(f"not a full-integer model: {', '.join(sorted(left))} in float")
    names = [op.name for op in ops]
    card = replace(
        trained.card,
        name="polarity",
        sha256=hashlib.sha256(buffer).hexdigest(),
        quantisation={
            "dtype": "int8",
            "method": "post-training, per-channel weights",
            "data": [f"{folder.resolve().name}, train" for folder in folders],
            "ops": {name: names.count(name) for name in sorted(set(names))},
            "not_edgetpu": refusals(buffer),
            "parameters": int(sum(np.prod(weight.shape) for weight in trained.model.trainable_weights)),
            "mmac": round(multiplications(buffer) / 1e6, 3),
        },
    )
    with tempfile.TemporaryDirectory() as folder:
        candidate = Path(folder) / "polarity.tflite"
        candidate.write_bytes(buffer)
        card_path(candidate).write_text(card.to_json())
        int8 = load_polarity(candidate)
        card = fitted(card, dev, {who: logits_of(int8, onsets) for who, onsets in dev.items()})
        measured = verification(card, {"float": trained, "int8": int8}, dev)
    data = f"{folders[0].resolve().name}, dev"
    card = replace(card, metrics={**card.metrics, "dev": {"command": command, "data": data, **measured}})
    out.mkdir(parents=True, exist_ok=True)
    path = out / "polarity.tflite"
    path.write_bytes(buffer)
    card_path(path).write_text(card.to_json())
    return _text(path, card)


def _shown(trained: KerasPolarity, traces: Sequence[Trace]) -> Shown:
    """Every labelled P around the analyst's onset and around that of the picker that is shipped."""
    own = at_picks(traces, load_model(), Polariser(trained))
    return {"analyst": at_labels(traces, trained.card.input), "picker": own}


def _calibration(shown: Shown, count: int) -> list[dict[str, Window]]:
    """Windows from which quantisation takes its ranges, each upright and upside down, for they are alike."""
    windows = _windows([onset for onsets in shown.values() for onset in onsets])
    chosen = normalised(windows[np.random.default_rng(0).permutation(len(windows))[:count]])
    return [{"x": sign * window[None, None, :, None]} for window in chosen for sign in (1, -1)]


def _windows(onsets: Iterable[Onset]) -> Window:
    windows = [onset.window for onset in onsets if onset.window is not None]
    if not windows:
        raise ValueError("no labelled P of --data has its whole window: there is nothing to calibrate on")
    return np.stack(windows)


def _for_one(trained: KerasPolarity) -> keras.Model:
    """The same network for a batch of one, built anew: a saved model keeps the ops of its time."""
    described = trained.card.training
    config = CompactConfig(described["window"], tuple(described["widths"]), described["attention"])
    model = build(config, batch=1)
    model.set_weights(trained.model.get_weights())
    return model


def fitted(card: PolarityCard, shown: Shown, logits: Mapping[str, Floats]) -> PolarityCard:
    """With temperature and threshold from onsets on which the network was not trained: the temperature of the
    likeliest probabilities, after Platt (1999), whose targets bear with few labels; and the lowest threshold
    from which on `RIGHT` of the directions are right."""
    sign = {True: 1.0, False: -1.0, None: math.nan}
    signs = {who: np.array([sign[one.up] for one in onsets]) for who, onsets in shown.items()}
    toward = np.concatenate([signs[who] * logits[who] for who in shown])  # the label's direction
    toward = toward[np.isfinite(toward)]
    count = max(int(np.isfinite(one).sum()) for one in signs.values())
    card = replace(card, temperature=temperature(toward, (count + 1) / (count + 2)))
    told = {who: motions(shown[who], up(logits[who], card)) for who in shown}
    fits = takewhile(lambda t: all(_right(one, t) for one in told.values()), reversed(THRESHOLDS))
    return replace(card, threshold=min(fits, default=THRESHOLDS[-1]))


def _right(told: Motions, threshold: float) -> bool:
    at = point(told, threshold)
    return at.told == 0 or bool(at.accuracy >= RIGHT)


def verification(card: PolarityCard, readers: Mapping[str, Reader], shown: Shown) -> dict[str, Any]:
    """What each reader reaches at the card's threshold, by who made the onset; how far int8 is from float;
    and how far from odd either is: a window upside down must turn the answer, and nothing else."""
    logits = {
        name: {who: logits_of(reader, onsets) for who, onsets in shown.items()}
        for name, reader in readers.items()
    }
    windows = _windows([onset for onsets in shown.values() for onset in onsets])
    mirrored = {name: (reader.logits(windows), reader.logits(-windows)) for name, reader in readers.items()}
    return {
        **{
            name: {who: measured(motions(shown[who], up(of[who], card)), card.threshold) for who in shown}
            for name, of in logits.items()
        },
        "int8_minus_float": _difference(card, mirrored["float"][0], mirrored["int8"][0]),
        "sign_flip": {name: _difference(card, a, -b) for name, (a, b) in mirrored.items()},
    }


def _difference(card: PolarityCard, a: Window, b: Window) -> dict[str, Any]:
    """Between two answers to the same windows."""
    apart, prob = np.abs(a - b), np.abs(up(a, card) - up(b, card))
    words = [[first_motion(one, card.threshold).polarity for one in up(x, card)] for x in (a, b)]
    return {
        "windows": len(apart),
        "logit_worst": round(float(apart.max(initial=0.0)), 4),
        "logit_mean": round(float(apart.mean()), 4),
        "probability_worst": round(float(prob.max(initial=0.0)), 4),
        "other_word": sum(one != other for one, other in zip(*words, strict=True)),
    }


def _text(path: Path, card: PolarityCard) -> str:
    metrics, quantisation = card.metrics["dev"], card.quantisation
    rows = [
        f"{path}: {card.identity}, {path.stat().st_size / 1000:.0f} kB, all int8: "
        + ", ".join(f"{n} {name}" for name, n in quantisation["ops"].items()),
        f"{quantisation['parameters']} parameters, {quantisation['mmac']} MMAC; temperature "
        f"{card.temperature}, threshold {card.threshold}",
        f"on {metrics['data']}:",
        f"{'':17}{'shown':>7}{'told':>6}{'right':>7}{'accuracy':>10}{'coverage':>10}{'ECE':>7}",
    ]
    for kind in ("float", "int8"):
        for who, m in metrics[kind].items():
            rows.append(
                f"{who:10}{kind:7}{m['shown']:>7}{m['told']:>6}{m['right']:>7}{m['accuracy'] or 0:>10.3f}"
                f"{m['coverage'] or 0:>10.3f}{m['calibration']['ece'] or 0:>7.3f}"
            )
    for who in metrics["int8"]:
        costs = [metrics[kind][who]["at_coverage"]["accuracy"] for kind in ("float", "int8")]
        if None in costs:
            rows.append(f"{who}: no onset of a known first motion, so what int8 costs there is not known")
            continue
        cost = costs[0] - costs[1]
        verdict = "within" if cost <= ACCURACY_COST else "MORE THAN"
        rows.append(
            f"{who}: {costs[1]:.3f} where {COVERAGE:g} and more are told, {cost:+.3f} lost to int8: "
            f"{verdict} {ACCURACY_COST}"
        )
    for what, d in (("int8 - float", metrics["int8_minus_float"]), *metrics["sign_flip"].items()):
        name = what if what == "int8 - float" else f"upside down, {what}"
        rows.append(
            f"{name}: logits {d['logit_mean']:.3f} apart in the mean, {d['logit_worst']:.3f} at worst, "
            f"probabilities {d['probability_worst']:.3f}; {d['other_word']} of {d['windows']} words differ"
        )
    return "\n".join(rows)
