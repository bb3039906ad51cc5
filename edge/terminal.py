"""What an operator is told: lines, with nothing in them that would steer a terminal."""

from collections.abc import Callable

Report = Callable[[str], None]
"""Takes one line for whatever an operator should know."""


def printable(text: str) -> str:
    """Text of others, such as a server's reason or a station's name, on one line, and without what would
    steer a terminal or has no encoding: "?" stands for it."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else " " if c.isspace() else "?" for c in text)
