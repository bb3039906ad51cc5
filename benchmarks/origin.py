"""Where numbers come from: the command, the data set and the splits that stand beside them."""

import json
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


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


def written(folder: Path, name: str, origin: Origin, rows: Sequence[Any], table: str) -> str:
    """Writes rows (dataclasses) to NAME.json and their table to NAME.md, both with their origin; the latter's
    text."""
    results = {**asdict(origin), "rows": [asdict(one) for one in rows]}
    content = json.dumps(results, indent=1, ensure_ascii=False)
    (folder / f"{name}.json").write_text(content + "\n", encoding="utf-8")
    text = f"{table}\n\n{origin.line()}\n"
    (folder / f"{name}.md").write_text(text, encoding="utf-8")
    return text
