"""UTC for packets whose wire does not carry it: the time, its clock and its error, and the sample rate."""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from edge.clock import ArrivalFit, Line, MarkFit
from edge.host_clock import host_clock
from edge.rate import RateMeter
from firmware_bridge.packet import Clock, Packet, TimeMark

_S = 1_000_000_000

_STEP_NS, _STEP_SPREAD = _S // 10, 0.7
"""A correction up to so much, or that share of how arrivals vary, is made gradually, a larger one at once."""
_STEP_SHARE = 0.25
"""Gradually: by so much of a sample per packet, far from a gap."""
_RATE_SIGMA = 50e-6
_COUNTED_RATE_SIGMA = 5e-3
_REBOOT_NS = 10 * _S
"""A device clock that falls back by more began anew; by less, the packet came late."""
_BREAK_NS = _S
_ANOTHER_CLOCK_NS = 2 * _S
_LATE_NS, _LATE_SHARE = _S // 20, 1.5
"""Later than the clock expects, and than packets usually are: something has changed."""
_DECIDE_NS = 5 * _S
"""Held up packets have come by then; if all are as late, samples are missing."""
_HOST_STEP_NS, _HOST_STEP_AFTER_NS = _S // 10, 10 * _S
"""An arrival later than expected by so much, for so long: the clock of this computer was set forward."""
_HOLDOVER_SIGMA_S = 0.005
_DAY_NS = 86_400 * _S
_LEAP_SLACK_NS = 5 * _S
_ASK_EVERY_NS = 10 * _S


@dataclass(frozen=True, slots=True)
class ClockStep:
    """Time was set anew here: what follows does not connect to what came before. `reason`: for people."""

    reason: str


class Timekeeper:
    """Gives every packet of one instrument its UTC, and the rate where the wire does not tell it.

    Packets with UTC pass as they are. Others are timed by a straight-line fit of the digitizer's clock (or
    of its sample count): to its PPS marks where it sends some, else to arrival times; `sigma_s` of the
    packets says how well. Corrections are made gradually, never by a jump that would look like a gap,
    unless they exceed 0.1 s.

    A digitizer that loses its GNSS fix, and counts by its own clock from then on, goes on from its last UTC.

    Without a time on the wire, packets that come later than expected, by 50 ms and more than they usually do,
    wait up to 5 s, until it shows whether they were held up or samples are missing before them; without a
    rate, packets wait for 3 to 10 s until it has been measured.
    """

    def __init__(self, vouched: Callable[[], Clock] = host_clock) -> None:
        """`vouched`: who keeps the clock that arrival times are read from, asked every ten seconds."""
        self._vouched = vouched
        self._host: Clock = "host"
        self._asked_ns: int | None = None
        self._due_ns: dict[tuple[str, ...], int] = {}  # UTC at which each kind of packet is due
        self._by_wire: bool | None = None  # whether the last packet brought its UTC
        self._arrival_ns: int | None = None  # of the last packet
        self._out: list[Packet | ClockStep] = []  # what was settled with it
        self._leap_ns = 0
        self._held: deque[tuple[Packet, int]] = deque()
        self._meter = RateMeter()
        self._rate: float | None = None
        # Device time of the next sample, of channels whose wire has none: their samples are counted.
        self._count_ns: dict[tuple[str, ...], int] = {}
        self._begin(_RATE_SIGMA)

    def _begin(self, slope_sigma: float) -> None:
        self._marks = MarkFit()
        self._arrivals = ArrivalFit(slope_sigma)
        self._offset_ns: int | None = None  # as applied last
        self._newest_ns: int | None = None  # device time of the newest packet
        self._due_device_ns: int | None = None  # and of the next one
        self._late_since_ns: int | None = None
        self._late_ns = 0  # how late arrivals have been at least, since then

    @property
    def rate_error_ppm(self) -> float | None:
        """How much faster than it says the digitizer samples, in 1e-6; None while that is unknown."""
        line = self._marks.line if self._marks.knows_rate else self._arrivals.line
        return None if line is None else -1e6 * line.slope

    def feed(self, packet: Packet, arrival_ns: int | None) -> list[Packet | ClockStep]:
        """Packets with UTC and rate, in order, as far as they are settled; steps where time was set anew.

        `arrival_ns`: UTC of the arrival of the packet's last byte, less the time its bytes take on the line.
        ValueError where the packet needs it and it is None: always without UTC or PPS marks.
        """
        if packet.start_ns is not None and packet.clock != "device":
            out = self._with_utc(packet, packet.start_ns)
        elif packet.start_ns is not None and packet.rate is not None:
            out = self._timed(packet, packet.start_ns, packet.rate, arrival_ns)
        elif arrival_ns is None:
            raise ValueError("it has sent no UTC yet, so only a live line can tell its time")
        else:
            if self._newest_ns is None:
                self._begin(_COUNTED_RATE_SIGMA)
            if packet.rate is None and self._rate is None:
                self._rate = self._meter.feed(len(packet.samples), arrival_ns)
            self._held.append((packet, arrival_ns))
            out = self._settled(ended=False)
        self._arrival_ns = arrival_ns
        self._out = out
        return out

    @property
    def ahead_s(self) -> float | None:
        """How long after its arrival the newest packet ended by its own UTC; None unless NTP keeps the
        clock by which it arrived."""
        last, arrival_ns = self._out[-1] if self._out else None, self._arrival_ns
        if not isinstance(last, Packet) or last.start_ns is None or last.rate is None or arrival_ns is None:
            return None
        if self._host_clock(arrival_ns) != "ntp":
            return None
        return (last.start_ns + _until_last_ns(last, last.rate) - arrival_ns) / _S

    def flush(self) -> list[Packet | ClockStep]:
        """End of data, or a silent line: what still waits, as well as it can be timed."""
        return self._settled(ended=True)

    def _with_utc(self, packet: Packet, start_ns: int) -> list[Packet | ClockStep]:
        if packet.rate is None:
            return [packet]
        channels = packet.stream.channels
        due_ns = self._due_ns.get(channels)
        out: list[Packet | ClockStep] = [packet]
        half_sample_ns = _S / packet.rate / 2
        if (
            due_ns is not None
            and abs(due_ns - start_ns - _S) < half_sample_ns
            and abs((due_ns + _DAY_NS // 2) % _DAY_NS - _DAY_NS // 2) < _LEAP_SLACK_NS
            and abs(start_ns - self._leap_ns) > _DAY_NS // 2
        ):
            self._leap_ns = start_ns
            out.insert(0, ClockStep("leap second"))
        elif self._by_wire is False and due_ns is not None and abs(start_ns - due_ns) > half_sample_ns:
            out.insert(0, ClockStep(f"clock set anew by {(start_ns - due_ns) / _S:+.3f} s"))
        self._by_wire = True
        self._due_ns[channels] = start_ns + _span_ns(packet, packet.rate)
        return out

    def _timed(
        self, packet: Packet, device_ns: int, rate: float, arrival_ns: int | None
    ) -> list[Packet | ClockStep]:
        out: list[Packet | ClockStep] = []
        channels = packet.stream.channels
        if self._by_wire:
            self._hold_over(device_ns, self._due_ns.get(channels), arrival_ns, _span_ns(packet, rate))
        elif self._newest_ns is not None and device_ns < self._newest_ns - _REBOOT_NS:
            self._begin(_RATE_SIGMA)
            out.append(ClockStep("the digitizer's clock began anew"))
        goes_on = self._due_device_ns is not None and abs(device_ns - self._due_device_ns) < _BREAK_NS
        if arrival_ns is not None:
            self._follow(device_ns + _until_last_ns(packet, rate), arrival_ns, goes_on)
        if packet.mark:
            self._marks.feed(packet.mark)
        line, clock, sigma_s = self._best(device_ns, arrival_ns)
        if line is None:
            raise ValueError("it has sent no UTC yet, so only a live line can tell its time")
        off_ns = self._correct(line, device_ns, rate)
        if abs(off_ns) > self._step_ns:
            out.append(ClockStep(f"clock set anew by {off_ns / _S:+.3f} s"))
        self._newest_ns = max(device_ns, self._newest_ns or device_ns)
        self._due_device_ns = device_ns + _span_ns(packet, rate)
        self._by_wire = False
        start_ns = device_ns + (self._offset_ns or 0)
        self._due_ns[channels] = start_ns + _span_ns(packet, rate)
        if sigma_s is not None:
            sigma_s = math.hypot(sigma_s, (line.offset(device_ns) + device_ns - start_ns) / _S)
        out.append(replace(packet, start_ns=start_ns, rate=rate, clock=clock, mark=None, sigma_s=sigma_s))
        return out

    def _hold_over(self, device_ns: int, due_ns: int | None, arrival_ns: int | None, span_ns: int) -> None:
        """From UTC on the wire to the digitizer's own clock: the packet that follows at once is due then.

        `span_ns`: its length. If it comes later by half of it, others may be missing before it.
        """
        self._begin(_RATE_SIGMA)
        before_ns = self._arrival_ns
        if due_ns is None or arrival_ns is None or before_ns is None:
            return
        if abs(arrival_ns - before_ns) < 2 * _BREAK_NS:
            late_ns = arrival_ns - before_ns - span_ns
            missing_s = late_ns / _S if late_ns > span_ns / 2 else 0.0
            mark = TimeMark(device_ns, due_ns, math.hypot(_HOLDOVER_SIGMA_S, missing_s))
            self._marks.feed(mark)
            self._marks.feed(mark)

    def _best(self, device_ns: int, arrival_ns: int | None) -> tuple[Line | None, Clock, float | None]:
        """The better fit at a time, whose clock that is, and its standard error where somebody vouches."""
        marks_sigma_s, arrivals_sigma_s = self._marks.sigma_s(device_ns), self._arrivals.sigma_s()
        host = self._host_clock(arrival_ns) if arrival_ns is not None else self._host
        if self._marks.line and (host == "host" or marks_sigma_s <= arrivals_sigma_s):
            return self._marks.line, "gnss", marks_sigma_s
        # One packet that is held up must not bring the marks back for a moment.
        told_s = math.hypot(arrivals_sigma_s, self._late_ns / _S)
        return self._arrivals.line, host, told_s if host == "ntp" else None

    def _correct(self, line: Line, device_ns: int, rate: float) -> int:
        """Brings the offset nearer to a line, gradually unless it is too far off: how far it was."""
        target_ns = line.offset(device_ns)
        if self._offset_ns is None or self._newest_ns is None:
            self._offset_ns = target_ns
            return 0
        drifted_ns = self._offset_ns + round(line.slope * (device_ns - self._newest_ns))
        off_ns = target_ns - drifted_ns
        most_ns = round(_STEP_SHARE * _S / rate) if abs(off_ns) <= self._step_ns else abs(off_ns)
        self._offset_ns = drifted_ns + max(-most_ns, min(most_ns, off_ns))
        return off_ns

    @property
    def _step_ns(self) -> int:
        return max(_STEP_NS, round(_STEP_SPREAD * _S * (self._arrivals.spread_s or 0.0)))

    def _usually_late_ns(self, least_ns: int) -> int:
        """Packets come later than this only if something has changed."""
        return max(least_ns, round(_LATE_SHARE * _S * (self._arrivals.spread_s or 0.0)))

    def _follow(self, device_ns: int, arrival_ns: int, goes_on: bool) -> None:
        """Take an arrival into the fit.

        `device_ns`: when the last sample was taken, before which nothing can be sent. `goes_on`: the device's
        clock follows the packet before. If it does not, and does not fit the time that has passed by here
        either, it is another clock: a restart, or a counter that wrapped around in a long silence.
        """
        offset_ns = arrival_ns - device_ns
        line = self._arrivals.line
        late_ns = 0 if line is None else offset_ns - line.offset(device_ns)
        if not goes_on and line is not None and abs(late_ns) > _ANOTHER_CLOCK_NS:
            self._arrivals, self._marks = ArrivalFit(_RATE_SIGMA), MarkFit()
            self._late_since_ns, self._late_ns = None, 0
        elif self._arrivals.spread_s is None or late_ns < self._usually_late_ns(_HOST_STEP_NS):
            self._late_since_ns, self._late_ns = None, 0
        elif self._late_since_ns is None:
            self._late_since_ns, self._late_ns = arrival_ns, late_ns
        else:
            self._late_ns = min(self._late_ns, late_ns)
            if arrival_ns - self._late_since_ns > _HOST_STEP_AFTER_NS:
                self._arrivals = ArrivalFit(_RATE_SIGMA)
                self._late_since_ns, self._late_ns = None, 0
        self._arrivals.feed(device_ns, offset_ns)

    def _host_clock(self, now_ns: int) -> Clock:
        if self._asked_ns is None or abs(now_ns - self._asked_ns) > _ASK_EVERY_NS:
            self._asked_ns = now_ns
            self._host = self._vouched()
        return self._host

    def _settled(self, ended: bool) -> list[Packet | ClockStep]:
        """Packets without a time that no longer need to wait."""
        out: list[Packet | ClockStep] = []
        while self._held:
            packet, arrival_ns = self._held[0]
            channels = packet.stream.channels
            rate = packet.rate or self._rate
            missing_ns = None if rate is None else self._missing_ns(channels, rate, ended)
            if rate is None or missing_ns is None:
                break
            start_ns = self._count_ns.get(channels, 0) + missing_ns
            self._held.popleft()
            out += self._timed(packet, start_ns, rate, arrival_ns)
            self._count_ns[channels] = start_ns + _span_ns(packet, rate)
        return out

    def _missing_ns(self, channels: tuple[str, ...], rate: float, ended: bool) -> int | None:
        """Time of the samples missing before the first packet that waits; None while that is not known."""
        line = self._arrivals.line
        if line is None or self._arrivals.spread_s is None:
            return 0
        limit_ns = self._usually_late_ns(_LATE_NS)
        start_ns = self._count_ns.get(channels, 0)
        lateness = []
        for packet, arrival_ns in self._held:
            if packet.stream.channels == channels:
                last_ns = start_ns + _until_last_ns(packet, rate)
                lateness.append(arrival_ns - last_ns - line.offset(last_ns))
                if lateness[-1] < (limit_ns if len(lateness) == 1 else limit_ns // 2):
                    return 0
                start_ns += _span_ns(packet, rate)
        if not (ended or abs(self._held[-1][1] - self._held[0][1]) >= _DECIDE_NS):
            return None
        return round(round(min(lateness) * rate / _S) * _S / rate)


def _span_ns(packet: Packet, rate: float) -> int:
    return round(len(packet.samples) * _S / rate)


def _until_last_ns(packet: Packet, rate: float) -> int:
    return round((len(packet.samples) - 1) * _S / rate)
