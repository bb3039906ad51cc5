"""Who keeps this computer's clock: what the kernel knows of it."""

import ctypes
import sys

from firmware_bridge.packet import Clock

_TIME_ERROR, _STA_NANO = 5, 0x2000
_LEFT_S = 0.01
_MOST_ERROR_US = 2_000_000
"""The kernel's worst case grows by 0.5 ms a second: after an hour without NTP it is past this."""


class Timex(ctypes.Structure):
    """The beginning of the kernel's `struct timex`."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),  # to be made good yet: µs, with STA_NANO ns
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 512),
    )


def host_clock() -> Clock:
    """Who keeps this computer's clock: as `vouched_by` says, "host" where there is no such kernel."""
    if sys.platform != "linux":
        return "host"
    timex = Timex()  # zeros: read only
    return vouched_by(ctypes.CDLL(None).adjtimex(ctypes.byref(timex)), timex)


def vouched_by(state: int, timex: Timex) -> Clock:
    """What the kernel says: "ntp" while its clock is synchronised, with less than 10 ms to go, else "host".

    To the kernel a clock that was far off at the start is synchronised while it is still on its way, and for
    nine hours after NTP was last heard.
    """
    left_s = abs(timex.offset) * (1e-9 if timex.status & _STA_NANO else 1e-6)
    synchronised = 0 <= state < _TIME_ERROR and timex.maxerror < _MOST_ERROR_US
    return "ntp" if synchronised and left_s < _LEFT_S else "host"
