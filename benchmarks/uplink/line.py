"""A network between a station and its broker that can be cut, made slow, or kept from answering."""

import contextlib
import socket
import threading


class Network:
    """Forwards TCP from 127.0.0.1:`port` to 127.0.0.1:`to`, which may be changed, until it is cut.

    `passed`: bytes that came from the side that connects, as they were on the wire. `silent`: connections
    stay, and nothing goes through them any more, as behind a router that has forgotten them.
    """

    def __init__(self, to: int) -> None:
        self.to = to
        self._up = threading.Event()
        self._up.set()
        self.bytes_per_s: float | None = None
        self.silent = False
        self.passed = bytearray()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._closed = False
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Connections break, and none is made."""
        self._up.clear()
        for pair in self._pairs:
            _break(*pair)
        self._pairs.clear()

    def mend(self) -> None:
        self._up.set()

    def close(self) -> None:
        self._closed = True
        self._server.close()
        self.cut()

    def _accept(self) -> None:
        while not self._closed:
            try:
                near, _ = self._server.accept()
                if not self._up.is_set():
                    near.close()
                    continue
                far = socket.create_connection(("127.0.0.1", self.to))
            except OSError:
                continue  # the broker is down, or we are closed
            self._pairs.append((near, far))
            threading.Thread(target=self._carry, args=(near, far, True), daemon=True).start()
            threading.Thread(target=self._carry, args=(far, near, False), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket, up: bool) -> None:
        forgotten = False
        with contextlib.suppress(OSError):
            while data := source.recv(4096):
                forgotten = forgotten or self.silent
                if forgotten:
                    continue
                if up:
                    self.passed += data
                if self.bytes_per_s:
                    threading.Event().wait(len(data) / self.bytes_per_s)
                sink.sendall(data)
        _break(source, sink)


def _break(*ends: socket.socket) -> None:
    """Shut, not closed: a thread that waits for one of them would keep it open."""
    for end in ends:
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
