"""Picks over links that fail: a broker to kill, a line to cut, a collector to count."""
