"""What a polarity model is shown of labelled traces: around the analyst's onsets, and around the picker's."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from edge.first_motion import Polariser
from edge.model import Network
from edge.pick import NS, Pick
from edge.polarity import PolarityInput, Reader, cut
from edge.preprocess import Window, highpassed
from edge.resample import Resampler, resample
from zoo.data.first_motions import UNRELIABLE
from zoo.data.seisbench import Trace
from zoo.runner import TOGETHER, batched, picks_of
from zoo.scores.polarity import Motions
from zoo.scores.scoring import RESIDUAL_TOLERANCE_S, snr_db


@dataclass(frozen=True, slots=True)
class Onset:
    """A labelled P. `up`: what the analyst says of its first motion, None where nothing that can be believed.
    `snr_db`: of the vertical, nan where it cannot be told. `window`: as a model is shown it (L,), None where
    there is none: not picked, no vertical, not all of the window, or not in numbers. `residual_s`: pick minus
    label, 0 at the label, nan where it was not picked."""

    name: str
    source: str
    snr_db: float
    up: bool | None
    window: Window | None
    residual_s: float


def at_labels(traces: Iterable[Trace], spec: PolarityInput) -> list[Onset]:
    """Around the analyst's onsets, through the station's resampling and high-pass."""
    return [replace(onset_of(trace), window=_window(trace, spec)) for trace in traces if labelled(trace)]


def at_picks(traces: Iterable[Trace], network: Network, polariser: Polariser) -> list[Onset]:
    """Around the nearest P pick within 0.5 s of each label, as the station cuts it."""
    onsets = []
    for some in batched(filter(labelled, traces), TOGETHER):
        keeper = _Keeper(polariser.reader, polariser.reversed)
        picks: dict[str, list[Pick]] = {}
        for trace, pick in picks_of(network, some, network.card.thresholds, polariser=keeper):
            if pick.phase == "P":
                picks.setdefault(trace.name, []).append(pick)
        onsets += [_picked(trace, picks.get(trace.name, []), keeper) for trace in some]
    return onsets


@dataclass(frozen=True, slots=True)
class _Keeper(Polariser):
    """Keeps the windows, by the id of the pick."""

    kept: dict[str, Window] = field(default_factory=dict)

    def polarised(self, pick: Pick, window: Window) -> Pick:
        self.kept[pick.id] = window
        return replace(pick, polarity="unknown", polarity_prob=0.5)


def labelled(trace: Trace) -> bool:
    """Whether there is a P label in it."""
    return trace.p_sample is not None and 0 <= trace.p_sample < len(trace.samples)


def onset_of(trace: Trace) -> Onset:
    """A labelled P before anything is shown of it."""
    assert trace.p_sample is not None
    snr = snr_db(trace.samples[:, :1], trace.rate, trace.p_sample / trace.rate)
    believed = trace.source not in UNRELIABLE
    up = {"up": True, "down": False}.get(trace.polarity or "") if believed else None
    return Onset(trace.name, trace.source, snr, up, None, 0.0)


def _window(trace: Trace, spec: PolarityInput) -> Window | None:
    assert trace.p_sample is not None
    samples = resample(np.asarray(trace.samples, np.float64), trace.rate, spec.rate_hz)
    vertical = highpassed(samples, spec.highpass_hz, spec.rate_hz)[:, 0]
    window = cut(vertical, trace.p_sample * float(Resampler(trace.rate, spec.rate_hz).ratio), spec)
    return window if window is not None and np.isfinite(window).all() else None


def _picked(trace: Trace, picks: Sequence[Pick], keeper: _Keeper) -> Onset:
    found = nearest(trace, [pick.time_ns / NS for pick in picks])
    if found is None:
        return replace(onset_of(trace), residual_s=math.nan)
    index, residual_s = found
    return replace(onset_of(trace), window=keeper.kept.get(picks[index].id), residual_s=residual_s)


def nearest(trace: Trace, times_s: Sequence[float]) -> tuple[int, float] | None:
    """Of P picks, in seconds from the trace's start, the index of the nearest one to its label and its
    residual, if that is within 0.5 s."""
    assert trace.p_sample is not None
    label_s = trace.p_sample / trace.rate
    index = min(range(len(times_s)), key=lambda k: abs(times_s[k] - label_s), default=None)
    if index is None or abs(times_s[index] - label_s) > RESIDUAL_TOLERANCE_S:
        return None
    return index, times_s[index] - label_s


def logits_of(reader: Reader, onsets: Sequence[Onset]) -> NDArray[np.float64]:
    """What a model says of each onset, nan where there is no window."""
    said = np.full(len(onsets), np.nan)
    there = [k for k, onset in enumerate(onsets) if onset.window is not None]
    windows = [onset.window for onset in onsets if onset.window is not None]
    if windows:
        said[there] = reader.logits(np.stack(windows))
    return said


def motions(onsets: Sequence[Onset], prob_up: NDArray[np.float64]) -> Motions:
    """First motions with these probabilities of up, of the onsets whose first motion is labelled."""
    chosen = [k for k, onset in enumerate(onsets) if onset.up is not None]
    some = [onsets[k] for k in chosen]
    return Motions(
        np.array([onset.name for onset in some], np.str_),
        np.array([onset.source for onset in some], np.str_),
        np.array([onset.snr_db for onset in some], np.float64),
        np.array([onset.up for onset in some], np.bool_),
        prob_up[chosen],
    )
