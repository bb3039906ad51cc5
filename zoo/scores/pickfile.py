"""Files of picks: what a picker made on labelled traces, on continuous records, and what its peers made."""

import gzip
import json
import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from edge.cells import PHASES
from edge.pick import Phase, Pick, Polarity, parse_time
from zoo.data.seisbench import Trace
from zoo.data.tables import Parsed, Row, read_csv
from zoo.scores.continuous import PeerPick, Record
from zoo.scores.rates import RatedPick
from zoo.scores.scoring import TracePick

MANIFEST, CONSENSUS, PEERS = "manifest.csv", "peer_consensus_picks.csv", "peer_picks_raw.csv"
"""Of a folder of continuous records: what they are, what other pickers agree on, and every pick of theirs."""
PickTraces = Callable[[Sequence[Trace]], dict[str, list[TracePick]]]
"""Picks by trace name."""
PICKS = "a list of picks"
StoredPick = tuple[Phase, float, float]
"""Phase, sample at the trace's own rate, probability."""


def read_trace_picks(
    path: Path, picker: str | None = None, probability: Callable[[float], float] = float
) -> dict[str, list[StoredPick]]:
    """Picks by trace name from JSON, plain or .gz: `{trace: [[phase, sample, prob], …]}`, or, with the
    name of one `picker`, `{picker: {trace: …}}`. `probability` makes one of what stands in its place.

    Raises ValueError for anything else: other phases than P and S, probabilities outside 0..1, a picker
    that is not there, or several and none chosen.
    """
    return {
        name: [_stored(pick, name, path, probability) for pick in picks]
        for name, picks in _by_trace(path, picker).items()
    }


def read_trace_motions(path: Path, picker: str | None = None) -> dict[str, list[tuple[float, float]]]:
    """By trace name the sample and the probability of up of every P pick that has a polarity, from JSON as
    `read_trace_picks` reads it, with two more entries a pick: up, down, unknown or null, and the probability
    of that direction, which of unknown nobody can read and counts as one half. Raises as that.
    """
    return {
        name: [motion for pick in picks if (motion := _motion(pick, name, path))]
        for name, picks in _by_trace(path, picker).items()
    }


def _by_trace(path: Path, picker: str | None) -> dict[str, list[Any]]:
    content = _json(path)
    values = list(content.values()) if isinstance(content, dict) else []
    if values and all(isinstance(value, dict) for value in values):
        if picker not in content:
            raise ValueError(f"{path} holds several pickers; choose one with --picker: {', '.join(content)}")
        content, values = content[picker], list(content[picker].values())
    elif picker is not None:
        raise ValueError(f"{path} holds the picks of one picker; leave --picker out")
    if not values or not all(isinstance(value, list) for value in values):
        raise ValueError(f"{path} is not a picks file: expected {{trace: [[phase, sample, prob], …]}}")
    return dict(content)


def picker_names(path: Path) -> list[str]:
    """The pickers of a file `{picker: {trace: …}}`; none for a file of one picker. ValueError if not JSON."""
    content = _json(path)
    several = isinstance(content, dict) and all(isinstance(value, dict) for value in content.values())
    return list(content) if several else []


def write_trace_picks(path: Path, picks: Mapping[str, Sequence[StoredPick]]) -> None:
    """Writes `{trace: [[phase, sample, prob], …]}` as JSON, one trace a line."""
    rounded = {
        name: [(phase, round(at, 2), round(prob, 4)) for phase, at, prob in made]
        for name, made in picks.items()
    }
    lines = (f"{json.dumps(name)}: {json.dumps(made)}" for name, made in rounded.items())
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def stored_picker(
    path: Path, picker: str | None = None, probability: Callable[[float], float] = float
) -> PickTraces:
    """What looks up traces' picks in a file, as `read_trace_picks` reads it, in seconds from its start.

    Raises as `read_trace_picks`, and when called ValueError for a trace that the file lacks.
    """
    stored = read_trace_picks(path, picker, probability)
    whose = f" of {picker}" if picker else ""

    def look_up(traces: Sequence[Trace]) -> dict[str, list[TracePick]]:
        return {trace.name: one(trace) for trace in traces}

    def one(trace: Trace) -> list[TracePick]:
        if trace.name not in stored:
            raise ValueError(
                f"{path.name} lacks trace {trace.name!r}{whose}; a trace without picks has an empty list"
            )
        return [TracePick(phase, sample / trace.rate, prob) for phase, sample, prob in stored[trace.name]]

    return look_up


def read_station_picks(path: Path) -> list[Pick]:
    """Final picks as `edge-pick --json` writes them, one object a line; of one id the last update counts.

    Raises ValueError with the line number for a line that is no pick.
    """
    picks: dict[str, Pick] = {}
    for number, line in enumerate(_bytes(path).splitlines(), start=1):
        if not line.strip():
            continue
        try:
            pick = Pick.from_json(line.decode())
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: {error}") from error
        picks[pick.id] = pick
    return [pick for pick in picks.values() if pick.status == "final"]


def read_records(folder: Path) -> dict[Record, Path]:
    """The continuous records that `manifest.csv` lists, with their MiniSEED files. FileNotFoundError without
    it, ValueError with the line for a bad one."""

    def record(row: Row) -> tuple[Record, Path]:
        start_ns, end_ns = _time(row, "start"), _time(row, "end")
        if end_ns <= start_ns:
            raise ValueError(f"the record ends at {row['end']}, which is not after its start, {row['start']}")
        station = f"{row['network']}.{row['station']}"
        return Record(row["source"], station, start_ns, end_ns), folder / row["file"]

    columns = ("source", "file", "network", "station", "start", "end")
    records = dict(_table(folder / MANIFEST, "a list of continuous records", columns, record))
    if not records:
        raise ValueError(f"{folder / MANIFEST} lists no records")
    return records


def read_peer_picks(path: Path) -> list[PeerPick]:
    """Picks of other pickers from a CSV with network, station, phase, time and, for a consensus, n_models;
    those of other phases than P and S are left out. FileNotFoundError, or ValueError with the line for a bad
    one.
    """

    def pick(row: Row) -> PeerPick | None:
        models = row.get("n_models") or "1"
        if not models.isdecimal():
            raise ValueError(f"n_models is {models!r}, no number of pickers")
        phase, station = _phase(row["phase"]), f"{row['network']}.{row['station']}"
        return PeerPick(station, phase, _time(row, "time"), int(models)) if phase else None

    return [one for one in _table(path, PICKS, ("network", "station", "phase", "time"), pick) if one]


def read_rated_picks(path: Path) -> dict[str, list[RatedPick]]:
    """Every pick of every peer with its probability, by peer, from a CSV with network, station, phase, time,
    prob and model. Otherwise as `read_peer_picks`.
    """

    def pick(row: Row) -> tuple[str, RatedPick] | None:
        phase, station = _phase(row["phase"]), f"{row['network']}.{row['station']}"
        if phase is None:
            return None
        return row["model"], RatedPick(station, phase, _time(row, "time"), _probability(row["prob"]))

    picks: dict[str, list[RatedPick]] = {}
    columns = ("network", "station", "phase", "time", "prob", "model")
    for model, one in filter(None, _table(path, PICKS, columns, pick)):
        picks.setdefault(model, []).append(one)
    return dict(sorted(picks.items()))


def _table(path: Path, kind: str, columns: Sequence[str], parse: Callable[[Row], Parsed]) -> list[Parsed]:
    if not path.is_file():
        raise FileNotFoundError(f"{path.parent} has no {path.name}")
    return list(read_csv(path, columns, kind, parse))


def _phase(letter: object) -> Phase | None:
    return next((phase for phase in PHASES if phase == letter), None)


def _time(row: Row, column: str) -> int:
    try:
        return parse_time(row[column])
    except ValueError as error:
        raise ValueError(f"{column} is {row[column]!r}, no time in ISO 8601") from error


def _probability(text: str) -> float:
    try:
        prob = float(text)
    except ValueError:
        prob = math.nan
    if not 0.0 <= prob <= 1.0:
        raise ValueError(f"prob is {text!r}, no probability in 0…1")
    return prob


def _json(path: Path) -> Any:
    content = _bytes(path)
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from error


def _bytes(path: Path) -> bytes:
    if not path.is_file():
        raise FileNotFoundError(f"no picks file at {path}")
    content = path.read_bytes()
    try:
        return gzip.decompress(content) if path.suffix == ".gz" else content
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{path} is no .gz file, or not all of one: {error}") from error


def _stored(pick: Any, name: str, path: Path, probability: Callable[[float], float]) -> StoredPick:
    try:
        letter, sample, prob = pick[0], float(pick[1]), probability(float(pick[2]))
    except (TypeError, ValueError, LookupError, OverflowError) as error:
        raise ValueError(f"{path}, trace {name!r}: {pick!r} is not [phase, sample, prob]") from error
    phase = _phase(letter)
    if phase is None or not math.isfinite(sample) or not 0.0 <= prob <= 1.0:
        raise ValueError(f"{path}, trace {name!r}: {pick!r} must have phase P or S and a probability in 0…1")
    return phase, sample, prob


def _motion(pick: Any, name: str, path: Path) -> tuple[float, float] | None:
    phase, sample, _ = _stored(pick, name, path, float)
    if len(pick) < 5:
        raise ValueError(
            f"{path}, trace {name!r}: {pick!r} is not [phase, sample, prob, polarity, polarity_prob]"
        )
    polarity, prob = pick[3:5]
    if phase != "P" or polarity is None:
        return None
    if polarity not in get_args(Polarity) or not (type(prob) in (int, float) and 0.5 <= prob <= 1.0):
        raise ValueError(
            f"{path}, trace {name!r}: {pick!r} must have up, down, unknown or null and a probability in 0.5…1"
        )
    return sample, {"up": prob, "down": 1.0 - prob}.get(polarity, 0.5)
