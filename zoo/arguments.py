"""Kinds of values on the command lines of edge-train, refused where the words for them stand."""

from argparse import ArgumentTypeError
from math import inf

from edge.pick import parse_time


def above_zero(text: str) -> float:
    """A finite number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < inf:
        raise ArgumentTypeError(f"{text!r} is no number above 0")
    return value


def whole(text: str) -> int:
    """A whole number, 0 or above."""
    if not text.isdecimal():
        raise ArgumentTypeError(f"{text!r} is no whole number from 0 on")
    return int(text)


def moment(text: str) -> int:
    """A time in UTC, in nanoseconds."""
    try:
        return parse_time(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} is no time, as 2019-07-04T17:33:00Z: {error}") from error
