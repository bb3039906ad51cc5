"""Which channels of an instrument go together, and which of them is which component."""

from collections.abc import Mapping, Sequence

from firmware_bridge.packet import component_rank

_COMPONENT_SETS = ("ZNE", "Z12", "Z23", "ZXY", "123")
"""The components that go together, by last letter; without a Z, 1 is the vertical."""


def that_go_together(codes: Mapping[str, int]) -> set[str]:
    """Of the channels of one instrument, with their records: all if up to three, else the fullest set."""
    if len(codes) <= 3:
        return set(codes)
    sets = [{code for code in codes if code[-1] in letters} for letters in _COMPONENT_SETS]
    return max(sets, key=lambda members: sum(codes[code] for code in members))


def component_slots(channels: Sequence[str]) -> tuple[str, str, str]:
    """Channel codes of one instrument in Z, N, E (or Z, 1, 2) order, "" where a component is absent.

    The last letter decides. Z is the vertical; beside it N, 1 or X come before E, 2, 3 or Y, and a
    borehole's Z, 2, 3 keep that order. Without a Z, a set of three is taken in order (1, 2, 3: as on
    borehole arrays, 1 is the vertical), one or two are horizontals, and a single code of any other
    letter (hydrophone) counts as vertical. ValueError unless there are one to three different codes.
    """
    if not 1 <= len(channels) <= 3 or len(set(channels)) < len(channels) or "" in channels:
        raise ValueError(f"an instrument has one to three different channels, not {','.join(channels)}")
    codes = sorted(channels, key=component_rank)
    if len(codes) == 3:
        return codes[0], codes[1], codes[2]
    first_is_horizontal = codes[0][-1] in "NE12XY"
    vertical = "" if first_is_horizontal else codes[0]
    horizontal = codes if first_is_horizontal else codes[1:]
    if len(horizontal) == 2:
        return vertical, horizontal[0], horizontal[1]
    if horizontal and horizontal[0][-1] in "E23Y":
        return vertical, "", horizontal[0]
    return vertical, horizontal[0] if horizontal else "", ""
