"""The command line of edge-pick."""

import argparse
import sys
from importlib.metadata import version
from pathlib import Path

from edge.config import add_config_argument, with_config
from edge.line import add_line_arguments
from edge.model import DEFAULT_MODEL, model_path
from edge.uplink import add_uplink_arguments, file_name

DESCRIPTION = """\
Picks P and S onsets from a digitizer on a serial port or the network, or from files. What the digitizer
speaks, and how fast, is found out by listening.
Picks are printed as readable lines on a terminal and as JSON lines when piped.
"""
EPILOG = """\
examples:
  edge-pick --device /dev/ttyUSB0 --station AM.SHED.00
      a digitizer on a serial port; few of them say which station they are, so give its name
  edge-pick --udp :8888 --station AM.R24FA.00
      the datacast of a Raspberry Shake
  edge-pick --device /dev/ttyUSB0 --out picks.jsonl
      every pick also appended to a file
  edge-pick --device /dev/ttyUSB0 --early
      most picks within a second, to be confirmed after 5 s, or rejected after 6 s
  edge-pick --device /dev/ttyACM0 --protocol lines --columns millis,z,n,e
      a sketch that prints numbers, if listening alone did not find out what they are
  edge-pick --replay day/*.mseed --json > picks.jsonl
      files of any number of stations (--station leaves one), components in any order, 20 to 1000 samples
      a second; captured bytes of a digitizer that sends UTC (GCF files, datacasts) are replayed as well
  edge-pick --replay event.mseed --p-threshold 0.2
      more P picks, more of them false; the model's card gives the default
  edge-pick --device /dev/ttyUSB0 --station AM.SHED.00 --uplink mqtt://broker
      every pick delivered, through an outbox that survives kills, power cuts and dead links
  edge-pick --replay event.mseed --reversed HHZ
      the vertical is wired the other way round: first motions are turned
  edge-pick doctor --device /dev/ttyUSB0
      nothing picked? what arrives, what it is, and what to do about it
  edge-pick status
      how those that run here are doing

Stations with one or two components are picked with the others at zero. Ctrl-C or SIGTERM ends cleanly:
what has arrived is picked before the program returns.
"""


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "edge-pick",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    source = parser.add_mutually_exclusive_group(required=True)
    add_line_arguments(parser, source)
    source.add_argument(
        "--replay", type=Path, nargs="+", metavar="FILE", help="MiniSEED, or a digitizer's bytes as captured"
    )
    parser.add_argument("--p-threshold", type=_probability, help="least probability of a P pick, 0..1")
    parser.add_argument("--s-threshold", type=_probability, help="least probability of an S pick, 0..1")
    parser.add_argument(
        "--early", action="store_true",
        help="tell a pick as soon as it is likely, with status preliminary, and once more under the same id "
        "after 5 s when it is final, or 6 s when it is rejected (default: final picks alone)",
    )  # fmt: skip
    parser.add_argument(
        "--reversed", type=_channels, default=frozenset(), metavar="CHANNEL,…",
        help="verticals whose positive counts are down (dip +90): HHZ, or NET.STA.LOC.HHZ of one station; "
        "their polarities are turned",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="JSON lines on a terminal too")
    parser.add_argument(
        "--out", type=file_name, metavar="FILE", help="append every pick to this file, as JSON lines"
    )
    add_uplink_arguments(parser)
    parser.add_argument(
        "--model", type=model_path, default=DEFAULT_MODEL,
        help="lppn-tiny, lppn (default), lppn-large, or a .tflite with its card beside it",
    )  # fmt: skip
    add_config_argument(parser)
    parser.add_argument("--version", action="version", version=f"edge-pick {version('edge-pick')}")
    return parser.parse_args(with_config(parser, sys.argv[1:] if arguments is None else arguments))


def _probability(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 < value < 1.0:
        raise argparse.ArgumentTypeError(f"{text!r} is not between 0 and 1")
    return value


def _channels(text: str) -> frozenset[str]:
    names = [name.strip().upper() for name in text.split(",")]
    for name in names:
        if name.count(".") not in (0, 3) or not name.rpartition(".")[2]:
            raise argparse.ArgumentTypeError(f"{name!r} is not a channel: HHZ, or NET.STA.LOC.HHZ")
    return frozenset(names)
