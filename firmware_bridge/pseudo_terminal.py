"""A pseudo-terminal seen from the side of the hardware: who reads it, how fast, and what is still unread."""

import fcntl
import os
import select
import struct
import termios
import threading
import time
import tty

# pyserial throws away what it finds in a port just after opening it: it is waited for, so long at most, as
# other readers do no such thing.
_SETTLE_S = 2.0
_POLL_S = 0.02
_BAUDS = {
    getattr(termios, name): int(name[1:])
    for name in dir(termios)
    if name[0] == "B" and name[1:].isdigit() and name != "B0"  # which hangs up
}


class PseudoTerminal:
    """A new one, in raw mode."""

    def __init__(self) -> None:
        self._master, slave = os.openpty()
        tty.setraw(slave)
        self.name = os.ttyname(slave)
        # Only with our own end closed does the master see whether a reader has the other one open.
        os.close(slave)
        os.set_blocking(self._master, False)
        # In this mode the master is told when a reader throws away what it has not read.
        fcntl.ioctl(self._master, termios.TIOCPKT, struct.pack("i", 1))
        self._hang_up = select.poll()
        self._hang_up.register(self._master, 0)
        self._told = select.poll()
        self._told.register(self._master, select.POLLPRI)
        self._settled = False

    def close(self) -> None:
        os.close(self._master)

    def baud(self) -> int:
        """The speed that the reader has set; ValueError for one that termios has no name for."""
        code = termios.tcgetattr(self._master)[4]
        if code not in _BAUDS:
            raise ValueError("the reader has set a speed that is not usual: only usual ones are simulated")
        return _BAUDS[code]

    def await_reader(self, stop: threading.Event) -> None:
        """Return when a reader is there and has thrown away what it found, or has not for a while."""
        self._settled = self._settled and self._has_reader()
        while not self._has_reader() and not stop.is_set():
            # By one that has left, or by one that has come since it was looked for.
            self._settled = self._was_emptied() and self._has_reader()
            stop.wait(_POLL_S)
        patience_ends = time.monotonic() + _SETTLE_S
        while not (self._settled or stop.is_set()):
            self._settled = self._was_emptied() or time.monotonic() > patience_ends
            if not self._settled:
                stop.wait(_POLL_S)

    def write(self, data: bytes, stop: threading.Event) -> bool:
        """False when told to stop before all was written."""
        while data and not stop.is_set():
            if select.select([], [self._master], [], 0.1)[1]:
                data = data[os.write(self._master, data) :]
        return not data

    def drain(self, stop: threading.Event) -> None:
        """Return when the reader has taken every byte, or has left."""
        # The kernel refills the reader's queue in steps: only twice empty is empty.
        empty = 0
        while empty < 2 and self._has_reader() and not stop.wait(_POLL_S):
            slave = os.open(self.name, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
            (waiting,) = struct.unpack("i", fcntl.ioctl(slave, termios.FIONREAD, b"\0" * 4))
            os.close(slave)
            empty = empty + 1 if waiting == 0 else 0

    def _has_reader(self) -> bool:
        return not self._hang_up.poll(0)

    def _was_emptied(self) -> bool:
        """Whether a reader has thrown away what it had not read, since this was last asked."""
        if not any(events & select.POLLPRI for _, events in self._told.poll(0)):
            return False
        return bool(os.read(self._master, 1)[0] & termios.TIOCPKT_FLUSHREAD)
