"""Records for training: labels stay on their onsets, and the network is shown what the station shows it."""

import numpy as np
import pytest

pytest.importorskip("h5py", reason="the zoo needs the [host] extra")

from edge.card import InputSpec
from zoo.data.records import P_BEFORE_S_S, S_AFTER_P_S, record_of
from zoo.data.seisbench import Trace

PLAIN = InputSpec(100.0, 1024, None, {"name": "max-abs"})
FILTERED = InputSpec(100.0, 1024, 1.0, {"name": "max-abs"})


def trace(samples, rate, p=None, s=None, **changes):
    fields = {
        "name": "t", "source": "test", "event": "", "station": "XX.TEST", "rate": rate,
        "samples": samples, "present": "ZNE", "p_sample": p, "s_sample": s, "p_unlabelled": False,
        "s_unlabelled": False, "polarity": None, "category": "earthquake", "quality": "analyst",
        "unit": "counts",
    }  # fmt: skip
    return Trace(**{**fields, **changes})


def noise(rate, seconds=30, scale=100.0):
    return np.random.default_rng(3).normal(0, scale, (round(seconds * rate), 3))


@pytest.mark.parametrize("rate", [50.0, 100.0, 200.0, 250.0, 500.0])
@pytest.mark.parametrize("spec", [PLAIN, FILTERED])
def test_a_label_stays_on_its_spike_at_any_rate(rate, spec):
    samples = np.zeros((round(30 * rate), 3), np.int32)
    p, s = round(10.3 * rate), round(17.7 * rate)
    samples[[p, s]] = 100_000
    record = record_of(trace(samples, rate, p, s), spec)
    assert [a.phase for a in record.arrivals] == ["P", "S"]
    for arrival in record.arrivals:
        around = slice(int(arrival.sample) - 200, int(arrival.sample) + 200)
        spike = around.start + np.abs(record.samples[around, 0]).argmax()
        assert abs(spike - arrival.sample) <= 1.0


def test_a_rate_that_is_the_models_but_for_its_oscillator_moves_no_label():
    samples = np.zeros((9000, 3), np.int32)
    samples[8000] = 1000
    record = record_of(trace(samples, 100.04, p=8000), PLAIN)
    assert record.arrivals[0].sample == np.abs(record.samples[:, 0]).argmax() == 8000


@pytest.mark.parametrize("rate", [10.0, 2000.0])
def test_a_trace_at_a_rate_that_no_station_has_is_named(rate):
    with pytest.raises(ValueError, match="trace 't': sample rate"):
        record_of(trace(noise(rate), rate), PLAIN)


@pytest.mark.parametrize("scale", [1e-40, 1e-12, 1.0, 1e7, 1e40])
def test_the_unit_makes_no_difference(scale):
    """Counts, nm/s and m/s alike: neither lost below nor above what float32 holds."""
    samples = noise(100.0)
    reference = record_of(trace(samples, 100.0), FILTERED).samples
    scaled = record_of(trace(samples * scale, 100.0), FILTERED).samples
    assert np.isfinite(scaled).all()
    np.testing.assert_allclose(scaled, reference, atol=1e-6)


def test_a_dead_trace_stays_zero():
    record = record_of(trace(np.zeros((3000, 3), np.int32), 100.0, p=100), FILTERED)
    assert not record.samples.any()


@pytest.mark.parametrize(("p", "s"), [(-50, 1500), (1500, 3000), (-1, 3001)])
def test_onsets_before_or_after_the_trace_are_no_labels(p, s):
    """Data sets have them: the catalogue knew of a phase that the cut of the trace missed."""
    record = record_of(trace(noise(100.0), 100.0, p, s), PLAIN)
    assert all(0 <= arrival.sample < 3000 for arrival in record.arrivals)
    assert len(record.arrivals) == (1500 in (p, s))


def test_where_the_unpicked_partner_may_be_is_unknown():
    samples = noise(200.0, 60)
    [(begin, end)] = record_of(trace(samples, 200.0, p=4000, s_unlabelled=True), PLAIN).unknown
    assert begin == 2000 + S_AFTER_P_S * 100
    assert end == 6000
    [(begin, end)] = record_of(trace(samples, 200.0, s=8000, p_unlabelled=True), PLAIN).unknown
    assert begin == 4000 - P_BEFORE_S_S * 100
    assert end == 4000
    assert record_of(trace(samples, 200.0, p=4000, s=8000), PLAIN).unknown == ()
    assert record_of(trace(samples, 200.0, p=4000), PLAIN).unknown == ()


def test_automatic_labels_count_less_and_teach_no_offset():
    [sure] = record_of(trace(noise(100.0), 100.0, p=500), PLAIN).arrivals
    [rough] = record_of(trace(noise(100.0), 100.0, p=500, quality="automatic"), PLAIN).arrivals
    assert sure.timed
    assert not rough.timed
    assert rough.weight < sure.weight


def test_an_earthquake_that_nobody_picked_is_asked_nowhere_and_noise_everywhere():
    whole = (0.0, 3000.0)
    assert record_of(trace(noise(100.0), 100.0), PLAIN).unknown == (whole,)
    assert record_of(trace(noise(100.0), 100.0, category="noise"), PLAIN).unknown == ()


def test_samples_that_are_no_numbers_are_refused_by_the_name_of_their_trace():
    samples = noise(100.0)
    samples[700, 1] = np.nan
    with pytest.raises(ValueError, match="trace 't' has samples that are no numbers"):
        record_of(trace(samples, 100.0, 500), PLAIN)
