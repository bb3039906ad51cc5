"""Labelled traces made ready for training: at the model's rate and through the station's own high-pass."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.card import InputSpec
from edge.preprocess import highpassed
from edge.resample import Resampler, resample
from zoo.data.labels import Arrival
from zoo.data.seisbench import Trace

S_AFTER_P_S = 0.1
P_BEFORE_S_S = 25.0
"""Where the unpicked partner of a phase may be: from just after P to the end, or this long before S."""

TIMED_QUALITIES = {"analyst", "correlation", "consensus"}
QUALITY_WEIGHTS = {"automatic": 0.5, "consensus": 0.8}


@dataclass(frozen=True, slots=True)
class Record:
    """A trace at the model's rate, high-passed: `samples` float32 (n, 3) in Z N E; `unknown`: spans of
    samples where an unlabelled onset may be."""

    name: str
    source: str
    samples: NDArray[np.float32]
    arrivals: tuple[Arrival, ...]
    unknown: tuple[tuple[float, float], ...]


def record_of(trace: Trace, spec: InputSpec, taught: Sequence[Arrival] = ()) -> Record:
    """Resamples and high-passes one trace exactly as the station does, and converts its labels and what
    teachers say of its unpicked phases (`taught`, at the trace's own rate). ValueError for samples that are
    not finite and for a sample rate outside 20…1000 Hz."""
    try:
        samples = resample(np.asarray(trace.samples, np.float64), trace.rate, spec.rate_hz)
    except ValueError as error:
        raise ValueError(f"trace {trace.name!r}: {error}") from error
    if not np.isfinite(samples).all():
        raise ValueError(f"trace {trace.name!r} has samples that are no numbers; leave it out or mend it")
    if spec.highpass_hz is not None:
        samples = highpassed(samples, spec.highpass_hz, spec.rate_hz)
    largest = np.abs(samples).max(initial=0.0)
    if largest > 0:  # traces come in counts, m/s and nm/s; float32 must hold them all
        samples = samples / largest
    scale = float(Resampler(trace.rate, spec.rate_hz).ratio)
    timed = trace.quality in TIMED_QUALITIES
    weight = QUALITY_WEIGHTS.get(trace.quality, 1.0)
    p = None if trace.p_sample is None else trace.p_sample * scale
    s = None if trace.s_sample is None else trace.s_sample * scale
    arrivals = []
    unknown = []
    if p is not None:
        arrivals.append(Arrival("P", p, timed, weight))
        if trace.s_unlabelled:
            unknown.append((p + S_AFTER_P_S * spec.rate_hz, float(len(samples))))
    if s is not None:
        arrivals.append(Arrival("S", s, timed, weight))
        if trace.p_unlabelled:
            unknown.append((s - P_BEFORE_S_S * spec.rate_hz, s))
    if p is None and s is None and trace.category != "noise":
        unknown.append((0.0, float(len(samples))))
    arrivals += [arrival.at(arrival.sample * scale) for arrival in taught]
    inside = tuple(arrival for arrival in arrivals if 0 <= arrival.sample < len(samples))
    return Record(trace.name, trace.source, samples.astype(np.float32), inside, tuple(unknown))
