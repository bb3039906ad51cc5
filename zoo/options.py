"""The command line of edge-train, and what a card says of it."""

import argparse
from pathlib import Path
from typing import Any

from edge.pick import format_time
from zoo.arguments import above_zero, moment, whole
from zoo.data.recipes import RECIPES
from zoo.data.store import default_cache
from zoo.pickers.lppn import LPPNConfig

NORMALISATIONS: dict[str, dict[str, Any]] = {
    "running-asinh": {
        "name": "running-asinh",
        "gain": 0.5,
        "clip": 8.0,
        "block": 64,
        "memory": 32,
        "rise": 1.4,
    },
    "max-abs": {"name": "max-abs"},
}

BACKBONES = ("published", "wide", "causal")
DELAYS = [3, 6, 12, 25, 50]
"""Cells, of the causal network: 0.24 to 4 s at S = 8 and 100 Hz."""


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="edge-train",
        description="Trains a picker of the zoo. Interrupt it when you like: the same command goes on where "
        "it stopped. The result is RUN/best.keras with its card, ready for `convert --int8 lppn --weights`.",
        epilog="example: edge-train lppn --data labelled --data weak --dev labelled --run runs/lppn. "
        "Networks that tell first motions have a command line of their own: edge-train polarity --help, and "
        "so for attention, ross, joint, attention2d",
    )
    parser.add_argument("network", choices=["lppn"], help="which network")
    parser.add_argument(
        "--data", type=Path, action="append", required=True,
        help="folder of labelled traces, its train split: SeisBench's (metadata.csv, waveforms.hdf5) or "
        "STEAD's (merge.csv, or chunk1.csv …, each beside its .hdf5); repeat for several",
    )  # fmt: skip
    parser.add_argument(
        "--dev", type=Path, required=True, help="folder of labelled traces whose dev split chooses the best"
    )
    parser.add_argument(
        "--without", action="append", default=[], metavar="SOURCE",
        help="leave all traces of this source out of the training data (of dev they are not); repeatable",
    )  # fmt: skip
    parser.add_argument(
        "--teachers", type=Path, action="append", default=[], metavar="FILE",
        help="picks of several pickers on the traces, {picker: {trace: [[phase, sample, prob], …]}}: where "
        "two or more of those that all files hold agree, they label phases that nobody picked",
    )  # fmt: skip
    parser.add_argument(
        "--continuous", type=Path, metavar="FOLDER",
        help="continuous records with manifest.csv, peer_consensus_picks.csv and peer_picks_raw.csv",
    )  # fmt: skip
    parser.add_argument("--continuous-source", metavar="NAME", help="the source of them to train on")
    parser.add_argument("--continuous-from", type=moment, default=0, metavar="TIME", help="and from when on")
    parser.add_argument(
        "--recipe", choices=sorted(RECIPES), default="plain",
        help="augmentations: plain, or what sensors, faults and paths do as well (default plain)",
    )  # fmt: skip
    parser.add_argument("--run", type=Path, required=True, help="folder for checkpoints and log")
    parser.add_argument(
        "--weights", type=Path, metavar="FILE",
        help="begin with these, e.g. zoo/weights/lppn.keras, to adapt the picker to a network of your own; "
        "of a narrower network (-n) or of another window (-T), begin as it is and learn more",
    )  # fmt: skip
    parser.add_argument(
        "--distil", type=Path, metavar="FILE",
        help="learn half from the labels and half from what this larger network says, e.g. "
        "zoo/weights/lppn-large.keras",
    )  # fmt: skip
    parser.add_argument(
        "--cache", type=Path, default=default_cache(), metavar="FOLDER",
        help="where records made ready for training are kept, as large as the traces are in 32 bits; may be "
        "deleted at any time (default %(default)s)",
    )  # fmt: skip
    parser.add_argument("-n", type=int, default=10, help="base width (default 10)")
    parser.add_argument("-S", type=int, default=8, help="stride, samples a cell (default 8)")
    parser.add_argument(
        "--backbone", choices=BACKBONES, default="causal", help="of the network (default causal)"
    )  # fmt: skip
    parser.add_argument(
        "--delays", type=int, nargs="+", metavar="CELLS",
        help="how many cells after a cell a causal network answers for it; of several, each has a head, and "
        "the last one the final word (default 3 6 12 25 50)",
    )  # fmt: skip
    parser.add_argument("-T", type=int, default=1536, help="window, samples at 100 Hz (default 1536)")
    parser.add_argument("--steps", type=int, default=10_000, help="batches in all (default 10000)")
    parser.add_argument("--epoch", type=int, default=500, help="batches between dev scores (default 500)")
    parser.add_argument("--batch", type=int, default=32, help="windows a batch (default 32)")
    parser.add_argument("--learning-rate", type=above_zero, default=2e-3, help="peak (default 0.002)")
    parser.add_argument("--seed", type=whole, default=0, help="of weights and data (default 0)")
    parser.add_argument("--highpass", type=float, default=1.0, help="corner, Hz; 0 for none (default 1)")
    parser.add_argument(
        "--normalisation", choices=sorted(NORMALISATIONS), default="running-asinh", help="of the input"
    )
    args = parser.parse_args(arguments)
    if (args.continuous_source or args.continuous_from) and not args.continuous:
        parser.error(
            "--continuous-source and --continuous-from choose among records: give --continuous FOLDER"
        )
    args.delays = (args.delays or DELAYS) if args.backbone == "causal" else [0]
    return args


def network(args: argparse.Namespace) -> LPPNConfig:
    """The network that a command line asks for. ValueError if there is none such."""
    return LPPNConfig(n=args.n, S=args.S, T=args.T, backbone=args.backbone, delays=args.delays)


def command(args: argparse.Namespace) -> str:
    """The command line with names in place of paths and every setting spelled out."""
    words = ["edge-train", args.network, *(f"--data {folder.resolve().name}" for folder in args.data)]
    words += [f"--without {source}" for source in args.without]
    words += [f"--teachers {file.name}" for file in args.teachers]
    if args.continuous:
        words += [f"--continuous {args.continuous.resolve().name}"]
        words += [f"--continuous-source {args.continuous_source}"]
        words += [f"--continuous-from {format_time(args.continuous_from)}"]
    if args.weights:
        words += [f"--weights {args.weights.name}"]
    if args.distil:
        words += [f"--distil {args.distil.name}"]
    words += [f"--dev {args.dev.resolve().name}", f"-n {args.n}", f"-S {args.S}", f"-T {args.T}"]
    words += [f"--backbone {args.backbone}"]
    if args.backbone == "causal":
        words += [f"--delays {' '.join(map(str, args.delays))}"]
    for name in ("steps", "epoch", "batch", "learning_rate", "seed", "highpass", "normalisation", "recipe"):
        words.append(f"--{name.replace('_', '-')} {getattr(args, name)}")
    return " ".join(words)
