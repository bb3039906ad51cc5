"""Forms of a pick for links that carry few bytes: docs/pick-formats.md specifies them.

JSON (`Pick.to_json`) is the whole of it. The others leave out what the receiver knows of its station (the
model, the channels), and round.
"""

import hashlib
import struct
from collections.abc import Callable, Mapping
from math import log10
from typing import Literal, TypeVar, get_args

from edge import cbor
from edge.pick import NS, Phase, Pick, Polarity, Status
from firmware_bridge.packet import Clock

Form = Literal["json", "cbor-51", "cbor-31", "struct-13", "struct-11"]
"""The numbers: most bytes of one pick."""

_STRUCT_11 = struct.Struct(">BIB4sB")
_STRUCT_13 = struct.Struct(">BIB4sBbB")
_SIGMA_S = 0.01
_CBOR_UPDATES, _STRUCT_UPDATES = 23, 3
_CBOR_AMP = 30_000
_NO_SNR = -128
_AMP_STEP, _AMP_LEAST = 0.075, -9.0
"""Decades between two codes of a struct's amplitude, and the decade of the first."""

_PHASES: tuple[Phase, ...] = get_args(Phase)
_STATUSES: tuple[Status, ...] = ("preliminary", "final", "rejected")
_POLARITIES: tuple[Polarity | None, ...] = (None, "up", "down", "unknown")
_CLOCKS: tuple[Clock, ...] = ("gnss", "ntp", "device", "host", "unknown")

_T = TypeVar("_T")


def to_cbor(pick: Pick, named: bool) -> bytes:
    """A CBOR array: with the station and the unit of the amplitude if `named`, 51 bytes at most, else 31.

    ValueError if the pick does not fit: an id that is not 16 hex digits, a station's name longer than
    NN.SSSSS.LL, more than 23 updates, a time before 1970.
    """
    if not 0 <= pick.update <= _CBOR_UPDATES or pick.time_ns < 0:
        raise ValueError(f"pick {pick.id} does not fit a CBOR form: update {pick.update}, {pick.time_ns} ns")
    items: list[cbor.Item] = [
        _flags(pick),
        pick.update,
        _id_bytes(pick),
        (pick.time_ns + 500) // 1000,
        round(100 * pick.prob),
        min(round(pick.sigma / _SIGMA_S), 255),
        None if pick.snr_db is None else max(-256, min(round(pick.snr_db), 255)),
        max(-_CBOR_AMP, min(round(100 * log10(pick.amp)), _CBOR_AMP)) if pick.amp > 0 else None,
    ]
    data = cbor.pack([*items, pick.station, pick.amp_unit] if named else items)
    if len(data) > 51:
        raise ValueError(f"{pick.station}, {pick.amp_unit}: names too long for 51 bytes")
    return data


def from_cbor(data: bytes, station: str = "") -> Pick:
    """The pick of either CBOR form; what the form does not carry is empty or 0.

    `station`: NET.STA.LOC of the sender, where the form does not name it. ValueError for anything else.
    """
    items = cbor.unpack(data)
    if len(items) not in (8, 10):
        raise ValueError(f"not a pick: a CBOR array of {len(items)} items")
    if len(items) == 8:
        items += [station, ""]
    flags, update, id_bytes, time_us, prob, sigma, snr, amp, name, unit = items
    if not (isinstance(id_bytes, bytes) and isinstance(name, str) and isinstance(unit, str)):
        raise ValueError("not a pick: id, station or unit is of another type")
    if len(id_bytes) != 8:
        raise ValueError("not a pick: its id has not 8 bytes")
    return _pick(
        flags=_within(flags, 0, 255),
        update=_within(update, 0, _CBOR_UPDATES),
        id=id_bytes.hex(),
        time_ns=_within(time_us, 0, 1 << 53) * 1000,
        prob=_within(prob, 0, 100) / 100,
        sigma=_within(sigma, 0, 255) * _SIGMA_S,
        snr_db=None if snr is None else float(_within(snr, -256, 255)),
        amp=0.0 if amp is None else 10 ** (_within(amp, -_CBOR_AMP, _CBOR_AMP) / 100),
        station=name,
        amp_unit=unit,
    )


def to_struct(pick: Pick, length: Literal[11, 13]) -> bytes:
    """The fixed forms, big-endian; the longer one is the shorter one with SNR and amplitude after it.

    ValueError if the pick does not fit: an id that is not 16 hex digits, more than 3 updates, a time before
    1970 or after 2106.
    """
    seconds, fraction = divmod((pick.time_ns * 256 + NS // 2) // NS, 256)
    if not 0 <= pick.update <= _STRUCT_UPDATES or not 0 <= seconds < 1 << 32:
        raise ValueError(f"pick {pick.id} does not fit a struct: update {pick.update}, {seconds} s")
    head = (
        _flags(pick),
        seconds,
        fraction,
        _id_bytes(pick)[:4],
        round(63 * pick.prob) << 2 | pick.update,
    )
    if length == 11:
        return _STRUCT_11.pack(*head)
    snr = _NO_SNR if pick.snr_db is None else max(-127, min(round(pick.snr_db), 127))
    amp = round((log10(pick.amp) - _AMP_LEAST) / _AMP_STEP) + 1 if pick.amp > 0 else 0
    return _STRUCT_13.pack(*head, snr, max(pick.amp > 0, min(amp, 255)))


def from_struct(data: bytes, station: str) -> Pick:
    """The pick of either struct, told apart by length; what it does not carry is empty or 0.

    The id is its first 8 digits as made by the station, then 8 of the station's name, so that it is unique
    over a network. ValueError for other lengths and for values that no pick has.
    """
    if len(data) == _STRUCT_13.size:
        *_, snr, amp_code = _STRUCT_13.unpack(data)
    elif len(data) == _STRUCT_11.size:
        snr, amp_code = _NO_SNR, 0
    else:
        raise ValueError(f"not a pick: {len(data)} bytes, not 11 or 13")
    flags, seconds, fraction, id_bytes, prob_update = _STRUCT_11.unpack(data[: _STRUCT_11.size])
    return _pick(
        flags=flags,
        update=prob_update & 3,
        id=id_bytes.hex() + hashlib.sha256(station.encode()).hexdigest()[:8],
        time_ns=seconds * NS + fraction * NS // 256,
        prob=(prob_update >> 2) / 63,
        sigma=0.0,
        snr_db=None if snr == _NO_SNR else float(snr),
        amp=10 ** (_AMP_LEAST + (amp_code - 1) * _AMP_STEP) if amp_code else 0.0,
        station=station,
        amp_unit="",
    )


FORMS: Mapping[str, Callable[[Pick], bytes]] = {
    "json": lambda pick: pick.to_json().encode(),
    "cbor-51": lambda pick: to_cbor(pick, named=True),
    "cbor-31": lambda pick: to_cbor(pick, named=False),
    "struct-13": lambda pick: to_struct(pick, 13),
    "struct-11": lambda pick: to_struct(pick, 11),
}


def form_of(name: str) -> Callable[[Pick], bytes]:
    """What writes the form of that name. ValueError names those there are."""
    if name not in FORMS:
        raise ValueError(f"no form {name!r} of a pick; there are {', '.join(FORMS)}")
    return FORMS[name]


def _pick(
    flags: int,
    update: int,
    id: str,
    time_ns: int,
    prob: float,
    sigma: float,
    snr_db: float | None,
    amp: float,
    station: str,
    amp_unit: str,
) -> Pick:
    return Pick(
        id=id,
        station=station,
        channels=("",),
        phase=_PHASES[flags & 1],
        time_ns=time_ns,
        prob=prob,
        sigma=sigma,
        snr_db=snr_db,
        amp=amp,
        clock=_nth(_CLOCKS, flags >> 5),
        latency_s=0.0,
        model="",
        amp_unit=amp_unit,
        polarity=_POLARITIES[flags >> 3 & 3],
        update=update,
        status=_nth(_STATUSES, flags >> 1 & 3),
    )


def _flags(pick: Pick) -> int:
    """Bit 0: phase, 1-2: status, 3-4: polarity, 5-7: clock."""
    return (
        _PHASES.index(pick.phase)
        | _STATUSES.index(pick.status) << 1
        | _POLARITIES.index(pick.polarity) << 3
        | _CLOCKS.index(pick.clock) << 5
    )


def _id_bytes(pick: Pick) -> bytes:
    try:
        data = bytes.fromhex(pick.id)
    except ValueError:
        data = b""
    if len(data) != 8:
        raise ValueError(f"pick id {pick.id!r:.40} is not 16 hex digits")
    return data


def _nth(values: tuple[_T, ...], index: int) -> _T:
    if index >= len(values):
        raise ValueError(f"not a pick: no meaning is given to {index} where there are {values}")
    return values[index]


def _within(value: cbor.Item, least: int, most: int) -> int:
    if not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"not a pick: {value!r:.40} where {least} to {most} belongs")
    return value
