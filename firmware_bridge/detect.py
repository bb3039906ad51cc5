"""Which protocol does this line speak, and how fast? Listens, tries, decides; does no I/O."""

from collections import deque
from dataclasses import dataclass, field

from firmware_bridge.packet import Packet
from firmware_bridge.protocols import PROTOCOLS, Protocol, protocol_named
from firmware_bridge.stats import DecoderStats
from firmware_bridge.wire import Declared, Decoder

_NS = 1_000_000_000

BAUDS = (115_200, 57_600, 230_400, 460_800, 19_200, 9_600, 38_400, 921_600)
"""Serial speeds, in the order in which they are tried."""

_LISTEN_S = 0.3
"""At a wrong speed everything is garbage, and so long is enough to see that."""
_WAIT_S, _WAIT_FOR_TEXT_S = 2.0, 4.0
"""So long, where something has begun that could become a packet, and for lines that may come 20 a second."""
_PAUSE_NS = 150_000_000
"""Longer pauses of the line are no listening."""
_SILENCE_NS = 500_000_000
_BURST_BYTES = 100
_BEGUN_BYTES = 64
"""More than any decoder holds back only to see whether a header is one."""
_TEXT_BYTES, _LEAST_TEXT_BYTES = 200, 16
_TEXT_SHARE = 0.95
_LOST_BYTES = 1 << 15
"""So much without a packet, longer than any packet is: the digitizer was set up anew."""
_SHOWN_BYTES = 16
_TEXT = bytes(range(32, 127)) + b"\r\n\t"


@dataclass(slots=True)
class _Candidate:
    protocol: Protocol
    decoder: Decoder
    packets: list[tuple[int, Packet]] = field(default_factory=list)

    @property
    def sure(self) -> bool:
        return self.decoder.stats.good_packets >= self.protocol.packets_to_be_sure


class Detector:
    """A decoder that finds out by itself which protocol to decode.

    `declared`: what the operator says of the wire. `protocol` (a name of the registry) and `baud` leave
    less to find out. A line without speeds (UDP, a file) has `serial` False.

    `baud` is the speed to which the port should be set now; None where there is none. `protocol` is what
    was found, None while searching. `events` holds lines for the operator, for the caller to drain.

    All decoders listen at once; the first that has seen enough good packets wins, and what it has decoded
    until then is delivered. A speed at which nothing promising came in a third of a second of traffic is
    given up for the next one. Should 32 kB pass without a packet later on, the search begins again.
    """

    def __init__(
        self,
        declared: Declared,
        protocol: str | None = None,
        baud: int | None = None,
        *,
        serial: bool = True,
    ) -> None:
        self._declared = declared
        self._protocols = PROTOCOLS if protocol is None else (protocol_named(protocol),)
        usual = self._protocols[0].bauds if protocol else BAUDS
        self._bauds: tuple[int | None, ...] = (None,) if not serial else usual if baud is None else (baud,)
        self._turn = 0
        self._told_unknown = self._told_lost = False
        self.events: deque[str] = deque(maxlen=100)
        self._search()

    def _search(self) -> None:
        self.protocol: Protocol | None = None
        self._unread = 0
        self._listen()
        if len(self._protocols) == len(self._bauds) == 1:
            self._settle(self._candidates[0])

    def _listen(self) -> None:
        """Begin afresh at the speed whose turn it is."""
        self._candidates = [_Candidate(one, one.decoder(self._declared)) for one in self._protocols]
        self._heard = bytearray()
        self._heard_ns: int | None = None  # when bytes came last
        self._listened_ns = 0

    @property
    def baud(self) -> int | None:
        return self._bauds[self._turn % len(self._bauds)]

    @property
    def stats(self) -> DecoderStats:
        """Counters of the protocol that was found; of the most successful one while searching."""
        return max((one.decoder.stats for one in self._candidates), key=lambda stats: stats.good_packets)

    def feed(self, arrival_ns: int, data: bytes) -> list[tuple[int, Packet]]:
        """Take what has arrived (nothing, as time passes); packets with the arrival of their last bytes."""
        for one in self._candidates:
            one.packets += [(arrival_ns, packet) for packet in one.decoder.feed(data)]
        if self.protocol is None:
            self._decide(arrival_ns, data)
        if self.protocol is None:
            return []
        (found,) = self._candidates
        packets, found.packets = found.packets, []
        self._unread = 0 if packets else self._unread + len(data)
        if self._unread > _LOST_BYTES:
            if not self._told_lost:
                self._told_lost = True
                self.events.append(
                    f"{self._unread} bytes and no {found.protocol.title} packet among them; "
                    "is the digitizer set up anew, or the line bad? listening again"
                )
            self._search()
        elif packets:
            self._told_lost = False
        return packets

    def _decide(self, arrival_ns: int, data: bytes) -> None:
        self._heard += data[: _LOST_BYTES - len(self._heard)]
        if winner := next((one for one in self._candidates if one.sure), None):
            stats = winner.decoder.stats
            at = f" at {self.baud} baud" if self.baud else ""
            self.events.append(
                f"{winner.protocol.title}{at}: good packets: {stats.good_packets}, bad checksums: "
                f"{stats.bad_checksums}, {stats.skipped_bytes} of the first {len(self._heard)} bytes skipped"
            )
            self._settle(winner)
            return
        pause_ns = 0 if self._heard_ns is None else arrival_ns - self._heard_ns
        if data:
            self._heard_ns = arrival_ns
            self._listened_ns += max(0, min(pause_ns, _PAUSE_NS))
            long_enough = self._listened_ns >= self._patience_s() * _NS
        else:
            # A digitizer that sends once a second: the next speed gets its next burst whole.
            a_burst = pause_ns >= _SILENCE_NS and len(self._heard) >= _BURST_BYTES
            long_enough = a_burst and self._patience_s() == _LISTEN_S
        if long_enough:
            self._turn += 1
            if self._turn % len(self._bauds) == 0 and not self._told_unknown:
                self._told_unknown = True
                self._say_unknown()
            self._listen()

    def _settle(self, winner: _Candidate) -> None:
        self.protocol = winner.protocol
        self._told_unknown = False
        self._candidates = [winner]

    def _patience_s(self) -> float:
        """How much traffic this speed is given: more for text, and where a long packet has begun."""
        newest = self._heard[-_TEXT_BYTES:]
        odd = len(newest.translate(None, _TEXT))
        if len(newest) >= _LEAST_TEXT_BYTES and odd < (1 - _TEXT_SHARE) * len(newest):
            return _WAIT_FOR_TEXT_S
        begun = any(
            one.decoder.stats.good_packets
            or (
                one.protocol.long_packets
                and one.decoder.stats.skipped_bytes + _BEGUN_BYTES < len(self._heard)
            )
            for one in self._candidates
        )
        return _WAIT_S if begun else _LISTEN_S

    def _say_unknown(self) -> None:
        shown = bytes(self._heard[:_SHOWN_BYTES])
        looks = repr(shown.decode()) if not shown.translate(None, _TEXT) else shown.hex(" ")
        names = ", ".join(one.title for one in self._protocols)
        tried = ", ".join(str(baud) for baud in self._bauds if baud)
        where = f" at {tried} baud" if tried else ""
        self.events.append(f"bytes, but no packet of {names}{where}; the last ones began with {looks}")
