"""Runs a model over labelled traces and archives through the station's own timeline and picker."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np

from edge.archive import open_archive
from edge.cells import PHASES
from edge.first_motion import Polariser
from edge.model import Network, load_model
from edge.pick import NS, Phase, Pick
from edge.portions import portions
from edge.station import Station
from firmware_bridge.packet import Packet, Stream
from zoo.data.seisbench import Trace
from zoo.scores.scoring import THRESHOLDS, Comparison, Labels, TracePick, compare, labels_of

MODELS = (".tflite", ".keras")
"""File name endings of models, each with its card beside it."""
FLOAT_PEAK = 2.0**23
"""Traces in physical units are scaled to this peak: a 24-bit digitizer at full scale."""
TOGETHER = 64
"""Traces picked at a time: in batches that a network likes, of samples that memory holds."""
PICK_THRESHOLD = THRESHOLDS[0]
"""Models pick from here up, so that every threshold above can be scored from one run."""
Item = TypeVar("Item")


def batched(items: Iterable[Item], n: int) -> Iterator[list[Item]]:
    """Lists of n, the last one what is left."""
    walk = iter(items)
    while some := list(islice(walk, n)):
        yield some


def packet_of(trace: Trace) -> Packet:
    """A labelled trace as one packet that starts at 1970, so that times count from the trace's start."""
    present = [k for k, letter in enumerate("ZNE") if letter in trace.present]
    samples = np.asarray(trace.samples[:, present], np.float64)
    if trace.samples.dtype.kind == "f":
        finite = np.abs(samples[np.isfinite(samples)])
        samples = samples * (FLOAT_PEAK / max(float(finite.max(initial=0.0)), 1e-30))
    network, _, station = trace.station.partition(".")
    stream = Stream(network or "XX", station or "TRACE", "", tuple(f"HH{'ZNE'[k]}" for k in present))
    return Packet(stream, 0, trace.rate, samples, "unknown")


def picks_of(
    network: Network,
    traces: Sequence[Trace],
    thresholds: Mapping[Phase, float],
    early: Mapping[Phase, float] | None = None,
    polariser: Polariser | None = None,
) -> list[tuple[Trace, Pick]]:
    """Every pick on labelled traces, and on which; times count from the trace's start. All traces are one
    network of stations, so that they are answered together. `early` and `polariser` as `Station`."""
    station = Station(network, thresholds, lambda line: None, early=early, polariser=polariser)
    of = {}
    for k, trace in enumerate(traces):
        packet = packet_of(trace)
        stream = replace(packet.stream, station=str(k))
        of[stream.station_id] = trace
        station.take(replace(packet, stream=stream))
    return [(of[pick.station], pick) for pick in station.flush()]


def trace_picks(network: Network, traces: Sequence[Trace], threshold: float) -> dict[str, list[TracePick]]:
    """By name the picks on labelled traces, both phases at one low threshold."""
    picks: dict[str, list[TracePick]] = {trace.name: [] for trace in traces}
    for trace, pick in picks_of(network, traces, {"P": threshold, "S": threshold}):
        picks[trace.name].append(TracePick(pick.phase, pick.time_ns / NS, pick.prob, pick.latency_s))
    return picks


def compared(
    network: Network, traces: Iterable[Trace], threshold: float = PICK_THRESHOLD
) -> dict[Phase, Comparison]:
    """Picks on labelled traces against their labels, by phase."""
    labels: list[Labels] = []
    picks: dict[str, list[TracePick]] = {}
    for some in batched(traces, TOGETHER):
        labels += map(labels_of, some)
        picks |= trace_picks(network, some, threshold)
    return {phase: compare(labels, picks, phase) for phase in PHASES}


def open_network(model: Path) -> Network:
    """A .tflite with its card, or a .keras with its card. FileNotFoundError, CardError, BackendError."""
    if model.suffix == ".keras":
        from zoo.network import by_hop, load_keras

        return by_hop(load_keras(model))
    return load_model(model)


def archive_picks(network: Network, files: Iterable[Path], thresholds: Mapping[Phase, float]) -> list[Pick]:
    """Picks of MiniSEED files, all stations in them. ValueError where there is no record in any of them."""
    files = list(files)
    archive = open_archive(files)
    if not archive.instruments:
        raise ValueError(f"{', '.join(map(str, files))}: no MiniSEED record, so nothing to pick")
    channels = {key: stream.channels for key, stream in archive.instruments.items()}

    station = Station(network, thresholds, lambda line: None, channels)
    picks: list[Pick] = []
    for portion in portions(archive.packets()):
        for packet in portion:
            station.take(packet)
        picks += station.run()
    return picks + station.flush()
