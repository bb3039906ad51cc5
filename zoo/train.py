"""edge-train: trains a picker of the zoo on labelled traces."""

import sys
from argparse import Namespace
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import replace

import keras

from edge.card import Card, CellSpec, InputSpec, StreamSpec, card_path
from zoo.data.prepare import CONTINUOUS, stream_store, trace_store
from zoo.data.recipes import RECIPES
from zoo.data.records import Record
from zoo.data.seisbench import ONSET_COLUMNS
from zoo.data.store import Records, RecordStore
from zoo.data.windows import Mixer, TrainingSet, WindowMixer
from zoo.dev_score import DevScore, dev_traces
from zoo.distil import DistilledMixer, check_teacher
from zoo.losses import compile_model
from zoo.network import load_keras
from zoo.options import NORMALISATIONS, command, network, parse
from zoo.pickers.lppn import LPPNConfig, build, describe
from zoo.pickers.stream import memory
from zoo.pickers.widen import widen
from zoo.runs import Checkpoint, Run

SHARES = {"analyst": 0.33, "correlation": 0.12, "consensus": 0.22, "automatic": 0.10, "noise": 0.23}
"""Of the training windows, by label quality; a quality that the data lack falls out."""
CONTINUOUS_SHARE = 0.2
"""Of the windows, from continuous records, beside those of `SHARES`."""


def groups_of(
    stores: Sequence[RecordStore], without: Sequence[str] = ()
) -> dict[str, tuple[float, Sequence[Record]]]:
    """Records by label quality with their shares, those of the sources in `without` left out."""
    qualities = sorted({quality for store in stores for quality in store.qualities})
    groups = {
        quality: Records((store, store.rows(quality, without)) for store in stores) for quality in qualities
    }
    return {quality: (SHARES.get(quality, 0.1), group) for quality, group in groups.items() if len(group)}


def prepare(args: Namespace) -> tuple[Card, Mixer, DevScore]:
    """Reads the data. OSError or ValueError for a command line or data that cannot be trained on."""
    if min(args.steps, args.epoch, args.batch) < 1:
        raise ValueError("--steps, --epoch and --batch must be at least 1")
    if args.steps % args.epoch:
        raise ValueError(f"--steps {args.steps} is no multiple of --epoch {args.epoch}")
    config = network(args)
    if args.continuous and args.continuous_source is None:
        raise ValueError("--continuous trains on one source of its records: give --continuous-source NAME")
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
        stream=StreamSpec(8 * config.S, config.answered, 1.0, memory(config) if config.causal else None),
        thresholds={"P": 0.3, "S": 0.3},
        sigma_s={"P": 0.1, "S": 0.1},
        training={
            "network": describe(config),
            "command": command(args),
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
    if args.weights:
        if not card_path(args.weights).is_file():
            raise FileNotFoundError(f"no card beside {args.weights}; best.keras of a run has one")
        base = Card.from_json(card_path(args.weights).read_text())
        begun = LPPNConfig(**base.training["network"])
        # Filters do not know how long a window is.
        own = describe(replace(begun, n=config.n, T=config.T)), replace(base.input, window=config.T)
        alike = own == (describe(config), card.input)
        if not alike or begun.n > config.n:
            raise ValueError(f"{args.weights} is of another network or input than this command line asks for")
        card.training["from"] = base.training
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
    if not args.continuous and not any(store.onsets for store in stores.values()):
        raise ValueError(f"no trace to train on has an onset of P or S; {ONSET_COLUMNS}")
    mixer: Mixer = WindowMixer(groups, card.input, config.S, RECIPES[args.recipe])
    if args.distil:
        teacher = load_keras(args.distil)
        check_teacher(teacher, card)
        card.training["distilled"] = teacher.card.training
        mixer = DistilledMixer(mixer, teacher)
    return card, mixer, DevScore(card, dev)


def refuse_unknown(without: Sequence[str], stores: Iterable[RecordStore]) -> None:
    """ValueError for a source to be left out that no store knows: leaving out nothing would go unnoticed."""
    known = sorted({source for store in stores for source in store.counts()})
    for source in without:
        if source not in known:
            raise ValueError(f"--without {source}: no training trace is of it; there are {', '.join(known)}")


def main(arguments: list[str] | None = None) -> int:
    """The command; returns its exit status: 0, 2 after one line on stderr that says what is wrong, or 130
    where it was interrupted."""
    args = parse(arguments)
    run = Run(args.run)
    try:
        try:
            card, mixer, dev = prepare(args)
            run.open(card)
            train(args, run, begin(args, run, card), mixer, Checkpoint(run, card, dev))
        except (OSError, ValueError) as error:
            print(f"edge-train: {error}", file=sys.stderr)
            return 2
    except KeyboardInterrupt:
        kept = len(run.history())
        print(f"edge-train: interrupted; the same command goes on after epoch {kept}", file=sys.stderr)
        return 130
    return 0


def begin(args: Namespace, run: Run, card: Card) -> keras.Model:
    """The network as the run left it, or as `--weights` has it, or anew. Errors as Keras raises them."""
    keras.utils.set_random_seed(args.seed)
    config = LPPNConfig(**card.training["network"])
    model = build(config)
    compile_model(model, config, args.learning_rate, args.steps)
    if run.history():
        # Not load_model: a saved optimizer has forgotten what weight decay spares.
        model.load_weights(run.last)
    elif args.weights:
        widen(model, load_keras(args.weights).model, args.seed)
    return model


def train(args: Namespace, run: Run, model: keras.Model, mixer: Mixer, checkpoint: Checkpoint) -> None:
    """Trains from where the run is to its last epoch."""
    done = len(run.history())
    epochs = -(-args.steps // args.epoch)
    print(f"{checkpoint.describe()}; epoch {done} of {epochs} done")
    with closing(TrainingSet(mixer, args.batch, args.epoch, args.seed, done)) as batches:
        model.fit(
            batches,
            initial_epoch=done,
            epochs=epochs,
            callbacks=[checkpoint],
            shuffle=False,  # by a generator that a resumed run would not have; batches are random as they are
            verbose=1 if sys.stdout.isatty() else 2,
        )


if __name__ == "__main__":
    sys.exit(main())
