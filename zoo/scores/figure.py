"""What all figures of an evaluation share: paper, ink and axes; drawn without a display."""

from collections.abc import Mapping
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from edge.pick import Phase

COLOUR: Mapping[Phase, str] = {"P": "#1f6fb4", "S": "#c8402f"}
INK, MUTED, GRID = "#222222", "#6b6b6b", "#dddddd"


def new_figure(title: str, rows: int, columns: int, size: tuple[float, float]) -> tuple[Figure, list[Axes]]:
    """A figure of `size` inches with its axes, row by row."""
    figure = Figure(size, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, color=INK)
    axes: list[Axes] = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(colors=MUTED, labelsize=8)
    return figure, axes


def save(figure: Figure, path: Path) -> None:
    """As a PNG."""
    figure.savefig(path, dpi=110)
