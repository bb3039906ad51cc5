"""convert: zoo model to the int8 .tflite that the station loads, with its card and verification report; and
from there to C for a microcontroller, or to what an Edge TPU would make of it."""

import argparse
import os
import sys
from pathlib import Path

from edge.model import model_path

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

WEIGHTS = Path(__file__).parent.parent / "zoo" / "weights"
NETWORKS = ("lppn-tiny", "lppn", "lppn-large")
POLARITY = "polarity"
WINDOWS = 300
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
        help=f"which picker: {', '.join(NETWORKS)}, or {POLARITY}; with --c-array or --edgetpu one of "
        "them or a .tflite with its card",
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
    if args.windows < 1:
        parser.error("--windows must be at least 1")
    if args.records and not args.continuous:
        parser.error("--records chooses among continuous records: give --continuous FOLDER")
    if converted_already and (args.stream or args.weights or args.data or args.continuous):
        parser.error("--c-array and --edgetpu take a model as it is: convert it first, without them")
    if args.network == POLARITY and (args.stream or args.continuous):
        parser.error(f"{POLARITY} is no picker: it takes --int8, --weights, --data, --windows and --out")
    known = (*NETWORKS, POLARITY)
    if not converted_already and not (args.int8 and args.data and args.network in known):
        parser.error(f"a conversion needs --int8, --data, and one of {', '.join(known)}")
    return args


def main(arguments: list[str] | None = None) -> int:
    args = parse(arguments)
    made = polarity if args.network == POLARITY else convert
    if args.c_array or args.edgetpu:
        made = c_array if args.c_array else edgetpu
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
    from convert.cards import checked_card
    from convert.edgetpu import report

    path = model_path(args.network)
    return report(checked_card(path).name, path.read_bytes())


def convert(args: argparse.Namespace) -> str:
    """Converts a picker."""
    _need_tensorflow()
    from convert.picker import convert_picker

    return convert_picker(args, _weights(args), args.out or DEFAULT_OUT, _command(args))


def polarity(args: argparse.Namespace) -> str:
    """Converts a polarity model."""
    _need_tensorflow()
    from convert.polarity import convert_polarity

    return convert_polarity(_weights(args), args.data, args.out or DEFAULT_OUT, args.windows, _command(args))


def _need_tensorflow() -> None:
    import keras

    if keras.backend.backend() != "tensorflow":
        raise ValueError("conversion needs TensorFlow: unset KERAS_BACKEND or set it to tensorflow")


def _weights(args: argparse.Namespace) -> Path:
    weights: Path = args.weights or WEIGHTS / f"{args.network}.keras"
    return weights


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


if __name__ == "__main__":
    sys.exit(main())
