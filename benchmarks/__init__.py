"""Commands that measure; tests never time."""
