"""What was measured, as JSON and as Markdown."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.bench.compare import Comparison
from benchmarks.bench.footprint import Install, ModelSize
from benchmarks.bench.machine import Health, Machine, throttling
from benchmarks.bench.process import Replayed, Started
from benchmarks.bench.stages import Stages
from benchmarks.bench.stations import Flood, Served
from zoo.scores.table import markdown_table

FORMAT = 1


@dataclass
class Report:
    """All of one run. `health`: looks at the computer before, between and after the parts. `skipped`: what
    could not be measured here, with the reason. Parts that were not asked for are None or empty."""

    command: str
    quick: bool
    records: list[str]
    machine: Machine
    model: ModelSize
    install: Install
    health: list[Health] = field(default_factory=list)
    stages: Stages | None = None
    served: list[Served] = field(default_factory=list)
    flood: Flood | None = None
    started: Started | None = None
    replayed: list[Replayed] = field(default_factory=list)
    comparison: Comparison | None = None
    skipped: dict[str, str] = field(default_factory=dict)

    @property
    def invalid(self) -> list[str]:
        """Why the figures do not count; empty where they do."""
        return throttling(self.health)

    @property
    def edge_tpu(self) -> str | None:
        """Where an Edge TPU is, whether it is what the model ran on."""
        if not self.machine.edge_tpu or not self.stages:
            return None
        used = (
            "used"
            if "tpu" in self.stages.device.lower()
            else f"not used: the model ran on {self.stages.device}"
        )
        return f"on {self.machine.edge_tpu}, {used}"

    def to_json(self) -> str:
        """One object; its keys are listed in docs/benchmarks.md."""
        verdict = {"valid": not self.invalid, "invalid_because": self.invalid, "edge_tpu": self.edge_tpu}
        content = {"edge_bench": FORMAT, **verdict, **asdict(self)}
        return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def write(report: Report, stem: Path) -> str:
    """STEM.json and STEM.md; the latter's text. OSError where that cannot be."""
    text = markdown(report)
    stem.with_suffix(".json").write_text(report.to_json(), encoding="utf-8")
    stem.with_suffix(".md").write_text(text, encoding="utf-8")
    return text


def markdown(report: Report) -> str:
    """The whole report."""
    return "\n\n".join(_parts(report)) + "\n"


def _parts(report: Report) -> Iterator[str]:
    machine = report.machine
    yield f"# edge-bench: {report.model.identity} on {machine.board or machine.cpu}"
    for reason in report.invalid:
        yield f"**Invalid: {reason}.**"
    if report.quick:
        yield "**A smoke run (`--quick`): too few runs to tell anything.**"
    if machine.busy:
        yield (
            f"**Provisional: other programs kept the computer busy** (load {machine.load_1min:g} on "
            f"{machine.cores} cores before the run). Times of the wall clock suffer most."
        )
    yield f"`{report.command}`"
    yield "\n".join(f"- {line}" for line in _machine_lines(report))
    if report.stages:
        yield "## One station, hop by hop"
        yield _stages(report.stages, report.model)
    if report.served:
        yield "## Many stations in one process"
        yield _served(report.served)
    if report.flood:
        yield (
            f"If one of {report.flood.stations} delivers {report.flood.flood_s} s at once, all have their "
            f"picks after {report.flood.flooded_ms:.0f} ms instead of {report.flood.quiet_ms:.0f} ms."
        )
    if report.started or report.replayed:
        yield "## The program"
        yield _program(report)
    if report.comparison:
        yield "## Beside its peers"
        yield _comparison(report.comparison)
    if report.skipped:
        yield "## Skipped"
        yield "\n".join(f"- {what}: {why}" for what, why in report.skipped.items())


def _machine_lines(report: Report) -> Iterator[str]:
    machine, model = report.machine, report.model
    memory = f", {machine.memory_mb / 1024:.1f} GB" if machine.memory_mb else ""
    core = f"pinned to core {machine.core}" if machine.core is not None else "not pinned to a core"
    yield f"{machine.cpu}, {machine.architecture}, {machine.cores} cores{memory}, {machine.kernel}; {core}"
    yield f"Python {machine.python}, " + ", ".join(
        f"{name} {what}" for name, what in machine.packages.items()
    )
    macs = "" if model.mmac_hop is None else (
        f", {model.mmac_hop:.2f} MMAC a hop, {model.mmac_per_signal_s:.2f} MMAC a second of signal"
    )  # fmt: skip
    yield (
        f"model {model.identity}: {model.kilobytes:.0f} kB{macs}, hops of {model.hop_s:g} s, "
        f"{model.cells_per_s:g} cells a second"
    )
    ground = ", ".join(report.records) or "synthetic, six earthquakes an hour"
    yield f"ground motion: {ground}; 3 x 100 samples a second"
    if report.stages:
        yield f"runs on {report.stages.runtime}, {report.stages.device}"
    if report.edge_tpu:
        yield f"Edge TPU {report.edge_tpu}"
    temperatures = [one.temperature_c for one in report.health if one.temperature_c is not None]
    if temperatures:
        yield f"temperature {temperatures[0]:.0f} °C before, {max(temperatures):.0f} °C at most"
    speeds = [one.frequency_mhz for one in report.health if one.frequency_mhz is not None]
    if speeds:
        yield f"clock {min(speeds):.0f} to {max(speeds):.0f} MHz, governor {report.health[0].governor}"
    bits = [one.throttled for one in report.health if one.throttled is not None]
    if bits:
        yield f"throttle bits {bits[0]:#x} before, {bits[-1]:#x} after"


def _stages(stages: Stages, model: ModelSize) -> str:
    head = (
        "stage",
        "first µs",
        "p50",
        "p95",
        "p99",
        "max",
        "CPU µs",
        "times real time",
        "CPU s a station-day",
    )
    rows = [
        (
            name,
            *(f"{value:,.0f}" for value in (one.first_us, one.p50_us, one.p95_us, one.p99_us, one.max_us)),
            f"{one.cpu_us:,.0f}",
            f"{one.realtime_factor:,.0f}",
            f"{one.cpu_s_per_station_day:,.1f}",
        )
        for name, one in stages.times.items()
    ]
    runs = min(one.runs for one in stages.times.values())
    table = markdown_table(head, rows)
    return (
        f"{table}\n\nµs a hop of {model.hop_s:g} s, or a first motion; {runs:,} steady runs; "
        f"{stages.picks} picks meanwhile. First motions, one a minute, add {stages.polarity_share:.2%} to "
        "the cost of picking."
    )


def _served(served: list[Served]) -> str:
    head = (
        *("stations", "CPU µs a station-second", "stations a core in real time"),
        *("median s for 1 s of all", "slowest", "kB a station", "peak RSS MB", "s measured"),
    )
    rows = [
        (
            f"{one.stations:,}", f"{one.cpu_us_per_station_s:,.1f}", f"{one.stations_per_core:,.0f}",
            f"{one.median_s:.3f}", f"{one.slowest_s:.3f}", f"{one.kb_per_station:,.0f}",
            f"{one.peak_rss_mb:,.0f}", f"{one.seconds}",
        )
        for one in served
    ]  # fmt: skip
    return f"{markdown_table(head, rows)}\n\nPackets of 1 s and three components, to picks."


def _program(report: Report) -> str:
    rows = [("base install on disk", f"{report.install.total_mb:.0f} MB")]
    largest = list(report.install.megabytes.items())[:4]
    rows.append(("of it", ", ".join(f"{name} {size:.0f} MB" for name, size in largest)))
    if started := report.started:
        rows += [
            ("import", f"{started.import_s:.2f} s"),
            ("program start to open port", f"{started.open_s:.2f} s"),
            ("program start to first sample taken", f"{started.first_sample_s:.2f} s"),
            ("peak RSS, live", f"{started.peak_rss_mb:.0f} MB"),
        ]
    for one in report.replayed:
        records = f", records of {one.record_bytes} B" if one.record_bytes else ""
        rows.append(
            (
                f"replay of {one.signal_s / 3600:.4g} h{records} ({one.megabytes:.1f} MB)",
                f"{one.wall_s:.1f} s, CPU {one.cpu_s:.1f} s, {one.signal_s / one.wall_s:,.0f} times real "
                f"time, peak RSS {one.peak_rss_mb:.0f} MB, {one.picks} picks",
            )
        )
    table: str = markdown_table(("what", "measured"), rows)
    return table


def _comparison(comparison: Comparison) -> str:
    head = (
        "contestant",
        "parameters",
        "CPU µs a call",
        "µs a signal-second, a call a hop",
        "… a call a second",
    )
    rows = [
        (
            one.name,
            "" if one.parameters is None else f"{one.parameters:,}",
            f"{one.cpu_us:,.0f} ({one.least_us:,.0f}–{one.most_us:,.0f})",
            f"{one.cpu_us / comparison.hop_s:,.0f}",
            f"{one.cpu_us:,.0f}" if one.reruns else "",
        )
        for one in comparison.contestants
    ]
    ratios = [
        (one.what, f"{one.median:.3g}", f"{one.least:.3g}–{one.most:.3g}", one.aim)
        for one in comparison.ratios
    ]
    parts = [
        markdown_table(head, rows),
        f"Median of {comparison.rounds} rounds (least–most), in one process and in this order each round.",
        markdown_table(("CPU for a second of signal, ratio", "median", "least–most", "aim"), ratios),
    ]
    if comparison.litert_benchmark_us is not None:
        parts.append(
            f"`litert-benchmark` has a median of {comparison.litert_benchmark_us:.0f} µs for an invoke, "
            "rounded to 10 µs, in a loop with nothing else to do; the station's runtime, called so, takes "
            f"{comparison.invoke_us:.1f} µs."
        )
    return "\n\n".join(parts)
