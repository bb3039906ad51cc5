"""From the broker into the store: what a message goes through before it is acknowledged."""

import threading
import time
from collections.abc import Sequence

from collect.admit import RefusedError, admit, read_topic
from collect.broker import Broker, Message
from collect.metrics import Counts
from collect.store import Store, StoreError
from edge.pick import Pick
from edge.terminal import Report

BATCH_MAX = 1000
"""Messages of one commit at most; as few as have come while the one before was written."""
TAKE_S = 0.5
RETRY_S = (1, 2, 5, 10, 30)


class Collector:
    """Takes messages of a broker, stores the picks among them, and acknowledges what is committed or
    refused.

    Nothing waits for a full batch: while one commit goes on the next batch comes together, so that commits
    are small when it is quiet and large when it is not. `report` gets a line for the first message refused
    for each reason, and for each change of the store's state.
    """

    def __init__(self, broker: Broker, store: Store, counts: Counts, report: Report) -> None:
        self._broker = broker
        self._store = store
        self._counts = counts
        self._report = report

    def run(self, stop: threading.Event) -> None:
        """Until `stop` is set."""
        while not stop.is_set():
            messages = self._broker.take(BATCH_MAX, TAKE_S)
            picks = [pick for message in messages if (pick := self._admitted(message))]
            if self._saved(picks, stop):
                self._broker.acknowledge(messages)

    def _admitted(self, message: Message) -> Pick | None:
        try:
            station, kind = read_topic(message.topic)
            pick = None if kind == "health" else admit(message.topic, message.payload)
        except RefusedError as refused:
            if not self._counts.refused[refused.reason]:
                self._report(f"refused ({refused.reason}; from now on only counted): {refused}")
            self._counts.refused[refused.reason] += 1
            return None
        self._counts.see(station, time.time_ns())
        return pick

    def _saved(self, picks: Sequence[Pick], stop: threading.Event) -> bool:
        """Whether they are committed; tries for as long as it takes, or until `stop` is set."""
        failures = 0
        while picks:
            try:
                stored = self._store.save(picks, time.time_ns())
            except StoreError as error:
                if not failures:
                    self._report(f"{error}; the broker keeps the picks meanwhile")
                self._counts.store_failures += 1
                if stop.wait(RETRY_S[min(failures, len(RETRY_S) - 1)]):
                    return False
                failures += 1
                continue
            if failures:
                self._report("the store takes picks again")
            self._count(picks, stored)
            break
        return True

    def _count(self, picks: Sequence[Pick], stored: int) -> None:
        self._counts.picks += len(picks)
        self._counts.stored += stored
        self._counts.duplicates += len(picks) - stored
        now_ns = time.time_ns()
        for pick in picks:
            self._counts.committed(pick, now_ns)
