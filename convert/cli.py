"""convert: zoo model to the int8 .tflite that the station loads, with its card and verification report; and
from there to C for a microcontroller, or to what an Edge TPU would make of it."""

import argparse
import hashlib
import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.card import Card, card_path
from edge.model import Network, load_model, model_path
from edge.pick import Phase, Pick

if TYPE_CHECKING:
    from zoo.scores.continuous import Span
    from zoo.scores.rates import Rates

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

WEIGHTS = Path(__file__).parent.parent / "zoo" / "weights"
NETWORKS = ("lppn-tiny", "lppn", "lppn-large")
POLARITY = "polarity"
WINDOWS = 300
F1_COST = 0.005
"""What int8 may cost."""
DEFAULT_OUT = Path("edge") / "models"


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="convert",
        description="Quantises a zoo model to a full-integer .tflite, verifies it against the float model on "
        "labelled traces, sets its thresholds there, and writes model, card and report.",
        epilog="examples: convert --int8 lppn --data labelled --out edge/models; "
        "convert --int8 lppn-tiny --c-array --out firmware",
    )
    parser.add_argument(
        "network",
        help=f"which picker: {', '.join(NETWORKS)}, or {POLARITY}; with --c-array or --edgetpu a picker or a "
        ".tflite with its card",
    )
    parser.add_argument("--int8", action="store_true", help="all integers of eight bits")
    made = parser.add_mutually_exclusive_group()
    made.add_argument(
        "--c-array", action="store_true", help="of a model that is converted already: C for TFLite Micro"
    )
    made.add_argument(
        "--edgetpu", action="store_true",
        help="of a model that is converted already: which ops an Edge TPU would leave to the CPU, and why",
    )  # fmt: skip
    parser.add_argument(
        "--stream", action="store_true",
        help="refuse a network that cannot go hop by hop; causal ones always do, others by whole windows",
    )  # fmt: skip
    parser.add_argument("--weights", type=Path, help="a .keras of edge-train (default: the shipped weights)")
    parser.add_argument(
        "--data", type=Path, action="append", default=[],
        help="SeisBench folder: its train split calibrates, the dev split of the first verifies; repeatable",
    )  # fmt: skip
    parser.add_argument(
        "--continuous",
        type=Path,
        help="folder of continuous records, scored for the card as edge-evaluate does",
    )
    parser.add_argument(
        "--records", action="append", default=[], metavar="SOURCE[=FROM/UNTIL]",
        help="of the continuous records only these, times in UTC; repeatable",
    )  # fmt: skip
    parser.add_argument(
        "--windows",
        type=int,
        default=WINDOWS,
        help=f"calibration windows, or batches of hops (default {WINDOWS})",
    )
    parser.add_argument(
        "--out", type=Path, help="folder (default edge/models, and where you are with --c-array)"
    )
    args = parser.parse_args(arguments)
    converted_already = args.c_array or args.edgetpu
    if args.network == POLARITY and (converted_already or args.stream or args.continuous):
        parser.error(f"{POLARITY} is no picker: it takes --int8, --weights, --data, --windows and --out")
    if converted_already and (args.stream or args.weights or args.data or args.continuous):
        parser.error("--c-array and --edgetpu take a model as it is: convert it first, without them")
    known = (*NETWORKS, POLARITY)
    if not converted_already and not (args.int8 and args.data and args.network in known):
        parser.error(f"a conversion needs --int8, --data, and one of {', '.join(known)}")
    return args


def main(arguments: list[str] | None = None) -> int:
    args = parse(arguments)
    made = c_array if args.c_array else edgetpu if args.edgetpu else convert
    if args.network == POLARITY:
        made = polarity
    try:
        report = made(args)
    except ModuleNotFoundError as error:
        print(f"convert: {error.name} is missing: pip install 'edge-pick[host]'", file=sys.stderr)
        return 2
    except (OSError, ValueError, RuntimeError) as error:
        print(f"convert: {error}", file=sys.stderr)
        return 2
    print(report)
    return 0


def c_array(args: argparse.Namespace) -> str:
    """Writes a model as C; returns what it needs."""
    from convert.firmware import write

    return write(model_path(args.network), args.out or Path())


def edgetpu(args: argparse.Namespace) -> str:
    """What of a model would not run on an Edge TPU."""
    from convert.edgetpu import report

    path = model_path(args.network)
    return report(load_model(path).card.name, path.read_bytes())


def convert(args: argparse.Namespace) -> str:
    """Converts, checks, verifies, writes; returns the report as text.

    ValueError for a model that would not run in int8 throughout; what the readers of weights and data raise.
    """
    _need_tensorflow()
    from convert.early import early_metrics, early_scores, early_thresholds
    from convert.edgetpu import refusals
    from convert.forms import as_stream, as_windows
    from convert.graph import multiplications, ops_of
    from convert.operating import operating_points
    from convert.verify import onset_bias, verify
    from zoo.network import load_keras
    from zoo.pickers.lppn import LPPNConfig, build
    from zoo.scores.measure import measure_continuous

    out = args.out or DEFAULT_OUT
    out.mkdir(parents=True, exist_ok=True)
    weights = args.weights or WEIGHTS / f"{args.network}.keras"
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
        card = replace(card, bias_s=onset_bias(load_model(candidate), args.data[0], "train", quiet))
        card_path(candidate).write_text(card.to_json())
        network = load_model(candidate)
        verification = verify(form.float_, network, args.data[0], "dev", quiet)
        picks, rates = _on_records(args, network) if args.continuous else ([], None)
        found = verification.thresholds(rates)
        if not found:
            raise ValueError(f"the model finds nothing in {folders[0]}, dev: train it longer")
        thresholds = {**card.thresholds, **found}
        metrics: dict[str, Any] = {
            "dev": {
                "command": _command(args),
                "data": f"{folders[0]}, dev",
                **verification.metrics(found),
            }
        }
        if args.continuous:
            measured = measure_continuous(args.continuous, picks, thresholds, _spans(args))
            metrics["continuous"] = {"command": _command(args), "scores": measured}
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


def polarity(args: argparse.Namespace) -> str:
    """Converts the polarity model."""
    _need_tensorflow()
    from convert.polarity import convert_polarity

    weights = args.weights or WEIGHTS / f"{args.network}.keras"
    return convert_polarity(weights, args.data, args.out or DEFAULT_OUT, args.windows, _command(args))


def _need_tensorflow() -> None:
    import keras

    if keras.backend.backend() != "tensorflow":
        raise ValueError("conversion needs TensorFlow: unset KERAS_BACKEND or set it to tensorflow")


def _parameters(model: Any) -> int:
    return int(sum(np.prod(weight.shape) for weight in model.trainable_weights))


def _spans(args: argparse.Namespace) -> "list[Span]":
    from zoo.evaluate import parse_span

    return [parse_span(text) for text in args.records]


def _on_records(args: argparse.Namespace, network: Network) -> "tuple[list[Pick], Mapping[Phase, Rates]]":
    """The model's picks on the continuous records, and false picks against recall over all of them."""
    from zoo.evaluate import run_records
    from zoo.scores.continuous import clipped
    from zoo.scores.measure import rates_by_source
    from zoo.scores.pickfile import read_records

    records = read_records(args.continuous)
    wanted = {record.source for record in clipped(records, _spans(args))}
    files = [path for record, path in records.items() if record.source in wanted]
    picks = run_records(Path(args.network), network, files)
    return picks, next(iter(rates_by_source(args.continuous, picks, _spans(args)).values()))


def _command(args: argparse.Namespace) -> str:
    """The command with names in place of paths."""
    words = ["convert", "--int8", *(["--stream"] if args.stream else []), args.network]
    if args.weights:
        words += ["--weights", args.weights.name]
    for folder in args.data:
        words += ["--data", folder.resolve().name]
    if args.continuous:
        words += ["--continuous", args.continuous.resolve().name]
    for text in args.records:
        words += ["--records", text]
    if args.windows != WINDOWS:
        words += ["--windows", str(args.windows)]
    return " ".join(words)


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


if __name__ == "__main__":
    sys.exit(main())
