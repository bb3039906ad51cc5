"""SCML, SeisComP's XML, version 0.12, which SeisComP 5 and later read.

scautoloc takes P picks alone, and only those that come with two amplitudes, "snr" and one of the type
`autoloc.amplTypeAbs`, "mb" as it is delivered: without them it passes over a pick and says nothing.
"""

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

from collect.exports.quakeml import POLARITIES
from collect.exports.reading import Group, codes, public_id, uncertainty_s
from edge.pick import Pick, format_time

VERSION = "0.12"
NAMESPACE = f"http://geofon.gfz-potsdam.de/ns/seiscomp3-schema/{VERSION}"


def write_scml(groups: Sequence[Group], out: Path) -> None:
    """Picks and their amplitudes, for `scdispatch`. Events are not written: making them is SeisComP's part.
    OSError if `out` cannot be written."""
    root = ET.Element("seiscomp", {"xmlns": NAMESPACE, "version": VERSION})
    parameters = ET.SubElement(root, "EventParameters")
    picks = {(pick.station, pick.id): pick for group in groups for pick in group.picks}
    for pick in picks.values():
        _add_pick(parameters, pick)
    for pick in picks.values():
        # What is not known is not made up, though scautoloc will not have the pick.
        if pick.snr_db is not None:
            _add_amplitude(parameters, pick, "snr", 10 ** (pick.snr_db / 20), None)
        _add_amplitude(parameters, pick, "mb", pick.amp, pick.amp_unit)
    ET.indent(root)
    ET.ElementTree(root).write(out, encoding="utf-8", xml_declaration=True)


def _add_pick(parent: ET.Element, pick: Pick) -> None:
    element = ET.SubElement(parent, "pick", {"publicID": public_id(pick)})
    time = ET.SubElement(element, "time")
    _add(time, "value", format_time(pick.time_ns))
    _add(time, "uncertainty", f"{uncertainty_s(pick):.6g}")
    _add_waveform(element, pick)
    _add(element, "phaseHint", pick.phase)
    if polarity := POLARITIES[pick.polarity]:
        _add(element, "polarity", polarity)
    _add(element, "evaluationMode", "automatic")
    _add(element, "evaluationStatus", "rejected" if pick.status == "rejected" else "preliminary")
    creation = ET.SubElement(element, "creationInfo")
    _add(creation, "author", f"edge-pick {pick.model}")
    _add(creation, "version", str(pick.update))


def _add_amplitude(parent: ET.Element, pick: Pick, kind: str, value: float, unit: str | None) -> None:
    element = ET.SubElement(parent, "amplitude", {"publicID": f"{public_id(pick)}/{kind}"})
    _add(element, "type", kind)
    _add(ET.SubElement(element, "amplitude"), "value", f"{value:.6g}")
    if unit:
        _add(element, "unit", unit)
    _add(element, "pickID", public_id(pick))
    _add_waveform(element, pick)
    _add(element, "evaluationMode", "automatic")


def _add_waveform(parent: ET.Element, pick: Pick) -> None:
    network, station, location, channel = codes(pick)
    keys = {"networkCode": network, "stationCode": station, "locationCode": location, "channelCode": channel}
    ET.SubElement(parent, "waveformID", {key: value for key, value in keys.items() if value})


def _add(parent: ET.Element, name: str, text: str) -> None:
    ET.SubElement(parent, name).text = text
