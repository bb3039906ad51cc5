"""Puts packets in order again that overtook one another on a network."""

from dataclasses import dataclass, field

from firmware_bridge.packet import Packet, Stream

_S = 1_000_000_000
_WAIT_NS = _S
"""What is missing by then is lost."""
_MOST_WAITING = 16
_SET_BACK_NS = 10 * _S
"""A packet that is late by more is no straggler: the digitizer's clock was set back."""


@dataclass(slots=True)
class _Channels:
    """What packets of the same channels are due next, and those that came before it."""

    due_ns: int
    waiting: list[tuple[int, Packet]] = field(default_factory=list)

    def is_due(self, packet: Packet) -> bool:
        """Whether nothing is missing before it."""
        return _start_ns(packet) - self.due_ns <= 0.5 * _S / (packet.rate or 1.0)

    def follow(self, packet: Packet) -> None:
        """What is due after it."""
        start_ns = _start_ns(packet)
        end_ns = start_ns + round(len(packet.samples) * _S / (packet.rate or 1.0))
        set_back = self.due_ns - start_ns > _SET_BACK_NS
        self.due_ns = end_ns if set_back else max(self.due_ns, end_ns)


class Reorder:
    """Packets with UTC that come before the one they follow wait up to 1 s for it, 16 of them at most.

    A packet in order is never delayed, nor is one without a time.
    """

    def __init__(self) -> None:
        self._channels: dict[Stream, _Channels] = {}

    def feed(self, now_ns: int, packets: list[tuple[int, Packet]]) -> list[tuple[int, Packet]]:
        """What has arrived (nothing, as time passes), each with its arrival time: what is in order now."""
        out = []
        for arrival_ns, packet in packets:
            out += self._take(arrival_ns, packet)
        for one in self._channels.values():
            if one.waiting and (
                now_ns - min(at_ns for at_ns, _ in one.waiting) > _WAIT_NS or len(one.waiting) > _MOST_WAITING
            ):
                out += self._release(one, all_of_them=True)
        return out

    def flush(self) -> list[tuple[int, Packet]]:
        """End of data: what still waits."""
        return [packet for one in self._channels.values() for packet in self._release(one, all_of_them=True)]

    def _take(self, arrival_ns: int, packet: Packet) -> list[tuple[int, Packet]]:
        if packet.start_ns is None or packet.rate is None:
            return [(arrival_ns, packet)]
        one = self._channels.setdefault(packet.stream, _Channels(packet.start_ns))
        if not one.waiting and one.is_due(packet):
            one.follow(packet)
            return [(arrival_ns, packet)]
        one.waiting.append((arrival_ns, packet))
        return self._release(one, all_of_them=False)

    def _release(self, one: _Channels, *, all_of_them: bool) -> list[tuple[int, Packet]]:
        one.waiting.sort(key=lambda waiting: _start_ns(waiting[1]))
        ready = 0
        for _, packet in one.waiting:
            if not all_of_them and not one.is_due(packet):
                break
            ready += 1
            one.follow(packet)
        out, one.waiting = one.waiting[:ready], one.waiting[ready:]
        return out


def _start_ns(packet: Packet) -> int:
    return packet.start_ns or 0
