"""The faults that an uplink survives, as a table: python -m benchmarks.uplink [--kills 50] [NAME…]

Exit status 1 if a pick was lost or is there twice.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from random import Random

from benchmarks.uplink.broker import Broker
from benchmarks.uplink.collector import EdgeCollect, last_words, missing, unexpected
from benchmarks.uplink.faults import FAULTS, Site
from benchmarks.uplink.line import Network
from benchmarks.uplink.record import straight_replay, write_record
from benchmarks.uplink.wrong_certificate import wrong_certificate

_WAIT_S = 120.0


def main() -> int:
    rows = {fault.__name__: fault for fault in (*FAULTS, wrong_certificate)}
    parser = argparse.ArgumentParser("python -m benchmarks.uplink", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", choices=[[], *rows], help=", ".join(rows))
    parser.add_argument("--kills", type=int, default=50, help="of edge-pick (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: %(default)s)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        picks = straight_replay(write_record(Path(folder) / "record.mseed"))
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
                site = Site(place, picks, broker, network, url, args.kills, Random(args.seed))
                count, due = rows[name](site)
                with site.uplink():
                    stored = collector.wait(due, _WAIT_S)
                network.close()
            lost = len(missing(due, stored))
            doubled = unexpected([*due, *site.possible], stored)
            bad += lost + doubled
            seconds = time.monotonic() - began_s
            cells = rows[name].__doc__, count, len(last_words(due)), lost, doubled, round(seconds)
            print("|", " | ".join(map(str, cells)), "|", flush=True)
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
