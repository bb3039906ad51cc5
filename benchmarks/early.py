"""How soon an onset can be told, and how often that is taken back: the early picks of a card, drawn.

    python -m benchmarks.early edge/models/lppn.json --out docs/early.png

`convert` has measured them on its dev split, each threshold in a run of its own.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from edge.card import Card
from edge.cells import PHASES
from zoo.scores.figure import COLOUR, GRID, new_figure, save


def draw(card: Card, path: Path) -> None:
    """Share of early picks that are confirmed against the seconds that clear onsets wait, and both against
    the threshold.

    ValueError for a card without early picks.
    """
    curves = card.metrics.get("early")
    if not curves or not card.stream.early:
        raise ValueError(f"the card of {card.name} says nothing of early picks")
    title = f"{card.name}: early picks on {card.metrics['dev']['data']}"
    figure, (trade, share, wait) = new_figure(title, 1, 3, (12.5, 3.8))
    for phase in PHASES:
        points, colour, chosen = curves[phase], COLOUR[phase], card.stream.early[phase]
        at = [point["threshold"] for point in points]
        confirmed = [point["confirmed"] for point in points]
        share.plot(at, confirmed, "o-", color=colour, label=phase)
        for key, line, name in (("wait_p50_s", "o-", "half"), ("wait_p95_s", "o--", "95 %")):
            seconds = [point[key] for point in points]
            trade.plot(seconds, confirmed, line, color=colour, label=f"{phase}, {name} told by then")
            wait.plot(at, seconds, line, color=colour, label=f"{phase}, {name} told by then")
        for axis in (share, wait):
            axis.axvline(chosen, color=colour, linewidth=0.8, linestyle=":")
    trade.set(xlabel="seconds after a clear onset (10 dB)", ylabel="share confirmed", xlim=(0, None))
    share.set(xlabel="told from this probability on (dotted: the card's)", ylabel="share confirmed")
    wait.set(xlabel="told from this probability on", ylabel="seconds after a clear onset", ylim=(0, None))
    for axis in (trade, share):
        axis.set_ylim(0, 1.02)
    for axis in (trade, share, wait):
        axis.grid(color=GRID, linewidth=0.6)
        axis.legend(fontsize=7)
    save(figure, path)


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit status: 0, or 1 after one line on stderr that says what is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.early",
        description="Draws what a card says of early picks: how many are confirmed, and how soon they come.",
    )
    parser.add_argument("card", type=Path, help="a .json of `convert`")
    parser.add_argument("--out", type=Path, required=True, help="the picture, a .png")
    args = parser.parse_args(argv)
    try:
        draw(Card.from_json(args.card.read_bytes()), args.out)
    except (OSError, ValueError) as error:
        print(f"early: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
