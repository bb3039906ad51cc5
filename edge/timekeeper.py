"""UTC for packets whose wire does not carry it: the time, its clock and its error, and the sample rate."""

import ctypes
import math
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import accumulate
from statistics import median

from edge.clock import ArrivalFit, MarkFit
from firmware_bridge.packet import Clock, Packet

_S = 1_000_000_000

_STEP_NS = _S // 10
"""A correction up to so much is made gradually, a larger one at once."""
_STEP_SHARE = 0.25
"""Gradually: by so much of a sample per packet, far from a gap."""
_RATE_SIGMA = 50e-6
_COUNTED_RATE_SIGMA = 5e-3
_REBOOT_NS = 10 * _S
"""A device clock that falls back by more began anew; by less, the packet came late."""
_LATE_NS = _S // 20
"""Later than the clock expects: samples may be missing before it, or it was held up on its way."""
_DECIDE_NS = 5 * _S
"""Held up packets have come by then; if all are as late, samples are missing."""
_HOST_STEP_NS = _S
_HOST_STEP_AFTER_NS = 10 * _S
"""An arrival later than expected by so much, for so long: the clock of this computer was set forward."""
_RATE_SPAN_NS = 3 * _S
_RATE_PACKETS = 6
_RATES = (20, 25, 31.25, 40, 50, 62.5, 80, 100, 125, 200, 250, 400, 500, 1000)
_RATE_TOLERANCE = 0.02
_DAY_NS = 86_400 * _S
_LEAP_SLACK_NS = 5 * _S
_ASK_EVERY_NS = 10 * _S
_TIME_ERROR = 5


@dataclass(frozen=True, slots=True)
class ClockStep:
    """Time was set anew here: what follows does not connect to what came before. `reason`: for people."""

    reason: str


def host_clock() -> Clock:
    """Who keeps this computer's clock: "ntp" while the kernel holds it to be synchronised, else "host"."""
    if sys.platform != "linux":
        return "host"
    state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512))  # zeros: read only
    return "ntp" if 0 <= state < _TIME_ERROR else "host"


class Timekeeper:
    """Gives every packet of one instrument its UTC, and the rate where the wire does not tell it.

    Packets with UTC pass as they are. Others are timed by a straight-line fit of the digitizer's clock (or
    of its sample count): to its PPS marks where it sends some, else to arrival times; `sigma_s` of the
    packets says how well. Corrections are made gradually, never by a jump that would look like a gap,
    unless they exceed 0.1 s.

    Without a time on the wire, packets that come 50 ms later than expected wait up to 5 s, until it shows
    whether they were held up or samples are missing before them; without a rate, the packets of the
    first 3 s wait until it has been measured.
    """

    def __init__(self, vouched: Callable[[], Clock] = host_clock) -> None:
        """`vouched`: who keeps the clock that arrival times are read from, asked every ten seconds."""
        self._vouched = vouched
        self._host: Clock = "host"
        self._asked_ns: int | None = None
        self._due_ns: dict[tuple[str, ...], int] = {}  # of channels whose packets carry UTC
        self._leap_ns = 0
        self._held: deque[tuple[Packet, int]] = deque()
        self._rate: float | None = None
        self._count_ns = 0  # device time of the next sample where the wire has none
        self._begin(_RATE_SIGMA)

    def _begin(self, slope_sigma: float) -> None:
        self._marks = MarkFit()
        self._arrivals = ArrivalFit(slope_sigma)
        self._offset_ns: int | None = None  # as applied last
        self._newest_ns: int | None = None  # device time of the newest packet
        self._late_since_ns: int | None = None

    @property
    def rate_error_ppm(self) -> float | None:
        """How much faster than it says the digitizer samples, in 1e-6; None while that is unknown."""
        line = self._marks.line or self._arrivals.line
        return None if line is None else -1e6 * line.slope

    def feed(self, packet: Packet, arrival_ns: int | None) -> list[Packet | ClockStep]:
        """Packets with UTC and rate, in order, as far as they are settled; steps where time was set anew.

        `arrival_ns`: UTC of the arrival of the packet's last byte, less the time its bytes take on the line.
        ValueError where the packet needs it and it is None: always without UTC or PPS marks.
        """
        if packet.start_ns is not None and packet.clock != "device":
            return self._with_utc(packet, packet.start_ns)
        if packet.start_ns is not None and packet.rate is not None:
            return self._timed(packet, packet.start_ns, packet.rate, arrival_ns)
        if arrival_ns is None:
            raise ValueError("it has sent no UTC, so only a live line can tell its time")
        if self._newest_ns is None:
            self._begin(_COUNTED_RATE_SIGMA)
        self._held.append((packet, arrival_ns))
        return self._settled(ended=False)

    def flush(self) -> list[Packet | ClockStep]:
        """End of data, or a silent line: what still waits, as well as it can be timed."""
        return self._settled(ended=True)

    def _with_utc(self, packet: Packet, start_ns: int) -> list[Packet | ClockStep]:
        due_ns = self._due_ns.get(packet.stream.channels)
        out: list[Packet | ClockStep] = [packet]
        if packet.rate is None:
            return out
        half_sample_ns = _S / packet.rate / 2
        if (
            due_ns is not None
            and abs(due_ns - start_ns - _S) < half_sample_ns
            and abs((due_ns + _DAY_NS // 2) % _DAY_NS - _DAY_NS // 2) < _LEAP_SLACK_NS
            and abs(start_ns - self._leap_ns) > _DAY_NS // 2
        ):
            self._leap_ns = start_ns
            out.insert(0, ClockStep("leap second"))
        self._due_ns[packet.stream.channels] = start_ns + _span_ns(packet, packet.rate)
        return out

    def _timed(
        self, packet: Packet, device_ns: int, rate: float, arrival_ns: int | None
    ) -> list[Packet | ClockStep]:
        out: list[Packet | ClockStep] = []
        if self._newest_ns is not None and device_ns < self._newest_ns - _REBOOT_NS:
            self._begin(_RATE_SIGMA)
            out.append(ClockStep("the digitizer's clock began anew"))
        self._newest_ns = max(device_ns, self._newest_ns or device_ns)
        if arrival_ns is not None:
            self._follow(device_ns + _span_ns(packet, rate), arrival_ns)
        if packet.mark:
            self._marks.feed(packet.mark)
        marks_sigma_s, arrivals_sigma_s = self._marks.sigma_s(device_ns), self._arrivals.sigma_s()
        by_marks = marks_sigma_s <= arrivals_sigma_s
        line = self._marks.line if by_marks else self._arrivals.line
        if line is None:
            raise ValueError("it has sent no UTC, so only a live line can tell its time")
        target_ns = line.offset(device_ns)
        if self._offset_ns is None:
            self._offset_ns = target_ns
        off_ns = target_ns - self._offset_ns
        if abs(off_ns) > _STEP_NS:
            out.append(ClockStep(f"clock set anew by {off_ns / _S:+.3f} s"))
            self._offset_ns = target_ns
        else:
            most_ns = round(_STEP_SHARE * _S / rate)
            self._offset_ns += max(-most_ns, min(most_ns, off_ns))
        left_s = (target_ns - self._offset_ns) / _S
        sigma_s = math.hypot(marks_sigma_s if by_marks else arrivals_sigma_s, left_s)
        start_ns = device_ns + self._offset_ns
        clock = "gnss" if by_marks else self._host_clock(start_ns)
        out.append(replace(packet, start_ns=start_ns, rate=rate, clock=clock, mark=None, sigma_s=sigma_s))
        return out

    def _follow(self, device_ns: int, arrival_ns: int) -> None:
        """Take an arrival into the fit, unless it is so late that it tells nothing."""
        offset_ns = arrival_ns - device_ns
        line = self._arrivals.line
        if line is None or offset_ns - line.offset(device_ns) < _HOST_STEP_NS:
            self._late_since_ns = None
        elif self._late_since_ns is None:
            self._late_since_ns = arrival_ns
            return
        elif arrival_ns - self._late_since_ns < _HOST_STEP_AFTER_NS:
            return
        else:
            self._arrivals = ArrivalFit(_RATE_SIGMA)
            self._late_since_ns = None
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
            rate = packet.rate or self._measured_rate(ended)
            if rate is None:
                break
            missing_ns = self._missing_ns(rate, ended)
            if missing_ns is None:
                break
            self._count_ns += missing_ns
            self._held.popleft()
            out += self._timed(packet, self._count_ns, rate, arrival_ns)
            self._count_ns += _span_ns(packet, rate)
        return out

    def _measured_rate(self, ended: bool) -> float | None:
        """Samples per second by the arrivals of what waits, the usual rate next to it if one is near."""
        if self._rate is None:
            arrivals = [arrival_ns for _, arrival_ns in self._held]
            counts = list(accumulate(len(packet.samples) for packet, _ in self._held))
            half = len(counts) // 2
            enough = half >= _RATE_PACKETS // 2 and arrivals[-1] - arrivals[0] >= _RATE_SPAN_NS
            spans_ns = [later - earlier for earlier, later in zip(arrivals, arrivals[half:], strict=False)]
            if not (enough or ended) or half == 0 or min(spans_ns) <= 0:
                return None
            gains = [later - earlier for earlier, later in zip(counts, counts[half:], strict=False)]
            rate = median(n * _S / span for n, span in zip(gains, spans_ns, strict=True))
            usual = min(_RATES, key=lambda known: abs(known / rate - 1))
            self._rate = usual if abs(usual / rate - 1) < _RATE_TOLERANCE else max(round(rate, 1), 0.1)
        return self._rate

    def _missing_ns(self, rate: float, ended: bool) -> int | None:
        """Time of the samples missing before the first packet that waits; None while that is not known."""
        line = self._arrivals.line
        if line is None:
            return 0
        end_ns = self._count_ns
        least_ns: int | None = None
        for packet, arrival_ns in self._held:
            end_ns += _span_ns(packet, rate)
            late_ns = arrival_ns - end_ns - line.offset(end_ns)
            if late_ns < _LATE_NS // (1 if least_ns is None else 2):
                return 0
            least_ns = late_ns if least_ns is None else min(late_ns, least_ns)
        if least_ns is None or not (ended or self._held[-1][1] - self._held[0][1] >= _DECIDE_NS):
            return None
        return round(round(least_ns * rate / _S) * _S / rate)


def _span_ns(packet: Packet, rate: float) -> int:
    return round(len(packet.samples) * _S / rate)
