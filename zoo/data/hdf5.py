"""HDF5 files whose errors say which file it is, which the library's own do not."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """ValueError that names the file where h5py fails to open or read it."""
    try:
        yield
    except (OSError, RuntimeError, KeyError) as error:
        raise ValueError(f"{path} cannot be read as HDF5, is it whole? {error}") from error
