"""The plot of false picks per hour against recall on continuous records."""

from collections.abc import Mapping
from itertools import cycle
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from edge.cells import PHASES
from edge.pick import Phase
from zoo.scores.figure import GRID, INK, MUTED, new_figure, save
from zoo.scores.rates import Curve, Rates

PEER_COLOURS = ("#e08a00", "#0b9174", "#b05fa6", "#5b8bd0")
LEAST_RECALL = 0.3


def draw_rates(
    path: Path,
    title: str,
    groups: Mapping[str, Mapping[Phase, Rates]],
    thresholds: Mapping[Phase, float],
) -> None:
    """A row by group of records, P beside S: the picker under test black, solid as all peers judge it and
    dashed as they judge each other; the peers in colour; a dot at the threshold in use. The rate is on a
    log axis that ends in a line for "none in these hours".
    """
    figure, axes = new_figure(title, len(groups), len(PHASES), (10.5, 0.9 + 4.0 * len(groups)))
    places = iter(axes)
    for name, phases in groups.items():
        for phase in PHASES:
            axis = next(places)
            _draw(axis, phases[phase], thresholds[phase])
            about = f"{phases[phase].hours:.4g} h, {phases[phase].agreed} agreed on by all peers"
            axis.set_title(f"{name}, {phase}: {about}", loc="left", fontsize=10)
    save(figure, path)


def _draw(axis: Axes, one: Rates, threshold: float) -> None:
    floor = 1 / one.hours / (2 * len(one.peers))  # a mean over n juries can be 1/n of a pick
    least = floor / 1.6
    for (name, curve), colour in zip(one.peers.items(), cycle(PEER_COLOURS)):
        _line(axis, curve, one.hours, floor, colour, "-", 1.5, f"{name}, judged by the others")
    _line(axis, one.less_one, one.hours, floor, INK, "--", 1.8, "picker, judged by all but one (mean)")
    _line(axis, one.all_judges, one.hours, floor, INK, "-", 2.2, "picker, judged by all peers")
    for curve in (one.less_one, one.all_judges):
        used = curve.at_threshold(threshold)
        if used:
            rate = max(used.false / one.hours, floor)
            axis.plot(used.recall, rate, "o", color=INK, markersize=6, zorder=5)
    axis.axhline(floor, color=MUTED, linewidth=0.9, linestyle=":")
    axis.text(1.0, floor, f"none in {one.hours:.4g} h", color=MUTED, fontsize=8, ha="right", va="bottom")
    highest = max(
        [20 * floor, *(c.false.max(initial=0) / one.hours for c in (one.less_one, *one.peers.values()))]
    )
    axis.set_yscale("log")
    axis.set(xlim=(LEAST_RECALL, 1.005), ylim=(least, 1.6 * highest))
    axis.set(xlabel="recall of picks that all peers agree on", ylabel="false picks per hour")
    axis.grid(color=GRID, linewidth=0.6)
    axis.set_axisbelow(True)
    axis.legend(loc="upper left", frameon=False, fontsize=8)


def _line(
    axis: Axes, curve: Curve, hours: float, floor: float, colour: str, style: str, width: float, label: str
) -> None:
    rate = np.maximum(curve.false / hours, floor)
    axis.plot(curve.recall, rate, style, color=colour, linewidth=width, label=label)
