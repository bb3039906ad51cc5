"""Onsets of P with what is known of their first motion, from every data set that polarity networks train
on."""

import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from edge.polarity import PolarityInput
from edge.preprocess import highpassed
from edge.resample import resample
from zoo.data.hdf5 import reading
from zoo.data.overlaps import overlapping
from zoo.data.seisbench import Trace, open_data, read_rows, read_traces
from zoo.data.splits import split_by
from zoo.data.tables import Row, read_csv

REACH = 400
"""Samples at 100 Hz that are kept of a trace on either side of its onset."""
UNRELIABLE = ("coal_node_mine",)
"""Sources whose signs are not believed."""
TRUST = {"automatic": 0.95}
ANALYST = 0.98
"""How likely a sign is right, by label quality; without any doubt a network learns to have none."""
LAYOUTS = {"ins": "INSTANCE", "hinet": "Hi-net", "pnw": "PNW", "seisbench": "SeisBench"}
SCSN_SIGNS = {0: 1, 1: -1}


@dataclass(frozen=True, slots=True)
class PolarityExample:
    """One onset. `vertical` (2·REACH,) at 100 Hz behind the station's high-pass, the onset at sample REACH,
    zeros where the record does not reach, in half precision, which has eleven bits down to 6e-5 of the
    largest. `up`: the probability that the first motion is up, or None where nobody said, or said that it
    cannot be told: a missing label, no third kind of motion. `told`: whether somebody looked and could not
    tell."""

    name: str
    source: str
    event: str
    split: str
    quality: str
    vertical: NDArray[np.float16]
    up: float | None
    told: bool


def labelled_examples(dataset: str, folder: Path, spec: PolarityInput) -> Iterator[PolarityExample]:
    """Of a data folder in the layout of INSTANCE, Hi-net, PNW or SeisBench, all splits; of the train split
    without what overlaps another one. A data set that has no splits is split by event. Errors as
    `read_traces`; ValueError for another layout than `dataset` names."""
    layout = open_data(folder)[0].layout.name
    if layout != LAYOUTS[dataset]:
        raise ValueError(f"{folder} is in the layout of {layout}, not of {LAYOUTS[dataset]}: see --dataset")
    rows = read_rows(folder)
    splits = {row["trace_name"]: row.get("split") or split_by(_event(row)) for row in rows}
    train = (row for row in rows if splits[row["trace_name"]] == "train")
    others = (row for row in rows if splits[row["trace_name"]] != "train")
    shared = overlapping(train, others)
    for trace in read_traces(folder):
        if trace.name not in shared and (example := example_of(trace, splits[trace.name], spec)):
            yield example


def _event(row: Mapping[str, str]) -> str:
    return row.get("source_id") or row["trace_name"]


def example_of(trace: Trace, split: str, spec: PolarityInput) -> PolarityExample | None:
    """One trace's P as the station would hold it; None without a P pick or a vertical, and where it is dead.
    ValueError for samples that are not finite."""
    if trace.p_sample is None or "Z" not in trace.present:
        return None
    samples = resample(np.asarray(trace.samples[:, :1], np.float64), trace.rate, spec.rate_hz)
    onset = trace.p_sample * spec.rate_hz / trace.rate
    kept = _around(_filtered(samples[:, 0], spec, trace.name), onset)
    if kept is None:
        return None
    reliable = trace.source not in UNRELIABLE
    up = believed({"up": 1, "down": -1}.get(trace.polarity or "", 0), trace.quality) if reliable else None
    told = reliable and trace.polarity == "unknown"
    return PolarityExample(trace.name, trace.source, trace.event, split, trace.quality, kept, up, told)


def believed(sign: int, quality: str) -> float | None:
    """The probability of up where somebody saw a motion up (1) or down (-1), None for 0."""
    return None if sign == 0 else 0.5 + sign * (TRUST.get(quality, ANALYST) - 0.5)


def _filtered(vertical: NDArray[np.float64], spec: PolarityInput, name: str) -> NDArray[np.float64]:
    if not np.isfinite(vertical).all():
        raise ValueError(f"trace {name!r} has samples that are no numbers; leave it out or mend it")
    samples = np.repeat(vertical[:, None], 3, axis=1)
    return highpassed(samples, spec.highpass_hz, spec.rate_hz)[:, 0]


def _around(vertical: NDArray[np.float64], onset: float) -> NDArray[np.float16] | None:
    """(2·REACH,) around an onset, over the largest absolute value; None outside the record or in silence."""
    first = round(onset) - REACH
    begin, end = max(first, 0), min(first + 2 * REACH, len(vertical))
    part = vertical[begin:end]
    if not len(part) or not 0 <= round(onset) < len(vertical) or not part.any():
        return None
    kept = np.zeros(2 * REACH, np.float16)
    kept[begin - first : end - first] = part / np.abs(part).max()
    return kept


def scsn_examples(folder: Path, spec: PolarityInput) -> Iterator[PolarityExample]:
    """Of the files of the Southern California Seismic Network (Ross et al., 2018), `scsn*fm*.hdf5`: "X" (n,
    600), the vertical at 100 Hz with P at sample 300; "Y" (n,), 0 up, 1 down, 2 unknown. A file with `test`
    in its name is the test split; of any other, one row in ten is dev, by its event where the file has
    `evids`, otherwise by stretches of a thousand rows. FileNotFoundError without such a file, ValueError for
    another form."""
    paths = sorted(folder.glob("scsn*fm*.hdf5"))
    if not paths:
        raise FileNotFoundError(f"{folder} has no scsn*fm*.hdf5, as SCEDC names its first motions")
    for path in paths:
        with reading(path):
            opened = h5py.File(path, "r")
        with opened as file:
            waves, labels, events = (file.get(name) for name in ("X", "Y", "evids"))
            shapes = [None if one is None else getattr(one, "shape", ()) for one in (waves, labels, events)]
            count = shapes[0][0] if shapes[0] else 0
            if shapes[:2] != [(count, 600), (count,)] or shapes[2] not in (None, (count,)):
                raise ValueError(f"{path} must hold X (n, 600), Y (n,) and, if at all, evids (n,)")
            labels = np.asarray(labels)
            for row, label in enumerate(labels.tolist()):
                event = f"{events[row]}" if events is not None else f"{path.name} {row // 1000}"
                test = "test" in path.name
                split = "test" if test else "dev" if split_by(event) == "dev" else "train"
                name = f"{path.stem}.{row}"
                with reading(path):
                    wave = np.asarray(waves[row], np.float64)
                vertical = _filtered(wave, spec, name)
                if (kept := _around(vertical, 300)) is not None:
                    up = believed(SCSN_SIGNS.get(int(label), 0), "analyst")
                    yield PolarityExample(name, "scsn", event, split, "analyst", kept, up, up is None)


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz file, of one length and such as `npz_examples` takes them; ValueError
    otherwise."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: np.asarray(array) for key, array in file.items()}
    except (OSError, ValueError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path} cannot be read as .npz, is it whole? {error}") from error
    real = all(key in arrays and arrays[key].dtype.kind in "iuf" for key in ("vertical", "onset", "polarity"))
    if not real or arrays["vertical"].ndim != 2:
        raise ValueError(f"{path} must hold numbers: vertical (n, samples), onset (n,) and polarity (n,)")
    count = len(arrays["vertical"])
    for key in ("onset", "polarity", "event", "split"):
        if key in arrays and arrays[key].shape != (count,):
            raise ValueError(f"{path} must hold as many of {key} as of vertical, {count}")
    if not np.isfinite(arrays["onset"]).all():
        raise ValueError(f"{path} has onsets that are no numbers")
    return arrays


def npz_examples(folder: Path, spec: PolarityInput) -> Iterator[PolarityExample]:
    """Of files `*.npz`: "vertical" (n, samples) at 100 Hz, "onset" (n,) in samples, "polarity" (n,) 1 up, -1
    down, 0 nobody could tell; if there, "event" (n,) and "split" (n,), which otherwise follows from event or
    row. FileNotFoundError without such a file, ValueError for one that lacks an array."""
    paths = sorted(folder.glob("*.npz"))
    if not paths:
        raise FileNotFoundError(f"{folder} has no .npz file")
    for path in paths:
        arrays = _arrays(path)
        waves, onset, signs = (arrays[key] for key in ("vertical", "onset", "polarity"))
        for row, sign in enumerate(signs.tolist()):
            name = f"{path.stem}.{row}"
            event = str(arrays["event"][row]) if "event" in arrays else name
            split = str(arrays["split"][row]) if "split" in arrays else split_by(event)
            vertical = _filtered(np.asarray(waves[row], np.float64), spec, name)
            if (kept := _around(vertical, float(onset[row]))) is not None:
                up = believed(int(sign), "analyst")
                yield PolarityExample(name, path.stem, event, split, "analyst", kept, up, up is None)


Reader = Callable[[Path, PolarityInput], Iterator[PolarityExample]]
READERS: Mapping[str, Reader] = {
    **{dataset: partial(labelled_examples, dataset) for dataset in LAYOUTS},
    "scsn": scsn_examples,
    "npz": npz_examples,
}
"""By the name that edge-train's --dataset takes."""


def read_teacher(path: Path) -> dict[str, float]:
    """Another network's probability of up by trace name: columns `trace_name` and `teacher_up_prob`.
    FileNotFoundError, or ValueError for a file without them and for what is no probability."""

    def told(row: Row) -> tuple[str, float]:
        up = float(row["teacher_up_prob"])
        if not 0 <= up <= 1:
            raise ValueError(f"teacher_up_prob is {up:g}, no probability in 0…1")
        return row["trace_name"], up

    columns = ("trace_name", "teacher_up_prob")
    return dict(read_csv(path, columns, "a table of trace_name and teacher_up_prob", told))


def quiet_pieces(folder: Path, spec: PolarityInput) -> list[NDArray[np.float32]]:
    """The verticals of the noise in the train split of a data folder, at 100 Hz behind the station's
    high-pass."""
    names = [row["trace_name"] for row in read_rows(folder) if row.get("trace_category") == "noise"]
    pieces = []
    for trace in read_traces(folder, "train", names) if names else ():
        vertical = resample(np.asarray(trace.samples[:, :1], np.float64), trace.rate, spec.rate_hz)[:, 0]
        if "Z" in trace.present and vertical.any():
            pieces.append(_filtered(vertical, spec, trace.name).astype(np.float32))
    return pieces


def split_of(examples: Sequence[PolarityExample], split: str) -> list[PolarityExample]:
    """Those of one split."""
    return [example for example in examples if example.split == split]
