"""Text of others, such as a server's reason or a station's name, on a terminal."""


def printable(text: str) -> str:
    """On one line, and without what would steer a terminal or has no encoding: "?" stands for it."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else " " if c.isspace() else "?" for c in text)
