"""Whether a digitizer's UTC can be true, by a clock that NTP keeps."""

_AHEAD_S, _BEHIND_S = 0.5, 60.0
"""Nothing arrives before it was taken; some packets are long, or come late."""
_STEADY_S = 1.0


class ClockWatch:
    """Says, once each time, that UTC from a digitizer is not that of this computer, and that it is again.

    Local time sent as UTC, a GNSS receiver that does not know its week or leap seconds yet, and marks that
    name the wrong second look so. Data that were held up do not: they become less and less late.
    """

    def __init__(self) -> None:
        self._before_s: float | None = None
        self._off = False

    def feed(self, ahead_s: float | None) -> list[str]:
        """`Timekeeper.ahead_s`, now and then: lines for the operator, seldom any."""
        before_s, self._before_s = self._before_s, ahead_s
        if ahead_s is None or before_s is None or abs(ahead_s - before_s) > _STEADY_S:
            return []
        was_off, self._off = self._off, not -_BEHIND_S < ahead_s < _AHEAD_S
        if self._off and not was_off:
            off = f"the digitizer's clock is off by {ahead_s:+.1f} s, or NTP is"
            return [f"{off}: does it send UTC, has it a GNSS fix?"]
        return ["the digitizer's clock is right again"] if was_off and not self._off else []
