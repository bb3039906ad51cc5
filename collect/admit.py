"""What may enter the store: a message's topic and payload are taken apart here, and nowhere else.

Whoever may publish can send anything. What passes is a pick whose every field is of a form and size that
each database can hold; all else is `RefusedError` for one of the `REASONS`.
"""

import re
from collections.abc import Callable, Mapping
from typing import Literal, get_args

from edge.pick import Pick, parse_time
from edge.sinks.mqtt import NO_CODE, PREFIX

Reason = Literal["topic", "oversized", "malformed", "range", "station"]
"""topic: not seis/v1/NET/STA/LOC/pick. oversized: longer than `PAYLOAD_MAX`. malformed: not the JSON form
of a pick. range: a value that no pick has. station: another station than its topic's."""
REASONS: tuple[Reason, ...] = get_args(Reason)

PAYLOAD_MAX = 4096
"""Bytes; a pick has about 376 (docs/scaling.md)."""

_CODE = "[A-Za-z0-9_-]{1,8}"
_TOPIC = re.compile(rf"{PREFIX}/({_CODE})/({_CODE})/({_CODE})/([a-z]{{1,16}})")
_ID = re.compile("[0-9A-Za-z_-]{1,64}")
_CHANNEL = re.compile("[A-Z0-9]{1,8}")
_EARLIEST_NS = parse_time("1970-01-01T00:00:00Z")
_LATEST_NS = parse_time("2200-01-01T00:00:00Z")
_TEXT_MAX = 100


class RefusedError(ValueError):
    """A message that is not stored, for one of the `REASONS`; the text says more."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def read_topic(topic: str) -> tuple[str, str]:
    """Station (NET.STA.LOC, NET or LOC empty for `--`) and last word of a topic. RefusedError if it is not
    one of ours."""
    match = _TOPIC.fullmatch(topic)
    if match is None:
        raise RefusedError("topic", f"topic {topic[:80]!r} is not {PREFIX}/NET/STA/LOC/pick")
    network, station, location, kind = match.groups()
    network, location = ("" if code == NO_CODE else code for code in (network, location))
    return f"{network}.{station}.{location}", kind


def admit(topic: str, payload: bytes) -> Pick:
    """The pick in a message. RefusedError, with the reason, if it is not one that can be stored."""
    station, kind = read_topic(topic)
    if kind != "pick":
        raise RefusedError("topic", f"{station}: no pick is expected in a topic that ends in {kind!r}")
    if len(payload) > PAYLOAD_MAX:
        raise RefusedError(
            "oversized", f"{station}: {len(payload)} bytes, of {PAYLOAD_MAX} that a pick may have"
        )
    try:
        pick = Pick.from_json(payload.decode())
    except ValueError as error:  # bytes that are no text are one as well
        raise RefusedError("malformed", f"{station}: {error}") from error
    if pick.station != station:
        raise RefusedError("station", f"{station}: sent a pick of {pick.station[:40]!r}")
    for name, fits in _STORABLE.items():
        if not fits(pick):
            raise RefusedError("range", f"{station}: {name} cannot be {getattr(pick, name)!r:.40}")
    return pick


def _within(value: float | None, least: float, most: float) -> bool:
    return value is None or least <= value <= most


def _is_text(text: str) -> bool:
    # Printable leaves out what a database or XML refuses: NUL and other controls, lone surrogates.
    return 0 < len(text) <= _TEXT_MAX and text.isprintable()


_STORABLE: Mapping[str, Callable[[Pick], bool]] = {
    "id": lambda pick: _ID.fullmatch(pick.id) is not None,
    "channels": lambda pick: len(pick.channels) <= 3 and all(map(_CHANNEL.fullmatch, pick.channels)),
    "time_ns": lambda pick: _EARLIEST_NS <= pick.time_ns < _LATEST_NS,
    "prob": lambda pick: _within(pick.prob, 0, 1),
    "sigma": lambda pick: _within(pick.sigma, 0, 1000),
    "snr_db": lambda pick: _within(pick.snr_db, -1000, 1000),
    "amp": lambda pick: _within(pick.amp, 0, 1e30),
    "amp_unit": lambda pick: _is_text(pick.amp_unit),
    "polarity_prob": lambda pick: _within(pick.polarity_prob, 0, 1),
    "clock_sigma": lambda pick: _within(pick.clock_sigma, 0, 1e9),
    "latency_s": lambda pick: _within(pick.latency_s, -1e9, 1e9),
    "update": lambda pick: 0 <= pick.update < 2**31,
    "model": lambda pick: _is_text(pick.model),
}
"""What `Pick.from_json` lets pass, but a store need not bear."""
