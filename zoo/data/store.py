"""Training records on disk: prepared once, then read by memory map, so that a training set may be larger
than the memory and a run goes on within a second.

A store is a folder: `samples.f32`, the samples (n, 3) of all records one after another in little-endian
float32; `records.npy`, `arrivals.npy` and `spans.npy`, tables of what is known of them; `store.json`, what
the store was made from. Its name holds a digest of that, so a store is never out of date: other data are
another store. Stores that are not wanted any more can simply be deleted.
"""

import errno
import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any, SupportsIndex, overload

import numpy as np
from numpy.typing import NDArray

from edge.cells import PHASES
from zoo.data.labels import Arrival
from zoo.data.records import Record

FORMAT = 3
"""Another number whenever the files below, or what `zoo.data` makes of a trace, are no longer the same."""

LEAST_S = 1.0
"""Records shorter than this are stored and counted, but nothing can be learnt from them."""

IN_HAND = 8192
"""Records whose labels are kept at hand: those with hundreds of arrivals are slow to put together."""

ARRIVAL = np.dtype([("phase", "<i1"), ("sample", "<f8"), ("timed", "?"), ("weight", "<f8")])
SPAN = np.dtype([("begin", "<f8"), ("end", "<f8")])

Labelled = tuple[str, Record]
"""Label quality and record."""


def default_cache() -> Path:
    """`edge-pick` in $XDG_CACHE_HOME, in ~/.cache where that is not set or, as its specification has it, not
    an absolute path."""
    chosen = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (chosen if chosen.is_absolute() else Path.home() / ".cache") / "edge-pick"


class RecordStore(Sequence[Record]):
    """The records of one store, in the order in which they were prepared; `samples` are read when touched.

    ValueError for a folder whose files do not fit each other.
    """

    def __init__(self, folder: Path) -> None:
        try:
            header = json.loads((folder / "store.json").read_text(encoding="utf-8"))
            tables = [
                np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("records", "arrivals", "spans")
            ]
            index, self._arrivals, self._spans = (np.asarray(table) for table in tables)
            samples = np.memmap(folder / "samples.f32", "<f4", "r").reshape(-1, 3)
            fits = len(samples) == index["samples"][-1] and len(self._arrivals) == index["arrivals"][-1]
        except (OSError, ValueError, KeyError, IndexError) as error:
            raise ValueError(f"{folder} is damaged ({error}); delete it, and it is made anew") from error
        if not fits or len(self._spans) != index["spans"][-1]:
            raise ValueError(f"{folder} is damaged; delete it, and it is made anew")
        self._samples = np.asarray(samples)
        self._index = index
        self._sources: list[str] = header["sources"]
        self.qualities: list[str] = header["qualities"]
        self._least = LEAST_S * header["rate_hz"]
        self._in_hand = lru_cache(IN_HAND)(self._read)

    def __len__(self) -> int:
        return len(self._index)

    @overload
    def __getitem__(self, row: SupportsIndex) -> Record: ...
    @overload
    def __getitem__(self, row: slice) -> Sequence[Record]: ...
    def __getitem__(self, row: SupportsIndex | slice) -> Record | Sequence[Record]:
        if isinstance(row, slice):
            return [self[k] for k in range(*row.indices(len(self)))]
        return self._in_hand(range(len(self))[row])

    def _read(self, row: int) -> Record:
        known = self._index[row]
        arrivals = self._arrivals[self._part("arrivals", row)].tolist()
        return Record(
            known["name"].decode(),
            self._sources[known["source"]],
            self._samples[self._part("samples", row)],
            tuple(Arrival(PHASES[phase], *rest) for phase, *rest in arrivals),
            tuple(self._spans[self._part("spans", row)].tolist()),
        )

    def _part(self, table: str, row: int) -> slice:
        ends = self._index[table]
        return slice(int(ends[row - 1]) if row else 0, int(ends[row]))

    @property
    def silent(self) -> NDArray[np.bool_]:
        """Of each record, whether nothing arrives in it and nothing may, as the tables alone tell."""
        there = [np.diff(self._index[key], prepend=0) for key in ("arrivals", "spans")]
        return np.asarray((there[0] == 0) & (there[1] == 0))

    @property
    def onsets(self) -> int:
        """In all records."""
        return len(self._arrivals)

    def counts(self) -> dict[str, int]:
        """Records by source, the shortest too."""
        counts = np.bincount(self._index["source"], minlength=len(self._sources)).tolist()
        return dict(zip(self._sources, counts, strict=True))

    def rows(self, quality: str, without: Sequence[str] = ()) -> NDArray[np.int64]:
        """Where the records of one label quality are that can be learnt from, some sources left out."""
        left_out = [k for k, source in enumerate(self._sources) if source in without]
        code = self.qualities.index(quality) if quality in self.qualities else -1
        lengths = np.diff(self._index["samples"], prepend=0)
        chosen = (self._index["quality"] == code) & (lengths >= self._least)
        return np.flatnonzero(chosen & ~np.isin(self._index["source"], left_out))


class Records(Sequence[Record]):
    """Chosen rows of several sequences of records, one after another."""

    def __init__(self, parts: Iterable[tuple[Sequence[Record], NDArray[np.int64]]]) -> None:
        self.parts = list(parts)
        self._ends = np.cumsum([len(rows) for _, rows in self.parts], dtype=np.int64)

    def __len__(self) -> int:
        return int(self._ends[-1]) if self.parts else 0

    @overload
    def __getitem__(self, index: SupportsIndex) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Record]: ...
    def __getitem__(self, index: SupportsIndex | slice) -> Record | Sequence[Record]:
        if isinstance(index, slice):
            return [self[k] for k in range(*index.indices(len(self)))]
        place = range(len(self))[index]
        part = int(np.searchsorted(self._ends, place, "right"))
        records, rows = self.parts[part]
        return records[int(rows[place - self._ends[part]])]  # below zero: counted from the part's end


def silent(records: Sequence[Record]) -> NDArray[np.bool_]:
    """Of each record, whether nothing arrives in it and nothing may; a million stored ones are not read for
    it."""
    if isinstance(records, RecordStore):
        return records.silent
    if isinstance(records, Records):
        return np.concatenate([silent(part)[rows] for part, rows in records.parts])
    return np.array([not record.arrivals and not record.unknown for record in records], np.bool_)


def stored(
    cache: Path, key: Mapping[str, Any], rate_hz: float, prepare: Callable[[], Iterable[Labelled]]
) -> RecordStore:
    """The store that `cache` holds for `key` (JSON: all that the records depend on, and "name"), made from
    what `prepare` gives where there is none yet.

    It appears in one step, when it is complete. Where several processes want the same one, one makes it and
    the others wait. Errors are those of `prepare`, OSError for a cache that cannot be written, ValueError for
    a damaged store and for records without a sample.
    """
    text = json.dumps([FORMAT, rate_hz, key], sort_keys=True)
    name = f"{key['name']}-{sha256(text.encode()).hexdigest()[:16]}"
    folder, partial = cache / name, cache / f"{name}.partial"
    if not folder.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with _alone(cache / f"{name}.lock"):
            if not folder.is_dir():
                shutil.rmtree(partial, ignore_errors=True)  # left by a process that was killed
                partial.mkdir()
                try:
                    _write(partial, key, rate_hz, prepare())
                    partial.rename(folder)
                except OSError as error:
                    if error.errno != errno.ENOSPC:
                        raise
                    raise OSError(f"no space left in {cache}: make room or choose another cache") from error
                finally:
                    shutil.rmtree(partial, ignore_errors=True)
    return RecordStore(folder)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One process at a time; the system lets go of the lock of one that is killed."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _write(folder: Path, key: Mapping[str, Any], rate_hz: float, prepared: Iterable[Labelled]) -> None:
    sources: dict[str, int] = {}
    qualities: dict[str, int] = {}
    index: list[tuple[bytes, int, int, int, int, int]] = []
    arrivals: list[tuple[int, float, bool, float]] = []
    spans: list[tuple[float, float]] = []
    end = 0
    with (folder / "samples.f32").open("wb") as file:
        for quality, record in prepared:
            file.write(np.asarray(record.samples, "<f4").tobytes())
            end += len(record.samples)
            arrivals += [(PHASES.index(a.phase), a.sample, a.timed, a.weight) for a in record.arrivals]
            spans += record.unknown
            source = sources.setdefault(record.source, len(sources))
            trust = qualities.setdefault(quality, len(qualities))
            index.append((record.name.encode(), source, trust, end, len(arrivals), len(spans)))
    if not end:
        raise ValueError(f"{key['name']} has no samples to train on")
    width = max(len(row[0]) for row in index)
    record_type = np.dtype(
        [
            ("name", f"S{max(width, 1)}"), ("source", "<i4"), ("quality", "<i4"),
            ("samples", "<i8"), ("arrivals", "<i8"), ("spans", "<i8"),
        ]
    )  # fmt: skip
    np.save(folder / "records.npy", np.array(index, record_type))
    np.save(folder / "arrivals.npy", np.array(arrivals, ARRIVAL))
    np.save(folder / "spans.npy", np.array(spans, SPAN))
    header = {"sources": list(sources), "qualities": list(qualities), "rate_hz": rate_hz, "key": key}
    (folder / "store.json").write_text(json.dumps(header, indent=1, ensure_ascii=False), encoding="utf-8")
