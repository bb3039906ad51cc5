"""A pick as catalogues read it: its error, its channel, its weight; and the groups that are written
together."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import hypot

from collect.store import Event
from edge.pick import Pick

WEIGHT_LIMITS_S = (0.05, 0.1, 0.2, 0.5)
"""Below the first an onset has the weight 0 of HYPO71, the best; below the second 1; and so on up to 4,
which is not used in a location."""


@dataclass(frozen=True, slots=True)
class Group:
    """What belongs together in a file: the picks of an event, or with event None those of no event in
    particular. By time."""

    event: Event | None
    picks: tuple[Pick, ...]


def groups_of(picks: Iterable[Pick], events: Iterable[Event] | None) -> list[Group]:
    """One group for each event, or where there are none to go by, one of all picks. None without picks."""
    if events is not None:
        return [Group(event, tuple(arrival.pick for arrival in event.arrivals)) for event in events]
    together = tuple(picks)
    return [Group(None, together)] if together else []


def uncertainty_s(pick: Pick) -> float:
    """One standard deviation of the onset in UTC: the model's `sigma` and the clock's `clock_sigma`
    together, seconds. A clock whose error nobody knows adds nothing."""
    return hypot(pick.sigma, pick.clock_sigma or 0.0)


def weight_code(pick: Pick) -> int:
    """0 (best) … 4 (not used), by `uncertainty_s`; see `WEIGHT_LIMITS_S`."""
    error_s = uncertainty_s(pick)
    return sum(error_s >= limit for limit in WEIGHT_LIMITS_S)


def codes(pick: Pick) -> tuple[str, str, str, str]:
    """Network, station, location, and one channel: the vertical for P, a horizontal one for S where there
    is one."""
    network, station, location = pick.station.split(".")
    return network, station, location, pick.channels[1 if pick.phase == "S" and len(pick.channels) > 1 else 0]


def public_id(pick: Pick) -> str:
    """`smi:local/pick/STATION/ID`: the same in every export, for every update of the pick."""
    return f"smi:local/pick/{pick.station}/{pick.id}"
