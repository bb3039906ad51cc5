"""Straight-line fits of UTC against a digitizer's own clock: from PPS marks, or from arrival times.

Both follow "offset" = UTC - device time in int64 nanoseconds over device time; its slope is the error of the
digitizer's crystal. A weak prior holds the slope near zero until the data say more.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from statistics import median

import numpy as np

from firmware_bridge.packet import TimeMark

_S = 1_000_000_000

_MARK_WINDOW_S = 600.0
_MARK_OUTLIER_S = 1e-3
_MARKS_TO_BEGIN, _MARKS_TO_KNOW_RATE, _MARKS_TO_STEP = 2, 3, 5
_MARKS_TO_FIT_EACH = 30
_UNKNOWN_SLOPE, _STEADY_SLOPE = 30e-6, 1e-6
"""What the rate of a crystal is off before its marks tell, and what it changes within minutes."""
_REFIT_S = 10.0
"""A line through many marks need not be drawn anew for each."""
_MARKS_TO_DOUBT = 3
_NEWEST_MARKS = 5
_HOLDOVER, _HOLDOVER_STEADY_S = 0.5e-6, 14400.0
"""How far a crystal's rate is off, unwatched: seconds per second, and more and more after so long, as the
temperature goes on changing."""

_ARRIVAL_WINDOW_S = 1200.0
_BUCKETS_S = (1.0, 10.0)
"""Arrivals are thinned to the earliest of each bucket, short ones first, for a quick start."""
_LEAST_BUCKETS, _SPREAD_BUCKETS = 3, 12
_LEAST_ARRIVALS = 5
_POINT_SIGMA_S = 1e-3
_EARLY_S, _EARLY_SHARE = 0.05, 0.5
_TYPICAL_JITTER_S = 0.05
_MISFIT = 2.5
"""Where the earliest arrivals of the newest buckets are off the line by so much in the median, it may be off
by so many times as much: the earliest are late themselves, or this computer's clock is being slewed."""
_LINK_S = 0.005
"""What no fit of arrivals can see: the delay that even the quickest packet had."""


@dataclass(frozen=True, slots=True)
class Line:
    """Offset of UTC from a device's clock: `offset_ns` at device time `at_ns`, `slope` in s/s from there."""

    at_ns: int
    offset_ns: int
    slope: float

    def offset(self, device_ns: int) -> int:
        """UTC minus device time at that device time, nanoseconds."""
        return self.offset_ns + round(self.slope * (device_ns - self.at_ns))


def fit_line(points: Sequence[tuple[int, int, float]], slope: float, slope_sigma: float, late: bool) -> Line:
    """Robust weighted least squares through (device ns, offset ns, sigma s), with a prior on the slope.

    Points off the line by more than a few sigma lose their weight; with `late`, only those above it do:
    a delay has no upper bound.
    """
    at_ns, offset_ns, _ = points[-1]
    t = np.array([(x - at_ns) / _S for x, _, _ in points])
    v = np.array([(d - offset_ns) / _S for _, d, _ in points])
    sigma = np.array([s for _, _, s in points])
    weight = sigma**-2
    level = 0.0
    for _ in range(4):
        mean_t, mean_v = np.average(t, weights=weight), np.average(v, weights=weight)
        spread = weight @ (t - mean_t) ** 2 + slope_sigma**-2
        fitted = (weight @ ((t - mean_t) * (v - mean_v)) + slope * slope_sigma**-2) / spread
        level = mean_v - fitted * mean_t
        residual = (v - level - fitted * t) / sigma
        weight = sigma**-2 / (1 + (np.maximum(residual, 0) if late else residual) ** 2 / 9)
    return Line(at_ns, offset_ns + round(level * _S), float(fitted))


class MarkFit:
    """A digitizer's clock against the PPS marks it saw in the last ten minutes.

    A mark off the line by more than 1 ms (and five sigma) is ignored; five in a row that agree with each
    other begin a new line: the digitizer's UTC was set anew, by a leap second for instance. The first line
    takes two that agree.
    """

    def __init__(self) -> None:
        self.line: Line | None = None
        self._points: deque[tuple[int, int, float]] = deque()
        self._strays: list[tuple[int, int, float]] = []
        self._slope_sigma = _UNKNOWN_SLOPE
        self._misfit_s = 0.0  # of the newest marks: no line follows a crystal whose rate changes
        self._bent_s, self._window_s = 0.0, math.inf  # what of it is not the marks', over so long
        self._doubt_s = 0.0  # how far off the strays are, once several agree

    def feed(self, mark: TimeMark) -> None:
        """Take one mark."""
        point = (mark.device_ns, mark.utc_ns - mark.device_ns, max(mark.sigma_s, 1e-9))
        if self.line is None or self._strays_from(self.line, point):
            if self._strays and abs(self._strays[-1][1] - point[1]) / _S > _tolerance(point[2]):
                self._strays.clear()
            self._strays.append(point)
            if len(self._strays) < (_MARKS_TO_BEGIN if self.line is None else _MARKS_TO_STEP):
                if self.line and len(self._strays) >= _MARKS_TO_DOUBT:
                    self._doubt_s = _off_s(self.line, point)
                return
            self._points = deque(self._strays[:-1])
        self._strays.clear()
        self._doubt_s = 0.0
        self._points.append(point)
        while self._points[-1][0] - self._points[0][0] > _MARK_WINDOW_S * _S:
            self._points.popleft()
        since_ns = 0 if self.line is None else point[0] - self.line.at_ns
        if self.line is None or len(self._points) < _MARKS_TO_FIT_EACH or since_ns >= _REFIT_S * _S:
            self._refit()

    def _refit(self) -> None:
        slope = self.line.slope if self.line else 0.0
        self.line = line = fit_line(self._points, slope, self._slope_sigma, late=False)
        newest = islice(reversed(self._points), _NEWEST_MARKS)
        self._misfit_s = median(_off_s(line, point) for point in newest)
        if len(self._points) >= _MARKS_TO_FIT_EACH:
            self._slope_sigma = _STEADY_SLOPE
            first, last = self._points[0], self._points[-1]
            self._bent_s = max(0.0, self._misfit_s - last[2])
            self._window_s = (last[0] - first[0]) / _S

    @property
    def knows_rate(self) -> bool:
        """Whether there are marks enough for the slope of the line to mean something."""
        return len(self._points) >= _MARKS_TO_KNOW_RATE

    def sigma_s(self, device_ns: int) -> float:
        """Standard error of the line at a device time; infinite without a mark."""
        return math.hypot(self._held_s(device_ns), self._doubt_s)

    def _held_s(self, device_ns: int) -> float:
        """The same, if those marks are wrong that do not fit it."""
        if not self._points:
            return math.inf
        newest = self._points[-1]
        age_s = max(0.0, (device_ns - newest[0]) / _S)
        if not self.knows_rate:
            return math.hypot(newest[2], self._misfit_s, _UNKNOWN_SLOPE * age_s)
        drift_s = _HOLDOVER * age_s * math.hypot(1.0, age_s / _HOLDOVER_STEADY_S)
        # A parabola leaves the line through its last window so, if it is that far off at the window's end.
        windows = age_s / self._window_s
        return math.hypot(newest[2], self._misfit_s, drift_s, 6 * self._bent_s * windows * (1 + windows))

    def _strays_from(self, line: Line, point: tuple[int, int, float]) -> bool:
        return _off_s(line, point) > max(_tolerance(point[2]), 5 * self._held_s(point[0]))


def _off_s(line: Line, point: tuple[int, int, float]) -> float:
    return abs(point[1] - line.offset(point[0])) / _S


def _tolerance(sigma_s: float) -> float:
    return max(_MARK_OUTLIER_S, 5 * sigma_s)


class ArrivalFit:
    """A digitizer's clock against the times at which its packets arrived, of the last twenty minutes.

    A packet may come late by any time but never early, so the line follows the lower edge: the earliest
    arrival of every ten seconds. `slope_sigma`: how far the digitizer's rate may be off, s/s. `spread_s`: how
    late packets usually are within ten seconds, at most; None in the first seconds.
    """

    def __init__(self, slope_sigma: float) -> None:
        self.line: Line | None = None
        self._slope_sigma = slope_sigma
        self._clear()

    def _clear(self) -> None:
        self._points: deque[tuple[int, int, float]] = deque()
        self._latest_s: deque[float] = deque(maxlen=_SPREAD_BUCKETS)
        self._per_bucket = 0.0
        self._misfit_s = 0.0
        self._bucket: _Bucket | None = None
        self._began_ns = 0

    @property
    def spread_s(self) -> float | None:
        # Not the largest: one stall is not what is usual.
        return sorted(self._latest_s)[-2] if len(self._latest_s) >= _LEAST_BUCKETS else None

    def feed(self, device_ns: int, offset_ns: int) -> None:
        """Take one arrival: `offset_ns` is the UTC of its arrival minus `device_ns`, when it was sent."""
        early_s = max(_EARLY_S, _EARLY_SHARE * (self.spread_s or 0.0))
        if self.line is not None and offset_ns < self.line.offset(device_ns) - early_s * _S:
            self._clear()  # all of those had been delayed
        late_ns = offset_ns - self.line.offset(device_ns) if self.line else 0
        if self._bucket is None:
            self._bucket = _Bucket(device_ns, (device_ns, offset_ns), late_ns, late_ns)
            if not self._points:
                self._began_ns = device_ns
        bucket = self._bucket
        bucket.arrivals += 1
        bucket.latest_ns = max(bucket.latest_ns, late_ns)
        if late_ns <= bucket.earliest_ns:
            bucket.earliest_ns, bucket.earliest = late_ns, (device_ns, offset_ns)
            if not self._points:
                self.line = Line(device_ns, offset_ns, self.line.slope if self.line else 0.0)
                bucket.latest_ns -= min(late_ns, 0)
                bucket.earliest_ns = 0
        shortest, longest = _BUCKETS_S
        length_s = min(longest, max(shortest, (device_ns - self._began_ns) / (8 * _S)))
        lasted_s = (device_ns - bucket.began_ns) / _S
        if lasted_s >= longest or (lasted_s >= length_s and bucket.arrivals >= _LEAST_ARRIVALS):
            self._close(bucket)

    def _close(self, bucket: "_Bucket") -> None:
        self._bucket = None
        spread_s = (bucket.latest_ns - bucket.earliest_ns) / _S
        self._points.append((*bucket.earliest[:2], max(_POINT_SIGMA_S, spread_s / bucket.arrivals)))
        self._latest_s.append(spread_s)
        self._per_bucket += (bucket.arrivals - self._per_bucket) / min(len(self._points), _SPREAD_BUCKETS)
        while self._points[-1][0] - self._points[0][0] > _ARRIVAL_WINDOW_S * _S:
            self._points.popleft()
        self.line = line = fit_line(self._points, 0.0, self._slope_sigma, late=True)
        newest = islice(reversed(self._points), _SPREAD_BUCKETS)
        self._misfit_s = _MISFIT * median(_off_s(line, point) for point in newest)

    def sigma_s(self) -> float:
        """Standard error of the line; infinite before the first arrival."""
        if self.line is None:
            return math.inf
        spread_s = self.spread_s
        if spread_s is None:
            arrivals = self._per_bucket * len(self._points) + (self._bucket.arrivals if self._bucket else 0)
            return math.hypot(_LINK_S, self._misfit_s, _TYPICAL_JITTER_S / max(arrivals, 1.0))
        return math.hypot(_LINK_S, self._misfit_s, spread_s / self._per_bucket)


@dataclass(slots=True)
class _Bucket:
    """Arrivals of some seconds: the earliest of them, and how late it and the latest are by the line."""

    began_ns: int
    earliest: tuple[int, int]
    earliest_ns: int
    latest_ns: int
    arrivals: int = 0
