"""The streaming picker: blocks of ground motion in, picks out.

Windows end on a grid of `hop` samples counted from the segment's start, so neither packet sizes nor
arrival times can change a pick. Of each window those cells are kept which have `lookahead` samples
after them and which no earlier window has given: every cell of the stream is computed from one window,
exactly once, and an onset is never at a window's edge. Before a segment's start and after its end
windows are filled with zeros, as in training.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edge.cells import Onset, OnsetFinder, decode
from edge.model import Network
from edge.pick import NS, Phase, Pick, pick_id
from edge.preprocess import HighPass, normaliser
from edge.timeline import Block
from firmware_bridge.packet import Stream

NOISE_S = (3.0, 0.3)
"""Noise window of the SNR: from 3 s to 0.3 s before the onset."""
SIGNAL_S = 1.5
"""Signal window of SNR and amplitude: from the onset to 1.5 s after it."""


class Picker:
    """Picks one instrument. `thresholds` override the card's, by phase."""

    def __init__(self, network: Network, thresholds: Mapping[Phase, float] | None = None) -> None:
        card = network.card
        self._network = network
        self._card = card
        self._rate = card.input.rate_hz
        self._normalise = normaliser(card.input.normalisation)
        corner = card.input.highpass_hz
        self._highpass = None if corner is None else HighPass(corner, self._rate)
        separation = round(card.stream.separation_s * self._rate / card.cells.stride)
        self._finder = OnsetFinder(
            card.cells.stride, {**card.thresholds, **(thresholds or {})}, max(1, separation)
        )
        self._keep = card.input.window + round((NOISE_S[0] + card.stream.separation_s + 1) * self._rate)
        self._reset()

    def _reset(self) -> None:
        self._finder.reset()
        self._normalise.reset()
        if self._highpass is not None:
            self._highpass.reset()
        self._signal: NDArray[np.float64] = np.zeros((0, 3))
        self._shown: NDArray[np.float32] = np.zeros(
            (0, 3), np.float32
        )  # the same, normalised, as far as asked
        self._signal_start = 0  # index in the segment of the first sample held of either
        self._cells_done = 0
        self._anchors: deque[tuple[int, Block]] = deque()  # where in the segment each block began
        self._next_end = self._card.stream.hop

    @property
    def _length(self) -> int:
        return self._signal_start + len(self._signal)

    def feed(self, block: Block) -> list[Pick]:
        """The picks that this block settles, in order of time for each window."""
        picks = []
        if block.starts_segment:
            picks = self.flush()
        self._stream: Stream = block.stream
        self._anchors.append((self._length, replace(block, samples=block.samples[:0])))
        samples = block.samples if self._highpass is None else self._highpass.feed(block.samples)
        self._signal = np.concatenate([self._signal, samples])
        while self._length >= self._next_end:
            until = self._next_end - self._card.stream.lookahead
            picks += self._advance(self._next_end, until, self._next_end)
            self._next_end += self._card.stream.hop
        self._forget()
        return picks

    def flush(self) -> list[Pick]:
        """Ends the segment (a gap, or the end of the data): the picks among its last cells."""
        stride = self._card.cells.stride
        length = self._length
        if not length:
            return []
        grid = 8 * stride
        end = -(-length // grid) * grid
        picks = self._advance(end, -(-length // stride) * stride, length)
        picks += [self._pick(onset, length) for onset in self._finder.flush() if onset.sample < length]
        self._reset()
        return picks

    def _advance(self, end: int, until: int, now: int) -> list[Pick]:
        """Evaluates the window that ends at sample `end` and settles the cells up to sample `until`."""
        window_length, stride = self._card.input.window, self._card.cells.stride
        first, last = self._cells_done, until // stride
        if last <= first:
            return []
        start = end - window_length
        have_from, have_to = max(start, self._signal_start), min(end, self._length)
        valid = slice(have_from - start, have_to - start)
        held = len(self._shown)
        fresh = self._normalise.feed(self._signal[held : have_to - self._signal_start])
        self._shown = np.concatenate([self._shown, fresh])
        window = np.zeros((window_length, 3), np.float32)
        window[valid] = self._shown[have_from - self._signal_start : have_to - self._signal_start]
        logits, offset = self._network.infer(self._normalise.window(window))
        take = slice(first - start // stride, last - start // stride)
        cells = decode(first, logits[take], offset[take], self._card.cells.offset)
        self._cells_done = last
        return [self._pick(onset, now) for onset in self._finder.feed(cells)]

    def _forget(self) -> None:
        surplus = len(self._signal) - self._keep
        if surplus > self._keep:  # seldom, so that the copy is paid once per several windows
            surplus = min(surplus, len(self._shown))
            self._signal = self._signal[surplus:].copy()
            self._shown = self._shown[surplus:].copy()
            self._signal_start += surplus
            while len(self._anchors) > 1 and self._anchors[1][0] <= self._signal_start:
                self._anchors.popleft()

    def _anchor(self, sample: float) -> tuple[int, Block]:
        return next(anchor for anchor in reversed(self._anchors) if anchor[0] <= max(sample, 0.0))

    def _pick(self, found: Onset, now: int) -> Pick:
        card = self._card
        onset = replace(found, sample=found.sample - card.bias_s[found.phase] * self._rate)
        index, block = self._anchor(onset.sample)
        time_ns = block.start_ns + round((onset.sample - index) * NS / self._rate)
        snr_db, amp = self._strength(onset)
        return Pick(
            id=pick_id(
                self._stream.instrument,
                onset.phase,
                time_ns,
                round(card.cells.stride * NS / self._rate),
                card.identity,
            ),
            station=self._stream.station_id,
            channels=tuple(code for code in self._stream.channels if code),
            phase=onset.phase,
            time_ns=time_ns,
            prob=onset.prob,
            sigma=card.sigma_s[onset.phase],
            snr_db=snr_db,
            amp=amp,
            clock=block.clock,
            clock_sigma=block.sigma_s,
            latency_s=(now - onset.sample) / self._rate,
            model=card.identity,
        )

    def _strength(self, onset: Onset) -> tuple[float | None, float]:
        """SNR in dB (rms after over rms before, the component where it is largest), None where no noise is
        known, and peak amplitude."""
        at = round(onset.sample) - self._signal_start
        before = [max(0, at - round(s * self._rate)) for s in NOISE_S]
        noise = self._signal[before[0] : before[1]]
        signal = self._signal[max(at, 0) : at + round(SIGNAL_S * self._rate)]
        amp = float(np.abs(signal).max(initial=0.0))
        if not len(signal) or not len(noise):
            return None, amp
        power = np.mean(np.square(signal), axis=0), np.mean(np.square(noise), axis=0)
        usable = (power[0] > 0) & (power[1] > 0)
        if not usable.any():
            return None, amp
        return 10.0 * float(np.log10(np.max(power[0][usable] / power[1][usable]))), amp
