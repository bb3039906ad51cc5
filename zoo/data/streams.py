"""Training records cut from continuous ones, labelled by the picks on which other pickers agree."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.archive import open_archive
from edge.block import Block
from edge.card import InputSpec
from edge.pick import NS
from edge.preprocess import highpassed
from edge.timeline import Timeline
from zoo.data.labels import Arrival
from zoo.data.records import Record
from zoo.scores.continuous import PeerPick
from zoo.scores.pickfile import CONSENSUS, PEERS, read_peer_picks, read_records

WEIGHTS = {2: 0.5, 3: 0.8}
"""Of a label on which so many pickers agree, against an analyst's."""
TIMED_MODELS = 3
DOUBT_S = 0.5
"""Around a pick that only one picker made, nothing is asked."""
LEAST_S = 60.0


def stream_records(folder: Path, source: str, from_ns: int, spec: InputSpec) -> Iterator[Record]:
    """The gap-free stretches, of a minute at least, of one source's records from `from_ns` (UTC) on, one by
    one.

    `folder` holds manifest.csv, the MiniSEED files, peer_consensus_picks.csv and peer_picks_raw.csv.
    FileNotFoundError or ValueError for data that are not so; ValueError if nothing is left.
    """
    consensus = read_peer_picks(folder / CONSENSUS)
    peers = read_peer_picks(folder / PEERS)
    count = 0
    for found, path in read_records(folder).items():
        if found.source != source:
            continue
        own = [[one for one in picks if one.station == found.station] for picks in (consensus, peers)]
        for blocks in _segments(path, spec):
            record = _record(f"{path.stem}.{count}", source, blocks, from_ns, own[0], own[1], spec)
            if len(record.samples) >= LEAST_S * spec.rate_hz:
                count += 1
                yield record
    if not count:
        raise ValueError(f"{folder} has no records of {source!r} from that time on")


def _segments(path: Path, spec: InputSpec) -> list[list[Block]]:
    archive = open_archive([path])
    segments: list[list[Block]] = []
    for instrument, stream in archive.instruments.items():
        timeline = Timeline(stream.channels, spec.rate_hz)
        of_it = [packet for packet in archive.packets() if packet.stream.instrument == instrument]
        blocks = [block for packet in of_it for block in timeline.feed(packet)] + timeline.flush()
        for block in blocks:
            if block.starts_segment:
                segments.append([])
            segments[-1].append(block)
    return segments


def _record(
    name: str,
    source: str,
    blocks: list[Block],
    from_ns: int,
    consensus: Sequence[PeerPick],
    peers: Sequence[PeerPick],
    spec: InputSpec,
) -> Record:
    samples: NDArray[np.float64] = np.concatenate([block.samples for block in blocks])
    if spec.highpass_hz is not None:
        samples = highpassed(samples, spec.highpass_hz, spec.rate_hz)
    start_ns = blocks[0].start_ns
    skip = max(0, round((from_ns - start_ns) * spec.rate_hz / NS))
    samples = samples[skip:]
    largest = np.abs(samples).max(initial=0.0)

    def place(pick: PeerPick) -> float:
        return (pick.time_ns - start_ns) * spec.rate_hz / NS - skip

    arrivals = [
        Arrival(pick.phase, place(pick), pick.models >= TIMED_MODELS, WEIGHTS.get(pick.models, WEIGHTS[3]))
        for pick in consensus
        if 0 <= place(pick) < len(samples)
    ]
    doubt = DOUBT_S * spec.rate_hz
    agreed = np.array([arrival.sample for arrival in arrivals])
    unknown = [
        (place(pick) - doubt, place(pick) + doubt)
        for pick in peers
        if 0 <= place(pick) < len(samples) and not np.any(np.abs(agreed - place(pick)) <= doubt)
    ]
    scaled = samples / largest if largest > 0 else samples
    return Record(name, source, scaled.astype(np.float32), tuple(arrivals), tuple(unknown))
