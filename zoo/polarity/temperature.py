"""The temperature that makes probabilities of polarity networks mean what they say."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

TEMPERATURES = np.geomspace(0.1, 10.0, 201)


def temperature(logits: NDArray[np.floating[Any]], up: NDArray[np.floating[Any]] | float) -> float:
    """By which logits (n,) are to be divided so that they fit what was up best, 0..1, (n,) or of all of them,
    after Guo et al. (2017): the least cross-entropy of `TEMPERATURES`."""
    losses = [
        float(np.mean(up * np.logaddexp(0, -logits / t) + (1 - up) * np.logaddexp(0, logits / t)))
        for t in TEMPERATURES
    ]
    return round(float(TEMPERATURES[np.argmin(losses)]), 3)
