"""What associators read: PyOcto's and GaMMA's tables, REAL's files."""

import csv
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from collect.exports.reading import Group
from edge.pick import NS, Phase, Pick, format_time

DAY_MS = 86_400_000
PHASES: tuple[Phase, ...] = ("P", "S")


def write_pyocto(groups: Sequence[Group], out: Path) -> None:
    """CSV: station (NET.STA.LOC), phase, time (seconds since 1970). OSError if `out` cannot be written."""
    _write_csv(
        groups,
        out,
        {
            "station": lambda pick: pick.station,
            "phase": lambda pick: pick.phase,
            "time": lambda pick: f"{pick.time_ns / NS:.6f}",
        },
    )


def write_gamma(groups: Sequence[Group], out: Path) -> None:
    """CSV: id (NET.STA.LOC), timestamp, prob, type (p, s), amp. GaMMA makes use of amp only in m/s: other
    units need `use_amplitude = False`. OSError if `out` cannot be written."""
    _write_csv(
        groups,
        out,
        {
            "id": lambda pick: pick.station,
            "timestamp": lambda pick: format_time(pick.time_ns).removesuffix("Z"),
            "prob": lambda pick: f"{pick.prob:.3f}",
            "type": lambda pick: pick.phase.lower(),
            "amp": lambda pick: f"{pick.amp:.6g}",
        },
    )


def write_real(groups: Sequence[Group], out: Path) -> None:
    """A folder a day, in it NET.STA.P.txt and NET.STA.S.txt of each station: seconds of the day, weight
    (the probability), amplitude. REAL makes magnitudes of the amplitude, in mm as on a Wood-Anderson
    seismograph; ours is none, so it is 0. Both files are there, if empty, as REAL does not bear a missing
    one. OSError if they cannot be written."""
    lines: dict[Path, list[str]] = {}
    for pick in _picks(groups):
        # Rounded before it is taken apart, or the last half millisecond of a day would be 86400.000.
        day, within_ms = divmod((pick.time_ns + 500_000) // 1_000_000, DAY_MS)
        folder = out / f"{datetime.fromtimestamp(day * DAY_MS // 1000, UTC):%Y%m%d}"
        network, station, _ = pick.station.split(".")
        for phase in PHASES:
            lines.setdefault(folder / f"{network}.{station}.{phase}.txt", [])
        path = folder / f"{network}.{station}.{pick.phase}.txt"
        lines[path].append(f"{within_ms / 1000:.3f} {pick.prob:.3f} 0.0\n")
    for path, rows in lines.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(rows), encoding="ascii")


def _picks(groups: Sequence[Group]) -> list[Pick]:
    return [pick for group in groups for pick in group.picks]


def _write_csv(groups: Sequence[Group], out: Path, columns: dict[str, Callable[[Pick], str]]) -> None:
    with out.open("w", newline="", encoding="ascii") as file:
        table = csv.writer(file)
        table.writerow(columns)
        table.writerows([[value(pick) for value in columns.values()] for pick in _picks(groups)])
