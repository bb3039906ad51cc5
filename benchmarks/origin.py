"""Where numbers come from: the command, the data set and the splits that stand beside them."""

import shlex
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Origin:
    """What made some results: the `command`, the name of the `data` set, and its `splits`."""

    command: str
    data: str
    splits: tuple[str, ...]

    def line(self) -> str:
        """One line of Markdown."""
        return f"Data: {self.data} ({', '.join(self.splits)}). Command: `{self.command}`"


def command(benchmark: str, *words: Path | str) -> str:
    """The command line of a benchmark, with names in place of paths, so that it is the same on every
    machine."""
    names = [word.resolve().name if isinstance(word, Path) else word for word in words]
    return shlex.join(["python", "-m", f"benchmarks.{benchmark}", *names])
