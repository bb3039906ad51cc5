"""convert: zoo model to the int8 .tflite that the station loads, with its card and verification report."""

import argparse
import hashlib
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

WEIGHTS = {"lppn": Path(__file__).parent.parent / "zoo" / "weights" / "lppn.keras"}
DEFAULT_OUT = Path("edge") / "models"


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="convert",
        description="Quantises a zoo model to a full-integer .tflite, verifies it against the float model on "
        "labelled traces, sets its thresholds there, and writes model, card and report.",
        epilog="example: convert --int8 lppn --data labelled --out edge/models",
    )
    parser.add_argument("--int8", choices=sorted(WEIGHTS), required=True, metavar="NETWORK", help="lppn")
    parser.add_argument("--weights", type=Path, help="a .keras of edge-train (default: the shipped weights)")
    parser.add_argument(
        "--data", type=Path, action="append", required=True,
        help="SeisBench folder: its train split calibrates, the dev split of the first verifies; repeatable",
    )  # fmt: skip
    parser.add_argument("--windows", type=int, default=300, help="calibration windows (default 300)")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, help="folder (default edge/models)")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    args = parse(arguments)
    try:
        report = convert(args)
    except (OSError, ValueError, RuntimeError) as error:
        print(f"convert: {error}", file=sys.stderr)
        return 2
    print(report)
    return 0


def convert(args: argparse.Namespace) -> str:
    """Converts, checks, verifies, writes; returns the report as text."""
    import keras

    if keras.backend.backend() != "tensorflow":
        raise ValueError("conversion needs TensorFlow: unset KERAS_BACKEND or set it to tensorflow")
    from convert.calibrate import representative_windows
    from convert.edgetpu import ops_of, refusals
    from convert.quantize import for_inference, to_int8
    from convert.verify import verify
    from edge.card import card_path
    from edge.model import load_model
    from zoo.network import load_keras
    from zoo.pickers.lppn import LPPNConfig

    weights = args.weights or WEIGHTS[args.int8]
    trained = load_keras(weights)
    config = LPPNConfig(**trained.card.training["network"])
    windows = representative_windows(trained.card, args.data, args.windows)
    model = for_inference(trained.model, config)
    buffer = to_int8(model, windows)
    refused = refusals(buffer)
    if refused:
        raise ValueError("not a full-integer model of Edge TPU ops: " + "; ".join(refused))

    args.out.mkdir(parents=True, exist_ok=True)
    path: Path = args.out / f"{args.int8}.tflite"
    path.write_bytes(buffer)
    folders = [folder.resolve().name for folder in args.data]
    card = replace(
        trained.card,
        sha256=hashlib.sha256(buffer).hexdigest(),
        quantisation={
            "dtype": "int8",
            "method": "post-training, per-channel weights",
            "windows": len(windows),
            "data": [f"{name}, train" for name in folders],
            "ops": _counts([op.name for op in ops_of(buffer)]),
        },
    )
    card_path(path).write_text(card.to_json())
    verification = verify(trained, load_model(path), args.data[0], "dev", not sys.stderr.isatty())
    thresholds = verification.thresholds()
    metrics = {
        "command": f"convert --int8 {args.int8} " + " ".join(f"--data {name}" for name in folders),
        "data": f"{folders[0]}, dev",
        **verification.metrics(thresholds),
    }
    card = replace(
        card, thresholds=thresholds, sigma_s=verification.sigma_s(thresholds), metrics={"dev": metrics}
    )
    card_path(path).write_text(card.to_json())
    (args.out / f"{args.int8}.report.json").write_text(json.dumps(metrics, indent=2) + "\n")
    return _text(path, card.identity, len(buffer), card.quantisation["ops"], metrics)


def _counts(names: list[str]) -> dict[str, int]:
    return {name: names.count(name) for name in sorted(set(names))}


def _text(path: Path, identity: str, size: int, ops: dict[str, int], metrics: dict[str, Any]) -> str:
    rows = [
        f"{path}: {identity}, {size / 1000:.0f} kB, all int8: "
        + ", ".join(f"{n} {name}" for name, n in ops.items()),
        f"on {metrics['data']} ({metrics['traces']} traces):",
        f"{'':8}{'threshold':>10}{'F1 0.1 s':>10}{'F1 0.5 s':>10}{'mean s':>9}{'std s':>8}",
    ]
    for kind in ("float", "int8"):
        for phase, m in metrics[kind].items():
            rows.append(
                f"{phase} {kind:6}{m['threshold']:>10.2f}{m['f1_0.1s']:>10.3f}{m['f1_0.5s']:>10.3f}"
                f"{m['residual_mean_s']:>9.3f}{m['residual_std_s']:>8.3f}"
            )
    d = metrics["int8_minus_float"]
    rows.append(
        f"cell probabilities, int8 - float: mean {d['mean']:.4f}, 99.9 % below {d['p999']:.3f}, worst "
        f"{d['worst']:.3f}; worst onset {d['worst_onset']:.2f} cells ({d['cells']} cells)"
    )
    return "\n".join(rows)


if __name__ == "__main__":
    sys.exit(main())
