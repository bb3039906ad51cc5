"""`mqtt://HOST[:PORT]` and `mqtts://…`: picks, status and health to a broker, MQTT 5.

Topics are seis/v1/NET/STA/LOC/pick (QoS 1), …/status (QoS 1, retained, with a last will) and …/health (QoS
0); an empty location is "--".
"""

import queue
import re
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from edge.sinks.address import Address, AddressError, tls_context
from edge.sinks.link import Letter, Link, LinkError, NotTakenError
from edge.status import State, Status

PREFIX = "seis/v1"
NO_CODE = "--"
"""In a topic, for an empty code."""
_KEEP_ALIVE_S = 30
_SESSION_S = 3600
_ANSWER_S = 10.0
_WINDOW = 20
_OFFLINE = '{"state": "offline"}'
_NOBODY_LISTENS, _FAILURE = 0x10, 0x80
"""Reason codes of MQTT 5, section 3.4.2.1: no matching subscribers; the least one of an error."""


def topic(station: str, kind: str) -> str:
    """Of a station NET.STA.LOC; letters that mean something in topics become "_"."""
    parts = [re.sub(r"[^A-Za-z0-9_-]", "_", part) or NO_CODE for part in station.split(".")]
    return "/".join([PREFIX, *parts, kind])


class MqttLink(Link):
    """Delivered is what the broker has acknowledged, unless it says that nobody has subscribed.

    `settle_s`: a broker that is killed forgets what it had acknowledged and not yet passed on or saved.
    """

    batch = _WINDOW
    settle_s = 120.0

    def __init__(
        self, address: Address, station: str | None, installation: str, stop: threading.Event
    ) -> None:
        """`station`: NET.STA.LOC of the status topic, else that of the first pick. `installation`: unique, so
        that a broker tells two stations of one name apart. AddressError for options that cannot be used, or
        without paho-mqtt."""
        address.allow("ca", "cert", "key", "password-file")
        address.must_have_host()
        try:
            from paho.mqtt import client
        except ImportError:
            raise AddressError(f"{address.name}: pip install 'edge-pick[mqtt]' for MQTT") from None
        self._paho = client
        self._address = address
        self._station = station
        self._installation = installation
        self._stop = stop
        self._password = address.password()
        self._tls = tls_context(address) if address.scheme == "mqtts" else None
        self._client: client.Client | None = None
        self._window = _WINDOW  # messages on their way, as the broker allows
        self._answers: queue.SimpleQueue[tuple[str, int, Any]] = queue.SimpleQueue()
        self._state: State | None = None

    def deliver(self, letters: Sequence[Letter]) -> int:
        self._station = self._station or letters[0].pick.station
        client = self._connected()
        letters = letters[: self._window]
        waiting = {
            client.publish(topic(letter.pick.station, "pick"), letter.data, qos=1).mid: n
            for n, letter in enumerate(letters)
        }
        refused: dict[int, Any] = {}
        while waiting:
            mid, reason = self._acknowledgement()
            if (n := waiting.pop(mid, None)) is not None and _not_taken(reason):
                refused[n] = reason
        taken = min(refused, default=len(letters))
        if taken == 0:
            where = topic(letters[0].pick.station, "pick")
            if refused[0].value == _NOBODY_LISTENS:
                raise NotTakenError(f"nobody has subscribed to {where}")
            raise NotTakenError(f"the broker refuses {where}: {refused[0]}")
        return taken

    def tend(self) -> None:
        if self._station:
            self._connected()
        while not self._answers.empty():
            self._take_answer(0.0)

    def tell(self, status: Status) -> None:
        self._station = self._station or status.station or ""
        client, data = self._connected(), status.to_json()
        if status.state != self._state:
            client.publish(topic(self._station, "status"), data, qos=1, retain=True)
            self._state = status.state
        client.publish(topic(self._station, "health"), data, qos=0)

    def close(self) -> None:
        client, self._client = self._client, None
        if client is None:
            return
        if self._station and client.is_connected():
            info = client.publish(topic(self._station, "status"), _OFFLINE, qos=1, retain=True)
            with suppress(RuntimeError, ValueError):  # the connection may be gone, whatever paho says
                info.wait_for_publish(1.0)
        client.disconnect()
        client.loop_stop()
        self._answers = queue.SimpleQueue()
        self._state = None

    def _connected(self) -> Any:
        if self._client:
            return self._client
        paho, address = self._paho, self._address
        answers = self._answers
        client = paho.Client(
            paho.CallbackAPIVersion.VERSION2,
            client_id=f"{self._station}-{self._installation}",
            protocol=paho.MQTTv5,
            reconnect_on_failure=False,
        )
        client.will_set(topic(self._station or "", "status"), _OFFLINE, qos=1, retain=True)
        if address.user is not None:
            client.username_pw_set(address.user, self._password)
        if self._tls:
            client.tls_set_context(self._tls)

        def on_connect(client: Any, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
            # One of those that the broker allows is left to the status.
            self._window = max(1, min(getattr(properties, "ReceiveMaximum", 1 << 16) - 1, _WINDOW))
            answers.put(("connected", 0, reason))

        client.on_connect = on_connect
        client.on_publish = lambda client, userdata, mid, reason, properties: answers.put(
            ("published", mid, reason)
        )
        client.on_disconnect = lambda client, userdata, flags, reason, properties: answers.put(
            ("lost", 0, reason)
        )
        properties = paho.Properties(paho.PacketTypes.CONNECT)
        properties.SessionExpiryInterval = _SESSION_S
        port = address.port or (8883 if self._tls else 1883)
        client.connect(address.host, port, _KEEP_ALIVE_S, clean_start=False, properties=properties)
        client.loop_start()
        self._client = client
        kind, _, reason = self._take_answer(_ANSWER_S)
        if kind != "connected" or reason.is_failure:
            raise LinkError(f"the broker refuses the connection: {reason}")
        return client

    def _acknowledgement(self) -> tuple[int, Any]:
        """Of whatever message is next. While the broker answers pings it has all the time it wants."""
        while True:
            try:
                _, mid, reason = self._take_answer(0.5)
            except queue.Empty:
                if self._stop.is_set():
                    raise LinkError("stopped") from None
                continue
            return mid, reason

    def _take_answer(self, seconds: float) -> tuple[str, int, Any]:
        try:
            answer = self._answers.get(timeout=seconds) if seconds else self._answers.get_nowait()
        except queue.Empty:
            if seconds == _ANSWER_S:
                raise LinkError(f"no answer within {_ANSWER_S:.0f} s") from None
            raise
        if answer[0] == "lost":
            raise LinkError(f"connection lost ({answer[2]})")
        return answer


def _not_taken(reason: Any) -> bool:
    return bool(reason.value == _NOBODY_LISTENS or reason.value >= _FAILURE)
