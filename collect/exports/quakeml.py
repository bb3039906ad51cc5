"""QuakeML and NonLinLoc's phase files, by ObsPy's writers."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from collect.exports.reading import Group, codes, public_id, uncertainty_s
from edge.pick import Pick, format_time

POLARITIES = {"up": "positive", "down": "negative", "unknown": "undecidable", None: None}


def write_quakeml(groups: Sequence[Group], out: Path) -> None:
    """An event for each group; picks of no event are in one without an origin. OSError if `out` cannot be
    written."""
    _catalog(groups).write(str(out), format="QUAKEML", validate=True)


def write_nonlinloc(groups: Sequence[Group], out: Path) -> None:
    """NLLOC_OBS, a block for each group, blank lines between. OSError if `out` cannot be written."""
    blocks = []
    for event in _catalog(groups):
        block = io.BytesIO()
        _catalog_of([event]).write(block, format="NLLOC_OBS")
        blocks.append(block.getvalue())
    out.write_bytes(b"\n\n".join(blocks))


def _catalog(groups: Sequence[Group]) -> Any:
    return _catalog_of([_event(group) for group in groups])


def _catalog_of(events: list[Any]) -> Any:
    try:
        from obspy.core.event import Catalog
    except ModuleNotFoundError as error:
        raise ValueError("this format needs ObsPy: pip install obspy") from error
    return Catalog(events, resource_id="smi:local/edge-collect")


def _event(group: Group) -> Any:
    from obspy import UTCDateTime
    from obspy.core.event import Arrival, Event, Origin, OriginQuality

    picks = [_pick(pick) for pick in group.picks]
    if group.event is None:
        return Event(resource_id="smi:local/picks", picks=picks)
    found = group.event
    origin = Origin(
        resource_id=f"smi:local/origin/{found.id}",
        time=UTCDateTime(format_time(found.time_ns)),
        latitude=found.latitude,
        longitude=found.longitude,
        depth=1000 * found.depth_km,
        evaluation_mode="automatic",
        method_id=f"smi:local/method/{found.method}",
        quality=OriginQuality(used_phase_count=len(picks), standard_error=found.rms_s),
        arrivals=[
            Arrival(
                resource_id=f"smi:local/arrival/{found.id}/{arrival.pick.station}/{arrival.pick.id}",
                pick_id=public_id(arrival.pick),
                phase=arrival.pick.phase,
                time_residual=arrival.residual_s,
            )
            for arrival in found.arrivals
        ],
    )
    event = Event(resource_id=f"smi:local/event/{found.id}", origins=[origin], picks=picks)
    event.preferred_origin_id = origin.resource_id
    return event


def _pick(pick: Pick) -> Any:
    from obspy import UTCDateTime
    from obspy.core.event import Comment, CreationInfo, QuantityError, WaveformStreamID
    from obspy.core.event import Pick as QuakePick

    network, station, location, channel = codes(pick)
    return QuakePick(
        resource_id=public_id(pick),
        time=UTCDateTime(format_time(pick.time_ns)),
        time_errors=QuantityError(uncertainty=uncertainty_s(pick)),
        waveform_id=WaveformStreamID(network, station, location, channel),
        phase_hint=pick.phase,
        polarity=POLARITIES[pick.polarity],
        evaluation_mode="automatic",
        evaluation_status="rejected" if pick.status == "rejected" else "preliminary",
        creation_info=CreationInfo(author=f"edge-pick {pick.model}", version=str(pick.update)),
        comments=[
            Comment(text=f"probability {pick.prob:.3f}", resource_id=f"{public_id(pick)}/comment"),
        ],
    )
