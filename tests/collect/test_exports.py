"""What is exported is read by those it is for, and says there what the pick said."""

import csv
import re
import sqlite3
from dataclasses import replace
from importlib.resources import files

import pytest
from network import PICK

pytest.importorskip("sqlalchemy", reason="the receiving end needs the [collect] extra")
from collect.cli import main
from collect.exports.associators import write_real
from collect.exports.reading import groups_of, uncertainty_s, weight_code
from collect.store import Arrival, Event, Store
from edge.pick import NS, parse_time

T0 = parse_time("2026-11-20T23:41:00Z")
P = replace(PICK, id="p0", time_ns=T0 + 1_234_567_000, polarity="up", clock_sigma=0.12)
S = replace(PICK, id="s0", phase="S", time_ns=T0 + 61_500_000_000, sigma=0.3, polarity="unknown")
OTHER = replace(
    PICK,
    id="p1",
    station="YY.LONGER.",
    channels=("EHZ",),
    time_ns=T0 + 2 * NS,
    snr_db=None,
    polarity="down",
    update=3,
)
NO_WORD = replace(PICK, id="p2", station="XX.A.", time_ns=T0 + 86_400 * NS, sigma=0.02, status="preliminary")
REJECTED = replace(PICK, id="p3", time_ns=T0 + 3 * NS, status="rejected")
PICKS = [P, OTHER, S, NO_WORD]
EVENT = Event(
    "e0", T0, 46.5, 8.25, 7.5, 0.1, "pyocto", (Arrival(P, 0.05), Arrival(OTHER, -0.1), Arrival(S, 0.0))
)


@pytest.fixture
def export(tmp_path):
    """export(format, …): the file, of a store with all these picks and one event."""
    url = f"sqlite:///{tmp_path / 'picks.db'}"
    store = Store(url)
    store.save([*PICKS, REJECTED], 0)
    store.replace_events(0, 2**62, [EVENT])
    store.close()

    def run(form, *arguments):
        out = tmp_path / "out"
        assert main(["export", "--store", url, "--format", form, "--out", str(out), *arguments]) == 0
        return out

    return run


def check(path, package, name):
    """Fails if the file does not fit a schema that ObsPy brings."""
    etree = pytest.importorskip("lxml.etree")
    schema = etree.XMLSchema(etree.parse(str(files(package) / "data" / name)))
    schema.assertValid(etree.parse(str(path)))


def test_quakeml_is_valid_and_read_by_obspy(export):
    obspy = pytest.importorskip("obspy")
    path = export("quakeml")
    check(path, "obspy.io.quakeml", "QuakeML-1.2.xsd")
    (event,) = obspy.read_events(str(path), format="QUAKEML")
    assert event.origins == []
    assert [one.resource_id.id for one in event.picks] == [
        f"smi:local/pick/{one.station}/{one.id}" for one in PICKS
    ]
    for read, pick in zip(event.picks, PICKS, strict=True):
        assert read.time.ns == pick.time_ns
        assert read.time_errors.uncertainty == pytest.approx(uncertainty_s(pick))
        assert read.phase_hint == pick.phase
    assert [one.polarity for one in event.picks] == ["positive", "negative", "undecidable", None]
    assert [one.waveform_id.get_seed_string() for one in event.picks] == [
        "XX.TEST.00.HHZ",
        "YY.LONGER..EHZ",
        "XX.TEST.00.HHN",
        "XX.A..HHZ",
    ]


def test_quakeml_of_events_has_origins_and_arrivals(export):
    obspy = pytest.importorskip("obspy")
    (event,) = obspy.read_events(str(export("quakeml", "--events")), format="QUAKEML")
    origin = event.preferred_origin()
    assert (origin.latitude, origin.longitude, origin.depth) == (46.5, 8.25, 7500.0)
    assert origin.time.ns == T0
    assert [one.pick_id.get_referred_object().phase_hint for one in origin.arrivals] == ["P", "P", "S"]
    assert [one.time_residual for one in origin.arrivals] == [0.05, -0.1, 0.0]


def test_scml_is_valid_and_has_the_amplitudes_that_scautoloc_asks_for(export):
    obspy = pytest.importorskip("obspy")
    path = export("scml")
    check(path, "obspy.io.seiscomp", "sc3ml_0.12.xsd")
    (event,) = obspy.read_events(str(with_event(path)), format="SCML")
    picks = {one.resource_id.id.rpartition("/")[2]: one for one in event.picks}
    assert set(picks) == {"p0", "p1", "p2", "s0"}
    assert picks["p0"].time.ns == P.time_ns
    assert picks["p0"].time_errors.uncertainty == pytest.approx(uncertainty_s(P))
    assert (picks["p0"].phase_hint, picks["p0"].polarity, picks["p0"].evaluation_mode) == (
        "P",
        "positive",
        "automatic",
    )
    by_pick = {}
    for one in event.amplitudes:
        by_pick.setdefault(one.pick_id.id.rpartition("/")[2], {})[one.type] = one.generic_amplitude
    assert by_pick["p0"] == {"snr": pytest.approx(10.0), "mb": 1234.0}
    assert set(by_pick["p1"]) == {"mb"}  # nobody knows its noise


def with_event(path):
    """ObsPy reads of SCML only what belongs to an event: one to which all these picks and amplitudes
    belong."""
    ids = re.findall('<pick publicID="([^"]*)"', path.read_text())
    arrivals = "".join(f"<arrival><pickID>{one}</pickID><phase>P</phase></arrival>" for one in ids)
    quantities = "<time><value>2026-11-20T23:41:00Z</value></time>" + "".join(
        f"<{name}><value>1</value></{name}>" for name in ("latitude", "longitude")
    )
    magnitudes = "".join(
        f'<stationMagnitude publicID="{one}/m"><magnitude><value>1</value></magnitude>'
        f"<amplitudeID>{one}</amplitudeID></stationMagnitude>"
        for one in re.findall('<amplitude publicID="([^"]*)"', path.read_text())
    )
    origin = f'<origin publicID="smi:local/origin">{quantities}{arrivals}{magnitudes}</origin>'
    event = '<event publicID="smi:local/event"><originReference>smi:local/origin</originReference></event>'
    whole = path.with_suffix(".xml")
    whole.write_text(path.read_text().replace("</EventParameters>", f"{origin}{event}</EventParameters>"))
    return whole


def test_nonlinloc_is_read_by_obspy(export, tmp_path):
    """ObsPy reads phases in NonLinLoc's output, where each line begins with the one that was put in."""
    obspy = pytest.importorskip("obspy")
    lines = [line for line in export("nonlinloc", "--events").read_text().splitlines() if line.strip()]
    phases = [f"{line} > 0.0 0.05 1.0 0.0 0.0 0.0 1.0 0.0 0.0 0.0 0 0.0" for line in lines if "GAU" in line]
    assert len(phases) == 3
    hyp = tmp_path / "location.hyp"
    hyp.write_text("\n".join([HYP, *phases, "END_PHASE", "END_NLLOC", ""]))
    (event,) = obspy.read_events(str(hyp), format="NLLOC_HYP")
    read = {(one.waveform_id.station_code, one.phase_hint): one for one in event.picks}
    for pick in (P, OTHER, S):
        one = read[pick.station.split(".")[1], pick.phase]
        assert abs(one.time.ns - pick.time_ns) < 1e5
        assert one.time_errors.uncertainty == pytest.approx(uncertainty_s(pick), rel=0.01)
    assert read["TEST", "P"].polarity == "positive"
    assert read["LONGER", "P"].polarity == "negative"


HYP = """NLLOC "location" "LOCATED" "Location completed."
SIGNATURE "   obs  NLLoc:v7  run:20Nov2026 23h41m00"
COMMENT ""
GRID  2 2 2  0 0 0  1 1 1 PROB_DENSITY
SEARCH OCTREE nInitial 1 nEvaluated 1 smallestNodeSide 1/1/1 oct_tree_integral 1 scatter_volume 1
HYPOCENTER  x 0 y 0 z 7.5  OT 0.0  ix -1 iy -1 iz -1
GEOGRAPHIC  OT 2026 11 20  23 41 0.0  Lat 46.5 Long 8.25 Depth 7.5
QUALITY  Pmax 1 MFmin 1 MFmax 1 RMS 0.1 Nphs 3 Gap 180 Dist 1 Mamp -9.90 0 Mdur -9.90 0
VPVSRATIO  VpVsRatio -1 Npair -1 Diff -1
STATISTICS  ExpectX 0 Y 0 Z 7.5  CovXX 1 XY 0 XZ 0 YY 1 YZ 0 ZZ 1 EllAz1  0 Dip1  0 Len1  1 Az2  90 Dip2  0 Len2  1 Len3  1
STAT_GEOG  ExpectLat 46.5 Long 8.25 Depth 7.5
TRANSFORM  NONE
QML_OriginQuality  assocPhCt 3  usedPhCt 3  assocStaCt 2  usedStaCt 2  depthPhCt -1  stdErr 0.1  azGap 180  secAzGap 180  gtLevel -  minDist 1 maxDist 1 medDist 1
QML_OriginUncertainty  horUnc -1  minHorUnc 1  maxHorUnc 1  azMaxHorUnc 90
FOCALMECH  Hyp  46.5 8.25 7.5 Mech  0 0 0 mf  0 nObs 0
PHASE ID Ins Cmp On Pha  FM Date     HrMn   Sec     Err  ErrMag    Coda      Amp       Per  >   TTpred    Res       Weight    StaLoc(X  Y         Z)        SDist    SAzim  RAz  RDip RQual    Tcorr """  # noqa: E501


def test_hypo71_cards_have_everything_in_its_columns(export):
    cards = export("hypo71", "--to", "2026-11-21").read_text().splitlines()
    #            123456789-123456789-123456789-123456789-
    assert cards == [
        "TEST PU2 2611202341 1.23       61.50 S 3",
        "LONG PD1 2611202341 2.00",
        "                 10",
    ]


@pytest.mark.parametrize(
    ("p_s", "s_s", "cards"),
    [
        (59.999, 90.0, ["TEST P 1 2611202342 0.00       30.00 S 1"]),  # rounds up into the next minute
        (59.99, 159.98, ["TEST P 1 261120234159.99", "TEST P 4 261120234339.98       39.98 S 1"]),
        (0.0, 99.99, ["TEST P 1 2611202341 0.00       99.99 S 1"]),
        (30.0, 10.0, ["TEST P 4 261120234110.00       10.00 S 1", "TEST P 1 261120234130.00"]),
    ],
)
def test_hypo71_pairs_p_with_the_s_that_fits_on_its_card(tmp_path, p_s, s_s, cards):
    from collect.exports.hypo71 import write_hypo71

    p = replace(PICK, time_ns=T0 + round(p_s * NS))
    s = replace(PICK, id="s", phase="S", time_ns=T0 + round(s_s * NS))
    write_hypo71(groups_of(sorted([p, s], key=lambda one: one.time_ns), None), tmp_path / "cards")
    assert (tmp_path / "cards").read_text().splitlines()[:-1] == cards


def test_hypo71_refuses_two_stations_that_its_four_letters_make_one(export, tmp_path, capsys):
    url = f"sqlite:///{tmp_path / 'picks.db'}"
    Store(url).save([replace(PICK, station="YY.LONGAN.")], 0)
    assert main(["export", "--store", url, "--format", "hypo71", "--out", str(tmp_path / "cards")]) == 2
    assert "YY.LONGAN and YY.LONGER are one station" in capsys.readouterr().err


def test_weights_follow_the_error_of_the_onset():
    sigmas = (0.01, 0.049, 0.05, 0.1, 0.2, 0.499, 0.5, 10.0)
    assert [weight_code(replace(PICK, sigma=sigma)) for sigma in sigmas] == [0, 0, 1, 2, 3, 3, 4, 4]
    assert weight_code(replace(PICK, sigma=0.01, clock_sigma=0.3)) == 3


def read_csv(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_gamma_and_pyocto_tables(export):
    rows = read_csv(export("gamma"))
    assert rows[0] == {
        "id": "XX.TEST.00",
        "timestamp": "2026-11-20T23:41:01.234567",
        "prob": "0.900",
        "type": "p",
        "amp": "1234",
    }
    assert [row["type"] for row in rows] == ["p", "p", "s", "p"]
    rows = read_csv(export("pyocto"))
    assert [(row["station"], row["phase"]) for row in rows] == [(one.station, one.phase) for one in PICKS]
    assert [round(float(row["time"]) * 1e6) for row in rows] == [one.time_ns // 1000 for one in PICKS]


def test_real_has_both_files_of_each_station_and_day(export):
    out = export("real")
    found = {str(path.relative_to(out)): path.read_text() for path in out.rglob("*.txt")}
    assert found == {
        "20261120/XX.TEST.P.txt": "85261.235 0.900 0.0\n",
        "20261120/XX.TEST.S.txt": "85321.500 0.900 0.0\n",
        "20261120/YY.LONGER.P.txt": "85262.000 0.900 0.0\n",
        "20261120/YY.LONGER.S.txt": "",
        "20261121/XX.A.P.txt": "85260.000 0.900 0.0\n",
        "20261121/XX.A.S.txt": "",
    }


def test_the_last_half_millisecond_of_a_day_is_the_next_for_real(tmp_path):
    midnight_ns = parse_time("2026-11-21")
    for time_ns, within in ((midnight_ns - 500_000, "20261121"), (midnight_ns - 500_001, "20261120")):
        write_real(groups_of([replace(PICK, time_ns=time_ns)], None), tmp_path / within)
        assert [path.name for path in (tmp_path / within).iterdir()] == [within]
    assert (tmp_path / "20261121/20261121/XX.TEST.P.txt").read_text() == "0.000 0.900 0.0\n"


def test_a_mistyped_store_is_said_and_not_made(tmp_path, capsys):
    store = tmp_path / "pick.db"
    out = str(tmp_path / "out")
    assert main(["export", "--store", f"sqlite:///{store}", "--format", "real", "--out", out]) == 2
    assert f"store {store}: there is none; collecting makes it" in capsys.readouterr().err
    assert not store.exists()


def test_what_is_stored_is_read_while_another_writes(export, tmp_path):
    writer = sqlite3.connect(tmp_path / "picks.db", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    assert len(read_csv(export("pyocto"))) == 4
    writer.close()


def test_rejected_picks_are_left_out_unless_asked_for(export):
    assert len(read_csv(export("pyocto"))) == 4
    assert len(read_csv(export("pyocto", "--rejected"))) == 5


def test_periods_begin_and_end_where_told(export):
    rows = read_csv(export("pyocto", "--from", "2026-11-20T23:41:02Z", "--to", "2026-11-20T23:42:01.5Z"))
    assert [row["station"] for row in rows] == ["YY.LONGER."]


@pytest.mark.parametrize("form", ["quakeml", "scml", "nonlinloc", "hypo71", "gamma", "pyocto"])
def test_a_period_without_picks_is_an_empty_file(export, form):
    if form in ("quakeml", "nonlinloc"):
        pytest.importorskip("obspy")
    text = export(form, "--to", "2000-01-01").read_text()
    assert not re.search(r"TEST|<pick ", text)
