"""`serial:///dev/ttyUSB1[?baud=…&form=…&duty=…&sf=…]`: picks to a LoRa modem, within its duty cycle.

The modem takes a line a message: the bytes as hexadecimal digits, after what `send` says ("AT+SEND=1:", as
many RAK modems have it).
"""

import math
import threading
import time
from collections.abc import Callable, Sequence

import serial

from edge.pick import Pick
from edge.pick_forms import form_of
from edge.sinks.address import Address, AddressError
from edge.sinks.link import Letter, Link, LinkError, UnfitError

_HEADER_BYTES = 13
"""Of LoRaWAN around the payload: MHDR, device address, control, counter, port and MIC."""
_BANDWIDTH_HZ = 125_000
_LOOK_S = 1.0
_OPTIONS = ("baud", "form", "duty", "sf", "send")


class LoraLink(Link):
    """Nobody acknowledges: what the modem was given counts as delivered.

    After each message there is as much silence as the duty cycle asks for, and the other picks wait in the
    outbox. Final picks alone are sent where there is so little room.
    """

    def __init__(
        self, address: Address, stop: threading.Event, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """AddressError without a port, or for options that cannot be used."""
        address.allow(*_OPTIONS)
        if address.host or not address.path.startswith("/"):
            raise AddressError(f"{address.name}: give serial:///dev/ttyUSB1, with three slashes")
        options = address.options
        try:
            self._baud = int(options.get("baud", 115_200))
            self._duty = float(options.get("duty", 0.01))
            self._spreading = int(options.get("sf", 12))
        except ValueError:
            raise AddressError(f"{address.name}: baud and sf are whole numbers, duty a fraction") from None
        if not (0 < self._duty <= 1 and 7 <= self._spreading <= 12):
            raise AddressError(f"{address.name}: duty is above 0 and at most 1, sf 7 to 12")
        self._device = address.path
        self._encode = form_of(options.get("form", "struct-13"))
        self._send = options.get("send", "AT+SEND=1:").encode()
        self._stop = stop
        self._monotonic = monotonic
        self._free_s = -math.inf
        self._port: serial.Serial | None = None

    def encode(self, pick: Pick) -> bytes:
        if pick.status != "final":
            raise UnfitError
        return self._encode(pick)

    def deliver(self, letters: Sequence[Letter]) -> int:
        while (silent_s := self._free_s - self._monotonic()) > 0:
            if self._stop.wait(min(silent_s, _LOOK_S)):
                raise LinkError("stopped")
        if self._port is None:
            self._port = serial.Serial(self._device, self._baud, timeout=1.0, write_timeout=5.0)
        data = letters[0].data
        self._port.write(self._send + data.hex().upper().encode() + b"\r\n")
        self._free_s = self._monotonic() + airtime_s(len(data) + _HEADER_BYTES, self._spreading) / self._duty
        return 1

    def close(self) -> None:
        if self._port:
            self._port.close()
            self._port = None


def airtime_s(n_bytes: int, spreading: int) -> float:
    """Seconds of a LoRa packet of so many bytes at 125 kHz, coding rate 4/5, preamble of 8 symbols, explicit
    header and CRC (Semtech AN1200.13)."""
    symbol_s = (1 << spreading) / _BANDWIDTH_HZ
    slow = spreading >= 11  # low data rate optimisation
    bits = 8 * n_bytes - 4 * spreading + 28 + 16
    symbols = 8 + max(math.ceil(bits / (4 * (spreading - 2 * slow))) * 5, 0)
    return (8 + 4.25 + symbols) * symbol_s
