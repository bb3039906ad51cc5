"""Records of a channel at two sample rates at once: which of them are played."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from edge.resample import SAME_RATE

RECORD = np.dtype([("stream", "i4"), ("start_ns", "i8"), ("end_ns", "i8"), ("rate", "f8")])


def told_already(records: NDArray[np.void]) -> NDArray[np.bool_]:
    """Of `RECORD`s (n,) those whose middle lies within another of the same stream at the rate that most of
    its time has, such as a triggered stream under the codes of the continuous one. A rate that changes is
    none such."""
    doubled = np.zeros(len(records), np.bool_)
    if len(records) == 0:
        return doubled
    order = np.argsort(records["stream"], kind="stable")
    edges = np.flatnonzero(np.diff(records["stream"][order])) + 1
    for first, last in pairwise([0, *edges.tolist(), len(order)]):
        rows = order[first:last]
        own = records[rows]
        others = np.abs(own["rate"] / _usual(own) - 1) > SAME_RATE
        if not others.any():
            continue
        usual = np.sort(own[~others], order="start_ns")
        middle = own["start_ns"][others] // 2 + own["end_ns"][others] // 2
        before = np.searchsorted(usual["start_ns"], middle, "right")
        reach = np.maximum.accumulate(usual["end_ns"])
        doubled[rows[others]] = (before > 0) & (reach[np.maximum(before, 1) - 1] > middle)
    return doubled


def _usual(records: NDArray[np.void]) -> float:
    """The rate that halves the time of all records sorted by rate: that of most of them."""
    order = np.argsort(records["rate"])
    time = np.cumsum((records["end_ns"] - records["start_ns"])[order])
    return float(records["rate"][order][np.searchsorted(time, time[-1] / 2)])
