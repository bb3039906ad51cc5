"""edge-collect export."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from collect.exports.associators import write_gamma, write_pyocto, write_real
from collect.exports.hypo71 import write_hypo71
from collect.exports.quakeml import write_nonlinloc, write_quakeml
from collect.exports.reading import Group, groups_of
from collect.exports.scml import write_scml
from collect.store import Store
from edge.terminal import Report

FORMATS: Mapping[str, Callable[[Sequence[Group], Path], None]] = {
    "quakeml": write_quakeml,
    "scml": write_scml,
    "nonlinloc": write_nonlinloc,
    "hypo71": write_hypo71,
    "gamma": write_gamma,
    "pyocto": write_pyocto,
    "real": write_real,
}


def add_export_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = "Writes stored picks in the form that another program reads."
    parser.add_argument("--format", required=True, choices=FORMATS)
    parser.add_argument("--out", required=True, type=Path, help="a file; for real a folder")
    parser.add_argument(
        "--events", action="store_true", help="the picks of associated events alone, event by event"
    )
    parser.add_argument("--rejected", action="store_true", help="picks that their station took back as well")


def run_export(args: argparse.Namespace, store: Store, report: Report) -> int:
    """Exit status 0, also where there was nothing to write but an empty file."""
    events = store.events(args.begin, args.end, rejected=args.rejected) if args.events else None
    picks = [] if args.events else store.picks(args.begin, args.end, rejected=args.rejected)
    groups = groups_of(picks, events)
    FORMATS[args.format](groups, args.out)
    number = sum(len(group.picks) for group in groups)
    report(f"{number} picks{f' of {len(groups)} events' if args.events else ''} written to {args.out}")
    return 0
