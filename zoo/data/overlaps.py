"""Which training traces show seconds that a trace of another split shows too.

Splits go by event, but the records of events a few seconds apart on one station overlap: what the network
learnt from one of them it would be asked again in the other.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable
from itertools import accumulate

from edge.pick import NS, parse_time
from zoo.data.tables import Row

Station = tuple[str, str]
Span = tuple[int, int]
"""UTC nanoseconds, the end excluded."""


def overlapping(rows: Iterable[Row], others: Iterable[Row]) -> set[str]:
    """Names of those `rows` that share time with one of `others` of the same station. Rows in SeisBench's
    words; one that does not say where, when or how long it is shares nothing. ValueError for a bad value."""
    taken: dict[Station, list[Span]] = defaultdict(list)
    for row in others:
        if span := _span(row):
            taken[_station(row)].append(span)
    # Of spans in order of their begin, the latest end so far: one look tells whether any reaches into a row.
    begins, ends = {}, {}
    for station, spans in taken.items():
        spans.sort()
        begins[station] = [begin for begin, _ in spans]
        ends[station] = list(accumulate((end for _, end in spans), max))
    found = set()
    for row in rows:
        station, span = _station(row), _span(row)
        if span and station in begins:
            before = bisect_left(begins[station], span[1])
            if before and ends[station][before - 1] > span[0]:
                found.add(row["trace_name"])
    return found


def is_placed(row: Row) -> bool:
    """Whether it says where, when and how long it is. ValueError for a bad value."""
    return _span(row) is not None


def _station(row: Row) -> Station:
    return row.get("station_network_code") or "", row.get("station_code") or ""


def _span(row: Row) -> Span | None:
    start, npts, rate = (row.get(f"trace_{key}") for key in ("start_time", "npts", "sampling_rate_hz"))
    if not (row.get("station_code") and start and npts and rate):
        return None
    try:
        begin = parse_time(start)
        return begin, begin + round(float(npts) / float(rate) * NS)
    except (ValueError, ArithmeticError) as error:
        raise ValueError(
            f"trace {row['trace_name']!r}: when it begins and ends is unclear: {error}"
        ) from error
