"""Coordinates come from what networks have: a table, or StationXML."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("sqlalchemy", reason="the receiving end needs the [collect] extra")
from collect.stations import read_sites

CSV = "station,latitude,longitude,elevation_m\nXX.A,46.5,8.25,1200\nXX.B.00,-46,190.5,-3\n"


def test_a_table_names_its_columns(tmp_path):
    path = tmp_path / "stations.csv"
    path.write_text("\ufeff" + CSV)
    sites = read_sites(path)
    assert set(sites) == {"XX.A", "XX.B"}
    assert (sites["XX.A"].latitude, sites["XX.A"].longitude, sites["XX.A"].elevation_m) == (
        46.5,
        8.25,
        1200.0,
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the first line must name elevation_m, latitude, longitude, station"),
        ("station,latitude,longitude\n", "the first line must name elevation_m"),
        ("station,latitude,longitude,elevation_m\n", "no station in it"),
        (CSV + "XX.C,north,8,0\n", "line 4: not NET.STA and three numbers"),
        (CSV + "C,46,8,0\n", "line 4: not NET.STA and three numbers"),
        (CSV + "XX.C,46\n", "line 4: not NET.STA and three numbers"),
        (CSV + '"' + "9" * 200_000, "field larger than field limit"),
        (CSV + "XX.C,91,8,0\n", "line 4: no such place on Earth"),
        (CSV + "XX.C,nan,8,0\n", "line 4: no such place on Earth"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path, text, said):
    path = tmp_path / "stations.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=said):
        read_sites(path)


@given(st.text() | st.text('station,latudeg.vm_XB\n0123-"', max_size=60).map(CSV.__add__))
def test_any_text_is_a_table_of_places_or_a_value_error(text):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "stations.csv"
        path.write_text(text, "utf-8", "surrogatepass")
        try:
            sites = read_sites(path)
        except ValueError:
            return
    assert sites
    assert all(abs(site.latitude) <= 90 for site in sites.values())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no xml",
        "<a>\n<b></a>",
        '<FDSNStationXML xmlns="http://www.fdsn.org/xml/station/1" schemaVersion="1.1"><Network/>'
        "</FDSNStationXML>",
    ],
)
def test_other_xml_is_refused_in_one_line(tmp_path, text):
    pytest.importorskip("obspy")
    path = tmp_path / "stations.xml"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"stations\.xml: ") as caught:
        read_sites(path)
    assert "\n" not in str(caught.value)


def test_stationxml_is_read_by_obspy(tmp_path):
    inventory = pytest.importorskip("obspy").read_inventory()
    path = tmp_path / "stations.xml"
    inventory.write(str(path), format="STATIONXML")
    site = read_sites(path)["BW.RJOB"]
    assert (site.latitude, site.longitude, site.elevation_m) == pytest.approx((47.737167, 12.795714, 860.0))
