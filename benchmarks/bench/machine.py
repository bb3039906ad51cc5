"""The computer that is measured, and whether it could run at full speed meanwhile."""

import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path("/")
RUNTIMES = (
    "numpy",
    "scipy",
    "pymseed",
    "ai-edge-litert",
    "tflite-runtime",
    "tensorflow",
    "keras",
    "torch",
    "obspy",
)
NOW = {0: "under-voltage", 1: "frequency capped", 2: "throttled", 3: "soft temperature limit"}
"""Bits of a Raspberry Pi's `get_throttled`; sixteen higher, the same since it was switched on."""
SINCE_START = 16
EDGE_TPU_USB = ("1a6e:089a", "18d1:9302")
"""A Coral USB Accelerator before and after its firmware was loaded."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What figures were measured on; nothing that tells whose it is. `core`: the one that everything was
    pinned to, None where the system cannot. `load_1min`: of other programs, at the beginning."""

    cpu: str
    board: str | None
    architecture: str
    cores: int
    memory_mb: int | None
    kernel: str
    python: str
    packages: dict[str, str]
    edge_tpu: str | None
    core: int | None
    load_1min: float

    @property
    def busy(self) -> bool:
        """Whether other programs took a noticeable part of it."""
        return self.load_1min > 0.25


@dataclass(frozen=True, slots=True)
class Health:
    """One look at the computer. `throttled`: a Raspberry Pi's bits; `throttle_events`: how often the cores of
    a PC have throttled so far. None where the system does not tell."""

    temperature_c: float | None
    frequency_mhz: float | None
    governor: str | None
    throttled: int | None
    throttle_events: int | None


def describe(root: Path = ROOT) -> Machine:
    """This computer, whose files are under `root`."""
    info = _pairs(root / "proc/cpuinfo")
    memory = _pairs(root / "proc/meminfo").get("MemTotal", "").split()
    board = _read(root / "proc/device-tree/model")
    cores = usable_cores()
    return Machine(
        cpu=info.get("model name") or info.get("Model") or platform.processor() or platform.machine(),
        board=board.strip("\0") if board else None,
        architecture=platform.machine(),
        cores=len(cores) or os.cpu_count() or 1,
        memory_mb=int(memory[0]) // 1024 if memory else None,
        kernel=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        packages={name: found for name in RUNTIMES if (found := _version(name))},
        edge_tpu=find_edge_tpu(root),
        core=cores[-1] if cores else None,
        load_1min=round(os.getloadavg()[0], 2),
    )


def usable_cores() -> list[int]:
    """Cores that this process may run on; none where the system does not pin."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def pin() -> None:
    """Keeps this process, and those that it starts, on one core: the last one, as the first serves most
    interrupts."""
    if cores := usable_cores():
        os.sched_setaffinity(0, cores[-1:])


def look(root: Path = ROOT) -> Health:
    """The computer's temperature and speed now."""
    zones = [_number(path) for path in sorted((root / "sys/class/thermal").glob("thermal_zone*/temp"))]
    temperatures = [value / 1000 for value in zones if value is not None]
    cpus = root / "sys/devices/system/cpu"
    speeds = [_number(path) for path in sorted(cpus.glob("cpu[0-9]*/cpufreq/scaling_cur_freq"))]
    frequencies = [value / 1000 for value in speeds if value is not None]
    counts = [_number(path) for path in cpus.glob("cpu[0-9]*/thermal_throttle/core_throttle_count")]
    events = [int(value) for value in counts if value is not None]
    governor = _read(cpus / "cpu0/cpufreq/scaling_governor")
    return Health(
        temperature_c=max(temperatures, default=None),
        frequency_mhz=max(frequencies, default=None),
        governor=governor.strip() if governor else None,
        throttled=_throttled(root),
        throttle_events=sum(events) if events else None,
    )


def throttling(looks: Sequence[Health]) -> list[str]:
    """Why figures measured between these looks do not count; nothing where they do."""
    bits = [one.throttled for one in looks if one.throttled is not None]
    reasons = []
    if bits:
        during = [name for bit, name in NOW.items() if any(seen >> bit & 1 for seen in bits)]
        fresh = (bits[-1] & ~bits[0]) >> SINCE_START
        between = [name for bit, name in NOW.items() if fresh >> bit & 1 and name not in during]
        reasons += [f"the Raspberry Pi reported {name} during the run" for name in (*during, *between)]
    events = [one.throttle_events for one in looks if one.throttle_events is not None]
    if events and events[-1] > events[0]:
        reasons.append(f"the processor throttled {events[-1] - events[0]} times during the run")
    return reasons


def find_edge_tpu(root: Path = ROOT) -> str | None:
    """What Edge TPU is plugged in, if any."""
    if any((root / "dev").glob("apex_*")):
        return "PCIe"
    for vendor in (root / "sys/bus/usb/devices").glob("*/idVendor"):
        product = _read(vendor.with_name("idProduct"))
        if f"{_read(vendor) or ''}:{product or ''}".replace("\n", "") in EDGE_TPU_USB:
            return "USB"
    return None


def _throttled(root: Path) -> int | None:
    """From the kernel, or from the firmware's own tool where the kernel does not tell."""
    for file in (root / "sys/devices/platform").glob("soc*/soc*:firmware/get_throttled"):
        return int(file.read_text(), 16)
    if root != ROOT or not (tool := shutil.which("vcgencmd")):
        return None
    said = subprocess.run([tool, "get_throttled"], capture_output=True, text=True, check=False).stdout
    return int(said.partition("=")[2], 16) if "=" in said else None


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _read(path: Path) -> str | None:
    try:
        return path.read_text()
    except OSError:
        return None


def _number(path: Path) -> float | None:
    try:
        return float(_read(path) or "")
    except ValueError:
        return None


def _pairs(path: Path) -> dict[str, str]:
    """A file of "key: value" lines; of a repeated key the last."""
    lines = [line.partition(":") for line in (_read(path) or "").splitlines()]
    return {key.strip(): value.strip() for key, _, value in lines}
