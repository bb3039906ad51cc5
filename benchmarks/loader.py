"""Whether the loader keeps up with the trainer: windows per second of either, and of both together.

    python -m benchmarks.loader --data labelled --data weak [--json]

`loader`: batches made by the threads of `TrainingSet`, nobody training. `trainer`: steps of the default
network on windows that lie in memory. `together`: training as `edge-train` does it. The loader starves the
trainer where it is the slower one. On few cores both share them, so `together` is less than `trainer` even
so; how much less, the CPU time a window tells, which another program on the machine does not change much.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any

import keras
import numpy as np

from edge.card import InputSpec
from zoo.data.prepare import trace_store
from zoo.data.store import default_cache
from zoo.data.windows import WORKERS, TrainingSet, WindowMixer
from zoo.losses import compile_model
from zoo.options import NORMALISATIONS, network, parse
from zoo.pickers.lppn import LPPNConfig, build
from zoo.train import groups_of


@dataclass(frozen=True, slots=True)
class Speed:
    """Windows per second of wall clock, and milliseconds of CPU time (all threads) a window."""

    windows_per_s: float
    cpu_ms: float


@dataclass(frozen=True, slots=True)
class Speeds:
    cores: int
    loader: Speed
    trainer: Speed
    together: Speed

    @property
    def keeps_up(self) -> float:
        """Windows that the loader makes for each one that the trainer alone can take; 1 is enough."""
        return self.loader.windows_per_s / self.trainer.windows_per_s


def timed(windows: int, run: Callable[[], Any]) -> Speed:
    """How fast `run` handles that many windows."""
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return Speed(windows / (time.perf_counter() - wall), 1e3 * (time.process_time() - cpu) / windows)


def measure(mixer: WindowMixer, config: LPPNConfig, batch: int, steps: int) -> Speeds:
    """All three, over `steps` batches each, compilation and the first batches left out."""
    windows = batch * steps
    with closing(TrainingSet(mixer, batch, steps, 0, 0)) as batches, ThreadPool(WORKERS) as pool:
        kept = pool.map(batches.__getitem__, range(WORKERS))
        loader = timed(windows, lambda: pool.map(batches.__getitem__, range(steps), chunksize=1))
    x = np.concatenate([kept[k % WORKERS][0] for k in range(steps)])
    y = {name: np.concatenate([kept[k % WORKERS][1][name] for k in range(steps)]) for name in kept[0][1]}
    model = build(config)
    compile_model(model, config, 1e-3, 4 * steps)
    model.fit(x, y, batch_size=batch, verbose=0)
    trainer = timed(windows, lambda: model.fit(x, y, batch_size=batch, verbose=0))
    with closing(TrainingSet(mixer, batch, WORKERS, 0, 0)) as few:
        model.fit(few, shuffle=False, verbose=0)  # compiled anew for batches that come one by one
    with closing(TrainingSet(mixer, batch, steps, 0, 0)) as batches:
        together = timed(windows, lambda: model.fit(batches, shuffle=False, verbose=0))
    return Speeds(len(os.sched_getaffinity(0)), loader, trainer, together)


def report(speeds: Speeds) -> str:
    """The speeds as a few lines of text."""
    lines = [f"{speeds.cores} cores; windows per second, and ms of CPU time a window"]
    for name in ("loader", "trainer", "together"):
        speed: Speed = getattr(speeds, name)
        lines.append(f"{name:<9}{speed.windows_per_s:>8.0f}/s {speed.cpu_ms:>7.2f} ms")
    verdict = "keeps up" if speeds.keeps_up >= 1 else "starves the trainer"
    return "\n".join(
        [*lines, f"the loader makes {speeds.keeps_up:.2f} windows for each one taken: it {verdict}"]
    )


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit status: 0, or 1 after one line on stderr that says what is wrong."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.loader", description="Whether the loader keeps up with the trainer."
    )
    parser.add_argument(
        "--data", type=Path, action="append", required=True, help="as for edge-train; repeatable"
    )
    parser.add_argument("--cache", type=Path, default=default_cache(), help="as for edge-train")
    parser.add_argument("--steps", type=int, default=100, help="batches to time (default 100)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args(argv)
    defaults = parse(["lppn", "--data", ".", "--dev", ".", "--run", "."])
    config = network(defaults)
    spec = InputSpec(100.0, config.T, defaults.highpass, NORMALISATIONS[defaults.normalisation])
    try:
        groups = groups_of([trace_store(folder, [], spec, args.cache) for folder in args.data])
    except (OSError, ValueError) as error:
        print(f"loader: {error}", file=sys.stderr)
        return 1
    keras.utils.set_random_seed(0)
    speeds = measure(WindowMixer(groups, spec, config.S), config, defaults.batch, args.steps)
    if args.json:
        print(json.dumps(asdict(speeds) | {"keeps_up": speeds.keeps_up}, indent=1))
    else:
        print(report(speeds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
