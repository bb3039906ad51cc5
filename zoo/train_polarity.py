"""edge-train for polarity networks: which way the ground first moved."""

import json
import sys
from argparse import Namespace
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from edge.polarity import PolarityCard
from zoo.commands import STATION
from zoo.data.first_motions import (
    REACH,
    READERS,
    PolarityExample,
    quiet_pieces,
    read_teacher,
    split_of,
)
from zoo.data.motion_batches import FARTHEST, LEAD, Batch, Batches, Group, fixed, group_of
from zoo.polarity.temperature import temperature
from zoo.polarity.training import Form, form
from zoo.polarity_options import command, parse
from zoo.polarity_runs import PolarityCheckpoint
from zoo.runs import Run

SHARES = {"analyst": 0.2, "automatic": 0.25, "taught": 0.55, "unknown": 0.3}
"""Of the real onsets, by who gave the direction; what the data lack falls out."""
DEV_OFFSETS = (-20, -10, -5, 0, 5, 10, 20)
"""Samples: where each dev onset is cut, for loss and temperature."""
SURE = 0.8
"""A teacher that is less sure of a direction teaches none."""


def read(args: Namespace, spec: Any) -> list[PolarityExample]:
    """All examples of the data folders. OSError or ValueError as their readers."""
    examples: list[PolarityExample] = []
    for folder in args.data:
        found = READERS[args.dataset](folder, spec)
        examples += tqdm(found, f"reading {folder.name}", unit=" onsets", disable=not sys.stderr.isatty())
    return examples


def taught(args: Namespace, examples: Sequence[PolarityExample]) -> list[PolarityExample]:
    """Training examples without a direction that a teacher gave one."""
    told = read_teacher(args.teacher) if args.teacher else {}
    rest = [example for example in examples if example.up is None]
    probability = {example.name: told[example.name] for example in rest if example.name in told}
    sure = {name: up for name, up in probability.items() if max(up, 1 - up) >= SURE}
    return [replace(one, up=float(np.clip(sure[one.name], 0.05, 0.95))) for one in rest if one.name in sure]


def groups_of(args: Namespace, train: Sequence[PolarityExample]) -> dict[str, Group]:
    """Training examples by who gave the direction."""
    by: dict[str, list[PolarityExample]] = {
        "analyst": [one for one in train if one.up is not None and one.quality != "automatic"],
        "automatic": [one for one in train if one.up is not None and one.quality == "automatic"],
        "taught": taught(args, train),
        "unknown": [one for one in train if one.told] if args.unknown == "class" else [],
    }
    return {name: group_of(some, SHARES[name]) for name, some in by.items() if some}


def noise_of(args: Namespace, shape: Form, train: Sequence[PolarityExample]) -> NDArray[np.float32]:
    """Pieces of noise (m, n), each long enough to be laid under a window anywhere."""
    length = shape.input.window + LEAD
    pieces = [piece for folder in args.noise for piece in quiet_pieces(folder, shape.input)]
    cut = [
        piece[at : at + 2 * length]
        for piece in pieces
        for at in range(length, len(piece) - 2 * length, 2 * length)
    ]
    if args.noise and not cut:
        named = ", ".join(map(str, args.noise))
        raise ValueError(f"--noise {named}: no noise in the train split that is long enough; leave it out")
    if not cut:  # what runs ahead of the onsets, forwards and backwards
        quiet = [one.vertical[: REACH - FARTHEST // 2].astype(np.float32) for one in train]
        cut = [np.resize(np.concatenate([ahead, ahead[::-1]]), 2 * length) for ahead in quiet if ahead.all()]
    if not cut:
        raise ValueError("no noise: give --noise, a data folder with traces of noise")
    return np.stack([piece / max(float(np.abs(piece).max()), 1e-30) for piece in cut])


class Windows(keras.utils.PyDataset):
    """Batches for Keras: those of epoch k are the same however often training was interrupted."""

    def __init__(self, batches: Batches, shape: Form, args: Namespace, epoch: int) -> None:
        super().__init__()
        self._batches, self._shape, self._args, self._epoch = batches, shape, args, epoch

    def __len__(self) -> int:
        return int(self._args.steps)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        rng = np.random.default_rng((self._args.seed, self._epoch, index))
        batch = self._batches.batch(rng, self._args.batch)
        return self._shape.x(batch.windows), self._shape.y(batch)

    def on_epoch_end(self) -> None:
        self._epoch += 1


def prepare(args: Namespace, shape: Form) -> tuple[PolarityCard, Batches, Batch]:
    """Card, training batches and dev windows. OSError or ValueError for what cannot be trained on."""
    if min(args.epochs, args.steps, args.batch, args.patience) < 1:
        raise ValueError("--epochs, --steps, --batch and --patience must be at least 1")
    if not 0 <= args.synthetic <= 1:
        raise ValueError("--synthetic is a share, 0..1")
    if args.unknown == "class" and args.network == STATION:
        raise ValueError("the network polarity has no class for unknown motions: leave out --unknown class")
    try:
        keras.losses.get(args.loss)
    except ValueError as error:  # of several lines
        raise ValueError(f"--loss {args.loss}: Keras has no loss of that name") from error
    examples = read(args, shape.input)
    train = split_of(examples, "train")
    dev = [one for one in split_of(examples, "dev") if one.up is not None and one.quality != "automatic"]
    if not dev:
        raise ValueError("no onset of the dev split has a direction: nothing to choose the best epoch by")
    groups = groups_of(args, train) if args.synthetic < 1 else {}
    counts = {name: len(group.up) for name, group in groups.items()}
    noise = noise_of(args, shape, train)
    card = PolarityCard(
        name=f"polarity-{args.network}" if args.network != STATION else STATION,
        task="polarity",
        licence="MIT",
        input=shape.input,
        temperature=1.0,
        threshold=0.75,
        training={
            **shape.description,
            "command": command(args),
            "data": {**counts, "noise": len(noise)},
            "dev": dict(Counter("up" if (one.up or 0) > 0.5 else "down" for one in dev)),
            "seed": args.seed,
            "backend": keras.backend.backend(),
        },
    )
    card.check()
    return card, Batches(groups, noise, shape.input, args.synthetic), fixed(dev, shape.input, DEV_OFFSETS)


def begin(args: Namespace, run: Run, shape: Form) -> keras.Model:
    """The network as the run left it, or as `--weights` has it, or anew. ValueError for weights of another
    network."""
    keras.utils.set_random_seed(args.seed)
    model = shape.build()
    shape.compile(model, args.loss, args.learning_rate, args.epochs * args.steps)
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    if run.history():
        model.load_weights(run.last)
    elif args.weights:  # without what their optimizer remembers
        try:
            model.set_weights(keras.saving.load_model(args.weights, compile=False).get_weights())
        except (OSError, ValueError) as error:
            raise ValueError(f"--weights {args.weights} are none of {args.network}: {error}") from error
    return model


def main(arguments: list[str] | None = None) -> int:
    """The command; returns its exit status: 0, 2 after one line on stderr that says what is wrong, or 130
    where it was interrupted."""
    args = parse(arguments)
    run, shape = Run(args.run), form(args.network, args.attention)
    try:
        try:
            card, batches, dev = prepare(args, shape)
            run.open(card)
            model = begin(args, run, shape)
            train(args, model, shape, batches, dev, PolarityCheckpoint(run, card, args))
            finish(run, card, shape, dev)
        except (OSError, ValueError) as error:
            told = " ".join(str(error).splitlines())  # Keras says some in several
            print(f"edge-train: {told}", file=sys.stderr)
            return 2
    except KeyboardInterrupt:
        kept = len(run.history())
        print(f"edge-train: interrupted; the same command goes on after epoch {kept}", file=sys.stderr)
        return 130
    return 0


def train(
    args: Namespace,
    model: keras.Model,
    shape: Form,
    batches: Batches,
    dev: Batch,
    checkpoint: PolarityCheckpoint,
) -> None:
    """Trains from where the run is to its last epoch."""
    done = checkpoint.done
    print(f"{checkpoint.describe()}; epoch {done} of {args.epochs} done", flush=True)
    if done < args.epochs and not checkpoint.patient_no_more:
        model.fit(
            Windows(batches, shape, args, done),
            initial_epoch=done,
            epochs=args.epochs,
            validation_data=(shape.x(dev.windows), shape.y(dev)),
            callbacks=[checkpoint],
            shuffle=False,  # batches are random as they are
            verbose=1 if sys.stdout.isatty() else 2,
        )


def finish(run: Run, card: PolarityCard, shape: Form, dev: Batch) -> None:
    """Writes into the card of the best epoch the temperature that makes its probabilities fit dev."""
    model = keras.saving.load_model(run.best, compile=False)
    logits = shape.logits(model.predict(shape.x(dev.windows), verbose=0))
    fitted = replace(card, temperature=temperature(logits, dev.up))
    run.best.with_suffix(".json").write_text(fitted.to_json())
    print(json.dumps({"temperature": fitted.temperature}), flush=True)


if __name__ == "__main__":
    sys.exit(main())
