"""python -m zoo.data.show: a picture of every augmentation, before and after, on a synthetic earthquake."""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from edge.pick import NS
from edge.preprocess import highpassed
from firmware_bridge.synthetic import synthetic_earthquake
from zoo.data import augment, faults, noise, path, sensor
from zoo.data.augment import HIGHPASS_HZ, RATE_HZ, Draft, Generator
from zoo.data.labels import Arrival
from zoo.data.records import Record
from zoo.scores.figure import COLOUR, INK, MUTED, new_figure, save

START, T = 800, 3072
TITLE = "Before (left) and after (right), one draw of many. Z, N, E; blue: P, red: S, grey: not asked"

Change = Callable[[Generator, Record], Draft]
Row = tuple[str, Change, float, float, int]
"""Name, what it makes of a record, the seconds of the window in which it shows, a seed that shows it."""


def rows() -> list[Row]:
    """Every augmentation, in the order of its modules."""
    wind = Draft(np.random.default_rng(0).standard_normal((T, 3)).astype(np.float32), slice(0, T), (), ())
    other = augment.cut(synthetic_record(1), START - 1000, T)
    return [
        ("shift", lambda rng, record: augment.shift(rng, record, T), 0, 30, 1),
        ("stretch", lambda rng, record: _cut(augment.stretch(rng, record)), 0, 30, 1),
        ("superpose", lambda rng, record: augment.superpose(_cut(record), other, 0.5), 0, 30, 0),
        ("add_noise", lambda rng, record: augment.add_noise(rng, _cut(record), wind), 0, 30, 14),
        ("gain", _of_draft(augment.gain), 0, 30, 5),
        ("flip", _of_draft(augment.flip), 11.8, 12.8, 6),
        ("rotate", _of_draft(augment.rotate), 17.8, 19.8, 5),
        ("lose_channels", _of_draft(augment.lose_channels), 0, 30, 1),
        ("clip_digitizer", _of_draft(sensor.clip_digitizer), 17, 22, 29),
        ("swap", _of_draft(sensor.swap), 0, 30, 0),
        ("geophone", _of_draft(sensor.geophone), 11, 14, 5),
        ("accelerometer", _of_draft(sensor.accelerometer), 10, 14, 7),
        ("band_limit", _of_draft(sensor.band_limit), 11.8, 12.8, 2),
        ("resample_jitter", _of_draft(sensor.resample_jitter), 11.8, 12.8, 27),
        ("spikes", _of_draft(faults.spikes), 0, 18, 18),
        ("steps", _of_draft(faults.steps), 0, 18, 34),
        ("dropout", _of_draft(faults.dropout), 8, 16, 24),
        ("attenuate", _of_draft(path.attenuate), 11.8, 13.8, 27),
        ("emerge", _of_draft(path.emerge), 11, 15, 10),
        ("respace", lambda rng, record: _cut(path.respace(rng, record)), 0, 30, 14),
        ("teleseism", _of_draft(noise.teleseism), 0, 30, 34),
        ("bursts", _of_draft(noise.bursts), 0, 18, 7),
        ("hum", _of_draft(noise.hum), 0, 30, 14),
    ]


def synthetic_record(seed: int) -> Record:
    """A local earthquake as the station's high-pass passes it on, with its P and S labelled."""
    quake = synthetic_earthquake(seed)
    samples = highpassed(quake.samples.astype(np.float64), HIGHPASS_HZ, RATE_HZ).astype(np.float32)
    p, s = ((time - quake.start_ns) * RATE_HZ / NS for time in (quake.p_ns, quake.s_ns))
    return Record("synthetic", "synthetic", samples, (Arrival("P", p), Arrival("S", s)), ())


def draw(file: Path) -> None:
    """Writes the picture as a PNG: a row for each augmentation, before and after in one scale."""
    record = synthetic_record(0)
    before = _cut(record)
    table = rows()
    figure, axes = new_figure(TITLE, len(table), 2, (12.0, 1.1 * len(table)))
    for k, (name, change, begin, end, seed) in enumerate(table):
        after = change(np.random.default_rng(seed), record)
        part = slice(int(begin * RATE_HZ), int(end * RATE_HZ))
        full = max(np.abs(before.samples[part]).max(), np.abs(after.samples[part]).max())
        for axis, draft in zip(axes[2 * k : 2 * k + 2], (before, after), strict=True):
            _panel(axis, draft, full)
            axis.set_xlim(begin, end)
        axes[2 * k].set_title(name, loc="left", fontsize=10, color=INK)
    for axis in axes[-2:]:
        axis.set_xlabel("s", color=MUTED)
    save(figure, file)


def _panel(axis: Axes, draft: Draft, full: float) -> None:
    for k in range(3):
        axis.plot(np.arange(T) / RATE_HZ, draft.samples[:, k] / full - k, color=INK, linewidth=0.5)
    for arrival in draft.arrivals:
        axis.axvline(arrival.sample / RATE_HZ, color=COLOUR[arrival.phase], linewidth=1.2)
    for begin, end in draft.unknown:
        axis.axvspan(begin / RATE_HZ, end / RATE_HZ, color="#cccccc", linewidth=0)
    axis.set(ylim=(-3.0, 1.0), yticks=[])


def _of_draft(step: Callable[[Generator, Draft], Draft]) -> Change:
    return lambda rng, record: step(rng, _cut(record))


def _cut(record: Record) -> Draft:
    return augment.cut(record, START, T)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m zoo.data.show", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="PNG file to write")
    draw(parser.parse_args().out)


if __name__ == "__main__":
    main()
