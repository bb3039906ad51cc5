"""edge-collect associate: events of the stored picks, by PyOcto (Münchmeyer, Seismica 2024).

Locations are PyOcto's own, good for finding out which picks belong together; a locator should have the last
word.
"""

import argparse
import hashlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import cos, hypot, radians, sqrt
from pathlib import Path
from typing import Any

from collect.exports.quakeml import write_quakeml
from collect.exports.reading import groups_of
from collect.stations import Site, read_sites
from collect.store import Arrival, Event, Store
from edge.pick import NS, Pick
from edge.terminal import Report

KM_PER_DEGREE = 111.2
MARGIN_KM = 30.0
"""Around the stations, where epicentres are looked for as well."""
GRID_KM = 1.0
"""Of travel times through layers."""
TOLERANCE_S = 1.0
"""What the velocity model may be wrong by."""


@dataclass(frozen=True, slots=True)
class Layer:
    """`depth_km`: of its top; `vp`, `vs`: km/s, changing linearly to the next layer's."""

    depth_km: float
    vp: float
    vs: float


@dataclass(frozen=True, slots=True)
class Search:
    """What counts as an event: at least `picks` onsets, three of them P and two S, no deeper than
    `depth_km`, in ground of these `layers`; one layer alone is all the ground."""

    layers: tuple[Layer, ...]
    depth_km: float = 50.0
    picks: int = 8


def add_associate_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = "Finds the events of stored picks, keeps them in the store, and writes QuakeML."
    parser.add_argument(
        "--stations", required=True, type=Path, metavar="FILE",
        help="CSV (station,latitude,longitude,elevation_m) or StationXML (.xml)",
    )  # fmt: skip
    parser.add_argument(
        "--velocity", default="6.0,3.46", metavar="VP,VS|FILE",
        help="km/s, or a CSV of layers (depth_km,vp,vs) (default: 6.0,3.46)",
    )  # fmt: skip
    parser.add_argument("--depth", type=float, default=50.0, help="km, no event is deeper (default: 50)")
    parser.add_argument("--picks", type=int, default=8, help="least number of picks of an event (default: 8)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="QuakeML of these events")


def run_associate(args: argparse.Namespace, store: Store, report: Report) -> int:
    """Exit status 0. Events wholly within the period that an earlier run found are replaced; those that
    reach out of it stay, and keep their picks."""
    sites = read_sites(args.stations)
    search = Search(read_layers(args.velocity), args.depth, args.picks)
    # What is left in the period of an event beyond its border would make a lesser one beside it.
    taken = store.taken(args.begin, args.end)
    picks = [pick for pick in store.picks(args.begin, args.end) if (pick.station, pick.id) not in taken]
    if taken:
        report(f"{len(taken)} picks are of events that reach out of the period, which stay as they are")
    placed = [pick for pick in picks if _place(pick) in sites]
    if len(placed) < len(picks):
        unknown = ", ".join(sorted({_place(pick) for pick in picks} - set(sites))[:10])
        report(f"{len(picks) - len(placed)} picks of stations that are not in {args.stations}: {unknown}")
    events = associate(placed, sites, search)
    store.replace_events(args.begin, args.end, events)
    if args.out:
        write_quakeml(groups_of([], events), args.out)
    used = sum(len(event.arrivals) for event in events)
    report(f"{len(events)} events of {used} out of {len(placed)} picks")
    return 0


def read_layers(text: str) -> tuple[Layer, ...]:
    """VP,VS in km/s, or a CSV file of layers from the surface down. ValueError says what is wrong."""
    path = Path(text)
    rows = path.read_text().splitlines()[1:] if path.is_file() else [f"0,{text}"]
    try:
        layers = tuple(Layer(*map(float, row.split(","))) for row in rows if row.strip())
    except (ValueError, TypeError) as error:
        raise ValueError(f"{text!r} is neither VP,VS nor a file of depth_km,vp,vs") from error
    depths = [layer.depth_km for layer in layers]
    if not layers or depths[0] != 0 or depths != sorted(set(depths)):
        raise ValueError(f"{text}: layers must begin at depth 0 and go down")
    if any(not 0 < layer.vs < layer.vp for layer in layers):
        raise ValueError(f"{text}: S must be slower than P, and both move")
    return layers


def associate(picks: Sequence[Pick], sites: Mapping[str, Site], search: Search) -> list[Event]:
    """Events of these picks, whose stations are all in `sites`; by time. ValueError without PyOcto."""
    if not picks:
        return []
    try:
        import pandas
        import pyocto
    except ModuleNotFoundError as error:
        raise ValueError(f"{error.name} is missing: pip install 'edge-pick[associate]'") from error

    area = _area(list(sites.values()))
    with tempfile.TemporaryDirectory() as folder:
        associator = pyocto.OctoAssociator.from_area(
            lat=area.latitudes,
            lon=area.longitudes,
            zlim=(0.0, search.depth_km),
            velocity_model=_velocity_model(search, area, Path(folder)),
            time_before=hypot(area.diagonal_km, search.depth_km) / min(layer.vs for layer in search.layers),
            n_picks=search.picks,
            n_p_picks=3,
            n_s_picks=2,
            n_p_and_s_picks=2,
        )
        stations = associator.transform_stations(
            pandas.DataFrame(
                [
                    {
                        "id": site.station,
                        "latitude": site.latitude,
                        "longitude": site.longitude,
                        "elevation": site.elevation_m,
                    }
                    for site in sites.values()
                ]
            )
        )
        table = pandas.DataFrame(
            [{"station": _place(pick), "phase": pick.phase, "time": pick.time_ns / NS} for pick in picks]
        )
        found, assigned = associator.associate(table, stations)
        if len(found) == 0:
            return []
        placed = associator.transform_events(found)
    return sorted(_events(picks, placed, assigned), key=lambda event: event.time_ns)


@dataclass(frozen=True, slots=True)
class _Area:
    latitudes: tuple[float, float]
    longitudes: tuple[float, float]
    diagonal_km: float


def _area(sites: Sequence[Site]) -> _Area:
    south, north = min(site.latitude for site in sites), max(site.latitude for site in sites)
    west, east = min(site.longitude for site in sites), max(site.longitude for site in sites)
    margin = MARGIN_KM / KM_PER_DEGREE
    shrink = cos(radians((south + north) / 2))
    height, width = north - south + 2 * margin, (east - west) * shrink + 2 * margin
    return _Area(
        (south - margin, north + margin),
        (west - margin / shrink, east + margin / shrink),
        KM_PER_DEGREE * hypot(height, width),
    )


def _velocity_model(search: Search, area: _Area, folder: Path) -> Any:
    import pandas
    import pyocto

    if len(search.layers) == 1:
        only = search.layers[0]
        return pyocto.VelocityModel0D(only.vp, only.vs, TOLERANCE_S)
    path = folder / "travel-times"
    rows = pandas.DataFrame(
        [{"depth": layer.depth_km, "vp": layer.vp, "vs": layer.vs} for layer in search.layers]
    )
    pyocto.VelocityModel1D.create_model(rows, GRID_KM, area.diagonal_km + 10, search.depth_km + 10, path)
    return pyocto.VelocityModel1D(path, TOLERANCE_S)


def _events(picks: Sequence[Pick], found: Any, assigned: Any) -> Iterator[Event]:
    for _, row in found.iterrows():
        own = assigned[assigned["event_idx"] == row["idx"]]
        arrivals = [
            Arrival(picks[int(index)], float(residual))
            for index, residual in zip(own["pick_idx"], own["residual"], strict=True)
        ]
        arrivals.sort(key=lambda arrival: (arrival.pick.time_ns, arrival.pick.station))
        time_ns = round(row["time"] * NS)
        yield Event(
            id=_event_id(arrivals),
            time_ns=time_ns,
            latitude=float(row["latitude"]),
            longitude=float(row["longitude"]),
            depth_km=float(row["depth"]),
            rms_s=sqrt(sum(arrival.residual_s**2 for arrival in arrivals) / len(arrivals)),
            method="pyocto",
            arrivals=tuple(arrivals),
        )


def _event_id(arrivals: Sequence[Arrival]) -> str:
    """16 hex digits of its picks: the same picks made to an event again have the same id."""
    key = "|".join(sorted(f"{arrival.pick.station} {arrival.pick.id}" for arrival in arrivals))
    return hashlib.sha256(key.encode()).hexdigest()[:16]


def _place(pick: Pick) -> str:
    network, station, _ = pick.station.split(".")
    return f"{network}.{station}"
