"""Phase cards of HYPO71 (Lee & Lahr, USGS Open-File Report 75-311): one card a station, P and the S after
it.

    columns  1-4  station     5-8  P: onset, P, first motion, weight     10-24  year to seconds of P
            32-36  seconds of S, counted from the minute of P             37-40  S: onset, S, blank, weight

A card cannot be without P: an S that has none is on a card whose P has weight 4, which is not used.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from collect.exports.reading import Group, weight_code
from edge.pick import NS, Pick

SECONDS_MAX = 99.99
"""Of S, from the minute of its P: what five columns hold."""
FIRST_MOTIONS = {"up": "U", "down": "D", "unknown": " ", None: " "}
END = "                 10"
"""The card between two events."""


def write_hypo71(groups: Sequence[Group], out: Path) -> None:
    """A deck for each group. ValueError if two stations are one by the four letters of a card; OSError if
    `out` cannot be written."""
    lines: list[str] = []
    for group in groups:
        _check_names(group)
        lines += [*_cards(group.picks), END]
    out.write_text("".join(line.rstrip() + "\n" for line in lines), encoding="ascii")


def _check_names(group: Group) -> None:
    full: dict[str, str] = {}
    for pick in group.picks:
        network, station, _ = pick.station.split(".")
        other = full.setdefault(_name(pick), f"{network}.{station}")
        if other != f"{network}.{station}":
            raise ValueError(f"{other} and {network}.{station} are one station in the four letters of HYPO71")


def _name(pick: Pick) -> str:
    return pick.station.split(".")[1][:4]


def _cards(picks: Sequence[Pick]) -> Iterator[str]:
    """By time, the picks being so."""
    by_station: dict[str, list[Pick]] = defaultdict(list)
    for pick in picks:
        by_station[_name(pick)].append(pick)
    pairs = [pair for own in by_station.values() for pair in _pairs(own)]
    for p, s in sorted(pairs, key=lambda pair: min(one.time_ns for one in pair if one)):
        yield _card(p, s)


def _pairs(picks: Sequence[Pick]) -> Iterator[tuple[Pick | None, Pick | None]]:
    """P with the first S after it and before the next P; the rest alone."""
    waiting: Pick | None = None
    for pick in picks:
        if pick.phase == "P":
            if waiting:
                yield waiting, None
            waiting = pick
        elif waiting and _seconds(pick, waiting) <= SECONDS_MAX:
            yield waiting, pick
            waiting = None
        else:
            yield None, pick
    if waiting:
        yield waiting, None


def _card(p: Pick | None, s: Pick | None) -> str:
    first = p or s
    assert first is not None
    hundredth = _hundredths(first) % 6000
    start = datetime.fromtimestamp(60 * (_hundredths(first) // 6000), UTC)
    word = f" P{FIRST_MOTIONS[p.polarity]}{weight_code(p)}" if p else " P 4"
    card = f"{_name(first):<4}{word} {start:%y%m%d%H%M}{hundredth / 100:5.2f}"
    if s is None:
        return card
    return f"{card:<31}{_seconds(s, first):5.2f} S {weight_code(s)}"


def _hundredths(pick: Pick) -> int:
    # All time is rounded before it is taken apart, or 59.999 s would be 60.00 of the minute before.
    return (pick.time_ns + NS // 200) // (NS // 100)


def _seconds(s: Pick, first: Pick) -> float:
    """Of S, from the minute of the first onset on its card."""
    return (_hundredths(s) - _hundredths(first) // 6000 * 6000) / 100
