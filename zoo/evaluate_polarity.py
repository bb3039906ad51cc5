"""`edge-evaluate --task polarity`: scores first motions at the analyst's onsets and at the picker's own.

Every labelled P counts whose first motion the analyst has told, models and files of picks by the same lines.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edge.first_motion import Polariser
from edge.model import load_model
from edge.polarity import Reader, load_polarity, up
from zoo.data.seisbench import Trace, read_traces
from zoo.polarity.onsets import at_labels, at_picks, labelled, logits_of, motions, nearest, onset_of
from zoo.runner import MODELS
from zoo.scores.pickfile import read_trace_motions
from zoo.scores.polarity import Motions, by_snr, curve, measured
from zoo.scores.polarity_report import polarity_report

TOLD = 0.5
"""Threshold of a file of picks: whoever made it has decided what is unknown."""


def evaluate_polarity(
    model: Path, data: Path, split: str | None, picker: str | None, out: Path | None, command: str
) -> str:
    """Scores a model or a file of picks on a SeisBench folder; fills the folder `out`; the report as text.

    ValueError or FileNotFoundError for what cannot be scored, what the readers of models raise.
    """
    traces = [trace for trace in read_traces(data, split) if labelled(trace)]
    if model.suffix in MODELS:
        reader = open_polarity(model)
        threshold = reader.card.threshold
        scored = by_model(reader, traces)
    else:
        threshold = TOLD
        scored = {"at the picks": by_file(model, picker, traces)}
    if not any(len(one.names) for one in scored.values()):
        raise ValueError(f"{data} has no labelled first motion in these traces: nothing to score")
    title = f"{picker or model.name} on {data.resolve().name}" + (f", {split}" if split else "")
    metrics: dict[str, Any] = {
        "command": command,
        "title": title,
        "threshold": threshold,
        "onsets": {
            who: {
                **measured(one, threshold),
                "by_snr_db": {
                    name: measured(part, threshold) for name, part in by_snr(one).items() if len(part.names)
                },
                "curve": [[point.threshold, point.told, point.right] for point in curve(one)],
            }
            for who, one in scored.items()
        },
    }
    figures: list[str] = []
    if out:
        from zoo.scores.polarity_plots import draw_polarity  # matplotlib is slow to load

        out.mkdir(parents=True, exist_ok=True)
        figures = draw_polarity(out, title, scored, threshold)
        content = json.dumps(metrics, indent=1, ensure_ascii=False, allow_nan=False)
        (out / "metrics.json").write_text(content + "\n", encoding="utf-8")
        (out / "report.md").write_text(polarity_report(metrics, figures) + "\n", encoding="utf-8")
    return polarity_report(metrics, ())


def open_polarity(path: Path) -> Reader:
    """A .tflite or a .keras with its card. FileNotFoundError, CardError, BackendError."""
    if path.suffix == ".keras":
        from zoo.polarity_network import load_polarity_keras  # brings TensorFlow

        keras_reader: Reader = load_polarity_keras(path)
        return keras_reader
    return load_polarity(path)


def by_model(reader: Reader, traces: Sequence[Trace]) -> dict[str, Motions]:
    """Around the analyst's onsets, and around those of the shipped picker."""
    network = load_model()
    shown = {
        "at the analyst's onsets": at_labels(traces, reader.card.input),
        f"at the onsets of {network.card.identity}": at_picks(traces, network, Polariser(reader)),
    }
    return {who: motions(onsets, up(logits_of(reader, onsets), reader.card)) for who, onsets in shown.items()}


def by_file(path: Path, picker: str | None, traces: Sequence[Trace]) -> Motions:
    """What a file says of the pick nearest to each label. ValueError for a trace that it lacks."""
    stored = read_trace_motions(path, picker)
    told = [onset_of(trace) for trace in traces]
    prob_up = np.full(len(told), np.nan)
    for k, trace in enumerate(traces):
        if trace.name not in stored:
            raise ValueError(f"{path.name} lacks trace {trace.name!r}; one without picks has an empty list")
        made = stored[trace.name]
        if found := nearest(trace, [sample / trace.rate for sample, _ in made]):
            prob_up[k] = made[found[0]][1]
    return motions(told, prob_up)
