"""What the station takes on disk, and what its model costs on paper."""

import re
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from edge.card import Card

PROJECT = "edge-pick"
ROOMS = ("edge", "firmware_bridge", "zoo", "convert", "collect", "benchmarks")
_BLOCK = 512


@dataclass(frozen=True, slots=True)
class Install:
    """Megabytes on disk, by package: the project and all that its base install brings."""

    megabytes: dict[str, float]
    total_mb: float


@dataclass(frozen=True, slots=True)
class ModelSize:
    """`mmac_hop`: millions of multiply-accumulates for one hop, None where the runtime brings no schema to
    read the model by. `cells_per_s`: cells that are answered for each second of a station's signal."""

    identity: str
    kilobytes: float
    hop_s: float
    mmac_hop: float | None
    mmac_per_signal_s: float | None
    cells_per_s: float


def install() -> Install:
    """Of the packages installed here."""
    megabytes = {PROJECT: sum(_folder_bytes(Path(import_module(room).__path__[0])) for room in ROOMS) / 1e6}
    waiting = _needs(PROJECT)
    while waiting:
        name = waiting.pop()
        if name in megabytes or (found := _found(name)) is None:
            continue
        files = [Path(str(file.locate())) for file in found.files or ()]
        megabytes[name] = sum(_bytes(path) for path in files if path.is_file()) / 1e6
        waiting += _needs(name)
    return Install(dict(sorted(megabytes.items(), key=lambda item: -item[1])), sum(megabytes.values()))


def model_size(model: Path, card: Card) -> ModelSize:
    """Of a .tflite with its card."""
    hop_s = card.stream.hop / card.input.rate_hz
    try:
        from convert.graph import multiplications
    except ImportError:  # tflite-runtime
        mmac = None
    else:
        mmac = multiplications(model.read_bytes()) / 1e6
    return ModelSize(
        identity=card.identity,
        kilobytes=model.stat().st_size / 1000,
        hop_s=hop_s,
        mmac_hop=mmac,
        mmac_per_signal_s=None if mmac is None else mmac / hop_s,
        cells_per_s=card.input.rate_hz / card.cells.stride,
    )


def _needs(name: str) -> list[str]:
    """What a package needs without its extras. Markers of platforms are not asked: what does not apply here
    is not installed."""
    found = _found(name)
    lines = (found.requires or []) if found else []
    base = [line for line in lines if "extra ==" not in line]
    return [match.group().lower() for line in base if (match := re.match(r"[\w.-]+", line))]


def _found(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def _folder_bytes(folder: Path) -> int:
    files = [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return sum(map(_bytes, files))


def _bytes(path: Path) -> int:
    """On disk, in whole blocks."""
    return path.stat().st_blocks * _BLOCK
