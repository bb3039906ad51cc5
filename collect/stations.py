"""Where stations are: from a CSV file or StationXML."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COLUMNS = ("station", "latitude", "longitude", "elevation_m")


@dataclass(frozen=True, slots=True)
class Site:
    """`station`: NET.STA, of all its locations. `latitude`, `longitude`: degrees, WGS 84. `elevation_m`:
    metres above sea level."""

    station: str
    latitude: float
    longitude: float
    elevation_m: float


def read_sites(path: Path) -> dict[str, Site]:
    """By NET.STA. CSV has the columns `COLUMNS` by name, station being NET.STA or NET.STA.LOC; a name that
    ends in .xml is StationXML, which ObsPy reads. ValueError says what is wrong; OSError if there is no
    such file."""
    sites = _from_stationxml(path) if path.suffix == ".xml" else _from_csv(path)
    if not sites:
        raise ValueError(f"{path}: no station in it")
    return {site.station: site for site in sites}


def _from_csv(path: Path) -> list[Site]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        table = csv.DictReader(file)
        try:
            if missing := set(COLUMNS) - set(table.fieldnames or ()):
                raise ValueError(f"{path}: the first line must name {', '.join(sorted(missing))}")
            return [_site(path, table.line_num, row) for row in table]
        except csv.Error as error:
            raise ValueError(f"{path}: {error}") from error


def _site(path: Path, line: int, row: dict[str, Any]) -> Site:
    try:
        network, station = row["station"].split(".")[:2]
        latitude, longitude, elevation_m = (float(row[name]) for name in COLUMNS[1:])
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}, line {line}: not NET.STA and three numbers") from error
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 360 and -12_000 <= elevation_m <= 9000):
        raise ValueError(f"{path}, line {line}: no such place on Earth")
    return Site(f"{network}.{station}", latitude, longitude, elevation_m)


def _from_stationxml(path: Path) -> list[Site]:
    try:
        from obspy import read_inventory
    except ModuleNotFoundError as error:
        raise ValueError("StationXML needs ObsPy: pip install obspy") from error
    with path.open("rb") as file:
        try:
            inventory = read_inventory(file, format="STATIONXML")
        except Exception as error:
            # Broad, as junk makes ObsPy let out lxml's errors and its own, which have no class in common.
            first_line = str(error).partition("\n")[0]
            raise ValueError(f"{path}: not StationXML that ObsPy reads ({first_line})") from error
    return [
        Site(f"{network.code}.{station.code}", station.latitude, station.longitude, station.elevation)
        for network in inventory
        for station in network
    ]
