"""No train/serve skew: the station's picker shows a network what its training showed it."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("keras", reason="the zoo needs the [host] extra")

from window_network import ByWindow

from edge.card import Card, CellSpec, InputSpec, StreamSpec
from edge.preprocess import normaliser
from firmware_bridge.synthetic import synthetic_earthquake
from zoo.data import augment
from zoo.data.labels import label_cells
from zoo.data.records import record_of
from zoo.data.seisbench import Trace
from zoo.dev_score import coarse
from zoo.options import NORMALISATIONS
from zoo.runner import archive_picks, open_network, packet_of, trace_picks

T, S, HOP = 1024, 8, 256


def card_of(highpass_hz=1.0, normalisation="max-abs", hop=HOP, offset="linear"):
    return Card(
        name="none", task="picking", licence="MIT",
        input=InputSpec(100.0, T, highpass_hz, NORMALISATIONS[normalisation]),
        cells=CellSpec(S, offset),
        stream=StreamSpec(hop, [0, 48], 1.0),
        thresholds={"P": 0.3, "S": 0.3},
        sigma_s={"P": 0.1, "S": 0.1},
    )  # fmt: skip


def trace_of(samples, rate=100.0, present="ZNE"):
    return Trace(
        name="t", source="test", event="", station="XX.TEST", rate=rate, samples=samples, present=present,
        p_sample=20 * rate, s_sample=26 * rate, p_unlabelled=False, s_unlabelled=False, polarity=None,
        category="earthquake", quality="analyst", unit="counts",
    )  # fmt: skip


def counts():
    return synthetic_earthquake(3).samples


def traces():
    vertical = counts().copy()
    vertical[:, 1:] = 0
    horizontals = counts().copy()
    horizontals[:, 0] = 0
    return {
        "counts": trace_of(counts()),
        "metres per second": trace_of(counts() * 1e-9),
        "50 Hz": trace_of(counts()[::2], 50.0),
        "200 Hz": trace_of(np.repeat(counts(), 2, axis=0), 200.0),
        "vertical only": trace_of(vertical, present="Z"),
        "horizontals only": trace_of(horizontals, present="NE"),
        "offset of the digitizer": trace_of(counts() + 300_000),
    }


class Listener(ByWindow):
    """Answers nothing and keeps the windows that it is shown."""

    def __init__(self, card):
        self.card, self.windows = card, []

    def infer(self, window):
        self.windows.append(window.copy())  # it moves on in place
        return np.zeros((T // S, 3), np.float32), np.zeros(T // S, np.float32)


def starts_of(card, length):
    """First samples of the windows that the picker asks for: one every hop until the last sample is in it."""
    hop = card.stream.hop
    return [end - T for end in range(hop, length + hop, hop)]


@pytest.mark.parametrize("kind", traces())
@pytest.mark.parametrize("normalisation", sorted(NORMALISATIONS))
@pytest.mark.parametrize("highpass_hz", [1.0, None])
def test_the_picker_shows_the_network_what_training_does(kind, normalisation, highpass_hz):
    trace = traces()[kind]
    listener = Listener(card_of(highpass_hz, normalisation))
    trace_picks(listener, [trace], 0.5)
    record = record_of(trace, listener.card.input)
    rule = normaliser(listener.card.input.normalisation)
    stream = replace(record, samples=rule.feed(record.samples[None])[0])
    # max-abs adds 1e-6 to the maximum, which training has scaled.
    tolerance = 2e-3 if normalisation == "max-abs" else 1e-5
    starts = starts_of(listener.card, len(record.samples))
    for start, shown in zip(starts, listener.windows, strict=True):
        draft = augment.cut(stream, start, T)
        trained = rule.window(draft.samples)
        np.testing.assert_allclose(shown, trained, atol=tolerance)


class Labeller(ByWindow):
    """Answers with the labels of a record, window after window."""

    def __init__(self, card, record):
        self.card = card
        self._record = record
        self._starts = iter(starts_of(card, len(record.samples)))

    def infer(self, window):
        draft = augment.cut(self._record, next(self._starts), T)
        labels = label_cells(list(draft.arrivals), [], draft.valid, T, S)
        fraction = np.clip(labels.ofs[:, 0], 1e-6, 1 - 1e-6)
        raw = np.log(fraction / (1 - fraction)) if self.card.cells.offset == "sigmoid" else fraction
        return np.where(labels.cls > 0, 20.0, 0.0).astype(np.float32), raw.astype(np.float32)


@pytest.mark.parametrize("apart", [64, 256, 640, 1536])
@pytest.mark.parametrize("offset", ["linear", "sigmoid"])
def test_a_network_that_answers_with_the_labels_picks_them(apart, offset):
    """Label, cell, window, stream, time: no step moves an onset, however far apart the windows are."""
    p_s, s_s = 20.00371, 26.77777
    trace = replace(trace_of(counts()), p_sample=p_s * 100, s_sample=s_s * 100)
    card = coarse(card_of(hop=64, offset=offset), apart)
    card.check()
    picks = trace_picks(Labeller(card, record_of(trace, card.input)), [trace], 0.5)["t"]
    assert [pick.phase for pick in picks] == ["P", "S"]
    assert picks[0].time_s == pytest.approx(p_s, abs=1e-4)
    assert picks[1].time_s == pytest.approx(s_s, abs=1e-4)


def test_a_coarse_card_asks_for_fewer_windows_and_no_more_than_asked_apart():
    card = card_of(hop=64)
    assert coarse(card, 128).stream.hop == 128
    assert (
        coarse(card, 10_000).stream.hop == 192
    )  # 1024 samples less the look-ahead of 384 on either side and 64


def test_components_that_a_station_lacks_are_not_sent():
    packet = packet_of(traces()["horizontals only"])
    assert packet.stream.channels == ("HHN", "HHE")
    assert packet.samples.shape == (6000, 2)


@pytest.mark.parametrize("name", ["absent.keras", "absent.tflite"])
def test_a_model_that_is_not_there_is_named(tmp_path, name):
    with pytest.raises(FileNotFoundError, match=f"no model at .*{name}"):
        open_network(tmp_path / name)


def test_archive_picks_are_those_of_the_trace(tmp_path):
    """A MiniSEED file and the labelled trace of the same samples ask the network for the same windows."""
    obspy = pytest.importorskip("obspy")
    samples = counts()
    stream = obspy.Stream(
        obspy.Trace(
            samples[:, k].copy(),
            {"network": "XX", "station": "TEST", "channel": f"HH{c}", "sampling_rate": 100.0},
        )
        for k, c in enumerate("ZNE")
    )
    stream.write(str(tmp_path / "a.mseed"), format="MSEED")
    from_file, from_trace = Listener(card_of()), Listener(card_of())
    archive_picks(from_file, [tmp_path / "a.mseed"], {"P": 0.5, "S": 0.5})
    trace_picks(from_trace, [trace_of(samples)], 0.5)
    np.testing.assert_array_equal(from_file.windows, from_trace.windows)
