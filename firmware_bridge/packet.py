"""The one thing every decoder makes: a packet of consecutive samples of one instrument."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Clock = Literal["gnss", "ntp", "device", "host", "unknown"]
"""Who vouches for a time: a GNSS receiver, NTP, the digitizer's own oscillator (not UTC),
the host's arrival time, or nobody known (archived files seldom say)."""

COMPONENT_ORDER = "ZNE123XY"
"""Sort key of the last channel letter: vertical first, then north (or 1), then east (or 2)."""


@dataclass(frozen=True, slots=True)
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

    @property
    def instrument(self) -> str:
        """NET.STA.LOC.BI: station plus band and instrument code, one picker each."""
        code = next(code for code in self.channels if code)
        return f"{self.station_id}.{code[:2]}"


@dataclass(frozen=True, slots=True)
class Packet:
    """Consecutive samples of one instrument as a digitizer (or a file) delivered them.

    `start_ns`: int64 UTC nanoseconds of the first sample; with `clock` "device" it counts from
    an arbitrary origin instead of 1970, and None means that the wire carries no time at all.
    `rate`: samples per second. `samples`: shape (n, len(stream.channels)); int32 counts, or
    float64 where a file carries floats. `meta`: what else the packet told (position, temperature,
    device id), by field name.
    """

    stream: Stream
    start_ns: int | None
    rate: float
    samples: NDArray[np.int32] | NDArray[np.float64]
    clock: Clock
    meta: Mapping[str, Any] = field(default_factory=dict)
