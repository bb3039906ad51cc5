"""The ways upstream of a station: an outbox, and a courier for every peer."""

import argparse
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from edge.courier import Courier
from edge.outbox import Outbox
from edge.pick import Pick
from edge.sinks.address import Address, AddressError, parse_address
from edge.sinks.earthworm import EarthwormLink
from edge.sinks.file import FileLink
from edge.sinks.http import HttpLink
from edge.sinks.link import Link
from edge.sinks.lora import LoraLink
from edge.sinks.mqtt import MqttLink
from edge.sinks.udp import UdpLink
from edge.status import Queue
from edge.terminal import Report
from edge.vitals import Vitals

_LAST_S, _LONGEST_S = 5.0, 30.0
"""At the end the peers have so long for the next acknowledgement, and for all of them."""
_JOIN_S = 3.0
_LOOK_S = 0.05
SCHEMES = (
    "mqtt[s]://HOST, http[s]://HOST/PATH, udp://HOST:PORT, tcp://:PORT (Earthworm), serial:///dev/… (LoRa), "
    "file:///PATH"
)


def add_uplink_arguments(parser: argparse.ArgumentParser) -> None:
    """`--uplink` and `--outbox`."""
    parser.add_argument(
        "--uplink", action="append", default=[], metavar="URL",
        help=f"deliver every pick there, however long that takes; may be given again: {SCHEMES}",
    )  # fmt: skip
    parser.add_argument(
        "--outbox", type=file_name, metavar="FILE", default=_state_folder() / "outbox.sqlite",
        help="where picks wait for delivery (default: %(default)s)",
    )  # fmt: skip


def file_name(text: str) -> Path:
    """The file that an option names. ArgumentTypeError where it names none."""
    if not text:
        raise argparse.ArgumentTypeError("'' is no file: give a path, or leave the option out")
    return Path(text)


def _state_folder() -> Path:
    if folder := os.environ.get("STATE_DIRECTORY"):  # as systemd sets it
        return Path(folder.split(":")[0])
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "edge-pick"


class Uplink:
    """A sink whose picks are on the disk when `send` returns, and arrive however long that takes."""

    def __init__(
        self,
        urls: Sequence[str],
        path: Path,
        station: str | None,
        vitals: Vitals,
        report: Report,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """AddressError or OutboxError if it cannot work as asked."""
        self._report = report
        self._stop = threading.Event()
        addresses = {(address := parse_address(url)).name: address for url in urls}
        if len(addresses) < len(urls):
            raise AddressError("two uplinks go to one place; give each a host, port or path of its own")
        self._outbox = Outbox(path, report, monotonic=monotonic)
        try:
            self._couriers = [
                Courier(
                    self._outbox,
                    address.name,
                    open_link(address, station, self._outbox.installation, self._stop),
                    vitals,
                    report,
                    self._stop,
                    monotonic,
                )
                for address in addresses.values()
            ]
        except BaseException:
            self._outbox.close()
            raise
        vitals.queues = self.queues
        vitals.outbox = lambda: (self._outbox.installation, self._outbox.dropped, self._outbox.problem)
        for courier in self._couriers:
            courier.start()

    def queues(self) -> Mapping[str, Queue]:
        """How each way is doing, by its name."""
        return {one.name: Queue(one.depth, one.problem, one.unfit) for one in self._couriers}

    def send(self, pick: Pick) -> None:
        try:
            self._outbox.add(pick)
        except ValueError as error:  # the picks after it matter as much
            self._report(f"pick {pick.id} is not delivered: {error}")

    def close(self) -> None:
        """Waits for what is being acknowledged as long as it goes on; the rest goes out at the next start."""
        began_s = since_s = time.monotonic()
        depth = self._under_way()
        while depth and time.monotonic() < min(since_s + _LAST_S, began_s + _LONGEST_S):
            time.sleep(_LOOK_S)
            before, depth = depth, self._under_way()
            if depth < before:
                since_s = time.monotonic()
        left = {courier.name: courier.depth for courier in self._couriers}
        self._stop.set()
        self._outbox.wake()
        for courier in self._couriers:
            courier.join(_JOIN_S)
        for name, count in left.items():
            if count:
                self._report(f"{name}: {count} picks wait in the outbox for the next start")
        self._outbox.close()

    def _under_way(self) -> int:
        """Picks that may be acknowledged soon: their link works."""
        return sum(courier.depth for courier in self._couriers if courier.problem is None)


def open_link(address: Address, station: str | None, installation: str, stop: threading.Event) -> Link:
    """The link that a URL asks for. AddressError if there is none such."""
    match address.scheme:
        case "mqtt" | "mqtts":
            return MqttLink(address, station, installation, stop)
        case "http" | "https":
            return HttpLink(address)
        case "udp":
            return UdpLink(address)
        case "tcp":
            return EarthwormLink(address)
        case "serial":
            return LoraLink(address, stop)
        case "file":
            return FileLink(address)
    raise AddressError(f"{address.name}: no uplink {address.scheme}://; there are {SCHEMES}")
