"""Records at other sample rates: for tests of what is resampled on its way."""

import numpy as np


def resampled(samples, rate):
    """Counts (n, channels) at 100 samples a second at another rate, by their spectrum."""
    n = round(len(samples) * rate / 100)
    spectrum = np.fft.rfft(samples.astype(float), axis=0)
    return np.rint(np.fft.irfft(spectrum, n, axis=0) * n / len(samples)).astype(np.int32)
