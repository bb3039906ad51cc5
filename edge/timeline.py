"""From packets to gap-free blocks at the model's rate: one common time line for one instrument."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edge.block import Block
from edge.components import component_slots
from edge.resample import Resampler, check_rate, same_rate
from edge.segment import Segment
from edge.timeline_stats import TimelineStats
from edge.track import Piece, Track, are_valid, valid_runs
from firmware_bridge.packet import Packet, Stream

_S = 1_000_000_000

_SET_BACK_NS = 5 * _S
"""Data from the past are repeats at first; with so much in order and nothing current, a clock set back."""

_TOGETHER_S = 5.0
"""Channels that begin within so much are waited for; a later one is taken in when its data begin."""


@dataclass(slots=True, eq=False)
class _Run:
    """Packets of all channels, each right behind the one before it, that are still to be joined."""

    packets: list[Packet]
    samples: int
    end_ns: int


class Timeline:
    """Joins the packets of one instrument into blocks of three components at `rate` Hz.

    `channels`: every code the instrument is expected to deliver, in any order (component_slots says
    which component each becomes). Packets may carry all channels or one each; separate channels are
    joined sample to nearest sample, so they may differ by up to half an input sample in time. Where one
    is missing the others wait, until its data go on, it lags by more than `max_lag_s` of data, or all
    data end. If it begins up to 5 s after the others, they are dropped until then: a gap of all.
    Otherwise a new segment goes on without it, and another takes it in again when its data begin, or a packet
    later where those come after the others' of the same time.

    A packet continues its channel when it starts within half an input sample of the end of the packet
    before; the blocks' times follow the packets' own, so a clock that drifts makes no gaps. Anything
    else starts a new segment: missing time, NaN, infinite or huge samples, another sample rate. A channel of
    another rate than the first is left out, which is told. Samples that came before are dropped. Where 5 s
    of data follow one another from before the newest packet, and nothing current comes between, the clock
    was set back (or had been wrong): the time line starts over. In order of start time, as from an archive,
    repeats begin no earlier than the newest packet.

    Packets of all channels that follow one another with nothing else between are joined only once `block`
    samples of the segment, or a multiple of it, are full, which costs least where packets are small.

    The packets must carry UTC and rate; Timekeeper sees to that.
    """

    def __init__(
        self, channels: Sequence[str], rate: float = 100.0, max_lag_s: float = 120.0, block: int = 1
    ) -> None:
        self.stats = TimelineStats()
        self._slots = component_slots(channels)
        self._rate = rate
        self._max_lag_s = max_lag_s
        self._block = block
        self._segment: Segment | None = None
        self._run: _Run | None = None
        self._resampler: Resampler | None = None
        self._last: tuple[int, Stream] | None = None  # UTC end and stream of the segment before
        self._stream = Stream("", "", "", self._slots)  # the newest packet's network and station count
        self._other_rate: set[str] = set()  # channels left out for their rate, which was told
        self._clear_tracks()

    def _clear_tracks(self) -> None:
        self._tracks = {code: Track(slot) for slot, code in enumerate(self._slots) if code}
        self._until_ns: int | None = None  # where the newest segment ended: none begins before that

    def feed(self, packet: Packet) -> list[Block]:
        """Blocks that this packet completes; it may also end a segment and start the next.

        ValueError for a packet without UTC or rate, for a channel that was not announced, and for a rate
        outside 20…1000 Hz.
        """
        if packet.start_ns is None or packet.clock == "device" or packet.rate is None:
            raise ValueError("packet without UTC or without sample rate")
        if self._goes_on(packet, packet.start_ns, packet.rate):
            return self._joined() if self._is_full(packet.rate) else []
        check_rate(packet.rate)
        codes = packet.stream.channels
        if not self._tracks.keys() >= set(codes):
            raise ValueError(f"packet of {','.join(codes)} where {','.join(self._tracks)} were announced")
        if len(packet.samples) == 0:
            return []
        blocks = self._joined()
        self._stream = packet.stream
        if any(self._set_back(self._tracks[code], packet, packet.start_ns, packet.rate) for code in codes):
            blocks += self.restart(f"clock of {','.join(codes)} was set anew")
        late = 0
        for code, column in zip(codes, packet.samples.T, strict=True):
            late += self._accept(self._tracks[code], packet, packet.start_ns, packet.rate, column)
        self.stats.out_of_order_samples += late
        self.stats.out_of_order_packets += late > 0
        return [*blocks, *self._join()]

    def _goes_on(self, packet: Packet, start_ns: int, rate: float) -> bool:
        """Whether a packet of all channels is right behind what came before; if so, it waits to be joined."""
        samples, run = packet.samples, self._run
        if len(samples) == 0 or (samples.dtype.kind == "f" and not are_valid(samples).all()):
            return False
        end_ns = start_ns + round(len(samples) * _S / rate)
        if run is None:
            if not self._is_straight(packet, start_ns, rate):
                return False
            self._run = _Run([packet], len(samples), end_ns)
            return True
        last = run.packets[-1]
        if packet.stream != last.stream or rate != last.rate or round((run.end_ns - start_ns) * rate / _S):
            return False
        run.packets.append(packet)
        run.samples += len(samples)
        run.end_ns = end_ns
        return True

    def _is_straight(self, packet: Packet, start_ns: int, rate: float) -> bool:
        """Whether a packet goes on with all channels of the segment, none of which waits or was broken."""
        segment, tracks = self._segment, self._tracks
        if not segment or len(segment.live) < len(tracks) or tracks.keys() != set(packet.stream.channels):
            return False
        return all(
            not (track.pieces or track.broken or track.rate != rate or track.end_ns is None)
            and not round((track.end_ns - start_ns) * rate / _S)
            for track in tracks.values()
        )

    def _is_full(self, rate: float) -> bool:
        """Whether what waits to be joined fills another block of the segment."""
        segment, run = self._segment, self._run
        if segment is None or run is None:
            return False
        return segment.fills(run.samples, self._block)

    def _joined(self) -> list[Block]:
        """The block of the packets that wait to be joined, if there are some."""
        segment, run = self._segment, self._run
        if segment is None or run is None:
            return []
        self._run = None
        last = run.packets[-1]
        self._stream = last.stream
        pieces, at = [], 0
        for packet in run.packets:
            start_ns, rate = packet.start_ns or 0, packet.rate or 0.0
            piece = Piece(start_ns, rate, packet.clock, packet.sigma_s, packet.samples[:, 0], True, False)
            pieces.append((at, piece))
            at += len(packet.samples)
        rows = np.zeros((run.samples, 3))
        together = np.concatenate([packet.samples for packet in run.packets])
        for column, code in enumerate(last.stream.channels):
            track = self._tracks[code]
            track.newest_ns, track.late_ns, track.end_ns = last.start_ns or 0, 0, run.end_ns
            rows[:, track.slot] = together[:, column]
        return segment.feed(rows, pieces, run.end_ns)

    def restart(self, reason: str) -> list[Block]:
        """Time was set anew: the last blocks of the time before, as at the end of data."""
        blocks = self.flush()
        self.stats.clock_steps += 1
        self.stats.events.append(f"{reason}: starting over")
        return blocks

    def flush(self) -> list[Block]:
        """End of data: what waits for a channel goes on without it; then the last segment's tail."""
        blocks = self._joined()
        while self._segment or any(track.pieces for track in self._tracks.values()):
            for track in self._tracks.values():
                track.silent = not track.pieces
            blocks += self._join()
            if self._segment:
                blocks += self._end(self._segment)
        self._clear_tracks()
        return blocks

    def _set_back(self, track: Track, packet: Packet, start_ns: int, rate: float) -> bool:
        """Whether the packet, entirely in the past, goes on behind enough others that were as well."""
        return (
            track.end_ns is not None
            and track.late_ns >= _SET_BACK_NS
            and track.follows_late(start_ns, rate)
            and start_ns + round(len(packet.samples) * _S / rate) < track.end_ns
        )

    def _accept(
        self,
        track: Track,
        packet: Packet,
        start_ns: int,
        rate: float,
        samples: NDArray[np.int32] | NDArray[np.float64],
    ) -> int:
        """Queue one channel of a packet without what came before; the samples entirely in the past."""
        newest_ns = start_ns
        continues = after_invalid = False
        if track.end_ns is not None:
            overlap = round((track.end_ns - start_ns) * rate / _S)  # below 0: a gap
            if overlap >= len(samples):
                track.come_late(start_ns, rate, len(samples))
                return len(samples)
            if overlap > 0:
                self.stats.overlap_samples += overlap
                start_ns, samples = start_ns + round(overlap * _S / rate), samples[overlap:]
            continues = overlap >= 0 and not track.broken and same_rate(rate, track.rate)
            after_invalid = overlap >= 0 and track.broken
        track.newest_ns, track.late_ns = newest_ns, 0
        track.rate = rate
        track.end_ns = start_ns + round(len(samples) * _S / rate)
        track.broken = False
        runs = valid_runs(samples)
        for first, last in runs:
            start = start_ns + round(first * _S / rate)
            part = samples[first:last]
            follows, invalid = continues and first == 0, after_invalid or first > 0
            track.pieces.append(Piece(start, rate, packet.clock, packet.sigma_s, part, follows, invalid))
            track.silent = False
        self.stats.invalid_samples += len(samples) - sum(last - first for first, last in runs)
        track.broken = not runs or runs[-1][1] < len(samples)
        return 0

    def _drop(self, track: Track, n: int) -> None:
        self.stats.partial_samples += n
        track.take(n)

    def _join(self) -> Iterator[Block]:
        while segment := self._segment or self._start():
            returns_in = self._returns_in(segment)
            n = min([track.run() for track in segment.live] + returns_in)
            if n > 0:
                yield from self._emit(segment, n)
            elif (
                0 in returns_in
                or any(track.pieces and not track.pieces[0].continues for track in segment.live)
                or self._give_up(segment.live)
                or (not any(track.pieces for track in segment.live) and self._give_up(self._tracks.values()))
            ):
                yield from self._end(segment)
            else:
                return

    def _start(self) -> Segment | None:
        """The segment from the first instant on that the channels which begin together all have, or None
        while one that is expected has not shown where it begins."""
        for track in self._tracks.values():
            self._drop_past(track)
        while True:
            expected = [track for track in self._tracks.values() if track.pieces or not track.silent]
            waiting = [track for track in expected if track.pieces]
            if not waiting or (len(waiting) < len(expected) and not self._give_up(expected)):
                return None
            first_ns = min(track.pieces[0].start_ns for track in waiting)
            together = [track for track in waiting if track.pieces[0].seconds_after(first_ns) <= _TOGETHER_S]
            heads = [track.pieces[0] for track in together]
            latest_ns = max(head.start_ns for head in heads)
            start_ns = heads[0].time_ns(heads[0].samples_until(latest_ns))
            complete = True
            for track, head in zip(together, heads, strict=True):
                head.continues = True
                run = track.run()
                skip = min(max(0, head.samples_until(start_ns)), run)
                self._drop(track, skip)
                complete = complete and skip < run
            if complete:
                return self._begin(together)

    def _drop_past(self, track: Track) -> None:
        """What a channel brings of the time in which the others went on without it."""
        while self._until_ns is not None and track.pieces:
            head = track.pieces[0]
            past = head.samples_until(self._until_ns)
            if past <= 0:
                break
            self._drop(track, min(past, len(head.samples)))

    def _begin(self, together: list[Track]) -> Segment:
        head = together[0].pieces[0]
        live = [track for track in together if same_rate(track.pieces[0].rate, head.rate)]
        if self._resampler is None or self._resampler.rate_in != head.rate:
            self._resampler = Resampler(head.rate, self._rate)
        codes = {track.slot: self._slots[track.slot] for track in live}
        self._other_rate.difference_update(codes.values())
        stream = replace(self._stream, channels=tuple(codes.get(slot, "") for slot in range(3)))
        start_ns = head.start_ns
        ended_ns, before = self._last or (start_ns, replace(stream, channels=self._slots))
        gap_s = (start_ns - ended_ns) / _S
        when = f"{np.datetime64(start_ns // _S, 's')}Z"
        if gap_s * head.rate > 0.5:
            self.stats.gaps += 1
            self.stats.gap_s += gap_s
            cause = self._cause(live)
            self.stats.events.append(f"gap of {gap_s:.3f} s before {when}{cause}")
        if stream.channels != before.channels:
            cause = self._cause([track for track in self._tracks.values() if track not in live])
            self.stats.events.append(f"from {when} on with {','.join(codes.values())}{cause}")
        self._segment = Segment(live, stream, self._resampler, head.rate, start_ns)
        return self._segment

    def _cause(self, tracks: list[Track]) -> str:
        """What broke off those of `tracks` that had invalid samples, for the end of an event's line."""
        codes = [self._slots[track.slot] for track in tracks if track.after_invalid()]
        return f": NaN, infinite or huge samples in {','.join(codes)}" if codes else ""

    def _returns_in(self, segment: Segment) -> list[int]:
        """Input samples until each channel that has come back can join; useless data of it is dropped."""
        due = []
        for track in self._tracks.values():
            while track.pieces and track not in segment.live:
                head = track.pieces[0]
                ahead = -head.samples_until(segment.next_ns)
                left = ahead + len(head.samples)
                fits = same_rate(head.rate, segment.rate)
                if fits and left > 0:
                    due.append(max(0, ahead))
                    break
                if not fits:
                    self._tell_rate(self._slots[track.slot], head.rate, segment)
                self._drop(track, len(head.samples))
                track.silent = not fits or left < 0
                if not track.silent:
                    due.append(0)  # back, only not as soon as the others: they wait for what follows
                    break
        return due

    def _tell_rate(self, code: str, rate: float, segment: Segment) -> None:
        """Once, until it joins the others: a channel is left out of a segment of another rate."""
        if code not in self._other_rate:
            self._other_rate.add(code)
            others = ",".join(code for code in segment.stream.channels if code)
            said = f"{code} is left out: {rate:g} Hz, beside {others} at {segment.rate:g} Hz"
            self.stats.events.append(said)

    def _give_up(self, tracks: Collection[Track]) -> bool:
        """Stop waiting for those of `tracks` that lag too far behind the others, if there are any."""
        lagging = [track for track in tracks if not track.pieces]
        if not lagging or max(track.backlog_s() for track in tracks) <= self._max_lag_s:
            return False
        for track in lagging:
            track.silent = True
        return True

    def _emit(self, segment: Segment, n: int) -> list[Block]:
        rows = np.zeros((n, 3))
        pieces: list[tuple[int, Piece]] = []
        for track in segment.live:
            at = 0
            for piece in track.take(n):
                rows[at : at + len(piece.samples), track.slot] = piece.samples
                if track is segment.live[0]:
                    pieces.append((at, piece))
                at += len(piece.samples)
        _, last = pieces[-1]
        return segment.feed(rows, pieces, last.time_ns(len(last.samples)))

    def _end(self, segment: Segment) -> list[Block]:
        blocks = segment.finish()
        self._last = segment.next_ns, segment.stream
        self._until_ns = segment.next_ns
        self._segment = None
        return blocks
