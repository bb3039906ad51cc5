from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from numpy.typing import NDArray
from pymseed import MS3TraceList, nslc2sourceid

from edge.model import StationNetwork, load_model
from firmware_bridge.synthetic import synthetic_earthquake

# A busy computer is no failure.
settings.register_profile("edge", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("edge")


@pytest.fixture(scope="session")
def network() -> StationNetwork:
    """The shipped model."""
    return load_model()


@pytest.fixture(scope="session")
def quake() -> NDArray[np.int32]:
    """60 s at 100 Hz of Z, N, E with a P at 20 s and an S at 26 s."""
    return synthetic_earthquake().samples


@pytest.fixture(scope="session")
def write_mseed():
    """Writes samples (n, channels) at `rate` Hz as one MiniSEED file and returns its path."""

    def write(
        path: Path,
        samples: NDArray[np.int32],
        letters: str = "ZNE",
        rate: float = 100.0,
        station: str = "SYN",
        version: int = 3,
        start_ns: int = 1_700_000_000_000_000_000,
    ) -> Path:
        with MS3TraceList() as traces:
            for letter, column in zip(letters, samples.T, strict=True):
                name = nslc2sourceid("XX", station, "00", f"HH{letter}")
                traces.add_data(name, np.ascontiguousarray(column), "i", rate, starttime=start_ns)
            traces.to_file(path, format_version=version)
        return path

    return write
