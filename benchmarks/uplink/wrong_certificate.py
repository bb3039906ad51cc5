"""A broker that is not the one it says it is."""

import subprocess
from pathlib import Path

from benchmarks.uplink.broker import free_port
from benchmarks.uplink.faults import DEPLOY, STATION, Site
from benchmarks.uplink.line import Network
from edge.pick import Pick


def wrong_certificate(site: Site) -> tuple[int, list[Pick]]:
    """the broker shows a certificate of somebody else first: refused, nothing sent"""
    for name in ("ours", "theirs"):
        script: list[str | Path] = [DEPLOY / "make-certificates.sh", site.folder / name, "127.0.0.1", STATION]
        subprocess.run(script, check=True)
    ours = site.folder / "ours"

    def secured(port: int, name: str) -> str:
        folder = site.folder / name
        return (
            f"allow_anonymous true\nlistener {port} 127.0.0.1\ncafile {ours}/ca.crt\n"
            f"certfile {folder}/broker.crt\nkeyfile {folder}/broker.key\nrequire_certificate true\n"
        )

    port = free_port()
    line = Network(port)
    own = f"{ours}/{STATION}"
    site.url = f"mqtts://127.0.0.1:{line.port}?ca={ours}/ca.crt&cert={own}.crt&key={own}.key"
    site.broker.restart(secured(port, "theirs"))
    with site.uplink() as uplink:
        for _, pick in site.paced():
            uplink.send(pick)
    if not any("certificate verify failed" in said for said in site.said):
        raise RuntimeError(f"the wrong certificate was not told: {site.said}")
    if any(word in line.passed for word in (b"seis", STATION.encode(), site.picks[0].id.encode())):
        raise RuntimeError("something was sent in clear")
    site.broker.restart(secured(port, "ours"))
    return 1, list(site.picks)
