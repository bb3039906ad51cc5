"""The picture of a run: where a hop's time goes, who costs what, and how many stations a core serves."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks.bench.compare import Comparison
from benchmarks.bench.peers import STEP, WHOLE
from benchmarks.bench.report import Report
from benchmarks.bench.stages import Stages
from benchmarks.bench.stations import Served
from zoo.scores.figure import COLOUR, GRID, INK, MUTED, save

BAR, OURS = "#9db8d2", COLOUR["P"]
AIM_STATIONS = 5000
LINES = 8
"""The height of a curve, in rows of bars."""


def draw(report: Report, path: Path) -> None:
    """A PNG of the parts that were measured, one under another."""
    parts: list[tuple[int, Callable[[Axes], None]]] = []
    if report.stages:
        parts.append((len(report.stages.times), partial(_stages, stages=report.stages)))
    if report.comparison:
        contestants = len(report.comparison.contestants)
        parts.append((contestants, partial(_contestants, comparison=report.comparison)))
    if report.served:
        parts.append((LINES, partial(_served, served=report.served)))
    heights = [rows for rows, _ in parts]
    figure = Figure((9, 0.8 + 0.33 * sum(heights) + 0.6 * len(parts)), layout="constrained")
    FigureCanvasAgg(figure)
    doubts = ["invalid: throttled"] if report.invalid else []
    doubts += ["smoke run"] if report.quick else []
    doubts += ["provisional: busy computer"] if report.machine.busy else []
    title = f"{report.model.identity} on {report.machine.board or report.machine.cpu}, one core"
    figure.suptitle("; ".join([title, *doubts]), x=0.01, ha="left", fontsize=11, color=INK)
    grid = figure.subplots(len(parts), 1, squeeze=False, height_ratios=heights)
    for axes, (_, drawing) in zip(grid.flat, parts, strict=True):
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(colors=MUTED, labelsize=8)
        drawing(axes)
    save(figure, path)


def _stages(axes: Axes, stages: Stages) -> None:
    """CPU time a hop of every stage; parts of a stage are lighter than what is one of its own."""
    times = stages.times
    values = [one.cpu_us for one in times.values()]
    colours = [BAR if "part of" in name else OURS for name in times]
    bars = axes.barh(list(times), values, color=colours, height=0.7)
    axes.bar_label(bars, [f"{value:,.0f} µs" for value in values], padding=3, fontsize=8, color=INK)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    hop_s = next(iter(times.values())).signal_s
    _titled(axes, f"One station, CPU time for a hop of {hop_s:g} s (light: part of a stage)", "µs")


def _contestants(axes: Axes, comparison: Comparison) -> None:
    """CPU time for a second of signal, with its range, on a logarithmic axis."""
    for row, one in enumerate(comparison.contestants):
        again_s = 1.0 if one.reruns else comparison.hop_s
        value, least, most = (us / again_s for us in (one.cpu_us, one.least_us, one.most_us))
        colour = OURS if one.name in (WHOLE, STEP) else MUTED
        axes.plot([least, most], [row, row], color=colour, linewidth=3, alpha=0.5)
        axes.plot(value, row, "o", color=colour)
        label = f"{value:,.0f} µs" if value < 10_000 else f"{value / 1000:,.1f} ms"
        axes.annotate(
            label, (most, row), xytext=(7, 0), textcoords="offset points", va="center", fontsize=8, color=INK
        )
    axes.set_yticks(range(len(comparison.contestants)), [one.name for one in comparison.contestants])
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.margins(x=0.12)
    axes.grid(color=GRID, linewidth=0.6)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    title = "CPU time for a second of signal, by hops (blue) or a window again each second (grey)"
    _titled(axes, title, f"µs, median and range of {comparison.rounds} rounds")


def _served(axes: Axes, served: list[Served]) -> None:
    """How many stations a core serves, by how many there are in the process."""
    counts = [one.stations for one in served]
    values = [one.stations_per_core for one in served]
    axes.plot(counts, values, "o-", color=OURS)
    for count, value in zip(counts, values, strict=True):
        axes.annotate(
            f"{value:,.0f}", (count, value), xytext=(0, 7), textcoords="offset points", ha="center",
            fontsize=8, color=INK,
        )  # fmt: skip
    axes.axhline(AIM_STATIONS, color=COLOUR["S"], linewidth=1)
    axes.annotate(
        f"aim: {AIM_STATIONS:,}", (0, AIM_STATIONS), xycoords=("axes fraction", "data"), xytext=(4, 3),
        textcoords="offset points", fontsize=8, color=COLOUR["S"],
    )  # fmt: skip
    axes.set_xscale("log", base=2)
    axes.set_xticks(counts, [f"{count:,}" for count in counts])
    axes.set_ylim(0, 1.25 * max(*values, AIM_STATIONS))
    axes.grid(color=GRID, linewidth=0.6)
    _titled(axes, "Stations that a core serves in real time, packets to picks", "stations in the process")


def _titled(axes: Axes, title: str, below: str) -> None:
    axes.set_title(title, loc="left", fontsize=9, color=INK)
    axes.set_xlabel(below, fontsize=8, color=MUTED)
