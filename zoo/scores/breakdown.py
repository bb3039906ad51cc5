"""A comparison split into parts: by source, signal-to-noise ratio, S−P time and distance."""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from zoo.scores.scoring import Comparison

SNR_EDGES_DB = (0.0, 5.0, 10.0, 20.0, 30.0)
SP_EDGES_S = (1.0, 2.0, 5.0, 10.0)
DISTANCE_EDGES_KM = (10.0, 30.0, 60.0, 100.0, 200.0)
UNKNOWN = "unknown"


def by_source(comparison: Comparison) -> dict[str, Comparison]:
    """The comparison split by source of the labelled traces, in alphabetical order."""
    return {
        str(name): comparison.subset(comparison.sources == name) for name in np.unique(comparison.sources)
    }


def by_snr(comparison: Comparison) -> dict[str, Comparison]:
    """Split by SNR at the label: <0, 0–5, 5–10, 10–20, 20–30, ≥30 dB, and "unknown"."""
    return _binned(comparison, comparison.snr_db, SNR_EDGES_DB)


def by_sp(comparison: Comparison) -> dict[str, Comparison]:
    """Split by S−P time: <1, 1–2, 2–5, 5–10, ≥10 s, and "unknown" where a phase has no label.

    S−P grows by about one second every 8 km, and is all that is known of distance in many data sets.
    """
    return _binned(comparison, comparison.sp_s, SP_EDGES_S)


def by_distance(comparison: Comparison) -> dict[str, Comparison]:
    """Split by epicentral distance: <10, 10–30, 30–60, 60–100, 100–200, ≥200 km, and "unknown"."""
    return _binned(comparison, comparison.distance_km, DISTANCE_EDGES_KM)


def _binned(
    comparison: Comparison, values: NDArray[np.float64], edges: Sequence[float]
) -> dict[str, Comparison]:
    names = [f"<{edges[0]:g}", *(f"{low:g}–{high:g}" for low, high in pairwise(edges)), f"≥{edges[-1]:g}"]
    limits = pairwise((-math.inf, *edges, math.inf))
    bins = {
        name: comparison.subset((values >= low) & (values < high))
        for name, (low, high) in zip(names, limits, strict=True)
    }
    return bins | {UNKNOWN: comparison.subset(np.isnan(values))}
