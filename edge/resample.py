"""Streaming conversion of any input rate to the model's rate, without delay and without aliases."""

from fractions import Fraction
from math import ceil

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

RATE_MIN = 20.0
RATE_MAX = 1000.0

SAME_RATE = 5e-4
"""Rates that differ by no more than this fraction are one rate: a real oscillator, not another setting."""

_DOWN_MAX = 4000  # keeps the ratio of any two rates exact to 130 ppm and the filter below 7 MB
_ATTENUATION_DB = 70.0  # 60 promised; 70 also brings the pass-band ripple down to 0.03 %
_AT_ONCE = 1000  # outputs, each of which gathers the inputs that it needs
_HALF_WIDTH = 22  # samples of the lower rate: Kaiser's length for 70 dB within 0.8 to 1.0 of its Nyquist


def same_rate(a: float, b: float) -> bool:
    """Whether two sample rates (Hz) are the same but for an oscillator's tolerance."""
    return abs(a / b - 1.0) <= SAME_RATE


def check_rate(rate: float) -> None:
    """ValueError unless `rate` (Hz) lies within 20…1000."""
    if not RATE_MIN <= rate <= RATE_MAX:
        raise ValueError(
            f"sample rate {rate:g} Hz is outside {RATE_MIN:g}…{RATE_MAX:g} Hz: choose a stream within it"
        )


class Resampler:
    """Polyphase FIR resampler for one gap-free segment after another.

    Output sample k lies k / `rate_out` seconds after the segment's first input sample: the filter is
    linear-phase (Kaiser-windowed sinc, flat to 0.8 of the lower Nyquist frequency, 70 dB down from the
    lower Nyquist frequency on) and its delay is taken out. It therefore needs `look_ahead` input samples
    after an output's time: 22 samples of the lower of the two rates, 0.22 s when the input is faster.
    Before the first and after the last sample the signal is held, so an offset does not ring.

    An input rate within 0.05 % of `rate_out` passes untouched and undelayed. The outputs do not depend
    on how the input was cut, to the last bit.

    `ratio` is rate_out / `rate_in` as a fraction: output k sits at input sample k / ratio.
    ValueError for an input rate outside 20…1000 Hz.
    """

    def __init__(self, rate_in: float, rate_out: float = 100.0, channels: int = 3) -> None:
        check_rate(rate_in)
        self.rate_in = rate_in
        self._channels = channels
        if same_rate(rate_in, rate_out):
            self.ratio = Fraction(1)
            self.look_ahead = 0
            self._taps: NDArray[np.float64] = np.ones((1, 1))
        else:
            self.ratio = (Fraction(rate_out) / Fraction(rate_in)).limit_denominator(_DOWN_MAX)
            self.look_ahead = ceil(_HALF_WIDTH * max(Fraction(1), 1 / self.ratio))
            self._taps = _design(self.ratio, self.look_ahead)
        self._reset()

    def _reset(self) -> None:
        self._first: NDArray[np.float64] | None = None  # the segment's first sample, taken off inside
        self._inputs = 0  # samples received
        self._outputs = 0  # samples returned
        # Input samples from index `_context_start` on (below 0: the held first sample).
        self._context_start = self.look_ahead - self._taps.shape[1] + 1
        self._context = np.zeros((-self._context_start, self._channels))

    def feed(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """The next (n, channels) samples in, the (m, channels) that are certain by now out."""
        if x.ndim != 2 or x.shape[1] != self._channels:
            raise ValueError(f"expected samples of shape (n, {self._channels}), got {x.shape}")
        if self.look_ahead == 0 or len(x) == 0:
            return x
        if self._first is None:
            self._first = x[0].copy()
        self._inputs += len(x)
        self._context = np.concatenate([self._context, x - self._first])
        return self._filter(self.certain(self._inputs))

    def certain(self, inputs: int) -> int:
        """How many outputs so many samples of a segment settle."""
        up, down = self.ratio.as_integer_ratio()
        return -((self.look_ahead - inputs) * up // down)

    def flush(self) -> NDArray[np.float64]:
        """The segment's last (m, channels) samples; the next feed starts a new segment."""
        if self._first is None:
            return np.empty((0, self._channels))
        self._context = np.concatenate([self._context, np.repeat(self._context[-1:], self.look_ahead, 0)])
        tail = self._filter(int((self._inputs - 1) * self.ratio) + 1)
        self._reset()
        return tail

    def _filter(self, until: int) -> NDArray[np.float64]:
        """Outputs from the last one returned up to index `until`, exclusive."""
        if until <= self._outputs or self._first is None:
            return np.empty((0, self._channels))
        up, down = self.ratio.numerator, self.ratio.denominator
        # On a grid `up` times as fine as the input output k lies at k · down; of the taps around it those
        # meet samples which lie `up` apart.
        windows = sliding_window_view(self._context, self._taps.shape[1], axis=0)
        out = np.empty((until - self._outputs, self._channels))
        for begin in range(self._outputs, until, _AT_ONCE):
            end = min(begin + _AT_ONCE, until)
            newest, phase = np.divmod(np.arange(begin, end) * down + self.look_ahead * up, up)
            chosen = windows[newest - self._context_start - self._taps.shape[1] + 1]  # (…, channels, taps)
            part = np.einsum("oct,ot->oc", chosen, self._taps[phase])
            out[begin - self._outputs : end - self._outputs] = part + self._first
        self._outputs = until
        oldest_needed = (until * down + self.look_ahead * up) // up - self._taps.shape[1] + 1
        step = oldest_needed - self._context_start
        if step > 0:
            self._context_start += step
            self._context = self._context[step:]
        return out


def resample(x: NDArray[np.float64], rate_in: float, rate_out: float = 100.0) -> NDArray[np.float64]:
    """One whole segment (n, channels) at `rate_in` Hz as Resampler turns it out at `rate_out` Hz."""
    resampler = Resampler(rate_in, rate_out, x.shape[1])
    return np.concatenate([resampler.feed(x), resampler.flush()])


def _design(ratio: Fraction, half: int) -> NDArray[np.float64]:
    """Low-pass of 2 * half * up + 1 taps at `up` times the input rate, -6 dB at 0.9 of the lower Nyquist:
    a sinc under a Kaiser window. By the phase of an output, (up, 2 * half + 1), each row in the order of the
    samples that it meets."""
    up = ratio.numerator
    cutoff = 0.9 * min(1.0, float(ratio)) / up
    reach = half * up
    beta = 0.1102 * (_ATTENUATION_DB - 8.7)  # Kaiser's, above 50 dB
    taps = np.zeros((2 * half + 1) * up)
    taps[: 2 * reach + 1] = np.sinc(cutoff * np.arange(-reach, reach + 1)) * np.kaiser(2 * reach + 1, beta)
    rows = taps.reshape(-1, up).T[:, ::-1]
    rows = rows / rows.sum(axis=1, keepdims=True)  # every phase passes an offset exactly
    return np.ascontiguousarray(rows)
