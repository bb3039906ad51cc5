"""The commands of the host side, which say what to install where only the station side is."""

import sys
from importlib import import_module


def _main(command: str, module: str) -> int:
    try:
        main = import_module(module).main
    except ModuleNotFoundError as error:
        print(f"{command}: {error.name} is missing: pip install 'edge-pick[host]'", file=sys.stderr)
        return 2
    return int(main())


def train() -> int:
    """edge-train"""
    return _main("edge-train", "zoo.train")


def evaluate() -> int:
    """edge-evaluate"""
    return _main("edge-evaluate", "zoo.evaluate")
