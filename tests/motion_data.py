"""A labelled data set of clear first motions: noise, and at 20 s an onset whose sign is known."""

import csv
from pathlib import Path

import h5py
import numpy as np

RATE = 100
ONSET = 20 * RATE
COLUMNS = (
    "trace_name",
    "split",
    "source_id",
    "trace_sampling_rate_hz",
    "trace_p_arrival_sample",
    "trace_polarity",
    "trace_category",
)
SIGN = {"positive": 1, "negative": -1, "undecidable": 1}


def record(sign, seed):
    """(3, 6000): a P that rises from the noise at once, S four seconds later."""
    rng = np.random.default_rng(seed)
    t = np.arange(6000) / RATE - 20.0
    p = np.where(t > 0, np.sin(2 * np.pi * 4 * t) * np.exp(-np.maximum(t, 0) / 1.5), 0.0)
    s = np.where(t > 4, np.sin(2 * np.pi * 2 * (t - 4)) * np.exp(-np.maximum(t - 4, 0) / 3), 0.0)
    noise = rng.normal(0, 10, (3, 6000))
    return (noise + np.outer([sign * 800, 200, 200], p) + np.outer([300, 1500, 1500], s)).astype(np.int32)


def write_motions(folder: Path, polarities, split="dev", first=0):
    """Adds traces m0, m1, … with these polarities to a SeisBench folder; their names."""
    folder.mkdir(exist_ok=True)
    names = [f"m{first + k}" for k in range(len(polarities))]
    new = not (folder / "metadata.csv").exists()
    with (folder / "metadata.csv").open("a", newline="") as metadata:
        rows = csv.writer(metadata)
        if new:
            rows.writerow(COLUMNS)
        for name, polarity in zip(names, polarities, strict=True):
            rows.writerow([name, split, f"event {name}", RATE, ONSET, polarity, "earthquake"])
    with h5py.File(folder / "waveforms.hdf5", "a") as waveforms:
        for k, (name, polarity) in enumerate(zip(names, polarities, strict=True)):
            waveforms[f"data/{name}"] = record(SIGN[polarity], first + k)
    return names
