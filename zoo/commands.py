"""The commands of the host side, which say what to install where only the station side is."""

import sys
from importlib import import_module

STATION = "polarity"
POLARITY = (STATION, "attention", "ross", "joint", "attention2d")
"""Networks that tell first motions, by the names that edge-train takes; `STATION`: the station's."""


def _main(command: str, module: str) -> int:
    try:
        main = import_module(module).main
    except ModuleNotFoundError as error:
        print(f"{command}: {error.name} is missing: pip install 'edge-pick[host]'", file=sys.stderr)
        return 2
    return int(main())


def train() -> int:
    """edge-train: of pickers, or of polarity networks if the first word is the name of one."""
    polarity = sys.argv[1:2] and sys.argv[1] in POLARITY
    return _main("edge-train", "zoo.train_polarity" if polarity else "zoo.train")


def evaluate() -> int:
    """edge-evaluate"""
    return _main("edge-evaluate", "zoo.evaluate")
