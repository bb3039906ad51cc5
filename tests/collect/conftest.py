"""A real Mosquitto for each test that asks, a real PostgreSQL for the session, and the program between
them."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from network import Collecting, Postgres, mosquitto

from benchmarks.uplink.broker import Broker


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """Open to all, and otherwise as a collector wants it. What it holds is on the disk at once."""
    keeps = (
        f"persistence true\npersistence_location {tmp_path}/\nautosave_on_changes true\nautosave_interval 1"
    )
    one = mosquitto(
        tmp_path, f"allow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 0\n{keeps}"
    )
    yield one
    one.kill()


@pytest.fixture
def collecting(tmp_path: Path) -> Iterator[Callable[..., Collecting]]:
    """Starts the program; what still runs at the end of the test is killed."""
    started: list[Collecting] = []

    def start(*arguments: str, **environment: str) -> Collecting:
        started.append(Collecting(tmp_path, *arguments, **environment))
        return started[-1]

    yield start
    for one in started:
        one.kill()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    pytest.importorskip("psycopg", reason="PostgreSQL needs the [postgres] extra")
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")) or [
        Path(path) for path in [shutil.which("initdb")] if path
    ]
    if not found:
        pytest.skip("no PostgreSQL here: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    user = "postgres" if os.getuid() == 0 else None  # it refuses to be run by root
    if user:
        shutil.chown(folder, user)
    cluster = Postgres(folder, found[-1].parent, user)
    cluster.run("initdb", "-D", str(folder / "data"), "-U", "postgres", "-A", "trust", "--no-sync")
    cluster.control("start")
    yield cluster
    cluster.control("stop", "-m", "immediate")
    shutil.rmtree(folder)


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of an empty database, of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'picks.db'}"
    cluster: Postgres = request.getfixturevalue("postgres")
    return cluster.url(f"test_{os.getpid()}_{time.monotonic_ns()}")
