"""A Mosquitto of one's own on loopback, to be killed and started again."""

import re
import shutil
import signal
import socket
import subprocess
from pathlib import Path
from time import monotonic, sleep

_START_S = 10.0


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def answers(port: int) -> bool:
    """Whether something listens on a TCP port of 127.0.0.1."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


class Broker:
    """Listens on 127.0.0.1:`port`. `settings`: lines of mosquitto.conf; without, anybody may do anything, and
    nothing is kept. RuntimeError if Mosquitto is not installed or does not start."""

    def __init__(self, folder: Path, settings: str = "allow_anonymous true", port: int | None = None) -> None:
        self.port = port or free_port()
        self.log = folder / f"mosquitto-{self.port}.log"
        self._config = folder / f"mosquitto-{self.port}.conf"
        self._configure(settings)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        program = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
        if program is None:
            raise RuntimeError("no mosquitto here: apt-get install mosquitto")
        with self.log.open("ab") as log:
            self._process = subprocess.Popen([program, "-c", self._config], stdout=log, stderr=log)
        deadline_s = monotonic() + _START_S
        while not answers(self.port):
            if self._process.poll() is not None or monotonic() > deadline_s:
                self.kill()
                raise RuntimeError(f"mosquitto does not start: {self.log.read_text()[-500:]}")
            sleep(0.02)

    def save(self) -> None:
        """What it has in memory to its persistence file; returns when that is there."""
        assert self._process
        (saved,) = re.findall("^persistence_location (.*)/$", self._config.read_text(), re.M)
        file = Path(saved) / "mosquitto.db"
        file.unlink(missing_ok=True)
        self._process.send_signal(signal.SIGUSR1)
        while not file.exists():
            sleep(0.01)

    def restart(self, settings: str) -> None:
        """Killed, and started again with other settings."""
        self.kill()
        self._configure(settings)
        self.start()

    def _configure(self, settings: str) -> None:
        self._config.write_text(f"user root\nlistener {self.port} 127.0.0.1\n{settings}\n")

    def kill(self) -> None:
        """SIGKILL: what it had only in memory is gone."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self, seconds: float) -> None:
        """Stands still for so long, as a broker that is too busy does; its connections stay."""
        assert self._process
        self._process.send_signal(signal.SIGSTOP)
        sleep(seconds)
        self._process.send_signal(signal.SIGCONT)

    def __enter__(self) -> "Broker":
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.kill()
