"""The line to the broker: MQTT 5, and acknowledgement only when told.

A message that was not acknowledged when the line or this program broke is sent again by the broker, to the
session of the same name, which it keeps for `SESSION_S`.
"""

import sys
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, Full, Queue
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from edge.sinks.address import Address, AddressError, tls_context
from edge.sinks.mqtt import PREFIX
from edge.terminal import Report

PORTS = {"mqtt": 1883, "mqtts": 8883}
OPTIONS = {"mqtt": ("password-file",), "mqtts": ("password-file", "ca", "cert", "key")}
TOPICS = {f"{PREFIX}/+/+/+/pick": 1, f"{PREFIX}/+/+/+/health": 0}
"""What is subscribed to, and at which QoS."""
SESSION_S = 30 * 86_400
"""How long the broker keeps what it has for a collector that is away."""
IN_FLIGHT = 2000
"""Messages that the broker may send ahead of their acknowledgement."""
WAITING_MAX = 2 * IN_FLIGHT
"""Messages in memory; those beyond `IN_FLIGHT` have QoS 0, which no acknowledgement holds back, or came to
a session that a broker has forgotten since."""
MESSAGE_MAX = 65_536
"""Bytes; the broker keeps longer ones to itself."""
WAIT_S = 0.5
KEEP_ALIVE_S = 30
RECONNECT_MAX_S = 60
BRIEF_S = 5
"""Two of one name end each other's connections as soon as they are made."""
STABLE_S = 60
"""A connection that lasted so long makes its end, and the next beginning, worth telling again."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message as it came. `line`: which connection brought it; on another its number means nothing."""

    topic: str
    payload: bytes
    qos: int
    number: int
    line: int


class Broker:
    """Messages of the network, taken in turn and acknowledged when told. `report` gets a line for each
    change of state. `lost`: messages of QoS 0 that found no room."""

    def __init__(self, address: Address, name: str, report: Report, share: str | None = None) -> None:
        """`address`: mqtt://[user@]host[:port] or mqtts://…, with the options that edge-pick has for it.
        `name`: of this collector's session; no two may have one name. `share`: each message goes to one of
        the collectors that share it under this name; without, to every collector. AddressError if the
        address cannot be used."""
        if address.scheme not in PORTS or not address.host or address.path not in ("", "/"):
            raise AddressError(f"{address.name} is no broker: mqtt://host:1883 or mqtts://host:8883")
        address.allow(*OPTIONS[address.scheme])
        prefix = f"$share/{share}/" if share else ""
        self._topics = {f"{prefix}{topic}": qos for topic, qos in TOPICS.items()}
        self.lost = 0
        self._address = address
        self._name = name
        self._report = report
        self._waiting: Queue[Message] = Queue(WAITING_MAX)
        self._line = 0
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._since_s = 0.0
        self._told: set[str] = set()
        self._client = Client(
            CallbackAPIVersion.VERSION2, client_id=name, protocol=MQTTProtocolVersion.MQTTv5, manual_ack=True
        )
        self._client.on_connect = self._connected
        self._client.on_connect_fail = self._unreachable
        self._client.on_disconnect = self._disconnected
        self._client.on_subscribe = self._subscribed
        self._client.on_message = self._arrived
        self._client.reconnect_delay_set(1, RECONNECT_MAX_S)
        if address.user:
            self._client.username_pw_set(address.user, address.password())
        if address.scheme == "mqtts":
            self._client.tls_set_context(tls_context(address))

    @property
    def connected(self) -> bool:
        return self._client.is_connected()

    @property
    def waiting(self) -> int:
        """Messages that have arrived and were not taken yet."""
        return self._waiting.qsize()

    def start(self) -> None:
        """Connects in the background, again and again until the broker is there."""
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = SESSION_S
        properties.ReceiveMaximum = IN_FLIGHT
        properties.MaximumPacketSize = MESSAGE_MAX
        host, port = self._address.host, self._address.port or PORTS[self._address.scheme]
        self._client.connect_async(host, port, KEEP_ALIVE_S, clean_start=False, properties=properties)
        self._client.loop_start()

    def take(self, most: int, timeout_s: float) -> list[Message]:
        """What has arrived, `most` messages at most; waits `timeout_s` for a first one."""
        taken: list[Message] = []
        try:
            taken.append(self._waiting.get(timeout=timeout_s))
            while len(taken) < most:
                taken.append(self._waiting.get_nowait())
        except Empty:
            pass
        return taken

    def acknowledge(self, messages: Iterable[Message]) -> None:
        """Lets the broker forget these. One that an earlier connection brought will come again."""
        for message in messages:
            with self._lock:
                if message.line == self._line and message.qos:
                    self._client.ack(message.number, message.qos)

    def close(self) -> None:
        """Leaves the session at the broker, which goes on filling it."""
        self._closing.set()
        self._client.disconnect()
        self._client.loop_stop()

    def _connected(self, client: Client, _: Any, flags: Any, code: ReasonCode, __: Any) -> None:
        if code.is_failure:
            self._tell(
                f"{self._address.name}: refused ({code}), trying again; check user, password and certificate"
            )
            return
        self._since_s = time.monotonic()
        if flags.session_present:
            self._leave_out_what_comes_again()
        client.subscribe([(topic, SubscribeOptions(qos)) for topic, qos in self._topics.items()])
        kept = "its session was kept" if flags.session_present else "a new session"
        self._tell(f"{self._address.name}: connected as {self._name}, {kept}")

    def _subscribed(self, client: Client, _: Any, __: int, codes: list[ReasonCode], ___: Any) -> None:
        for topic, code in zip(self._topics, codes, strict=True):
            if code.is_failure:
                self._tell(
                    f"{self._address.name}: may not read {topic} ({code}); check the broker's access list"
                )

    def _unreachable(self, client: Client, _: Any) -> None:
        # paho calls this while it handles what went wrong.
        self._tell(f"{self._address.name}: {sys.exception()}; trying again")

    def _disconnected(self, client: Client, _: Any, __: Any, code: ReasonCode, ___: Any) -> None:
        with self._lock:
            self._line += 1
        if not code.is_failure:
            return
        lasted_s = time.monotonic() - self._since_s
        if lasted_s > STABLE_S:
            self._told.clear()
        hint = f"; is another collector called {self._name} as well?" if lasted_s < BRIEF_S else ""
        self._tell(f"{self._address.name}: connection lost ({code}), trying again{hint}")

    def _arrived(self, client: Client, _: Any, message: MQTTMessage) -> None:
        arrived = Message(message.topic, bytes(message.payload), message.qos, message.mid, self._line)
        while not self._closing.is_set():
            try:
                self._waiting.put(arrived, timeout=WAIT_S if message.qos else 0)
                return
            except Full:
                if not message.qos:
                    self.lost += 1
                    return
                # The broker sends more than was agreed upon: it is kept waiting, or these would be stranded.

    def _leave_out_what_comes_again(self) -> None:
        # Or each new connection would fill memory further while the store cannot take anything.
        kept = []
        with suppress(Empty):
            while True:
                message = self._waiting.get_nowait()
                if not message.qos:
                    kept.append(message)
        for message in kept:
            self._waiting.put_nowait(message)

    def _tell(self, line: str) -> None:
        if line not in self._told:  # once, not at each attempt
            self._told.add(line)
            self._report(line)
