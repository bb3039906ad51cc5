"""A plain subscriber that knows a pick by its id and update."""

import json
import queue
import threading

from paho.mqtt import client as paho

from edge.pick import Pick
from edge.sinks.mqtt import topic


class Collector:
    """Keeps the first of each (id, update), counts what came again, and collects status messages."""

    def __init__(self, port, name="collector"):
        self.got = queue.Queue()
        self.picks = []
        self.again = 0
        self.status = queue.Queue()
        self._seen = set()
        self._ready = threading.Event()
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=name, protocol=paho.MQTTv5)
        self._client.reconnect_delay_set(0.05, 0.2)
        self._client.on_connect = lambda client, *_: client.subscribe([("seis/v1/#", 1)])
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.on_message = self._take
        properties = paho.Properties(paho.PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 600
        self._client.connect("127.0.0.1", port, clean_start=False, properties=properties)
        self._client.loop_start()
        assert self._ready.wait(10)

    def _take(self, client, userdata, message):
        if message.topic.endswith("/pick"):
            pick = Pick.from_json(message.payload.decode())
            self.again += (pick.id, pick.update) in self._seen
            if (pick.id, pick.update) not in self._seen:
                self._seen.add((pick.id, pick.update))
                self.got.put((message.topic, pick))
        elif message.topic.endswith("/status"):
            self.status.put(json.loads(message.payload))

    def wait(self, count):
        """That many different picks, in order."""
        while len(self.picks) < count:
            where, pick = self.got.get(timeout=20)
            assert where == topic(pick.station, "pick")
            self.picks.append(pick)
        return self.picks

    def close(self):
        self._client.disconnect()
        self._client.loop_stop()
