"""A record for a simulated digitizer to replay, from MiniSEED."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pymseed import MS3TraceList, nstime2timestr, sourceid2nslc
from pymseed.exceptions import MiniSEEDError

_NS = 1_000_000_000
_ORDERS = ("ZNE", "Z12")


@dataclass(frozen=True, slots=True)
class Record:
    """A gapless record of one instrument.

    `instrument`: NET.STA.LOC.BI. `samples`: int32 counts of shape (n, 3) in Z, N, E (or Z, 1, 2) order.
    `rate`: Hz, an int where it is whole. `start_ns`: int64 UTC nanoseconds of the first sample.
    """

    instrument: str
    samples: NDArray[np.int32]
    rate: float
    start_ns: int


@dataclass(frozen=True, slots=True)
class _Component:
    """One channel as the file has it; `name`: NET.STA.LOC.CHA."""

    name: str
    samples: NDArray[np.int32]
    rate: float
    start_ns: int


def read_record(paths: Sequence[Path]) -> Record:
    """Read the three components of one instrument from MiniSEED, cut to the time they share.

    Components whose sampling instants differ by less than half a sample are taken as simultaneous.
    Raises ValueError, in one line, for anything a digitizer could not have sent.
    """
    found = _read_components(paths)
    by_letter = {component.name[-1]: component for component in found}
    order = next((letters for letters in _ORDERS if set(letters) == set(by_letter)), None)
    if order is None or len(found) != 3 or len({component.name[:-1] for component in found}) != 1:
        names = ", ".join(sorted(component.name for component in found))
        raise ValueError(f"need Z, N, E (or Z, 1, 2) of one instrument, found {names or 'nothing'}")
    components = [by_letter[letter] for letter in order]
    instrument = components[0].name[:-1]
    rate = components[0].rate
    if any(component.rate != rate for component in components):
        rates = ", ".join(f"{component.rate:g}" for component in components)
        raise ValueError(f"{instrument}? has components of different rates ({rates} Hz): give equal ones")
    latest_ns = max(component.start_ns for component in components)
    offsets = [round((latest_ns - component.start_ns) * rate / _NS) for component in components]
    ends = [len(component.samples) - offset for component, offset in zip(components, offsets, strict=True)]
    if min(ends) < 1:
        raise ValueError(f"{instrument}? has components that share no time: give them of the same hours")
    columns = [
        component.samples[offset : offset + min(ends)]
        for component, offset in zip(components, offsets, strict=True)
    ]
    return Record(
        instrument=instrument,
        samples=np.stack(columns, axis=1),
        rate=int(rate) if rate == int(rate) else rate,
        start_ns=components[0].start_ns + round(offsets[0] * _NS / rate),
    )


def _read_components(paths: Sequence[Path]) -> list[_Component]:
    components = []
    with MS3TraceList() as traces:
        for path in paths:
            try:
                traces.add_file(path, unpack_data=True)
            except MiniSEEDError as error:
                reason = str(error).partition(" :: ")[0]
                raise ValueError(f"{path}: not readable as MiniSEED ({reason})") from error
        for trace in traces:
            name = ".".join(sourceid2nslc(trace.sourceid))
            first, *others = trace
            if others:
                gap = nstime2timestr(first.endtime)
                raise ValueError(f"{name} has a gap or an overlap after {gap}: give a stretch without")
            if first.sampletype != "i":
                raise ValueError(f"{name} does not hold integers: scale it to integer counts first")
            # Copied, as the samples go when the list is closed.
            samples = np.array(first.np_datasamples, np.int32)
            components.append(_Component(name, samples, first.samprate, first.starttime))
    return components
