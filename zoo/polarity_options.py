"""The command line of edge-train for polarity networks."""

import argparse
from pathlib import Path
from typing import get_args

from zoo.arguments import above_zero, whole
from zoo.commands import POLARITY
from zoo.data.first_motions import READERS
from zoo.polarity.compact import Attention
from zoo.polarity_runs import LAST

LEARNING_RATE = {"polarity": 2e-3}
LOSS = {"polarity": "binary_crossentropy"}


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="edge-train",
        description="Trains a network that tells whether the ground first moved up or down. Interrupt it "
        "when you like: the same command goes on where it stopped. The result is RUN/best.keras with its "
        "card and RUN/curve.png; of the network `polarity`, ready for `convert --int8 polarity --weights`.",
        epilog="example: edge-train attention --data instance --dataset ins --run runs/attention",
    )
    parser.add_argument(
        "network", choices=POLARITY,
        help="polarity: the station's; attention, ross, joint (picks as well), attention2d: full size",
    )  # fmt: skip
    parser.add_argument(
        "--data", type=Path, action="append", required=True,
        help="folder of onsets, its train split to train on, its dev split to stop by; repeat for several",
    )  # fmt: skip
    parser.add_argument(
        "--dataset", choices=sorted(READERS), default="seisbench", help="their layout (default seisbench)"
    )
    parser.add_argument("--run", type=Path, required=True, help="folder for checkpoints, log and curve")
    parser.add_argument(
        "--teacher", type=Path, metavar="CSV",
        help="probabilities of up by another network, columns trace_name and teacher_up_prob, for onsets "
        "that nobody gave a direction",
    )  # fmt: skip
    parser.add_argument(
        "--noise", type=Path, action="append", default=[], metavar="FOLDER",
        help="data folder (SeisBench) whose noise is laid under onsets; without, what runs ahead of them is",
    )  # fmt: skip
    parser.add_argument(
        "--synthetic", type=float, default=0.6, metavar="SHARE", help="of synthetic onsets (default 0.6)"
    )
    parser.add_argument(
        "--unknown", choices=("missing", "class"), default="missing",
        help="onsets whose direction analysts could not tell: left out, or a class of their own, as the "
        "full-size networks were published",
    )  # fmt: skip
    parser.add_argument(
        "--attention",
        choices=get_args(Attention),
        default="pool",
        help="of the network polarity (default pool)",
    )
    parser.add_argument("--weights", type=Path, metavar="FILE", help="begin with these")
    parser.add_argument("--epochs", type=int, default=32, help="at most (default 32)")
    parser.add_argument("--steps", type=int, default=250, help="batches an epoch (default 250)")
    parser.add_argument("--batch", type=int, default=128, help="windows a batch (default 128)")
    parser.add_argument(
        "--learning-rate", type=above_zero, help="default 0.002 for polarity, 0.001 for the others"
    )
    parser.add_argument("--patience", type=int, default=20, help="epochs without a better one (default 20)")
    parser.add_argument(
        "--monitor", default="val_accuracy", choices=("val_accuracy", "val_loss", "accuracy", "loss", LAST),
        help="what chooses the best epoch (default val_accuracy); last, the last",
    )  # fmt: skip
    parser.add_argument(
        "--mode", choices=("auto", "min", "max"), default="auto",
        help="whether less or more of it is better; auto: less of a loss, more of all else",
    )  # fmt: skip
    parser.add_argument("--loss", help="of Keras; default binary_crossentropy, categorical_crossentropy")
    parser.add_argument("--seed", type=whole, default=0, help="of weights and data (default 0)")
    args = parser.parse_args(arguments)
    args.learning_rate = args.learning_rate or LEARNING_RATE.get(args.network, 1e-3)
    args.loss = args.loss or LOSS.get(args.network, "categorical_crossentropy")
    return args


def command(args: argparse.Namespace) -> str:
    """The command line with names in place of paths and every setting spelled out."""
    words = ["edge-train", args.network, *(f"--data {folder.resolve().name}" for folder in args.data)]
    words += [f"--noise {folder.resolve().name}" for folder in args.noise]
    words += [f"--teacher {args.teacher.name}"] if args.teacher else []
    words += [f"--weights {args.weights.name}"] if args.weights else []
    words += [f"--attention {args.attention}"] if args.network == "polarity" else []
    for name in (
        "dataset", "synthetic", "unknown", "epochs", "steps", "batch", "learning_rate", "patience", "monitor",
        "mode", "loss", "seed",
    ):  # fmt: skip
        words.append(f"--{name.replace('_', '-')} {getattr(args, name)}")
    return " ".join(words)
