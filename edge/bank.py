"""Many streams through one network: what is the same for all of them is done once, in arrays.

Every stream is cut into hops counted from its segment's start, so neither packet sizes nor arrival times, nor
what other streams do, can change a pick. A step takes at most one hop of each stream that has one: high-pass,
normalisation, network and decoding run over all of them together, and a stream that floods waits for its turn
like the others. Python looks at a single stream only where an onset is likely.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edge.cells import IMPOSSIBLE, Floats, Peaks, softmax, within_cell
from edge.model import Network
from edge.pick import Phase, Pick
from edge.picker import Picker
from edge.preprocess import HighPass, normaliser

Rows = NDArray[np.intp]


class Bank:
    """Pickers of any number of streams. `thresholds` override the card's, by phase."""

    def __init__(self, network: Network, thresholds: Mapping[Phase, float] | None = None) -> None:
        card = network.card
        self._network = network
        self._card = card
        self._hop = card.stream.hop
        self._frames = self._hop // card.cells.stride
        self._delays = card.stream.delays
        separation = max(1, round(card.stream.separation_s * card.input.rate_hz / card.cells.stride))
        self._peaks = Peaks(card.cells.stride, {**card.thresholds, **(thresholds or {})}, separation)
        corner = card.input.highpass_hz
        self._highpass = None if corner is None else HighPass(corner, card.input.rate_hz)
        self._normalise = normaliser(card.input.normalisation)
        self._pickers: list[Picker | None] = [None]
        self._memory = network.begin(1)
        self._steps = np.zeros(1, np.int64)  # hops of the segment done
        # The latest word on each cell: from the first with which one that is asked for next is compared to
        # the newest that the first head has answered.
        self._asked = 2 * separation + self._frames
        known = self._asked + self._delays[-1] - self._delays[0]
        self._prob: Floats = np.full((1, known, 2), IMPOSSIBLE, np.float32)
        self._onset: Floats = np.zeros((1, known), np.float32)

    def open(self) -> Picker:
        """A picker for one more stream."""
        if None not in self._pickers:
            self._widen(2 * len(self._pickers))
        row = self._pickers.index(None)
        picker = Picker(self._card)
        self._pickers[row] = picker
        return picker

    def close(self, picker: Picker) -> None:
        """Forgets a picker and what it holds."""
        row = self._pickers.index(picker)
        self._pickers[row] = None
        self._begin([row])

    def run(self) -> list[Pick]:
        """The picks that what the pickers hold settles."""
        picks: list[Pick] = []
        while True:
            rows = [row for row, one in enumerate(self._pickers) if one and one.ready(self._hop)]
            if rows:
                picks += self._step(rows)
            over = [row for row, one in enumerate(self._pickers) if one and one.over]
            for row in over:
                picks += self._finish(row)
            if not rows and not over:
                return picks

    def _widen(self, rows: int) -> None:
        more = rows - len(self._pickers)
        self._pickers += [None] * more
        if self._highpass is not None:
            self._highpass.widen(rows)
        self._normalise.widen(rows)
        fresh = self._network.begin(more)
        self._memory = [np.concatenate(parts) for parts in zip(self._memory, fresh, strict=True)]
        self._steps = np.pad(self._steps, (0, more))
        self._prob = np.pad(self._prob, ((0, more), (0, 0), (0, 0)), constant_values=IMPOSSIBLE)
        self._onset = np.pad(self._onset, ((0, more), (0, 0)))

    def _begin(self, rows: Sequence[int]) -> None:
        """Their next hops are the first of segments."""
        at = np.array(rows, np.intp)
        if self._highpass is not None:
            self._highpass.reset(at)
        self._normalise.reset(at)
        for kept, fresh in zip(self._memory, self._network.begin(len(rows)), strict=True):
            kept[at] = fresh
        self._steps[at] = 0
        self._prob[at], self._onset[at] = IMPOSSIBLE, 0.0

    def _step(self, rows: list[int]) -> list[Pick]:
        at = np.array(rows, np.intp)
        pickers = [picker for row in rows if (picker := self._pickers[row])]
        shown = self._show(at, pickers)
        memory = [kept[at] for kept in self._memory]
        logits, raw = self._network.step(shown, memory)
        for kept, changed in zip(self._memory, memory, strict=True):
            kept[at] = changed
        self._steps[at] += 1
        self._remember(at, pickers, softmax(logits)[..., 1:], within_cell(raw, self._card.cells.offset))
        picks: list[Pick] = []
        asked = self._prob[at, : self._asked]
        for k in np.flatnonzero(self._peaks.likely(asked)):
            picks += self._found(pickers[k], int(at[k]), asked[k])
        return picks

    def _found(self, picker: Picker, row: int, prob: Floats) -> list[Pick]:
        """Picks among the first cells known of a stream."""
        onsets = self._peaks.of(self._first(row), prob, self._onset[row, : len(prob)])
        return [picker.pick(onset) for onset in onsets if onset.sample < picker.length]

    def _first(self, row: int) -> int:
        """The first cell of which the latest word is kept."""
        done = int(self._steps[row]) * self._frames
        first: int = done - self._delays[0] - self._prob.shape[1]
        return first

    def _finish(self, row: int) -> list[Pick]:
        """Leaves a segment that is over: its last cells stay as the heads have left them, of which the
        later ones have not seen enough."""
        picker = self._pickers[row]
        assert picker
        w = self._peaks.separation
        # One hop on, with nothing new: what was asked for last is asked no more.
        self._steps[row] += 1
        for kept, nothing in ((self._prob[row], IMPOSSIBLE), (self._onset[row], 0.0)):
            kept[: -self._frames] = kept[self._frames :].copy()
            kept[-self._frames :] = nothing
        last = np.full((w, 2), IMPOSSIBLE, np.float32)
        prob = np.concatenate([self._prob[row], last])
        onsets = self._peaks.of(self._first(row), prob, np.pad(self._onset[row], (0, w)))
        picks = [picker.pick(onset) for onset in onsets if onset.sample < picker.length]
        picker.leave()
        self._begin([row])
        return picks

    def _show(self, at: Rows, pickers: Sequence[Picker]) -> Floats:
        """The next hop of each (streams, hop, 3), filtered and normalised; zero after a segment's end."""
        raw = [picker.take(self._hop) for picker in pickers]
        whole = [k for k, samples in enumerate(raw) if len(samples) == self._hop]
        shown = np.zeros((len(at), self._hop, 3), np.float32)
        if whole:
            together = np.stack([raw[k] for k in whole], axis=1)
            shown[whole] = self._prepare(together, at[whole], [pickers[k] for k in whole])
        for k, samples in enumerate(raw):
            if 0 < len(samples) < self._hop:
                shown[k, : len(samples)] = self._prepare(samples[:, None], at[k : k + 1], [pickers[k]])[0]
        return shown

    def _prepare(
        self, samples: NDArray[np.float64], at: Rows, pickers: Sequence[Picker]
    ) -> NDArray[np.float32]:
        filtered = samples if self._highpass is None else self._highpass.feed(samples, at)
        for k, picker in enumerate(pickers):
            picker.heard(filtered[:, k])
        return self._normalise.feed(filtered, at).transpose(1, 0, 2)

    def _remember(self, at: Rows, pickers: Sequence[Picker], prob: Floats, onset: Floats) -> None:
        """Every head's answers in place of those of the heads before it: `prob` (streams, heads, frames, 2)
        and `onset` (streams, heads, frames). Frames after a segment's end say nothing, and cells before its
        beginning are no answers."""
        new = self._frames
        for kept, nothing in ((self._prob, IMPOSSIBLE), (self._onset, 0.0)):
            kept[at, :-new] = kept[at, new:]
            kept[at, -new:] = nothing
        frames = (self._steps[at, None] - 1) * new + np.arange(new)
        heard = frames < np.array([picker.cells for picker in pickers])[:, None]
        for k, delay in enumerate(self._delays):
            end = self._prob.shape[1] - (delay - self._delays[0])
            place = slice(end - new, end)
            said = (heard & (frames >= delay))[..., None]
            self._prob[at, place] = np.where(said, prob[:, k], self._prob[at, place])
            self._onset[at, place] = np.where(said[..., 0], onset[:, k], self._onset[at, place])
