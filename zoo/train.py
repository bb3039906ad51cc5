"""edge-train: trains a picker of the zoo on SeisBench-layout data."""

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from edge.card import Card, CellSpec, InputSpec, StreamSpec, card_path
from edge.pick import format_time, parse_time
from edge.picker import Picker
from edge.timeline import Block, Timeline
from zoo.data.prepare import CONTINUOUS, stream_store, trace_store
from zoo.data.records import Record
from zoo.data.seisbench import Trace, read_rows, read_traces
from zoo.data.store import Records, RecordStore, default_cache
from zoo.data.windows import TrainingSet, WindowMixer
from zoo.network import predict
from zoo.passes import WindowAnswerer, WindowRecorder, coarse
from zoo.pickers.lppn import LPPNConfig, build, describe
from zoo.runner import packet_of
from zoo.scoring import TOLERANCES_S, Labels, TracePick, best, compare, labels_of

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
SHARES = {"analyst": 0.33, "correlation": 0.12, "consensus": 0.22, "automatic": 0.10, "noise": 0.23}
"""Of the training windows, by label quality; a quality that the data lack falls out."""
CONTINUOUS_SHARE = 0.2
"""Of the windows, from continuous records, beside those of `SHARES`."""

OFFSET_WEIGHT = 5.0
"""Of a squared offset error in cells against a nat of cross-entropy: 1/50 per sample² at S = 16."""

MOST_DEV_TRACES = 2000
"""Of a larger dev split so many at most, spread over it: it is scored every epoch and held in memory."""
EVALUATION_THRESHOLD = 0.1
EVALUATION_HOP = 1536


@keras.saving.register_keras_serializable("edge_pick")
def cell_loss(target: Any, logits: Any) -> Any:
    """Cross-entropy summed over the cells of a window; the weight of a cell is in its one-hot target."""
    return -ops.sum(target * ops.log_softmax(logits, axis=-1), axis=(1, 2, 3))


@keras.saving.register_keras_serializable("edge_pick")
def sigmoid_offset_loss(target: Any, raw: Any) -> Any:
    """Squared error of the onset within its cell, summed over the cells that hold one."""
    error = ops.square(ops.sigmoid(raw[..., 0]) - target[..., 0])
    return ops.sum(error * target[..., 1], axis=(1, 2))


@keras.saving.register_keras_serializable("edge_pick")
def linear_offset_loss(target: Any, raw: Any) -> Any:
    """As `sigmoid_offset_loss`, for heads that are read as they are."""
    return ops.sum(ops.square(raw[..., 0] - target[..., 0]) * target[..., 1], axis=(1, 2))


def compile_model(model: keras.Model, config: LPPNConfig, rate: float, steps: int) -> None:
    """AdamW with warm-up and cosine decay over all `steps`; no decay on biases and batch norm."""
    warmup = min(500, steps // 10)
    schedule = keras.optimizers.schedules.CosineDecay(
        rate / 100, steps - warmup, alpha=0.01, warmup_target=rate, warmup_steps=warmup
    )
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=0.01, clipnorm=10.0)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    offset_loss = sigmoid_offset_loss if config.offset == "sigmoid" else linear_offset_loss
    model.compile(
        optimizer=optimizer,
        loss={"cls": cell_loss, "ofs": offset_loss},
        loss_weights={"cls": 1.0, "ofs": OFFSET_WEIGHT},
    )


class DevScore:
    """F1 on labelled traces, by the picker that streams, quick enough to be asked every epoch."""

    def __init__(self, card: Card, traces: list[Trace]) -> None:
        self._card = coarse(card, EVALUATION_HOP)
        self._labels: list[Labels] = [labels_of(trace) for trace in traces]
        self._blocks: list[list[Block]] = []
        for trace in traces:
            packet = packet_of(trace)
            timeline = Timeline(packet.stream.channels, card.input.rate_hz)
            self._blocks.append([*timeline.feed(packet), *timeline.flush()])
        recorder = WindowRecorder(self._card)
        self._walk(recorder)
        self._windows = np.stack(recorder.windows)[:, None]

    def __len__(self) -> int:
        """Traces."""
        return len(self._labels)

    def _walk(self, network: WindowRecorder | WindowAnswerer) -> dict[str, list[TracePick]]:
        thresholds = dict.fromkeys(self._card.thresholds, EVALUATION_THRESHOLD)
        picks = {}
        for labels, blocks in zip(self._labels, self._blocks, strict=True):
            picker = Picker(network, thresholds)
            found = [pick for block in blocks for pick in picker.feed(block)] + picker.flush()
            picks[labels.name] = [TracePick(p.phase, p.time_ns / 1e9, p.prob) for p in found]
        return picks

    def __call__(self, model: keras.Model) -> dict[str, float]:
        """F1 by phase and tolerance at the best threshold, e.g. "P@0.5", and their mean as "score"."""
        out = predict(model, self._windows)
        answerer = WindowAnswerer(self._card, out["cls"][:, 0], out["ofs"][:, 0, :, 0])
        picks = self._walk(answerer)
        scores = {}
        for phase in self._card.thresholds:
            comparison = compare(self._labels, picks, phase)
            for tolerance in (TOLERANCES_S[0], TOLERANCES_S[-1]):
                scores[f"{phase}@{tolerance}"] = best(comparison, tolerance).f1
        return {"score": float(np.mean(list(scores.values()))), **scores}


@dataclass(frozen=True, slots=True)
class Run:
    """The files of one training run: `last` with its optimizer to go on from, `best` by the dev score,
    `log` one JSON object an epoch."""

    folder: Path

    @property
    def last(self) -> Path:
        return self.folder / "last.keras"

    @property
    def best(self) -> Path:
        return self.folder / "best.keras"

    @property
    def log(self) -> Path:
        return self.folder / "log.jsonl"

    def open(self, card: Card) -> None:
        """Makes the folder; ValueError if the run begun there was another one."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.history():
            begun = Card.from_json(card_path(self.best).read_text())
            if begun.training != card.training:
                command = begun.training["command"]
                raise ValueError(f"{self.folder} holds another run ({command}); name another --run")

    def history(self) -> list[dict[str, float]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []


class Checkpoint(keras.callbacks.Callback):
    """Scores on dev after each epoch, keeps the best and the last, and writes the log last, so that a log
    line always has its checkpoint."""

    def __init__(self, run: Run, card: Card, dev: DevScore) -> None:
        super().__init__()
        self._run, self._card, self._dev = run, card, dev

    def _save(self, path: Path) -> None:
        """In one step, so that an interruption leaves the old file or the new one."""
        partial = path.with_suffix(".partial.keras")
        self.model.save(partial)
        partial.replace(path)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        scores = self._dev(self.model)
        best_before = max((line["score"] for line in self._run.history()), default=-1.0)
        if scores["score"] > best_before:
            card_path(self._run.best).write_text(self._card.to_json())
            self._save(self._run.best)
        self._save(self._run.last)
        line = {"epoch": epoch + 1, **{k: round(float(v), 5) for k, v in {**(logs or {}), **scores}.items()}}
        with self._run.log.open("a") as log:
            log.write(json.dumps(line) + "\n")
        print("  dev " + "  ".join(f"{k} {v:.3f}" for k, v in scores.items()), flush=True)


def groups_of(
    stores: Sequence[RecordStore], without: Sequence[str] = ()
) -> dict[str, tuple[float, Sequence[Record]]]:
    """Records by label quality with their shares, those of the sources in `without` left out."""
    qualities = sorted({quality for store in stores for quality in store.qualities})
    groups = {
        quality: Records((store, store.rows(quality, without)) for store in stores) for quality in qualities
    }
    return {quality: (SHARES.get(quality, 0.1), group) for quality, group in groups.items() if len(group)}


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="edge-train",
        description="Trains a picker of the zoo. Interrupt it when you like: the same command goes on where "
        "it stopped. The result is RUN/best.keras with its card, ready for `convert --int8 lppn --weights`.",
        epilog="example: edge-train lppn --data labelled --data weak --dev labelled --run runs/lppn",
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
    parser.add_argument(
        "--continuous-from", type=parse_time, default=0, metavar="TIME", help="and from when on"
    )
    parser.add_argument("--run", type=Path, required=True, help="folder for checkpoints and log")
    parser.add_argument(
        "--cache", type=Path, default=default_cache(), metavar="FOLDER",
        help="where records made ready for training are kept, as large as the traces are in 32 bits; may be "
        "deleted at any time (default %(default)s)",
    )  # fmt: skip
    parser.add_argument("-n", type=int, default=10, help="base width (default 10)")
    parser.add_argument("-S", type=int, default=8, help="stride, samples a cell (default 8)")
    parser.add_argument(
        "--backbone", choices=["published", "wide"], default="wide", help="of the network (default wide)"
    )
    parser.add_argument("-T", type=int, default=1536, help="window, samples at 100 Hz (default 1536)")
    parser.add_argument("--steps", type=int, default=10_000, help="batches in all (default 10000)")
    parser.add_argument("--epoch", type=int, default=500, help="batches between dev scores (default 500)")
    parser.add_argument("--batch", type=int, default=32, help="windows a batch (default 32)")
    parser.add_argument("--learning-rate", type=float, default=2e-3, help="peak (default 0.002)")
    parser.add_argument("--seed", type=int, default=0, help="of weights and data (default 0)")
    parser.add_argument("--highpass", type=float, default=1.0, help="corner, Hz; 0 for none (default 1)")
    parser.add_argument(
        "--normalisation", choices=sorted(NORMALISATIONS), default="running-asinh", help="of the input"
    )
    return parser.parse_args(arguments)


def prepare(args: argparse.Namespace) -> tuple[Card, WindowMixer, DevScore]:
    """Reads the data. OSError or ValueError for a command line or data that cannot be trained on."""
    if min(args.steps, args.epoch, args.batch) < 1:
        raise ValueError("--steps, --epoch and --batch must be at least 1")
    config = LPPNConfig(n=args.n, S=args.S, T=args.T, backbone=args.backbone)
    if args.continuous and args.continuous_source in args.without:
        raise ValueError(f"--without {args.continuous_source} is what --continuous-source asks for; drop one")
    dev = dev_traces(args.dev)
    counts: dict[str, int] = {}
    card = Card(
        name=f"lppn-n{config.n}-s{config.S}",
        task="picking",
        licence="MIT",
        input=InputSpec(100.0, config.T, args.highpass or None, NORMALISATIONS[args.normalisation]),
        cells=CellSpec(config.S, config.offset),
        stream=StreamSpec(hop=8 * config.S, lookahead=384, separation_s=1.0),
        thresholds={"P": 0.3, "S": 0.3},
        sigma_s={"P": 0.1, "S": 0.1},
        bias_s={"P": 0.0, "S": 0.0},
        training={
            "network": describe(config),
            "command": _command(args),
            "data": counts,
            "seed": args.seed,
            "steps": args.steps,
            "batch": args.batch,
            "learning_rate": args.learning_rate,
            "backend": keras.backend.backend(),
            **({"without": args.without} if args.without else {}),
        },
    )
    card.check()
    stores = {folder: trace_store(folder, args.teachers, card.input, args.cache) for folder in args.data}
    refuse_unknown(args.without, stores.values())
    for folder, store in stores.items():
        left = {source: n for source, n in store.counts().items() if source not in args.without}
        counts[folder.resolve().name] = sum(left.values())
    groups = groups_of(list(stores.values()), args.without)
    if args.continuous:
        streams = stream_store(
            args.continuous, args.continuous_source, args.continuous_from, card.input, args.cache
        )
        groups[CONTINUOUS] = (CONTINUOUS_SHARE, streams)
        counts[args.continuous.resolve().name] = len(streams)
    if not groups:
        raise ValueError("no trace is left to train on")
    return card, WindowMixer(groups, card.input, config.S), DevScore(card, dev)


def dev_traces(folder: Path) -> list[Trace]:
    """The dev split, of a large one every n-th trace. Errors as `read_traces`."""
    names = [row["trace_name"] for row in read_rows(folder, "dev")]
    return list(read_traces(folder, "dev", set(names[:: -(-len(names) // MOST_DEV_TRACES)])))


def refuse_unknown(without: Sequence[str], stores: Iterable[RecordStore]) -> None:
    """ValueError for a source to be left out that no store knows: leaving out nothing would go unnoticed."""
    known = sorted({source for store in stores for source in store.counts()})
    for source in without:
        if source not in known:
            raise ValueError(f"--without {source}: no training trace is of it; there are {', '.join(known)}")


def _command(args: argparse.Namespace) -> str:
    """The command line with names in place of paths and every setting spelled out."""
    words = ["edge-train", args.network, *(f"--data {folder.resolve().name}" for folder in args.data)]
    words += [f"--without {source}" for source in args.without]
    words += [f"--teachers {file.name}" for file in args.teachers]
    if args.continuous:
        words += [f"--continuous {args.continuous.resolve().name}"]
        words += [f"--continuous-source {args.continuous_source}"]
        words += [f"--continuous-from {format_time(args.continuous_from)}"]
    words += [f"--dev {args.dev.resolve().name}", f"-n {args.n}", f"-S {args.S}", f"-T {args.T}"]
    words += [f"--backbone {args.backbone}"]
    for name in ("steps", "epoch", "batch", "learning_rate", "seed", "highpass", "normalisation"):
        words.append(f"--{name.replace('_', '-')} {getattr(args, name)}")
    return " ".join(words)


def main(arguments: list[str] | None = None) -> int:
    """The command; returns its exit status: 0, 2 after one line on stderr that says what is wrong, or 130
    where it was interrupted."""
    args = parse(arguments)
    run = Run(args.run)
    try:
        try:
            card, mixer, dev = prepare(args)
            run.open(card)
        except (OSError, ValueError) as error:
            print(f"edge-train: {error}", file=sys.stderr)
            return 2
        train(args, run, card, mixer, dev)
    except KeyboardInterrupt:
        kept = len(run.history())
        print(f"edge-train: interrupted; the same command goes on after epoch {kept}", file=sys.stderr)
        return 130
    return 0


def train(args: argparse.Namespace, run: Run, card: Card, mixer: WindowMixer, dev: DevScore) -> None:
    """Trains from where the run is to its last epoch."""
    done = len(run.history())
    epochs = -(-args.steps // args.epoch)
    traces = sum(card.training["data"].values())
    print(f"{traces} training traces, {len(dev)} dev traces; epoch {done} of {epochs} done")
    keras.utils.set_random_seed(args.seed)
    config = LPPNConfig(**card.training["network"])
    model = build(config)
    compile_model(model, config, args.learning_rate, args.steps)
    if done:
        # Not load_model: a saved optimizer has forgotten what weight decay spares.
        model.optimizer.build(model.trainable_variables)
        model.load_weights(run.last)
    with closing(TrainingSet(mixer, args.batch, args.epoch, args.seed, done)) as batches:
        model.fit(
            batches,
            initial_epoch=done,
            epochs=epochs,
            callbacks=[Checkpoint(run, card, dev)],
            shuffle=False,  # by a generator that a resumed run would not have; batches are random as they are
            verbose=1 if sys.stdout.isatty() else 2,
        )


if __name__ == "__main__":
    sys.exit(main())
