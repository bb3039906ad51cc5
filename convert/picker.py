"""A picker for the station: int8, by hops or windows, its thresholds set, verified beside the float one."""

import hashlib
import sys
import tempfile
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from convert.early import early_metrics, early_scores, early_thresholds
from convert.edgetpu import refusals
from convert.forms import as_stream, as_windows
from convert.graph import multiplications, ops_of
from convert.operating import operating_points
from convert.verify import verify
from edge.card import Card, card_path
from edge.model import Network, load_model
from edge.pick import Phase, Pick
from zoo.evaluate_continuous import parse_span, record_picks
from zoo.network import load_keras
from zoo.pickers.lppn import LPPNConfig, build
from zoo.scores.continuous import Span
from zoo.scores.measure import measure_continuous, rates_by_source
from zoo.scores.rates import Rates

F1_COST = 0.005
"""What int8 may cost."""


def convert_picker(args: Namespace, weights: Path, out: Path, command: str) -> str:
    """Converts, checks, verifies, writes; returns the report as text. `args`: those of `convert`.

    ValueError for a model that would not run in int8 throughout; what the readers of weights and data raise.
    """
    out.mkdir(parents=True, exist_ok=True)
    trained = load_keras(weights)
    config = LPPNConfig(**trained.card.training["network"])
    streams = args.stream or config.causal
    form = (as_stream if streams else as_windows)(trained, args.data, args.windows)
    buffer = form.model
    refused = refusals(buffer)
    if refused:
        raise ValueError("not a full-integer model of Edge TPU ops: " + "; ".join(refused))

    folders = [folder.resolve().name for folder in args.data]
    ops = [op.name for op in ops_of(buffer)]
    card = replace(
        form.card,
        name=args.network,
        sha256=hashlib.sha256(buffer).hexdigest(),
        quantisation={
            "dtype": "int8",
            "method": "post-training, per-channel weights",
            "form": "stream" if streams else "windows",
            "data": [f"{name}, train" for name in folders],
            "ops": {name: ops.count(name) for name in sorted(set(ops))},
            "parameters": _parameters(build(config)),
            "mmac": round(multiplications(buffer) / 1e6, 2),
        },
    )
    # Verified beside the old model, which is replaced only by one that has passed.
    with tempfile.TemporaryDirectory() as folder:
        candidate = Path(folder) / f"{args.network}.tflite"
        candidate.write_bytes(buffer)
        quiet = not sys.stderr.isatty()
        card_path(candidate).write_text(card.to_json())
        network = load_model(candidate)
        verification = verify(form.float_, network, args.data[0], "dev", quiet)
        spans = [parse_span(text) for text in args.records]
        picks, rates = _on_records(network, args.continuous, spans) if args.continuous else ([], None)
        found = verification.thresholds(rates)
        if not found:
            raise ValueError(f"the model finds nothing in {folders[0]}, dev: train it longer")
        thresholds = {**card.thresholds, **found}
        metrics: dict[str, Any] = {
            "dev": {
                "command": command,
                "data": f"{folders[0]}, dev",
                **verification.metrics(found),
            }
        }
        if args.continuous:
            measured = measure_continuous(args.continuous, picks, thresholds, spans)
            metrics["continuous"] = {"command": command, "scores": measured}
        if streams:
            scores = early_scores(network, thresholds, args.data[0], "dev", quiet)
            card = replace(card, stream=replace(card.stream, early=early_thresholds(scores)))
            metrics["early"] = early_metrics(scores)
        metrics["operating_points"] = operating_points(verification.int8, found, rates)
    path = out / f"{args.network}.tflite"
    sigma_s = {**card.sigma_s, **verification.sigma_s(found)}
    card = replace(card, thresholds=thresholds, sigma_s=sigma_s, metrics=metrics)
    path.write_bytes(buffer)
    card_path(path).write_text(card.to_json())
    return _text(path, card)


def _parameters(model: Any) -> int:
    return int(sum(np.prod(weight.shape) for weight in model.trainable_weights))


def _on_records(
    network: Network, folder: Path, spans: Sequence[Span]
) -> tuple[list[Pick], Mapping[Phase, Rates]]:
    """The model's picks on continuous records, and false picks against recall over all of them."""
    picks = record_picks(network, folder, spans)
    return picks, next(iter(rates_by_source(folder, picks, spans).values()))


def _text(path: Path, card: Card) -> str:
    metrics, quantisation = card.metrics["dev"], card.quantisation
    rows = [
        f"{path}: {card.identity}, {path.stat().st_size / 1000:.0f} kB, all int8: "
        + ", ".join(f"{n} {name}" for name, n in quantisation["ops"].items()),
        f"on {metrics['data']} ({metrics['traces']} traces):",
        f"{'':8}{'threshold':>10}{'F1 0.1 s':>10}{'F1 0.5 s':>10}{'mean s':>9}{'std s':>8}",
    ]
    for kind in ("float", "int8"):
        for phase, m in metrics[kind].items():
            rows.append(
                f"{phase} {kind:6}{m['threshold']:>10.2f}{m['f1_0.1s']:>10.3f}{m['f1_0.5s']:>10.3f}"
                f"{m['residual_mean_s']:>9.3f}{m['residual_std_s']:>8.3f}"
            )
    for phase in metrics["int8"]:
        cost = max(
            metrics["float"][phase][f"best_{key}"] - metrics["int8"][phase][f"best_{key}"]
            for key in ("f1_0.1s", "f1_0.5s")
        )
        verdict = "within" if cost <= F1_COST else "MORE THAN"
        rows.append(f"{phase} loses {cost:+.3f} of its best F1 at most to int8: {verdict} {F1_COST}")
    for name, point in card.metrics["operating_points"].items():
        rows += [
            f"{name:10}{phase}  from {at['threshold']:.2f}: precision {at['precision']:.3f}, recall "
            f"{at['recall']:.3f}"
            + (f", {at['false_per_hour']:.2f} false/h" if "false_per_hour" in at else "")
            for phase, at in point.items()
        ]
    for phase, points in card.metrics.get("early", {}).items():
        rows += [
            f"{phase} early from {at['threshold']:.2f}: {at['confirmed']:.3f} of {at['told']} confirmed, "
            f"clear onsets after {at['wait_p50_s']:.2f} s (95 %: {at['wait_p95_s']:.2f} s)"
            for at in points
            if card.stream.early and at["threshold"] == card.stream.early[phase]
        ]
    d = metrics["int8_minus_float"]
    rows.append(
        f"cell probabilities, int8 - float: mean {d['mean']:.4f}, 99.9 % below {d['p999']:.3f}, worst "
        f"{d['worst']:.3f}; worst onset {d['worst_onset']:.2f} cells ({d['cells']} cells)"
    )
    return "\n".join(rows)
