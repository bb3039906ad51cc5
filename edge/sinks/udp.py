"""`udp://HOST:PORT[?form=json]`: a datagram a pick. Nobody acknowledges: what is sent counts as delivered."""

import socket
from collections.abc import Sequence

from edge.pick import Pick
from edge.pick_forms import form_of
from edge.sinks.address import Address, AddressError
from edge.sinks.link import Letter, Link


class UdpLink(Link):
    """In JSON each datagram is a line; other forms are as docs/pick-formats.md has them."""

    def __init__(self, address: Address) -> None:
        """AddressError without host or port, or for an unknown form."""
        address.allow("form")
        if not address.host or address.port is None:
            raise AddressError(f"{address.name}: give udp://HOST:PORT")
        self._place = (address.host, address.port)
        self._form = address.options.get("form", "json")
        self._encode = form_of(self._form)

    def encode(self, pick: Pick) -> bytes:
        return self._encode(pick) + (b"\n" if self._form == "json" else b"")

    def deliver(self, letters: Sequence[Letter]) -> int:
        family, kind, *_, place = socket.getaddrinfo(*self._place, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind) as channel:
            for letter in letters:
                channel.sendto(letter.data, place)
        return len(letters)
