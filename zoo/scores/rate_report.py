"""The part of a report on false picks per hour at equal recall."""

from collections.abc import Mapping
from typing import Any

from zoo.scores.table import markdown_table

SHOWN_RECALLS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)

RULE = """\
Recall is that of picks on which all peers agree. A pick is false where no judge has one within 0.5 s. The
picker is judged by all peers, and, since more judges confirm more, by all but one (mean over who is left
out), which is like for like with the peers: each is judged by the others, for no pick can confirm itself.
Recall favours the peers, whose picks make up the reference. Each figure is at the highest threshold that
reaches the recall; in brackets false picks in all; – where no threshold reaches it."""


def rates_section(groups: Mapping[str, Any], operating: Mapping[str, float]) -> list[str]:
    """Markdown, a table by group of records and phase."""
    parts = ["### False picks per hour at equal recall", RULE]
    for name, phases in groups.items():
        for phase, measured in phases.items():
            about = f"{measured['hours']:.4g} h, {measured['agreed']} agreed on by all peers"
            parts += [f"**{name}, {phase}** ({about})", _table(measured, operating[phase])]
    return parts


def _table(measured: Mapping[str, Any], threshold: float) -> str:
    rows = [(f"{row['recall']:.2f}", row) for row in measured["at_recall"] if row["recall"] in SHOWN_RECALLS]
    if operating := measured["operating"]:
        rows.append((f"{operating['recall']:.3f}, at threshold {threshold:.2f}", operating))
    peers = list(dict.fromkeys(peer for _, row in rows for peer in row["peers"]))
    return markdown_table(
        ("recall", "picker, all judges", "picker, all but one", *peers),
        [
            (
                name,
                *(_cell(row[key]) for key in ("all_judges", "less_one")),
                *(_cell(row["peers"][p]) for p in peers),
            )
            for name, row in rows
        ],
    )


def _cell(point: Mapping[str, float] | None) -> str:
    return "–" if point is None else f"{point['false_per_hour']:.2f} ({round(point['false'], 1):g})"


EVENTS = """\
Of the picks that no judge confirms, the share at whose time judges have picks at two other stations within
10 s (at the other one, where there are only two), and what that share is by chance, with the picks moved by
minutes. Far above chance, many of them are events. The picker is at its thresholds, its peers at the same
recall."""


def corroboration_section(sources: Mapping[str, Any]) -> list[str]:
    """Markdown, a row by source, phase and picker."""
    rows = [
        (source, phase, name, f"{one['unconfirmed']}", _share(one["corroborated"]), _share(one["chance"]))
        for source, phases in sources.items()
        for phase, pickers in phases.items()
        for name, one in pickers.items()
    ]
    head = ("source", "", "picker", "unconfirmed", "seen elsewhere", "by chance")
    return ["### Unconfirmed picks that other stations corroborate", EVENTS, markdown_table(head, rows)]


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
