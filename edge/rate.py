"""The sample rate of a digitizer that does not tell it, by the arrival of its packets."""

_S = 1_000_000_000

_USUAL = (20, 25, 31.25, 40, 50, 62.5, 80, 100, 125, 200, 250, 400, 500, 1000)
_SOON_S, _SOON_TOLERANCE = 3.0, 0.005
_LATE_S, _LATE_TOLERANCE = 10.0, 0.01
"""After so long a rate is believed if a usual one is so near; after the longer time it is believed anyway."""
_LEAST_ARRIVALS = 4
_SET_BACK_NS = _S


class RateMeter:
    """Samples per second, from how many have arrived by when.

    A packet may come late by any time but never early, and many may come at once: what counts is the lower
    edge (convex hull) of arrival over samples, at its middle.
    """

    def __init__(self) -> None:
        self._points: list[tuple[int, int]] = []  # samples so far, when the last of them arrived

    def feed(self, n: int, arrival_ns: int) -> float | None:
        """Take a packet of n samples; the rate as soon as it is known."""
        if self._points and arrival_ns < self._points[-1][1] - _SET_BACK_NS:
            self._points.clear()  # the clock of this computer was set back
        total = n + (self._points[-1][0] if self._points else 0)
        self._points.append((total, arrival_ns))
        span_s = (arrival_ns - self._points[0][1]) / _S
        if span_s < _SOON_S or len({at for _, at in self._points}) < _LEAST_ARRIVALS:
            return None
        rate = self._slope()
        usual = min(_USUAL, key=lambda known: abs(known / rate - 1))
        off = abs(usual / rate - 1)
        if off < _SOON_TOLERANCE or (span_s >= _LATE_S and off < _LATE_TOLERANCE):
            return float(usual)
        return max(round(rate, 1), 0.1) if span_s >= _LATE_S else None

    def _slope(self) -> float:
        """Samples per second along the edge of the hull that lies over the middle of the samples."""
        hull: list[tuple[int, int]] = []
        for point in self._points:
            while len(hull) > 1 and _turns_down(hull[-2], hull[-1], point):
                hull.pop()
            hull.append(point)
        middle = (self._points[0][0] + self._points[-1][0]) / 2
        k = next(k for k in range(1, len(hull)) if hull[k][0] >= middle)
        (n0, t0), (n1, t1) = hull[k - 1], hull[k]
        return (n1 - n0) * _S / max(t1 - t0, 1)


def _turns_down(a: tuple[int, int], b: tuple[int, int], c: tuple[int, int]) -> bool:
    """Whether b lies on or above the line from a to c."""
    return (b[1] - a[1]) * (c[0] - a[0]) >= (c[1] - a[1]) * (b[0] - a[0])
