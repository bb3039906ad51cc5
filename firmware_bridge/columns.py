"""What the columns of plain lines (`lines`) are: as declared, as a header names them, or as values show."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from firmware_bridge.packet import COMPONENT_ORDER
from firmware_bridge.samples import steady_step

TIME_UNITS = {"millis": 1_000_000, "micros": 1_000, "seconds": 1_000_000_000}  # in ns
TIME = "time"  # in a unit to be found out
_SKIP = "-"
_COMPONENTS = ("z", "n", "e", "x", "y")
_HEADER_NAMES = {
    **{name: name for name in (*_COMPONENTS, TIME, _SKIP, *TIME_UNITS)},
    "ms": "millis",
    "us": "micros",
    "s": "seconds",
    "t": TIME,
    "timestamp": TIME,
}
_USUAL = {1: ("z",), 2: (TIME, "z"), 3: ("z", "n", "e"), 4: (TIME, "z", "n", "e")}
_COUNTER = 0.9  # of the steps of a counter are 1


@dataclass(frozen=True, slots=True)
class Columns:
    """What the columns of a line are, in words that say where to look."""

    names: tuple[str, ...]
    components: str  # as in COMPONENT_ORDER
    places: tuple[int, ...]  # of the components
    time_place: int | None
    time_unit: str

    @classmethod
    def named(cls, names: Sequence[str]) -> "Columns":
        """ValueError unless there are samples of one instrument, no name twice, one time at most, and
        nothing else."""
        known = {*_COMPONENTS, _SKIP, *TIME_UNITS}
        used = [name for name in names if name != _SKIP]
        times = [name for name in used if name in TIME_UNITS]
        mixed = not {"n", "e"}.isdisjoint(used) and not {"x", "y"}.isdisjoint(used)
        doubled = len(set(used)) < len(used) or len(times) > 1
        if not set(names) <= known or doubled or mixed or len(used) == len(times):
            raise ValueError(
                f"columns {','.join(names)}: name each of z, n, e (or z, x, y) that there is once, at most "
                f"one of {', '.join(TIME_UNITS)}, and - for each column to skip"
            )
        components = "".join(letter for letter in COMPONENT_ORDER if letter.lower() in used)
        return cls(
            names=tuple(names),
            components=components,
            places=tuple(names.index(letter.lower()) for letter in components),
            time_place=names.index(times[0]) if times else None,
            time_unit=times[0] if times else "",
        )


def header_names(fields: list[bytes]) -> tuple[str, ...] | None:
    """Column names, if all fields are such and a component is among them."""
    text = b" ".join(fields).decode("latin-1").lower().lstrip("# ")
    names = tuple(_HEADER_NAMES.get(field, "") for field in text.split())
    try:
        Columns.named(["seconds" if name == TIME else name for name in names])
    except ValueError:
        return None
    return names


def inferred(rows: list[tuple[float, ...]], header: tuple[str, ...]) -> Columns | None:
    """The columns as the header or else their number says, None where that does not tell."""
    count = len(rows[0])
    names = header if len(header) == count else _USUAL.get(count, ())
    if not names or (header == names and TIME not in names):
        return Columns.named(names) if names else None
    timed = TIME in names
    rising = _rising([row[names.index(TIME) if timed else 0] for row in rows])
    if timed != (rising is not None) and count > 1:
        return None  # a time that does not rise, or one where z should be
    return Columns.named([rising if name == TIME and rising else name for name in names])


def _rising(values: list[float]) -> str | None:
    """Name of a column that rises so: a time in the only unit in which its rate lies between 1.1 Hz and
    1.1 kHz, or one to skip that counts lines, whether or not some are lost or it wraps."""
    ones = sum(after - before == 1 for before, after in pairwise(values))
    if ones >= _COUNTER * (len(values) - 1):
        return _SKIP
    step = steady_step(values)
    if step is None or not 0.0009 <= step < 900_000:
        return None
    return "seconds" if step < 0.9 else "millis" if step < 900 else "micros"
