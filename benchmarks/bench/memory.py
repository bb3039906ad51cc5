"""How much memory this process holds."""

import resource
import sys
from pathlib import Path

STATUS = Path("/proc/self/status")


def rss_mb() -> float:
    """Now; the peak where the system tells no more than that."""
    return _told("VmRSS") or peak_rss_mb()


def peak_rss_mb() -> float:
    """At its highest. `getrusage` would count the parent's memory too until a program is started in its
    place, so the kernel's own mark comes first."""
    if marked := _told("VmHWM"):
        return marked
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def _told(key: str) -> float | None:
    if not STATUS.exists():
        return None
    lines = STATUS.read_text().splitlines()
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{key}:")), None)
