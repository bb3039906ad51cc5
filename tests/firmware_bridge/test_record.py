"""Records for the digitizer to replay: what is read from MiniSEED, and what is refused in one line."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pymseed import DataEncoding, MS3TraceList, nslc2sourceid

from firmware_bridge.record import read_record

ROOT = Path(__file__).resolve().parents[2]
RIDGECREST = ROOT.parent / "shared" / "data" / "continuous" / "ridgecrest"
START_NS = 1_700_000_000_000_000_000


def write_mseed(
    path: Path,
    channel: str,
    samples: NDArray[np.int32] | NDArray[np.float64],
    rate: float = 100.0,
    start_ns: int = START_NS,
    station: str = "STA",
) -> Path:
    with MS3TraceList() as traces:
        kind = "i" if samples.dtype == np.int32 else "d"
        traces.add_data(nslc2sourceid("XX", station, "00", channel), samples, kind, rate, starttime=start_ns)
        if kind == "i":
            traces.to_file(path)
        else:
            traces.to_file(path, encoding=DataEncoding.FLOAT64)
    return path


def ramp(n: int, first: int = 0) -> NDArray[np.int32]:
    return np.arange(first, first + n, dtype=np.int32)


def test_components_are_cut_to_their_common_time(tmp_path: Path) -> None:
    files = [
        write_mseed(tmp_path / "e", "HHE", ramp(500, 3000), start_ns=START_NS + 20_000_000),
        write_mseed(tmp_path / "z", "HHZ", ramp(500, 1000)),
        # 1 ms off the grid of the others: the same sampling instants, told a little differently.
        write_mseed(tmp_path / "n", "HHN", ramp(400, 2000), start_ns=START_NS + 11_000_000),
    ]
    record = read_record(files)
    assert record.instrument == "XX.STA.00.HH"
    assert record.rate == 100
    assert record.start_ns == START_NS + 20_000_000
    assert record.samples.dtype == np.int32
    assert record.samples.shape == (399, 3)
    assert record.samples[0].tolist() == [1002, 2001, 3000]


def test_horizontals_may_be_1_and_2(tmp_path: Path) -> None:
    files = [write_mseed(tmp_path / c, f"EH{c}", ramp(50, k)) for k, c in enumerate("12Z")]
    assert read_record(files).samples[0].tolist() == [2, 0, 1]


@pytest.mark.parametrize("rate", [1.0, 31.25, 40.0, 4000.0])
def test_any_rate_is_read(rate: float, tmp_path: Path) -> None:
    files = [write_mseed(tmp_path / c, f"HH{c}", ramp(300), rate) for c in "ZNE"]
    assert read_record(files).rate == rate


@pytest.mark.skipif(not RIDGECREST.is_dir(), reason="needs ../shared/data/continuous/ridgecrest")
def test_a_real_record_is_read_unaltered() -> None:
    path = RIDGECREST / "2019.185.17.CI.CCC.HH.mseed"
    record = read_record([path])
    with MS3TraceList.from_file(path, unpack_data=True) as traces:
        truth = {trace.sourceid[-1]: trace[0].np_datasamples.copy() for trace in traces}
        start_ns = traces[0][0].starttime
    assert (record.instrument, record.rate, record.start_ns) == ("CI.CCC..HH", 100, start_ns)
    assert np.array_equal(record.samples, np.stack([truth[c] for c in "ZNE"], axis=1))


def test_what_no_digitizer_could_have_sent_is_refused_in_one_line(tmp_path: Path) -> None:
    z, n, e = (write_mseed(tmp_path / c, f"HH{c}", ramp(300)) for c in "ZNE")
    later = START_NS + 60_000_000_000
    other = write_mseed(tmp_path / "other", "HHE", ramp(300), station="OTHER")
    slow = write_mseed(tmp_path / "slow", "HHE", ramp(300), rate=50.0)
    late = write_mseed(tmp_path / "late", "HHE", ramp(300), start_ns=later)
    fractions = write_mseed(tmp_path / "float", "HHE", np.ones(300))
    text = tmp_path / "text"
    text.write_text("no seismogram at all")
    for files, words in [
        ([], "nothing"),
        ([z, n], "XX.STA.00.HHN, XX.STA.00.HHZ"),
        ([z, n, e, write_mseed(tmp_path / "ez", "EHZ", ramp(300))], "EHZ"),
        ([z, n, other], "OTHER"),
        ([z, n, slow], "XX.STA.00.HH. has components of different rates .100, 100, 50 Hz."),
        ([z, n, fractions], "integer"),
        ([z, n, e, late], "gap"),
        ([z, n, late], "share no time"),
        ([text], "not readable"),
        ([tmp_path / "absent"], "absent"),
    ]:
        with pytest.raises(ValueError, match=words) as refusal:
            read_record(files)
        assert "\n" not in str(refusal.value)
