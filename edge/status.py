"""How a station is doing, as JSON and as lines; `edge-pick status`."""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from edge.pick import Phase
from edge.terminal import printable
from firmware_bridge.packet import Clock

State = Literal["waiting", "streaming", "stalled", "replaying"]

FILE_NAME = "status.json"
_SYSTEM_FOLDER = Path("/run/edge-pick")
_DEAD_S = 60.0


@dataclass(frozen=True, slots=True)
class Queue:
    """One way upstream: picks that its peer has not acknowledged, what is wrong with it, and picks that have
    no form on it."""

    depth: int
    problem: str | None
    unfit: int


@dataclass(frozen=True, slots=True)
class Status:
    """One look at a station. All counts are since the start.

    `state`: waiting for the first packet, streaming, or stalled, when none has come for 10 s, or replaying.
    `time`: when this was, ISO 8601. `model`: name@hash. `backend`: what runs it, on what. `installation`: of
    the outbox; two stations of one name differ in it. `silence_s`: since the last packet came.
    `sample_age_s`: since its last sample was taken, by this computer's clock; None without UTC on the wire.
    `crc_errors`, `skipped_bytes`, `lost_packets`: damage on the line. `gaps`: breaks with samples missing.
    `clock`: who vouches for the time on the wire; `clock_sigma_s`: standard error of the last pick's time.
    `temperature_c`: of this computer; `digitizer_temperature_c` where it tells. `queues`: by the name of the
    uplink. `dropped`: picks that a full outbox let go of. `outbox_problem`: what keeps it from the disk.
    """

    state: State
    time: str
    version: str
    model: str
    backend: str
    station: str | None = None
    installation: str | None = None
    uptime_s: float = 0.0
    silence_s: float | None = None
    sample_age_s: float | None = None
    packets: int = 0
    bytes: int = 0
    crc_errors: int = 0
    skipped_bytes: int = 0
    lost_packets: int = 0
    gaps: int = 0
    clock: Clock | None = None
    clock_sigma_s: float | None = None
    temperature_c: float | None = None
    digitizer_temperature_c: float | None = None
    picks: Mapping[Phase, int] = field(default_factory=dict)
    queues: Mapping[str, Queue] = field(default_factory=dict)
    dropped: int = 0
    outbox_problem: str | None = None

    def to_json(self) -> str:
        """One JSON object on one line."""
        return json.dumps(asdict(self))


def readable(status: Mapping[str, Any]) -> Iterator[str]:
    """Lines of what `Status.to_json` wrote, nested ones under their key."""
    for key, value in status.items():
        if isinstance(value, Mapping):
            for name, inner in value.items():
                parts = inner.items() if isinstance(inner, Mapping) else ()
                shown = ", ".join(f"{k} {_shown(v)}" for k, v in parts) or inner
                yield f"{key:<24} {name}: {shown}"
        else:
            yield f"{key:<24} {_shown(value)}"


def _shown(value: object) -> object:
    return "–" if value is None else value


def status_file() -> Path | None:
    """Where a running edge-pick leaves its status: in memory, not on the card. None where there is no such
    place."""
    if folder := os.environ.get("RUNTIME_DIRECTORY"):  # as systemd sets it
        return Path(folder.split(":")[0]) / FILE_NAME
    if folder := os.environ.get("XDG_RUNTIME_DIR"):
        return Path(folder) / "edge-pick" / str(os.getpid()) / FILE_NAME
    return None


def _found() -> list[Path]:
    """The statuses of this user's edge-picks, and of those that systemd runs."""
    folders = [_SYSTEM_FOLDER]
    if own := status_file():
        folders.append(own.parent if "RUNTIME_DIRECTORY" in os.environ else own.parent.parent)
    return sorted({path for folder in folders for path in folder.glob(f"**/{FILE_NAME}")})


def _read(path: Path) -> dict[str, Any]:
    """ValueError if it is no status. One that is no longer written is of a process that died."""
    try:
        status = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path}: no status ({error})") from error
    if not isinstance(status, dict) or "state" not in status:
        raise ValueError(f"{path}: no status")
    if time.time() - path.stat().st_mtime > _DEAD_S:
        status["state"] = "gone"
    return status


def main(arguments: Sequence[str]) -> int:
    """`edge-pick status`: exit status 0 if all of them are streaming, 1 if not, 2 if there are none or one
    cannot be read."""
    parser = argparse.ArgumentParser(
        "edge-pick status", description="How the edge-picks on this computer are doing."
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("file", nargs="*", type=Path, help="status.json of one (default: all that are found)")
    args = parser.parse_args(arguments)
    statuses: list[dict[str, Any]] = []
    problems: list[str] = []
    paths = args.file or _found()
    for path in paths:
        try:
            statuses.append(_read(path))
        except (OSError, ValueError) as error:  # the others are shown all the same
            problems.append(str(error))
        else:
            if statuses[-1]["state"] == "gone":
                said = f"not written for {_DEAD_S:.0f} s: its edge-pick hangs, or was killed; then delete it"
                problems.append(f"{path}: {said}")
    if not paths:
        problems.append("no edge-pick with --device or --udp runs here")
    for status in statuses:
        lines = [json.dumps(status)] if args.json else [*map(printable, readable(status)), ""]
        print("\n".join(lines))
    for problem in problems:
        print(f"edge-pick status: {printable(problem)}", file=sys.stderr)
    if len(statuses) < max(1, len(paths)):
        return 2
    return int(any(status["state"] != "streaming" for status in statuses))
