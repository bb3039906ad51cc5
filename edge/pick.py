"""A pick: what the world sees of the station."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf
from typing import Any, Literal, get_args

from edge.terminal import printable
from firmware_bridge.packet import Clock

Phase = Literal["P", "S"]
Polarity = Literal["up", "down", "unknown"]
Status = Literal["preliminary", "final", "rejected"]
"""As QuakeML calls them."""

WIRE_VERSION = 1
NS = 1_000_000_000


def format_time(time_ns: int) -> str:
    """UTC nanoseconds as ISO 8601 with microseconds and Z."""
    seconds, nanoseconds = divmod(time_ns + 500, NS)
    stamp = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{stamp}.{nanoseconds // 1000:06d}Z"


def parse_time(text: str) -> int:
    """ISO 8601 (Z or an offset; naive means UTC) to UTC nanoseconds. ValueError if it is not one."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * NS + delta.microseconds * 1000


def pick_id(instrument: str, phase: Phase, time_ns: int, cell_ns: int, model: str) -> str:
    """16 hex digits from instrument, phase, time rounded to the cell, and model.

    The same pick made again (a replay, a repeated delivery) has the same id.
    """
    key = f"{instrument}|{phase}|{round(time_ns / cell_ns)}|{model}"
    return hashlib.sha256(key.encode()).hexdigest()[:16]


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _number(value: Any) -> bool:
    return type(value) in (int, float) and -inf < value < inf


_FITS: Mapping[str, Callable[[Any], bool]] = {
    "id": _text,
    "v": lambda value: value == WIRE_VERSION,
    "station": _text,
    "channels": _text,
    "phase": lambda value: value in get_args(Phase),
    "time": _text,
    "prob": _number,
    "sigma": _number,
    "snr_db": lambda value: value is None or _number(value),
    "amp": _number,
    "amp_unit": _text,
    "polarity": lambda value: value is None or value in get_args(Polarity),
    "polarity_prob": lambda value: value is None or _number(value),
    "clock": lambda value: value in get_args(Clock),
    "clock_sigma": lambda value: value is None or _number(value),
    "latency_s": _number,
    "update": lambda value: type(value) is int,
    "status": lambda value: value in get_args(Status),
    "model": _text,
}
"""What each key of a pick's JSON form may hold."""


@dataclass(frozen=True, slots=True)
class Pick:
    """One phase onset at one station.

    `time_ns`: onset, int64 UTC nanoseconds. `prob`: the model's probability, 0..1. `sigma`: one
    standard deviation of the onset, seconds. `snr_db`: signal after over noise before the onset,
    decibels, None where nothing is known before it. `amp`: peak after the onset, in `amp_unit`.
    `polarity`: first motion of a P, and `polarity_prob`: probability of the likelier direction, 0.5..1, also
    where it is too low to tell one; both None where no polarity model has spoken. `clock`: who vouches for
    the time, `clock_sigma` its standard error in seconds, None where nobody knows. `latency_s`: seconds of
    signal at the model's rate, after the onset, on which the pick was made (links, queues and the
    anti-alias filter not included). `update`: 0 for a first report, counting up
    for revisions under the same id. `status`: "preliminary" where the final word is still to come, "final",
    or "rejected", what was preliminary and is not confirmed.
    """

    id: str
    station: str
    channels: tuple[str, ...]
    phase: Phase
    time_ns: int
    prob: float
    sigma: float
    snr_db: float | None
    amp: float
    clock: Clock
    latency_s: float
    model: str
    amp_unit: str = "count"
    polarity: Polarity | None = None
    polarity_prob: float | None = None
    update: int = 0
    status: Status = "final"
    clock_sigma: float | None = None

    def to_json(self) -> str:
        """One JSON object on one line."""
        return json.dumps(
            {
                "id": self.id,
                "v": WIRE_VERSION,
                "station": self.station,
                "channels": ",".join(self.channels),
                "phase": self.phase,
                "time": format_time(self.time_ns),
                "prob": round(self.prob, 3),
                "sigma": round(self.sigma, 3),
                "snr_db": None if self.snr_db is None else round(self.snr_db, 1),
                "amp": float(f"{self.amp:.4g}"),
                "amp_unit": self.amp_unit,
                "polarity": self.polarity,
                "polarity_prob": None if self.polarity_prob is None else round(self.polarity_prob, 3),
                "clock": self.clock,
                "clock_sigma": None if self.clock_sigma is None else float(f"{self.clock_sigma:.2g}"),
                "latency_s": round(self.latency_s, 2),
                "update": self.update,
                "status": self.status,
                "model": self.model,
            }
        )

    @classmethod
    def from_json(cls, line: str) -> "Pick":
        """Reads what `to_json` wrote. ValueError names what is missing or malformed."""
        try:
            # Lines written before there were other picks than final ones have no status.
            fields: dict[str, Any] = {"status": "final", **json.loads(line)}
            for key, fits in _FITS.items():
                if not fits(fields[key]):
                    raise ValueError(f"{key} cannot be {fields[key]!r:.40}")
            return cls(
                id=fields["id"],
                station=fields["station"],
                channels=tuple(fields["channels"].split(",")),
                phase=fields["phase"],
                time_ns=parse_time(fields["time"]),
                prob=fields["prob"],
                sigma=fields["sigma"],
                snr_db=fields["snr_db"],
                amp=fields["amp"],
                clock=fields["clock"],
                latency_s=fields["latency_s"],
                model=fields["model"],
                amp_unit=fields["amp_unit"],
                polarity=fields["polarity"],
                polarity_prob=fields["polarity_prob"],
                update=fields["update"],
                status=fields["status"],
                clock_sigma=fields["clock_sigma"],
            )
        except KeyError as error:
            raise ValueError(f"not a pick: {error} is missing in {line[:80]!r}") from error
        except (ValueError, TypeError, RecursionError) as error:
            raise ValueError(f"not a pick: {error} in {line[:80]!r}") from error

    def to_text(self) -> str:
        """One readable line for a terminal."""
        snr = "   –" if self.snr_db is None else f"{self.snr_db:5.1f}"
        motion = ""
        if self.polarity is not None:
            prob = "" if self.polarity_prob is None else f" {self.polarity_prob:.2f}"
            motion = f"  polarity {self.polarity}{prob}"
        error = "" if self.clock_sigma is None else f" ±{1e3 * self.clock_sigma:.2g} ms"
        return printable(
            f"{format_time(self.time_ns)}  {self.phase}  {self.station:<14} prob {self.prob:.2f}"
            f"  ±{self.sigma:.2f} s  snr {snr} dB  amp {self.amp:.3g} {self.amp_unit}{motion}"
            f"  clock {self.clock}{error}{'' if self.status == 'final' else f'  {self.status}'}"
        )
