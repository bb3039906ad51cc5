"""What every way upstream has in common: it delivers picks, and says whether the peer has them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from edge.pick import Pick
from edge.status import Status


class LinkError(Exception):
    """The peer cannot be reached or does not answer; the message says why."""


class NotTakenError(LinkError):
    """The peer is there and does not take picks; the connection is kept."""


class UnfitError(ValueError):
    """A pick that this kind of link never carries."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A pick, and its bytes on the link."""

    pick: Pick
    data: bytes


class Link(Protocol):
    """One peer. All methods are called from one thread; connecting is part of delivering.

    `batch`: picks given to `deliver` at once, at most. `settle_s`: so long the peer must have lived on after
    it acknowledged a pick for that pick to be safe there.
    """

    batch: int = 1
    settle_s: float = 0.0

    def encode(self, pick: Pick) -> bytes:
        """Its form on this link. UnfitError if it is not for this link; ValueError if it has no such form."""
        return pick.to_json().encode()

    def deliver(self, letters: Sequence[Letter]) -> int:
        """Blocks until the peer has them: how many of the first ones it has, one at least. LinkError or
        OSError if it has none."""
        ...

    def tend(self) -> None:
        """Called every second or so between deliveries. LinkError or OSError if the peer is gone."""
        return

    def tell(self, status: Status) -> None:
        """How the station is doing, every minute and when its state changes."""
        return

    def close(self) -> None:
        """Lets go of the peer; `deliver` connects anew."""
        return
