"""The faults that an uplink survives, as a table: python -m benchmarks.uplink [--kills 50] [NAME…]

Exit status 1 if a pick was lost or is there twice.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from random import Random

import numpy as np
from pymseed import MS3TraceList, nslc2sourceid

from benchmarks.uplink.broker import Broker
from benchmarks.uplink.collector import EdgeCollect, last_words
from benchmarks.uplink.faults import FAULTS, Site
from benchmarks.uplink.line import Network
from benchmarks.uplink.wrong_certificate import wrong_certificate
from edge.pick import Pick
from firmware_bridge.synthetic import synthetic_earthquake

_EARTHQUAKES = 120
_WAIT_S = 120.0


def main() -> int:
    rows = {fault.__name__: fault for fault in (*FAULTS, wrong_certificate)}
    parser = argparse.ArgumentParser("python -m benchmarks.uplink", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", choices=[[], *rows], help=", ".join(rows))
    parser.add_argument("--kills", type=int, default=50, help="of edge-pick (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: %(default)s)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        record, picks = straight_replay(Path(folder))
        print(f"{len(picks)} picks and updates of {len(last_words(picks))} onsets\n")
        print("| fault | times | picks to arrive | lost | doubled | s |\n|---|---|---|---|---|---|")
        bad = 0
        for name in args.names or rows:
            place = Path(folder) / name
            place.mkdir()
            began_s = time.monotonic()
            with Broker(place) as broker, EdgeCollect(place, f"mqtt://127.0.0.1:{broker.port}") as collector:
                network = Network(broker.port)
                url = f"mqtt://127.0.0.1:{network.port}"
                site = Site(place, record, picks, broker, network, url, args.kills, Random(args.seed))
                count, due = rows[name](site)
                expected = last_words(due)
                with site.uplink():
                    stored = collector.wait(expected, _WAIT_S)
                network.close()
            lost = len(expected - set(stored))
            doubled = len(stored) - len(expected & set(stored))
            bad += lost + doubled
            seconds = time.monotonic() - began_s
            title = rows[name].__doc__
            print(f"| {title} | {count} | {len(expected)} | {lost} | {doubled} | {seconds:.0f} |", flush=True)
    return int(bad > 0)


def straight_replay(folder: Path) -> tuple[Path, list[Pick]]:
    """A record of synthetic earthquakes, one a minute, and what edge-pick prints of it."""
    record = folder / "record.mseed"
    ground = np.concatenate([synthetic_earthquake(seed).samples for seed in range(_EARTHQUAKES)])
    with MS3TraceList() as traces:
        for letter, column in zip("ZNE", ground.T, strict=True):
            name = nslc2sourceid("XX", "SYN", "00", f"HH{letter}")
            start_ns = 1_700_000_000_000_000_000
            traces.add_data(name, np.ascontiguousarray(column), "i", 100.0, starttime=start_ns)
        traces.to_file(record, format_version=3)
    command = [sys.executable, "-m", "edge.cli", "--replay", record, "--early", "--json"]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return record, [Pick.from_json(line) for line in out.splitlines()]


if __name__ == "__main__":
    sys.exit(main())
