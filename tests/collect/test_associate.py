"""Onsets of known hypocentres, and others that belong to nothing: the events are found where they were."""

import random
from dataclasses import replace
from math import cos, hypot, radians, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st
from network import PICK

pytest.importorskip("sqlalchemy", reason="the receiving end needs the [collect] extra")
from collect.associate import KM_PER_DEGREE, Layer, read_layers
from collect.cli import main
from collect.store import Store
from edge.pick import NS, format_time

VP, VS = 6.0, 3.46
ALL = (0, 2**62)
EVENTS = [(46.1, 8.05, 12.0, 1_700_000_000.0), (45.8, 7.8, 6.0, 1_700_000_100.0)]
"""Latitude, longitude, depth in km, origin time."""


def stations():
    chance = random.Random(1)
    return {
        f"XX.S{n:02d}": (
            46 + chance.uniform(-0.5, 0.5),
            8 + chance.uniform(-0.7, 0.7),
            chance.uniform(0, 800),
        )
        for n in range(12)
    }


def distance_km(a, b):
    return KM_PER_DEGREE * hypot(a[0] - b[0], (a[1] - b[1]) * cos(radians(46)))


def onsets():
    """P and S of each event at each station, 50 ms wrong, and forty that mean nothing."""
    chance = random.Random(2)
    times = [
        (
            station,
            phase,
            origin_s + sqrt(distance_km(site, event) ** 2 + (depth + site[2] / 1000) ** 2) / speed,
        )
        for *event, depth, origin_s in EVENTS
        for station, site in stations().items()
        for phase, speed in (("P", VP), ("S", VS))
    ]
    times += [
        (chance.choice(list(stations())), chance.choice("PS"), EVENTS[0][3] + chance.uniform(-100, 300))
        for _ in range(40)
    ]
    return [
        replace(
            PICK,
            id=f"{n:016x}",
            station=f"{station}.",
            phase=phase,
            time_ns=round((s + chance.gauss(0, 0.05)) * NS),
        )
        for n, (station, phase, s) in enumerate(times)
    ]


@pytest.fixture
def network(tmp_path):
    """URL of a store with these onsets and one of a station that nobody knows, and the file of stations."""
    url = f"sqlite:///{tmp_path / 'picks.db'}"
    store = Store(url)
    store.save([*onsets(), replace(PICK, station="YY.LOST.")], 0)
    store.close()
    rows = [f"{name},{lat},{lon},{height}" for name, (lat, lon, height) in stations().items()]
    (tmp_path / "stations.csv").write_text("\n".join(["station,latitude,longitude,elevation_m", *rows]))
    return url, tmp_path / "stations.csv"


def check(events):
    assert len(events) == len(EVENTS)
    for found, (latitude, longitude, depth_km, origin_s) in zip(events, EVENTS, strict=True):
        assert distance_km((found.latitude, found.longitude), (latitude, longitude)) < 3
        assert abs(found.depth_km - depth_km) < 4
        assert abs(found.time_ns / NS - origin_s) < 1
        assert found.rms_s < 0.3
        assert 22 <= len(found.arrivals) <= 26


def test_events_are_found_kept_and_written(network, tmp_path, capsys):
    pytest.importorskip("pyocto", reason="needs pip install 'edge-pick[associate]'")
    url, sites = network
    command = ["associate", "--store", url, "--stations", str(sites), "--out", str(tmp_path / "events.xml")]
    for _ in range(2):  # again: the same events, not twice as many
        assert main(command) == 0
        store = Store(url)
        check(store.events(*ALL))
        store.close()
    said = capsys.readouterr().err
    assert "1 picks of stations that are not in" in said
    assert "YY.LOST" in said
    obspy = pytest.importorskip("obspy")
    catalog = obspy.read_events(str(tmp_path / "events.xml"), format="QUAKEML")
    assert [len(event.origins[0].arrivals) for event in catalog] == [len(event.picks) for event in catalog]
    assert main(["associate", "--store", url, "--stations", str(sites), "--picks", "30"]) == 0
    assert Store(url).events(*ALL) == []


def test_periods_that_overlap_find_every_event_once(network):
    pytest.importorskip("pyocto", reason="needs pip install 'edge-pick[associate]'")
    url, sites = network
    amid_first, amid_second = (format_time(round((event[3] + 10) * NS)) for event in EVENTS)
    store = Store(url)
    for period in (["--to", amid_second], ["--from", amid_first], ["--from", amid_second]):
        assert main(["associate", "--store", url, "--stations", str(sites), *period]) == 0
    check(store.events(*ALL))
    store.close()


def test_layers_give_the_same_events_as_the_ground_that_they_are(network, tmp_path):
    pytest.importorskip("pyocto", reason="needs pip install 'edge-pick[associate]'")
    pytest.importorskip("pyrocko", reason="needs pip install 'edge-pick[associate]'")
    url, sites = network
    layers = tmp_path / "layers.csv"
    layers.write_text(
        f"depth_km,vp,vs\n0,{VP},{VS}\n20,{VP + 0.001},{VS + 0.001}\n40,{VP + 0.002},{VS + 0.002}\n"
    )
    assert (
        main(
            [
                "associate",
                "--store",
                url,
                "--stations",
                str(sites),
                "--velocity",
                str(layers),
                "--depth",
                "30",
            ]
        )
        == 0
    )
    check(Store(url).events(*ALL))


def test_velocities_are_two_numbers_or_a_file_of_layers(tmp_path):
    assert read_layers("6.0,3.5") == (Layer(0.0, 6.0, 3.5),)
    path = tmp_path / "layers.csv"
    path.write_text("depth_km,vp,vs\n0,5,3\n10,6,3.5\n\n")
    assert read_layers(str(path)) == (Layer(0.0, 5.0, 3.0), Layer(10.0, 6.0, 3.5))


@given(st.text(max_size=50) | st.text("0123456789.,-e\nnaif", max_size=20))
def test_any_other_text_is_layers_or_a_value_error(text):
    try:
        layers = read_layers(text)
    except ValueError:
        return
    assert all(0 < layer.vs < layer.vp for layer in layers)
    assert layers[0].depth_km == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("fast", "neither VP,VS nor a file"),
        ("6.0", "neither VP,VS nor a file"),
        ("3.5,6.0", "S must be slower than P"),
        ("6.0,nan", "S must be slower than P"),
    ],
)
def test_velocities_that_cannot_be_are_refused(text, said):
    with pytest.raises(ValueError, match=said):
        read_layers(text)


def test_layers_begin_at_the_surface_and_go_down(tmp_path):
    path = tmp_path / "layers.csv"
    for rows in ("5,5,3", "0,5,3\n0,6,3.5", "0,5,3\n20,6,3.5\n10,6,3.5", ""):
        path.write_text(f"depth_km,vp,vs\n{rows}\n")
        with pytest.raises(ValueError, match="layers must begin at depth 0 and go down"):
            read_layers(str(path))
