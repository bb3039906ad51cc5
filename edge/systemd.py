"""The notification protocol of systemd, sd_notify(3): one datagram to a socket it names."""

import os
import socket
from contextlib import suppress


def notify(message: str) -> None:
    """Tells systemd, if it started this process and asked to be told."""
    address = os.environ.get("NOTIFY_SOCKET")
    if address is None:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    # If it does not listen, its watchdog judges; picks must not end for that.
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.sendto(message.encode(), address)
