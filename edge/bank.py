"""Many streams through one network: what is the same for all of them is done once, in arrays.

Every stream is cut into hops counted from its segment's start, so neither packet sizes nor arrival times, nor
what other streams do, can change a pick. A step takes at most one hop of each stream that has one: high-pass,
normalisation, network and decoding run over all of them together. Of a stream that has very much, an archive
or a flood, a stretch is cut into pieces which the network answers side by side, after which the others have
their turn. Python looks at a single stream only where an onset is likely.
"""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from edge.cells import SILENCE, Floats, Peaks, softmax, within_cell
from edge.coda import SURE_P, Coda
from edge.early import Early
from edge.first_motion import FirstMotions, Polariser
from edge.model import Memory, Network
from edge.pick import Phase, Pick
from edge.picker import Found, Picker
from edge.preprocess import HighPass, Streams, normaliser

PIECES = (64, 8)
"""Into so many a stretch is cut if it is long enough, as many as networks like to answer at once."""
STRETCH = 16_384
"""Hops of one stream at once, at most: three hours, which others wait for a third of a second."""


class Bank:
    """Pickers of any number of streams. `thresholds` override the card's, by phase. `early`: the
    probabilities from which picks are told early, and again when the final head has spoken. `polariser`: what
    tells the first motions of P picks, None for picks without."""

    def __init__(
        self,
        network: Network,
        thresholds: Mapping[Phase, float] | None = None,
        early: Mapping[Phase, float] | None = None,
        polariser: Polariser | None = None,
    ) -> None:
        card = network.card
        self._network = network
        self._card = card
        self._hop = card.stream.hop
        self._frames = self._hop // card.cells.stride
        self._delays = card.stream.delays
        self._remembered = card.memory_hops
        separation = max(1, round(card.stream.separation_s * card.input.rate_hz / card.cells.stride))
        wanted = {**card.thresholds, **(thresholds or {})}
        # A sure P tells whether an S is in the coda of another, also where only surer ones are told.
        self._least_p = wanted["P"] if wanted["P"] > SURE_P else 0.0
        sought = {**wanted, "P": min(wanted["P"], SURE_P)}
        self._peaks = Peaks(card.cells.stride, sought, separation)
        self._early_peaks = Peaks(card.cells.stride, early, separation) if early else None
        self._early: dict[int, Early] = {}
        self._codas: list[Coda] = []
        self._polariser = polariser
        self._motions: dict[int, FirstMotions] = {}
        corner = card.input.highpass_hz
        self._highpass = None if corner is None else HighPass(corner, card.input.rate_hz)
        self._normalise = normaliser(card.input.normalisation)
        self._pickers: list[Picker] = []
        self._awake: set[int] = set()  # of the rows whose pickers have got something
        self._memory = network.begin(1)
        self._steps = [0]  # hops of the segment done
        # The latest word on each cell: from the first with which one that is asked for next is compared to
        # the newest that the first head has answered.
        self._known = 2 * separation + self._delays[-1] - self._delays[0]
        self._words: Floats = np.tile(SILENCE, (1, self._known, 1))

    def open(self) -> Picker:
        """A picker for one more stream."""
        row = len(self._pickers)
        if row == len(self._steps):
            self._widen(2 * row)
        picker = Picker(self._card, partial(self._awake.add, row))
        self._pickers.append(picker)
        self._early[row] = Early(self._peaks.separation)
        self._codas.append(Coda(self._card.input.rate_hz, self._least_p))
        if self._polariser:
            self._motions[row] = FirstMotions(self._polariser, self._hop)
        return picker

    def run(self) -> list[Pick]:
        """The picks that what the pickers hold settles. Those that have got nothing cost nothing."""
        picks: list[Pick] = []
        awake = sorted(self._awake)
        self._awake.clear()
        while awake:
            busy: list[int] = []
            rows: list[int] = []
            pickers: list[Picker] = []
            for row in awake:
                picker = self._pickers[row]
                if pieces := self._pieces(picker):
                    picks += self._go_on([row], [picker], *pieces)
                elif picker.ready(self._hop):
                    rows.append(row)
                    pickers.append(picker)
                elif picker.over:
                    picks += self._finish(row, picker)
                else:
                    continue
                busy.append(row)
            if rows:
                picks += self._go_on(rows, pickers, 1, 1)
            awake = busy
        return picks

    def _widen(self, rows: int) -> None:
        more = rows - len(self._steps)
        if self._highpass is not None:
            self._highpass.widen(rows)
        self._normalise.widen(rows)
        fresh = self._network.begin(more)
        self._memory = [np.concatenate(parts) for parts in zip(self._memory, fresh, strict=True)]
        self._steps += [0] * more
        self._words = np.concatenate([self._words, np.tile(SILENCE, (more, self._known, 1))])

    def _begin(self, row: int) -> None:
        """Its next hop is the first of a segment."""
        at = slice(row, row + 1)
        if self._highpass is not None:
            self._highpass.reset(at)
        self._normalise.reset(at)
        for kept, fresh in zip(self._memory, self._network.begin(1), strict=True):
            kept[at] = fresh
        self._steps[row] = 0
        self._words[at] = SILENCE

    def _pieces(self, picker: Picker) -> tuple[int, int] | None:
        """How many pieces of how many hops may be cut of what waits, each long beside what the network
        remembers of the hops before it. None where early picks are wanted: a piece has no present."""
        if self._early_peaks:
            return None
        hops = min(picker.hops(self._hop), STRETCH)
        return next(((n, hops // n) for n in PIECES if hops >= 2 * self._remembered * n), None)

    def _go_on(self, rows: list[int], pickers: list[Picker], pieces: int, length: int) -> list[Pick]:
        """The next hops of some streams: so many of each, or of a single one in so many pieces."""
        hops = pieces * length
        # Neighbours, or one alone, need not be gathered and put back.
        neighbours = rows[-1] - rows[0] == len(rows) - 1
        at: Streams = slice(rows[0], rows[-1] + 1) if neighbours else np.array(rows, np.intp)
        shown = self._show(at, pickers, hops * self._hop)
        memory = [kept[at] for kept in self._memory]
        answers = self._network.step(shown, memory) if hops == 1 else self._in_pieces(shown, memory, pieces)
        for kept, changed in zip(self._memory, memory, strict=True):
            kept[at] = changed
        words = self._latest(at, rows, pickers, answers)
        for row in rows:
            self._steps[row] += hops
        new = hops * self._frames
        asked = words[:, : new + 2 * self._peaks.separation]
        found: dict[int, list[Found]] = {}
        for k in np.flatnonzero(self._peaks.likely(asked)).tolist():
            done = self._steps[rows[k]]
            first = done * self._frames - self._delays[-1] - asked.shape[1]
            peaks = self._found(self._peaks, pickers[k], first, asked[k], done - hops)
            found[k] = self._codas[rows[k]].kept(peaks)
        if self._early_peaks:
            found = self._with_early(self._early_peaks, rows, pickers, words[:, new:], found)
        return [
            pick
            for k, row in enumerate(rows)
            if k in found or self._awaits(row)
            for pick in self._told(row, pickers[k], found.get(k, []))
        ]

    def _awaits(self, row: int) -> bool:
        """Whether a pick of its stream will be told again when more was heard."""
        return row in self._motions and self._motions[row].waiting

    def _told(self, row: int, picker: Picker, found: list[Found]) -> list[Pick]:
        told = self._motions[row].tell(found, picker) if row in self._motions else found
        return [one.pick for one in told]

    def _with_early(
        self,
        peaks: Peaks,
        rows: list[int],
        pickers: Sequence[Picker],
        words: Floats,
        final: Mapping[int, list[Found]],
    ) -> dict[int, list[Found]]:
        """Final picks and early ones: of the words (streams, cells, 4) from the last cells that are final on,
        peaks of which the cell after them has a word too."""
        w = self._peaks.separation
        said: dict[int, list[Found]] = {}
        ahead = np.concatenate([words, np.tile(SILENCE, (len(rows), w - 1, 1))], axis=1)
        likely = peaks.likely(ahead)
        for k, row in enumerate(rows):
            done = self._steps[row] * self._frames
            first = done - self._delays[0] - self._known
            said[k] = self._early[row].settle(final.get(k, []), first + w)
            if likely[k]:
                found = self._found(peaks, pickers[k], first, ahead[k], self._steps[row] - 1)
                said[k] += self._early[row].tell(found)
        return said

    def _in_pieces(self, shown: Floats, memory: Memory, count: int) -> Floats:
        """A stretch of one stream, cut into pieces which go side by side. What a piece remembers at its
        beginning comes of the hops before it, as many as the network remembers at all, so its answers are
        those that it would have given."""
        hops = shown[0].reshape(-1, self._hop, 3)
        before, length = self._remembered, len(hops) // count
        starts = length * np.arange(count)
        rows = self._network.begin(count)
        for j in range(-before, length):
            if j == 0:
                for row, kept in zip(rows, memory, strict=True):
                    row[0] = kept[0]
            answers = self._network.step(hops[np.maximum(starts + j, 0)], rows)
            if j == 0:
                said = np.empty((count, length, *answers.shape[1:]), np.float32)
            if j >= 0:
                said[:, j] = answers
        for row, kept in zip(rows, memory, strict=True):
            kept[0] = row[-1]
        heads_first = said.reshape(-1, *answers.shape[1:]).swapaxes(0, 1)
        return heads_first.reshape(1, answers.shape[1], -1, answers.shape[3])

    def _latest(self, at: Streams, rows: list[int], pickers: Sequence[Picker], answers: Floats) -> Floats:
        """The latest word (streams, cells, 4) on all cells known, those of before included, after answers
        (streams, heads, frames, 4): every head's in place of those of the heads before it. Frames after a
        segment's end say nothing, and cells before its beginning are no answers."""
        count, _, n, _ = answers.shape
        words = np.empty((count, self._known + n, 4), np.float32)
        words[:, : self._known] = self._words[at]
        words[:, self._known :] = SILENCE
        firsts = [self._steps[row] * self._frames for row in rows]
        ends = [picker.cells for picker in pickers]
        whole = min(firsts) >= self._delays[-1] and min(map(int.__sub__, ends, firsts)) >= n
        if not whole:
            frames = np.array(firsts)[:, None] + np.arange(n)
            heard = frames < np.array(ends)[:, None]
        for k, delay in enumerate(self._delays):
            end = words.shape[1] - (delay - self._delays[0])
            said = answers[:, k]
            if not whole:
                said = np.where((heard & (frames >= delay))[..., None], said, words[:, end - n : end])
            words[:, end - n : end] = said
        self._words[at] = words[:, n:]
        return words

    def _found(self, peaks: Peaks, picker: Picker, first: int, words: Floats, before: int) -> list[Found]:
        """Onsets with picks among words (cells, 4), the first of them on the `first` cell of the segment, of
        which every hop since so many `before` has asked for the next ones."""
        within = within_cell(words[:, 3], self._card.cells.offset)
        onsets = peaks.of(first, softmax(words[:, :3])[:, 1:], within)
        asked = first + peaks.separation
        return [
            picker.found(onset, (before + 1 + (onset.cell - asked) // self._frames) * self._hop)
            for onset in onsets
            if onset.sample < picker.length
        ]

    def _finish(self, row: int, picker: Picker) -> list[Pick]:
        """Leaves a segment that is over: its last cells stay as the heads have left them, of which the
        later ones have not seen enough."""
        first = self._steps[row] * self._frames - self._delays[0] - self._known
        words = np.concatenate([self._words[row], np.tile(SILENCE, (self._peaks.separation, 1))])
        found = self._codas[row].kept(self._found(self._peaks, picker, first, words, self._steps[row]))
        picks = self._told(row, picker, self._early[row].settle(found))
        self._codas[row].leave()
        if row in self._motions:
            self._motions[row].leave()
        picker.leave()
        self._begin(row)
        return picks

    def _show(self, at: Streams, pickers: Sequence[Picker], n: int) -> Floats:
        """The next n samples of each (streams, n, 3), filtered and normalised; zero after a segment's end."""
        raw = [picker.take(n) for picker in pickers]
        if all(len(samples) == n for samples in raw):
            return self._prepare(raw[0][None] if len(raw) == 1 else np.stack(raw), at, pickers)
        shown = np.zeros((len(raw), n, 3), np.float32)
        rows = np.arange(len(self._steps))[at]
        whole = [k for k, samples in enumerate(raw) if len(samples) == n]
        if whole:
            together = np.stack([raw[k] for k in whole])
            shown[whole] = self._prepare(together, rows[whole], [pickers[k] for k in whole])
        for k, samples in enumerate(raw):
            if 0 < len(samples) < n:
                shown[k, : len(samples)] = self._prepare(samples[None], rows[k : k + 1], [pickers[k]])[0]
        return shown

    def _prepare(self, samples: NDArray[np.float64], at: Streams, pickers: Sequence[Picker]) -> Floats:
        filtered = samples if self._highpass is None else self._highpass.feed(samples, at)
        for picker, heard in zip(pickers, filtered, strict=True):
            picker.heard(heard)
        return self._normalise.feed(filtered, at)
