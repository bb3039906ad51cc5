"""Carries picks from the outbox over one link, in a thread of its own."""

import random
import threading
import time
from collections import deque
from collections.abc import Callable

from edge.outbox import Outbox
from edge.outbox_file import Entry
from edge.sinks.link import Letter, Link, NotTakenError, UnfitError
from edge.status import State
from edge.terminal import Report
from edge.vitals import Vitals

_FIRST_RETRY_S, _LAST_RETRY_S = 1.0, 60.0
_TICK_S = 1.0
_AGAIN_MAX = 500
_TELL_S = 60.0


class Courier:
    """Sends in order; what the peer has acknowledged is let go of once the link's `settle_s` have passed, or
    500 more picks.

    A link that fails is tried again after 1 s, growing to 60 s, less up to a half by chance so that a network
    of stations does not come back in one moment. After a failure everything that has not settled is sent
    again: a broker may have died with what it had acknowledged. So a peer may get a pick twice, and knows it
    by (id, update).

    The link is told the station's status every minute, and at once when its state changes. `report` gets a
    line when the link fails and when it works again.
    """

    def __init__(
        self,
        outbox: Outbox,
        name: str,
        link: Link,
        vitals: Vitals,
        report: Report,
        stop: threading.Event,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.problem: str | None = None
        """Why the link does not work now."""
        self.unfit = 0
        """Picks that have no form on this link."""
        self._outbox = outbox
        self._link = link
        self._vitals = vitals
        self._report = report
        self._stop = stop
        self._monotonic = monotonic
        self._told: tuple[float, State] | None = None
        self._released = self._sent = outbox.register(name)
        self._settling: deque[tuple[float, int]] = deque()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self, seconds: float) -> None:
        """Returns when the thread has ended, which follows the stop event, or after so long."""
        self._thread.join(seconds)

    @property
    def depth(self) -> int:
        """Picks that the peer has not acknowledged."""
        return self._outbox.depth(self._sent)

    def _run(self) -> None:
        retry_s = _FIRST_RETRY_S
        while not self._stop.is_set():
            try:
                self._step()
            except (
                Exception
            ) as error:  # whatever it is: told, and tried again; nobody would see a dead courier
                if self._stop.is_set():
                    break
                self._fail(error)
                self._stop.wait(random.uniform(0.5, 1.0) * retry_s)
                retry_s = min(2 * retry_s, _LAST_RETRY_S)
            else:
                retry_s = _FIRST_RETRY_S
                if self.problem:
                    self.problem = None
                    self._report(f"{self.name}: works again")
        self._link.close()

    def _step(self) -> None:
        now_s, state = self._monotonic(), self._vitals.state
        due = self._told is None or state != self._told[1] or now_s - self._told[0] >= _TELL_S
        if due and self._vitals.station:
            self._link.tell(self._vitals.status())
            self._told = now_s, state
        entries = self._outbox.due(self._sent, self._link.batch, _TICK_S)
        if self._stop.is_set():
            return
        if entries:
            self._send(entries)
        else:
            self._link.tend()
        self._settle(self._monotonic())

    def _settle(self, now_s: float) -> None:
        released = self._released
        while self._settling:
            acknowledged_s, seq = self._settling[0]
            if now_s - acknowledged_s < self._link.settle_s and self._sent - seq < _AGAIN_MAX:
                break
            self._settling.popleft()
            self._released = seq
        if self._released > released:
            self._outbox.release(self.name, self._released)

    def _send(self, entries: list[Entry]) -> None:
        fit: list[tuple[int, Letter]] = []
        for entry in entries:
            try:
                fit.append((entry.seq, Letter(entry.pick, self._link.encode(entry.pick))))
            except UnfitError:
                pass  # as it should be: an S where only P are asked for
            except ValueError as error:
                self.unfit += 1
                self._report(f"{self.name}: not sent: {error}")
        count = self._link.deliver([letter for _, letter in fit]) if fit else 0
        self._sent = fit[count][0] - 1 if count < len(fit) else entries[-1].seq
        self._settling.append((self._monotonic(), self._sent))

    def _fail(self, error: Exception) -> None:
        problem = str(error) or type(error).__name__
        if problem != self.problem:
            self._report(f"{self.name}: {problem}; picks wait in the outbox")
        self.problem = problem
        if not isinstance(error, NotTakenError):
            self._settling.clear()
            self._sent = self._released
            self._told = None
            self._link.close()
