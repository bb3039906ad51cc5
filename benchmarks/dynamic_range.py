"""How much of a small P before a large S survives: recall of P against the S/P amplitude ratio.

    python -m benchmarks.dynamic_range edge/models/lppn.tflite zoo/weights/lppn.keras \\
        --data labelled --split dev --out docs/dynamic_range.png --json dynamic_range.json

Records are real ones with both phases labelled, high-passed by the station's own filter; of those where P
then has an SNR of 10 dB or more, which takes the 2 s after it, and S comes no sooner than those have passed,
the first 500. All from the S label on is multiplied so that the largest value of the 5 s after S over that
between P and S is the wanted ratio, the factor growing over the 0.1 s before S. What precedes, noise and P,
is the same at every ratio: a P that is lost is lost to eight bits, to the normalisation, or to what the
network makes of so large a neighbour. Only an S that comes before the picker has decided on P, at most a hop
and the look-ahead later, can do that; a P whose S is farther away is safe at any ratio. Samples stay
fractions, scaled to a 24-bit digitizer's full scale, and run through the station's own time line and picker.

All models pick at one threshold for P, by default that of the first one's card, so name the .tflite first:
`convert` sets the threshold of its card, where that of a .keras still is the placeholder of its training.

A model of the normalisation `max-abs`, division by the window's largest value as LPPN was published, is the
control: a P that is 48 dB below the S of its component is half a step of its int8 input.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks.origin import Origin, command
from edge.model import Network
from edge.preprocess import highpassed
from zoo.data.seisbench import Trace, read_traces
from zoo.runner import open_network, trace_picks
from zoo.scores import scoring
from zoo.scores.figure import GRID, new_figure, save
from zoo.scores.scoring import SNR_WINDOW_S, Score, labels_of

RATIOS_DB = tuple(range(0, 61, 6))
"""Steps of a factor of two: one bit each."""
TOLERANCES_S = (0.5, 0.1)
MOST_TRACES = 500
LEAST_SNR_DB = 10.0
LEAST_S_P_S = SNR_WINDOW_S
"""With less, the SNR of P would be that of S."""
CORNER_HZ = 1.0
S_PART_S = 5.0
FADE_S = 0.1


@dataclass(frozen=True, slots=True)
class Point:
    """One model at one ratio (dB): the counts of P by tolerance (seconds)."""

    ratio_db: float
    scores: dict[float, Score]


@dataclass(frozen=True, slots=True)
class Curve:
    """One model at all ratios; `label` tells it from the others."""

    label: str
    points: list[Point]


def fits(trace: Trace) -> bool:
    """Whether a trace has both labels, a clear P, an S that is late enough, and signal in both parts."""
    labels = labels_of(trace)
    p_s, s_s = labels.onset_s["P"], labels.onset_s["S"]
    if p_s is None or s_s is None or not 0 < p_s <= s_s - LEAST_S_P_S:
        return False
    p_peak, s_peak = peaks(trace)
    return labels.snr_db["P"] >= LEAST_SNR_DB and p_peak > 0 and s_peak > 0


def peaks(trace: Trace) -> tuple[float, float]:
    """Largest absolute values of any component: from P to where the cross-fade begins, and of the 5 s after
    S; 0 where there is no sample. The trace has both labels."""
    assert trace.p_sample is not None
    assert trace.s_sample is not None
    s = round(trace.s_sample)
    p_part = trace.samples[round(trace.p_sample) : s - round(FADE_S * trace.rate)]
    s_part = trace.samples[s : s + round(S_PART_S * trace.rate)]
    return float(np.abs(p_part).max(initial=0.0)), float(np.abs(s_part).max(initial=0.0))


def without_drift(trace: Trace) -> Trace:
    """The trace above 1 Hz, in float64: drift times a thousand would be an onset of its own."""
    return replace(trace, samples=highpassed(trace.samples.astype(np.float64), CORNER_HZ, trace.rate))


def with_ratio(trace: Trace, ratio_db: float) -> Trace:
    """The trace multiplied from S on, so that its `peaks` have this ratio; nothing before the 0.1 s of the
    cross-fade is changed."""
    assert trace.s_sample is not None
    s, fade = round(trace.s_sample), round(FADE_S * trace.rate)
    p_peak, s_peak = peaks(trace)
    factor = 10 ** (ratio_db / 20) * p_peak / s_peak
    weight = np.clip((np.arange(len(trace.samples)) - (s - fade)) / max(fade, 1), 0.0, 1.0)
    return replace(trace, samples=trace.samples * (1.0 + weight * (factor - 1.0))[:, None])


def measure(network: Network, label: str, traces: Sequence[Trace], threshold: float) -> Curve:
    """P of `traces`, which are high-passed, picked by one model at all ratios."""
    labels = [labels_of(trace) for trace in traces]
    points = []
    for ratio_db in tqdm(RATIOS_DB, label, disable=not sys.stderr.isatty()):
        picks = trace_picks(network, [with_ratio(trace, ratio_db) for trace in traces], threshold)
        comparison = scoring.compare(labels, picks, "P")
        scores = {tolerance: scoring.score(comparison, tolerance, threshold) for tolerance in TOLERANCES_S}
        points.append(Point(ratio_db, scores))
    return Curve(label, points)


def table(curves: Sequence[Curve]) -> str:
    """Recall of P in percent, a line per model and tolerance and a column per ratio."""
    width = max(len(curve.label) for curve in curves)
    lines = [f"{'S/P, dB':{width}}         " + "".join(f"{ratio:>5d}" for ratio in RATIOS_DB)]
    for curve in curves:
        for tolerance in TOLERANCES_S:
            recalls = (100 * point.scores[tolerance].recall for point in curve.points)
            numbers = "".join(f"{recall:>5.0f}" for recall in recalls)
            lines.append(f"{curve.label:{width}}  ±{tolerance:g} s  {numbers}")
    return "\n".join(lines)


def draw(path: Path, title: str, curves: Sequence[Curve]) -> None:
    """Recall of P against the ratio, an axis per tolerance and a line per model."""
    figure, axes = new_figure(title, 1, len(TOLERANCES_S), (9.6, 4.2))
    for axis, tolerance in zip(axes, TOLERANCES_S, strict=True):
        for rank, curve in enumerate(curves):
            # Each smaller than the one before, so that curves that coincide are all seen.
            size = 2 * (len(curves) - rank)
            recalls = [point.scores[tolerance].recall for point in curve.points]
            axis.plot(RATIOS_DB, recalls, "o-", markersize=2 + size, linewidth=size / 2, label=curve.label)
        axis.set_title(f"within {tolerance:g} s", loc="left", fontsize=10)
        axis.set(xlabel="S/P amplitude, dB", ylabel="recall of P", ylim=(0.0, 1.02), xticks=RATIOS_DB)
        axis.grid(color=GRID, linewidth=0.6)
    figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    save(figure, path)


def report(
    args: argparse.Namespace, threshold: float, traces: Sequence[Trace], curves: Sequence[Curve]
) -> dict[str, Any]:
    """All as plain numbers, with the command that made them; names in place of paths."""
    words = (*args.models, "--data", args.data, "--split", args.split, "--threshold", f"{threshold:g}")
    return {
        **asdict(Origin(command("dynamic_range", *words), args.data.resolve().name, (args.split,))),
        "threshold": threshold,
        "traces": [trace.name for trace in traces],
        "curves": [
            {
                "model": curve.label,
                "points": [
                    {
                        "ratio_db": point.ratio_db,
                        **{
                            f"{tolerance:g}": {
                                "found": score.tp,
                                "false": score.fp,
                                "recall": round(score.recall, 4),
                            }
                            for tolerance, score in point.scores.items()
                        },
                    }
                    for point in curve.points
                ],
            }
            for curve in curves
        ],
    }


def label_of(path: Path, network: Network) -> str:
    """What a model is called here: its file, its arithmetic and its normalisation."""
    arithmetic = network.card.quantisation.get("dtype", "float32") if path.suffix == ".tflite" else "float32"
    return (
        f"{path.resolve().parent.name}/{path.name}, {arithmetic}, {network.card.input.normalisation['name']}"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit status: 0, or 1 after one line on stderr that says what is wrong."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.dynamic_range",
        description="Recall of P against the amplitude of S over that of P, from 0 to 60 dB.",
    )
    parser.add_argument("models", type=Path, nargs="+", metavar="MODEL", help=".tflite or .keras, with cards")
    parser.add_argument(
        "--data", type=Path, required=True, help="labelled traces (SeisBench or STEAD folder)"
    )
    parser.add_argument("--split", default="dev", help="of the data (default dev)")
    parser.add_argument(
        "--threshold", type=float, help="for P, of all models (default: that of the first model's card)"
    )
    parser.add_argument("--out", type=Path, metavar="PNG", help="plot to write")
    parser.add_argument("--json", type=Path, metavar="FILE", help="measurements to write")
    args = parser.parse_args(argv)
    try:
        networks = {path: open_network(path) for path in args.models}
        first = networks[args.models[0]].card
        threshold = first.thresholds["P"] if args.threshold is None else args.threshold
        if not 0 < threshold < 1:
            raise ValueError(f"--threshold {threshold:g}: expected a probability between 0 and 1")
        suited = (trace for trace in map(without_drift, read_traces(args.data, args.split)) if fits(trace))
        traces = list(islice(suited, MOST_TRACES))
        if not traces:
            raise ValueError(
                f"{args.data} has no trace in {args.split} with a P of {LEAST_SNR_DB:g} dB and an S at least "
                f"{LEAST_S_P_S:g} s later; name another --data or --split"
            )
        curves = [
            measure(network, label_of(path, network), traces, threshold) for path, network in networks.items()
        ]
        setting = f"{len(traces)} traces, threshold {threshold:g}"
        print(f"recall of P in percent, {setting}\n{table(curves)}")
        if args.out:
            title = f"P before a large S: {args.data.resolve().name}, {args.split}, {setting}"
            draw(args.out, title, curves)
        if args.json:
            content = json.dumps(report(args, threshold, traces, curves), indent=1, ensure_ascii=False)
            args.json.write_text(content + "\n", encoding="utf-8")
    except (OSError, ValueError, RuntimeError) as error:
        print(f"dynamic_range: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
