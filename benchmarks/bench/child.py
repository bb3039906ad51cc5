"""`edge-pick` in a process of its own that tells, as its last line on standard error, what it took.

python -m benchmarks.bench.child ARGUMENTS OF edge-pick
"""

import json
import sys
import time
from dataclasses import asdict, dataclass

from benchmarks.bench.machine import pin
from edge import cli


@dataclass(frozen=True, slots=True)
class Usage:
    """`cpu_s`: all CPU time of the process, `peak_rss_mb`: the most memory that it ever held."""

    cpu_s: float
    peak_rss_mb: float


def main() -> int:
    """edge-pick's exit status."""
    pin()
    status = cli.main(sys.argv[1:])
    # Only now: what is imported for measuring is no part of the station.
    from benchmarks.bench.memory import peak_rss_mb

    usage = Usage(time.process_time(), peak_rss_mb())
    print(json.dumps(asdict(usage)), file=sys.stderr, flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
