"""The one thing every decoder makes: a packet of consecutive samples of one instrument."""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Clock = Literal["gnss", "ntp", "device", "host", "unknown"]
"""Who vouches for a time: a GNSS receiver, NTP, the digitizer's own oscillator (not UTC),
the host's arrival time, or nobody known (archived files seldom say)."""

COMPONENT_ORDER = "ZNE123XY"
"""Of the last letters of channel codes: vertical first, then north (or 1), then east (or 2)."""


@dataclass(frozen=True)
class Stream:
    """FDSN identity of one instrument: network, station, location and its channel codes.

    `channels` are full SEED codes such as ("HHZ", "HHN", "HHE") in Z, N, E or Z, 1, 2 order; "" stands
    for a component that is absent.
    """

    network: str
    station: str
    location: str
    channels: tuple[str, ...]

    @property
    def station_id(self) -> str:
        """NET.STA.LOC, as picks carry it."""
        return f"{self.network}.{self.station}.{self.location}"

    @cached_property
    def instrument(self) -> str:
        """NET.STA.LOC.BI: station plus band and instrument code, one picker each."""
        code = next(code for code in self.channels if code)
        return f"{self.station_id}.{code[:2]}"


@dataclass(frozen=True, slots=True)
class TimeMark:
    """One instant that the digitizer saw on both clocks: a PPS edge, as a rule.

    `device_ns`: its own clock, on the scale of the packets' `start_ns`. `utc_ns`: int64 UTC nanoseconds.
    `sigma_s`: standard error of the pair in seconds.
    """

    device_ns: int
    utc_ns: int
    sigma_s: float


@dataclass(frozen=True, slots=True)
class Packet:
    """Consecutive samples of one instrument as a digitizer (or a file) delivered them.

    `start_ns`: int64 UTC nanoseconds of the first sample; with `clock` "device" it counts from an arbitrary
    origin instead of 1970, and None means that the wire carries no time at all. `rate`: samples per second;
    None where the wire does not tell. `samples`: shape (n, len(stream.channels)); int32 counts with up,
    north and east positive, or float64 where the wire carries fractions. `meta`: what else the packet told,
    by field name (position, temperature, device id; "unit" of the samples, or with "sensitivity" the unit
    of which they have so many counts). `mark`: ties a device clock to UTC. `wire_bytes`: what was on the
    wire between its last sample and its arrival. `sigma_s`: standard error of `start_ns` where known.
    """

    stream: Stream
    start_ns: int | None
    rate: float | None
    samples: NDArray[np.int32] | NDArray[np.float64]
    clock: Clock
    meta: Mapping[str, Any] = field(default_factory=dict)
    mark: TimeMark | None = None
    wire_bytes: int = 0
    sigma_s: float | None = None


def component_rank(code: str) -> tuple[int, str]:
    """Sort key of channel codes: as `COMPONENT_ORDER` has their last letters, then all others."""
    rank = COMPONENT_ORDER.find(code[-1])
    return (rank if rank >= 0 else len(COMPONENT_ORDER)), code


def channel_codes(
    rate: float | None, instrument: str, components: str, *, broadband: bool = False
) -> tuple[str, ...]:
    """SEED channel codes such as ("EHZ", "EHN", "EHE") for components "ZNE".

    `instrument`: H for a seismometer or geophone, N for an accelerometer. The band letter follows from the
    rate and from whether the sensor's corner period is 10 s or longer; an unknown rate counts as 100 Hz.
    """
    above = bisect_right((10.0, 80.0, 250.0, 1000.0), rate or 100.0)
    band = ("LBHCF" if broadband else "LSEDG")[above]
    return tuple(band + instrument + letter for letter in components)
