"""What the outbox writes: python -m benchmarks.uplink.wear [--folder DIR]

Bytes that reach the disk for each pick, by the kernel's count for this process, of a station with one uplink
whose peer acknowledges a P and an S together.
"""

import argparse
import re
import sys
import tempfile
import time
from pathlib import Path

from edge.outbox import Outbox
from edge.pick import NS, Pick

_EVENTS = 200
_PICK = Pick(
    id="0123456789abcdef",
    station="AM.SHED.00",
    channels=("EHZ", "EHN", "EHE"),
    phase="P",
    time_ns=1_700_000_000 * NS,
    prob=0.93,
    sigma=0.08,
    snr_db=18.2,
    amp=1234.0,
    clock="gnss",
    latency_s=5.2,
    model="lppn@01234567",
)


def main() -> int:
    parser = argparse.ArgumentParser("python -m benchmarks.uplink.wear", description=__doc__)
    parser.add_argument("--folder", type=Path, help="on the disk to be measured (default: the temporary one)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        outbox = Outbox(Path(folder) / "outbox.sqlite", print)
        outbox.register("uplink")
        before, adding_s = written(), 0.0
        for event in range(1, _EVENTS + 1):
            for _ in range(2):
                at_s = time.perf_counter()
                outbox.add(_PICK)
                adding_s += time.perf_counter() - at_s
            outbox.release("uplink", 2 * event)
        outbox.close()
        n_bytes, picks = written() - before, 2 * _EVENTS
    print(f"{n_bytes / picks:.0f} bytes a pick: {n_bytes / picks * 1000 / 1e6:.1f} MB a day of 1,000 picks")
    print(f"a pick is on the disk within {1e3 * adding_s / picks:.1f} ms (mean of {picks})")
    return 0


def written() -> int:
    """Bytes that this process caused to be sent to the disk."""
    return int(re.findall(r"^write_bytes: (\d+)", Path("/proc/self/io").read_text(), re.M)[0])


if __name__ == "__main__":
    sys.exit(main())
