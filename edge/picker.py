"""One stream on its way through the bank: what waits to be picked, when it was, and how strong.

Blocks are queued by segment; the bank takes them hop by hop and says where onsets are; times, strengths and
ids of the picks are made here.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edge.block import Block
from edge.card import Card
from edge.cells import Onset
from edge.pick import NS, Pick, pick_id
from edge.polarity import PolarityInput, cut
from edge.preprocess import Window
from firmware_bridge.packet import Clock, Stream

NOISE_S = (3.0, 0.3)
"""Noise window of the SNR: from 3 s to 0.3 s before the onset."""
SIGNAL_S = 1.5
"""Signal window of SNR and amplitude: from the onset to 1.5 s after it."""
OPEN = 2**62
"""Cells of a segment that has not ended."""

Samples = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Found:
    """An onset, its pick, and how many samples of the segment had to be heard for it."""

    onset: Onset
    pick: Pick
    heard: int


@dataclass(slots=True)
class _Segment:
    """Blocks without a gap: samples that wait, and where each block began."""

    waiting: deque[Samples] = field(default_factory=deque)
    queued: int = 0  # samples that wait
    length: int = 0  # samples in all
    ended: bool = False
    anchors: deque["_Anchor"] = field(default_factory=deque)


@dataclass(frozen=True, slots=True)
class _Anchor:
    """Where a block began, as a sample of the segment, and what it said but for its samples."""

    sample: int
    start_ns: int
    rate: float
    stream: Stream
    clock: Clock
    sigma_s: float | None
    scale: float
    unit: str


class Picker:
    """One stream. `wake` is called when there is something to do for it."""

    def __init__(self, card: Card, wake: Callable[[], None]) -> None:
        self._card = card
        self._wake = wake
        self._rate = card.input.rate_hz
        stream = card.stream
        reach = stream.delays[-1] * card.cells.stride / self._rate + stream.separation_s
        self._keep = stream.hop + round((reach + NOISE_S[0] + 1) * self._rate)
        self._segments: deque[_Segment] = deque([_Segment()])
        self._begin()

    def _begin(self) -> None:
        self._signal = np.empty((0, 3), np.float32)  # filtered
        self._heard = 0  # samples of the segment that were filtered
        self._filled = 0  # samples in `_signal`, the last ones heard

    def feed(self, block: Block, scale: float = 1.0, unit: str = "count") -> None:
        """Queues a block of `scale` counts per `unit`; one that starts a segment ends the one before it."""
        if block.starts_segment:
            self.end()
        segment = self._segments[-1]
        segment.anchors.append(
            _Anchor(
                segment.length,
                block.start_ns,
                block.rate,
                block.stream,
                block.clock,
                block.sigma_s,
                scale,
                unit,
            )
        )
        segment.waiting.append(block.samples)
        segment.queued += len(block.samples)
        segment.length += len(block.samples)
        self._wake()

    def end(self) -> None:
        """Ends the segment: a gap, or the end of the data."""
        if self._segments[-1].length:
            self._segments[-1].ended = True
            self._segments.append(_Segment())
            self._wake()

    def hops(self, hop: int) -> int:
        """Whole hops of the segment in hand that wait."""
        return self._segments[0].queued // hop

    def ready(self, hop: int) -> bool:
        """Whether there is a whole hop, or the last part of a segment."""
        segment = self._segments[0]
        return segment.queued >= hop or (segment.ended and segment.queued > 0)

    @property
    def over(self) -> bool:
        """Whether the segment in hand has ended and all of it was taken."""
        segment = self._segments[0]
        return segment.ended and not segment.queued

    @property
    def heard_samples(self) -> int:
        """Samples of the segment in hand that were taken and filtered."""
        return self._heard

    @property
    def length(self) -> int:
        """Samples of the segment in hand."""
        return self._segments[0].length

    @property
    def cells(self) -> int:
        """Cells of the segment in hand, so far without end if it has none."""
        segment = self._segments[0]
        return -(-segment.length // self._card.cells.stride) if segment.ended else OPEN

    def take(self, n: int) -> Samples:
        """The next n samples (n, 3) of the segment, or those that are left."""
        segment = self._segments[0]
        parts, wanted = [], min(n, segment.queued)
        segment.queued -= wanted
        while wanted:
            head = segment.waiting.popleft()
            if len(head) > wanted:
                segment.waiting.appendleft(head[wanted:])
                head = head[:wanted]
            wanted -= len(head)
            parts.append(head)
        return parts[0] if len(parts) == 1 else np.concatenate([np.zeros((0, 3)), *parts])

    def heard(self, filtered: Samples) -> None:
        """What was taken, after the filter (n, 3)."""
        n = len(filtered)
        if self._filled + n > len(self._signal):
            kept = min(self._keep, self._filled)
            signal = np.empty((kept + max(n, self._keep), 3), np.float32)
            signal[:kept] = self._signal[self._filled - kept : self._filled]
            self._signal, self._filled = signal, kept
            self._forget_anchors(self._heard - kept)
        self._signal[self._filled : self._filled + n] = filtered
        self._filled += n
        self._heard += n

    def _forget_anchors(self, before: int) -> None:
        anchors = self._segments[0].anchors
        while len(anchors) > 1 and anchors[1].sample <= before:
            anchors.popleft()

    def leave(self) -> None:
        """Goes on to the next segment."""
        self._segments.popleft()
        self._begin()

    def found(self, onset: Onset, due: int) -> Found:
        """What the world sees of an onset in the segment in hand, of which no more than `due` samples had to
        be heard."""
        card = self._card
        heard = min(due, self._heard)
        anchor = self._anchor(onset.sample)
        stream = anchor.stream
        time_ns = anchor.start_ns + round((onset.sample - anchor.sample) * NS / anchor.rate)
        snr_db, amp = self._strength(onset)
        cell_ns = round(card.cells.stride * NS / self._rate)
        pick = Pick(
            id=pick_id(stream.instrument, onset.phase, time_ns, cell_ns, card.identity),
            station=stream.station_id,
            channels=tuple(code for code in stream.channels if code),
            phase=onset.phase,
            time_ns=time_ns,
            prob=onset.prob,
            sigma=card.sigma_s[onset.phase],
            snr_db=snr_db,
            amp=amp / anchor.scale,
            amp_unit=anchor.unit,
            clock=anchor.clock,
            clock_sigma=anchor.sigma_s,
            latency_s=self.latency_s(onset, heard),
            model=card.identity,
        )
        return Found(onset, pick, heard)

    def latency_s(self, onset: Onset, heard: int) -> float:
        """Seconds of signal from an onset to the end of so many samples of the segment."""
        return (heard - onset.sample) / self._rate

    def vertical(self, onset: Onset, spec: PolarityInput) -> Window | None:
        """The window of the vertical that shows an onset's first motion, as `edge.polarity.cut`."""
        at = round(onset.sample) - (self._heard - self._filled)
        return cut(self._signal[: self._filled, 0], at, spec)

    def _anchor(self, sample: float) -> _Anchor:
        anchors = self._segments[0].anchors
        return next(anchor for anchor in reversed(anchors) if anchor.sample <= max(sample, 0.0))

    def _strength(self, onset: Onset) -> tuple[float | None, float]:
        """SNR in dB (rms after over rms before, the component where it is largest), None where no noise is
        known, and peak amplitude."""
        at = round(onset.sample) - (self._heard - self._filled)
        before = [max(0, at - round(s * self._rate)) for s in NOISE_S]
        noise = self._signal[before[0] : before[1]]
        signal = self._signal[max(at, 0) : min(at + round(SIGNAL_S * self._rate), self._filled)]
        amp = float(np.abs(signal).max(initial=0.0))
        if not len(signal) or not len(noise):
            return None, amp
        power = [np.mean(np.square(part, dtype=np.float64), axis=0) for part in (signal, noise)]
        usable = (power[0] > 0) & (power[1] > 0)
        if not usable.any():
            return None, amp
        return 10.0 * float(np.log10(np.max(power[0][usable] / power[1][usable]))), amp
