"""Replays a real earthquake through a serial port into edge-pick, and draws record and picks.

The record is ObsPy's example: station RJOB of the Bavarian network, an earthquake of 24 August 2009 a few
kilometres away. ObsPy has no wheels for Linux on ARM; there the ground motion is synthetic.
"""

import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import matplotlib
import numpy as np
from numpy.typing import NDArray

from edge.pick import NS, Pick, format_time
from edge.preprocess import highpassed
from firmware_bridge.simulator import PtyDigitizer, packets_of
from firmware_bridge.synthetic import synthetic_earthquake

matplotlib.use("Agg")
from matplotlib import pyplot

OUT = Path("demo-out")
COUNTS_PER_UNIT = 100
"""The example comes in fractions of a count; a digitizer sends integers."""
COLOURS = {"P": "tab:red", "S": "tab:blue"}


@dataclass(frozen=True, slots=True)
class Record:
    """`samples`: int32 (n, 3) in Z, N, E order; `start_ns`: UTC nanoseconds of the first."""

    title: str
    station: str
    samples: NDArray[np.int32]
    rate: int
    start_ns: int


def record() -> Record:
    """The real record where ObsPy is installed, the synthetic one elsewhere."""
    if find_spec("obspy") is None:
        made = synthetic_earthquake()
        return Record("synthetic ground motion", "XX.DEMO.00", made.samples, made.rate, made.start_ns)
    import obspy

    stream = obspy.read()
    components = [stream.select(component=code)[0] for code in "ZNE"]
    stats = components[0].stats
    samples = np.stack([np.rint(c.data * COUNTS_PER_UNIT) for c in components], axis=1).astype(np.int32)
    return Record(
        "a real local earthquake",
        f"{stats.network}.{stats.station}.{stats.location}",
        samples,
        round(stats.sampling_rate),
        stats.starttime.ns,
    )


def pick(chosen: Record) -> list[Pick]:
    """Runs edge-pick on a pseudo-terminal on which the record arrives in real time."""
    packets = packets_of(chosen.samples, chosen.rate, chosen.start_ns)
    with PtyDigitizer(packets) as digitizer:
        command = ["edge-pick", "--device", digitizer.device, "--station", chosen.station]
        print("$", *command, flush=True)
        # The module rather than the script, so that a virtual environment need not be activated.
        process = subprocess.Popen(
            [sys.executable, "-m", "edge.cli", *command[1:]], stdout=subprocess.PIPE, text=True
        )
        picks: list[Pick] = []

        def show() -> None:
            assert process.stdout is not None
            for line in process.stdout:
                picks.append(Pick.from_json(line))
                print(picks[-1].to_text(), flush=True)

        reader = threading.Thread(target=show)
        reader.start()
        while process.poll() is None and not digitizer.wait(timeout_s=1.0):
            pass
        process.send_signal(signal.SIGTERM)
        reader.join()
        if process.wait() != 0:
            raise SystemExit(process.returncode)
    return picks


def draw(chosen: Record, picks: list[Pick], path: Path) -> None:
    """Three components above, P and S close up below."""
    ground = highpassed(chosen.samples.astype(np.float64), 1.0, chosen.rate)
    seconds = np.arange(len(ground)) / chosen.rate
    figure = pyplot.figure(figsize=(12, 8), constrained_layout=True)
    grid = figure.add_gridspec(4, 2, height_ratios=[1, 1, 1, 1.4])
    top = [figure.add_subplot(grid[k, :]) for k in range(3)]
    for k, axis in enumerate(top):
        axis.plot(seconds, ground[:, k], color="0.25", linewidth=0.6)
        axis.set_ylabel("ZNE"[k], rotation=0)
        axis.set_xlim(seconds[0], seconds[-1])
        axis.set_yticks([])
        for one in picks:
            at = (one.time_ns - chosen.start_ns) / NS
            axis.axvline(at, color=COLOURS[one.phase], linewidth=1.2)
            if k == 0:
                axis.text(
                    at,
                    1.02,
                    f"{one.phase} {one.prob:.2f}",
                    color=COLOURS[one.phase],
                    ha="right" if one.phase == "P" else "left",
                    transform=axis.get_xaxis_transform(),
                )
    top[2].set_xlabel(f"seconds after {format_time(chosen.start_ns)}")
    for column, phase in enumerate(("P", "S")):
        axis = figure.add_subplot(grid[3, column])
        first = next((one for one in picks if one.phase == phase), None)
        if first is None:
            axis.text(0.5, 0.5, f"no {phase} picked", ha="center", transform=axis.transAxes)
            continue
        at = (first.time_ns - chosen.start_ns) / NS
        near = (seconds > at - 0.8) & (seconds < at + 0.8)
        for k in range(3):
            axis.plot(seconds[near], ground[near, k], label="ZNE"[k], linewidth=0.9)
        axis.axvline(at, color=COLOURS[phase])
        axis.axvspan(at - first.sigma, at + first.sigma, color=COLOURS[phase], alpha=0.15)
        axis.set_title(f"{phase} at {format_time(first.time_ns)} ± {first.sigma:.2f} s", fontsize=10)
        axis.set_yticks([])
        axis.legend(loc="upper left", fontsize=8)
    figure.suptitle(f"{chosen.station}: {chosen.title}, picked from a serial port by edge-pick")
    figure.savefig(path, dpi=110)


def main() -> int:
    chosen = record()
    seconds = len(chosen.samples) / chosen.rate
    print(f"{chosen.station}: {chosen.title}, {seconds:.0f} s at {chosen.rate} Hz, replayed in real time")
    print("The record is old: where NTP keeps the time, edge-pick says that the digitizer's clock is off.")
    OUT.mkdir(exist_ok=True)
    picks = pick(chosen)
    (OUT / "picks.jsonl").write_text("".join(one.to_json() + "\n" for one in picks))
    draw(chosen, picks, OUT / "demo.png")
    print(f"{len(picks)} picks in {OUT / 'picks.jsonl'}, picture in {OUT / 'demo.png'}")
    return 0 if picks else 1


if __name__ == "__main__":
    sys.exit(main())
