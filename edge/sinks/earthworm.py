"""`tcp://[HOST]:PORT`: P picks to Earthworm, which connects by its module import_generic.

Messages are TYPE_PICK_SCNL. In its parameter file give this station's address and port, and the text of our
heartbeat, "edge-pick alive", as SenderHeartText.
"""

import socket
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from edge.pick import NS, Pick
from edge.sinks.address import Address, AddressError
from edge.sinks.link import Letter, Link, LinkError, UnfitError

HEARTBEAT = b"edge-pick alive"
_START, _END, _ESCAPE = 0x02, 0x03, 0x1B
_TYPE_HEARTBEAT, _TYPE_PICK = 3, 8
_BEAT_S = 30.0
_SEND_S = 10.0
_POLARITIES = {"up": "U", "down": "D"}
_OPTIONS = ("institution", "module")


class EarthwormLink(Link):
    """Listens for one import_generic. There are no acknowledgements: what its socket has taken counts as
    delivered, unless the connection breaks within `settle_s`."""

    settle_s = 60.0

    def __init__(self, address: Address) -> None:
        """AddressError for an address or options that cannot be used."""
        address.allow(*_OPTIONS)
        if address.port is None:
            raise AddressError(f"{address.name}: give tcp://:PORT, where import_generic will connect")
        try:
            self._institution, self._module = (int(address.options.get(name, 255)) for name in _OPTIONS)
        except ValueError:
            raise AddressError(f"{address.name}: institution and module are numbers, 0 to 255") from None
        self._place = (address.host, address.port)
        self._server: socket.socket | None = None
        self._peer: socket.socket | None = None
        self._beat_s = 0.0

    def encode(self, pick: Pick) -> bytes:
        """UnfitError for what Earthworm has no message for: S, and what is not final."""
        if pick.phase != "P" or pick.status != "final":
            raise UnfitError
        return scnl(pick, self._institution, self._module)

    def deliver(self, letters: Sequence[Letter]) -> int:
        for letter in letters:
            self._send(_TYPE_PICK, letter.data)
        return len(letters)

    def tend(self) -> None:
        if time.monotonic() - self._beat_s >= _BEAT_S:
            self._send(_TYPE_HEARTBEAT, HEARTBEAT)
            self._beat_s = time.monotonic()
        peer = self._connected()
        peer.settimeout(0.001)
        try:
            if not peer.recv(4096):  # its heartbeats
                raise LinkError("import_generic has closed the connection")
        except TimeoutError:
            pass

    def close(self) -> None:
        if self._peer:
            self._peer.close()
            self._peer = None
        self._beat_s = 0.0

    def _send(self, kind: int, body: bytes) -> None:
        peer = self._connected()
        peer.settimeout(_SEND_S)
        peer.sendall(frame(self._institution, self._module, kind, body))

    def _connected(self) -> socket.socket:
        if self._peer is None:
            if self._server is None:
                self._server = socket.create_server(self._place)
                self._server.settimeout(1.0)
            try:
                self._peer, _ = self._server.accept()
            except TimeoutError:
                raise LinkError("import_generic has not connected") from None
        return self._peer


def frame(institution: int, module: int, kind: int, body: bytes) -> bytes:
    """STX, a logo of three times three digits, the body, ETX; ESC before any of the three within."""
    inner = f"{institution:3d}{module:3d}{kind:3d}".encode() + body
    escaped = b"".join(bytes([_ESCAPE, c] if c in (_START, _END, _ESCAPE) else [c]) for c in inner)
    return bytes([_START]) + escaped + bytes([_END])


def scnl(pick: Pick, institution: int, module: int) -> bytes:
    """TYPE_PICK_SCNL: ten words and a line end. Its number follows the pick's id, so that a repeat has the
    same. ValueError for a station that is not NET.STA.LOC.

    The weight follows the standard deviation: 0 to 0.05 s, 1 to 0.1, 2 to 0.2, 3 to 0.4, else 4. Of the three
    amplitudes there is one, in whole counts or units.
    """
    network, station, location = pick.station.split(".")
    moment = datetime.fromtimestamp(pick.time_ns // NS, UTC)
    milliseconds = pick.time_ns % NS // 1_000_000
    weight = sum(pick.sigma > limit for limit in (0.05, 0.1, 0.2, 0.4))
    words = (
        _TYPE_PICK,
        module,
        institution,
        int(pick.id[:8], 16) % 10_000,
        f"{station}.{pick.channels[0] or pick.channels[-1]}.{network}.{location or '--'}",
        f"{_POLARITIES.get(pick.polarity or '', '?')}{weight}",
        f"{moment:%Y%m%d%H%M%S}.{milliseconds:03d}",
        round(pick.amp),
        0,
        0,
    )
    return (" ".join(map(str, words)) + "\n").encode()
