"""Splits of data sets that come without one."""

from hashlib import sha256

SHARES = {"train": 0.8, "dev": 0.1, "test": 0.1}


def split_by(key: str) -> str:
    """Which split everything under one key belongs to, an event's id mostly: a hash decides, so it depends
    neither on other rows nor on their order."""
    place = int.from_bytes(sha256(key.encode()).digest()[:8], "big") / 2**64
    return "train" if place < SHARES["train"] else "dev" if place < 1 - SHARES["test"] else "test"
