"""The classical baseline: STA/LTA triggers refined by AIC, written as a picks file for `edge-evaluate`.

    python -m benchmarks.sta_lta --data labelled --split dev --out sta_lta.json
    edge-evaluate sta_lta.json --data labelled --split dev

`--method sta_lta`: every trigger of the recursive STA/LTA (Withers et al. 1998) on the vertical is a P; the
highest ratio on the horizontals after it and before the next trigger is its S; each onset is the minimum of
the AIC (Maeda 1985) around the trigger. `--method ar`: one P and one S per trace by AR-AIC (Akazawa 2004),
as ObsPy's `ar_pick`. Either way the probability is a monotone function of the energy ratio, log r / log 20,
so that a threshold can be swept as for a network.

Bands and windows were chosen on the training split alone, by the sum of F1 at 0.1 and 0.5 s, among bands
1–20, 2–20, 3–20, 2–40, 3–40, 4–40 Hz; STA/LTA windows for P of 0.2/5, 0.3/5, 0.5/5, 0.5/10, 1/3, 1/4, 1/5,
1/10, 0.5/20 s and for S of 0.2/2, 0.3/2, 0.3/3, 0.5/2, 0.5/5, 1/5, 1/10 s; least S−P of 0.3, 0.7, 1, 1.5 s;
for `ar_pick` 1–20, 2–40, 3–40 Hz with the windows of ObsPy's documentation.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from obspy.signal.trigger import aic_simple, ar_pick, recursive_sta_lta, trigger_onset
from scipy.signal import butter, sosfilt, sosfilt_zi
from tqdm import tqdm

from benchmarks.peers import ratio_probability
from edge.pick import Phase
from edge.resample import resample
from zoo.data.seisbench import Trace, read_rows, read_traces
from zoo.scores.pickfile import StoredPick, write_trace_picks

Signal = NDArray[np.float64]

RATE = 100
BAND_HZ: Mapping[Phase, tuple[float, float]] = {"P": (3.0, 40.0), "S": (1.0, 20.0)}
STA_LTA_S: Mapping[Phase, tuple[float, float]] = {"P": (1.0, 4.0), "S": (0.3, 2.0)}
AIC_S: Mapping[Phase, tuple[float, float]] = {"P": (1.0, 0.8), "S": (1.0, 0.3)}
"""Seconds before and after the trigger that are searched for the onset."""
TRIGGER_ON, TRIGGER_OFF = 1.8, 1.0
S_AFTER_P_S = (1.0, 25.0)
AR_BAND_HZ = (2.0, 40.0)


def pick_sta_lta(trace: Trace) -> list[StoredPick]:
    """P and S onsets of one trace, in samples at the trace's own rate; see the module's text."""
    samples = at_100_hz(trace)
    present = ["ZNE".index(letter) for letter in trace.present]
    vertical = bandpassed(samples, "P")[:, present[0]]
    horizontals = bandpassed(samples, "S")[:, [k for k in present if k] or present]
    loudest = horizontals[:, int(np.argmax(horizontals.std(axis=0)))]
    p_ratio = energy_ratio(vertical, "P")
    s_ratio = energy_ratio(np.linalg.norm(horizontals, axis=1), "S")
    triggers = trigger_onset(p_ratio, TRIGGER_ON, TRIGGER_OFF)
    onsets = [refined(vertical, int(on), "P") for on, _ in triggers]
    picks: list[StoredPick] = []
    ends = [*onsets[1:], len(vertical)][: len(onsets)]
    for (on, off), onset, end in zip(triggers, onsets, ends, strict=True):
        picks.append(("P", at_own_rate(onset, trace), ratio_probability(p_ratio[on : off + 1].max())))
        first, last = (onset + round(seconds * RATE) for seconds in S_AFTER_P_S)
        after = s_ratio[first : min(last, end)]
        if len(after):
            s_onset = refined(loudest, first + int(after.argmax()), "S")
            picks.append(("S", at_own_rate(s_onset, trace), ratio_probability(after.max())))
    return picks


def pick_ar(trace: Trace) -> list[StoredPick]:
    """One P and one S by ObsPy's `ar_pick`, the vertical standing in for components that are absent.

    The probability is that of the highest STA/LTA ratio in the second after the onset.
    """
    samples = at_100_hz(trace)
    # An AR model of a stretch tapered to nothing is singular: a millionth of the peak keeps it regular.
    samples = samples + np.random.default_rng(0).normal(0.0, 1e-6, samples.shape)
    z, n, e = (
        samples[:, "ZNE".index(letter if letter in trace.present else trace.present[0])] for letter in "ZNE"
    )
    onsets_s = ar_pick(z, n, e, RATE, *AR_BAND_HZ, 1.0, 0.1, 4.0, 1.0, 2, 8, 0.1, 0.2)
    ratios = {"P": energy_ratio(bandpassed(z[:, None], "P")[:, 0], "P")}
    ratios["S"] = energy_ratio(np.linalg.norm(bandpassed(np.stack([n, e], axis=1), "S"), axis=1), "S")
    picks: list[StoredPick] = []
    phases: tuple[Phase, Phase] = ("P", "S")
    for phase, onset_s in zip(phases, onsets_s, strict=True):
        after = ratios[phase][round(onset_s * RATE) :][:RATE]
        if onset_s > 0 and len(after):  # 0 is ar_pick's way to say that it found nothing
            picks.append((phase, onset_s * trace.rate, ratio_probability(after.max())))
    return picks


def at_100_hz(trace: Trace) -> Signal:
    """(n, 3) at 100 Hz, scaled to a maximum of 1: AIC takes logarithms of variances, and m/s are tiny."""
    samples = np.asarray(trace.samples, np.float64)
    return resample(samples / max(float(np.abs(samples).max()), 1e-30), trace.rate, RATE)


def at_own_rate(sample: int, trace: Trace) -> float:
    return float(sample * trace.rate / RATE)


def bandpassed(samples: Signal, phase: Phase) -> Signal:
    """Causal fourth-order Butterworth band of the phase, settled on the first sample; (n, channels)."""
    sections = butter(4, BAND_HZ[phase], "bandpass", fs=RATE, output="sos")
    settled = sosfilt_zi(sections)[:, :, None] * samples[0]
    filtered: Signal = sosfilt(sections, samples, axis=0, zi=settled)[0]
    return filtered


def energy_ratio(signal: Signal, phase: Phase) -> Signal:
    """Recursive STA/LTA of the squared signal. A station has been listening before its trace begins: the
    first second, mirrored over and over, stands in for what it heard, so that early onsets can trigger."""
    short, long = (round(seconds * RATE) for seconds in STA_LTA_S[phase])
    before = np.pad(signal[:RATE], (long, 0), mode="reflect")[:long]
    ratio = recursive_sta_lta(np.concatenate([before, signal]), short, long)[long:]
    return np.where(np.isfinite(ratio), ratio, 0.0)  # 0 / 0 where the signal is dead


def refined(signal: Signal, trigger: int, phase: Phase) -> int:
    """The onset near a trigger: where the AIC of the signal around it is least."""
    before, after = (round(seconds * RATE) for seconds in AIC_S[phase])
    start = max(trigger - before, 0)
    aic = aic_simple(signal[start : trigger + after])
    edge = RATE // 20  # a variance of a few samples says nothing
    inner = aic[edge:-edge]
    return start + edge + 1 + int(np.argmin(inner)) if len(inner) and np.isfinite(inner).all() else trigger


METHODS: Mapping[str, Callable[[Trace], list[StoredPick]]] = {"sta_lta": pick_sta_lta, "ar": pick_ar}


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit status: 0, or 1 after one line on stderr that says what is wrong."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.sta_lta", description="Picks labelled traces by the classical STA/LTA and AIC."
    )
    parser.add_argument("--data", type=Path, required=True, help="labelled traces (SeisBench folder)")
    parser.add_argument("--split", help="only this split, e.g. dev or test")
    parser.add_argument("--method", choices=sorted(METHODS), default="sta_lta")
    parser.add_argument("--out", type=Path, required=True, help="picks file to write, .json")
    args = parser.parse_args(argv)
    try:
        total = len(read_rows(args.data, args.split))
        traces = tqdm(read_traces(args.data, args.split), "picking", total, disable=not sys.stderr.isatty())
        write_trace_picks(args.out, {trace.name: METHODS[args.method](trace) for trace in traces})
    except (OSError, ValueError) as error:
        print(f"sta_lta: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
