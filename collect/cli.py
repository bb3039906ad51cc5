"""edge-collect: the receiving end on the command line."""

import argparse
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from contextlib import closing

from edge.pick import parse_time
from edge.sinks.address import PASSWORD_VARIABLE, parse_address
from edge.terminal import printable

try:
    from collect.associate import add_associate_arguments, run_associate
    from collect.broker import Broker
    from collect.collector import Collector
    from collect.exports.cli import add_export_arguments, run_export
    from collect.metrics import Counts, serve
    from collect.store import Store, StoreError
except ModuleNotFoundError as missing:
    sys.exit(f"edge-collect: {missing.name} is missing: pip install 'edge-pick[collect]'")

DESCRIPTION = """\
Collects the picks of a network: subscribes to a broker, stores every pick once, in SQLite or PostgreSQL, and
acknowledges it only then.
"""
EPILOG = f"""\
examples:
  edge-collect mqtt://localhost
      into picks.db, in the working directory
  edge-collect 'mqtts://broker.example.org?ca=ca.crt&cert=collector.crt&key=collector.key' \\
      --store postgresql+psycopg://picks@db/picks
      with a certificate; the password of mqtts://USER@… comes from ?password-file=FILE or {PASSWORD_VARIABLE}
  edge-collect export --format quakeml --from 2026-11-20 --to 2026-11-21 --out picks.xml
      a day of picks; edge-collect export --help lists the formats
  edge-collect associate --stations stations.csv --from 2026-11-20 --out events.xml
      events of these picks

Ctrl-C or SIGTERM ends cleanly: the broker keeps what comes meanwhile.
"""
DEFAULT_STORE = "sqlite:///picks.db"


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "edge-collect",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("broker", metavar="URL", help="mqtt://[user@]host[:port] or mqtts://…[?ca=…]")
    _add_store(parser)
    parser.add_argument(
        "--name", default=f"edge-collect-{socket.gethostname()}",
        help="of this collector's session at the broker, which keeps its picks while it is away "
        "(default: edge-collect-HOSTNAME)",
    )  # fmt: skip
    parser.add_argument(
        "--share", type=_group, metavar="GROUP",
        help="divide the picks among the collectors that give the same GROUP (default: each collector has "
        "all); a secret, where the broker does not check who subscribes, as Mosquitto does not",
    )  # fmt: skip
    parser.add_argument(
        "--metrics", type=_listen, metavar="[HOST]:PORT", help="answer Prometheus there, e.g. :9109"
    )
    return parser.parse_args(arguments)


def parse_work(arguments: Sequence[str]) -> argparse.Namespace:
    """Of the two that work on what is stored."""
    parser = argparse.ArgumentParser("edge-collect")
    kinds = parser.add_subparsers(dest="work")
    for name, add in (("export", add_export_arguments), ("associate", add_associate_arguments)):
        kind = kinds.add_parser(name)
        _add_store(kind)
        kind.add_argument(
            "--from", dest="begin", type=_time, metavar="TIME", default=_time("1970-01-01"),
            help="from then on, ISO 8601, UTC unless it says otherwise",
        )  # fmt: skip
        kind.add_argument(
            "--to", dest="end", type=_time, metavar="TIME", default=_time("2200-01-01"), help="before then"
        )
        add(kind)
    return parser.parse_args(arguments)


def _add_store(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--store", default=DEFAULT_STORE, metavar="URL",
        help=f"sqlite:///FILE or postgresql+psycopg://user@host/database (default: {DEFAULT_STORE})",
    )  # fmt: skip


def _time(text: str) -> int:
    try:
        return parse_time(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no time, such as 2026-11-20T23:41:00Z") from error


def _listen(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not port.isdigit() or int(port) > 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is not [HOST]:PORT, such as :9109")
    return host or "0.0.0.0", int(port)


def _group(text: str) -> str:
    if not text or set(text) & set("/+#"):
        raise argparse.ArgumentTypeError(f"{text!r} must be a word without / + #")
    return text


def report(line: str) -> None:
    """One line for the operator, on standard error."""
    print(f"edge-collect: {printable(line)}", file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0 when told to stop or done, 2 after one line on what is wrong."""
    arguments = sys.argv[1:] if arguments is None else arguments
    works = {"export": run_export, "associate": run_associate}
    try:
        if arguments[:1] and arguments[0] in works:
            args = parse_work(arguments)
            with closing(Store(args.store, begin=False)) as store:
                return works[args.work](args, store, report)
        return collect(parse(arguments))
    except (OSError, ValueError, StoreError) as error:
        report(str(error))
        return 2


def collect(args: argparse.Namespace) -> int:
    """Collects until SIGINT or SIGTERM."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    counts = Counts()
    with closing(Store(args.store)) as store:
        broker = Broker(parse_address(args.broker), args.name, report, args.share)
        if args.metrics:
            report(f"metrics on port {serve(counts, broker, *args.metrics)}")
        broker.start()
        with closing(broker):
            Collector(broker, store, counts, report).run(stop)
    report(counts.summary())
    return 0


if __name__ == "__main__":
    sys.exit(main())
