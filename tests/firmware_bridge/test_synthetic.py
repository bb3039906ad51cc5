"""The synthetic earthquake: onsets where it says they are."""

import numpy as np

from firmware_bridge.synthetic import synthetic_earthquake


def test_same_seed_same_record() -> None:
    assert np.array_equal(synthetic_earthquake(3).samples, synthetic_earthquake(3).samples)
    assert not np.array_equal(synthetic_earthquake(3).samples, synthetic_earthquake(4).samples)


def test_onsets_are_where_they_are_said_to_be() -> None:
    for seed in range(5):
        record = synthetic_earthquake(seed)
        assert record.samples.shape == (60 * record.rate, 3)
        assert record.samples.dtype == np.int32
        p = round((record.p_ns - record.start_ns) * record.rate / 1e9)
        s = round((record.s_ns - record.start_ns) * record.rate / 1e9)
        assert (p, s) == (2000, 2600)
        # Differences take the slow part of the noise away.
        steps = np.abs(np.diff(record.samples, axis=0))
        quiet = steps[: p - 2].max(axis=0)
        assert steps[p - 1 : p + 30, 0].max() > 5 * quiet[0]
        p_peak, s_peak = steps[p:s].max(axis=0), steps[s : s + 300].max(axis=0)
        assert p_peak[0] > max(p_peak[1:])
        assert min(s_peak[1:]) > s_peak[0]
        assert min(s_peak[1:]) > 2 * max(p_peak[1:])
        assert steps[-300:].max() < s_peak.max() / 20


def test_first_motion_is_up() -> None:
    for seed in range(5):
        record = synthetic_earthquake(seed)
        vertical = record.samples[:, 0]
        assert vertical[2000:2003].max() - vertical[1999] > 200
        assert vertical[2000:2003].min() - vertical[1999] > -100
