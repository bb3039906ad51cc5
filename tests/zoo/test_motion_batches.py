"""Synthetic first motions and training windows."""

import numpy as np
import pytest

pytest.importorskip("scipy", reason="the host side needs the [host] extra")

from edge.polarity import PolarityInput
from zoo.data.first_motions import REACH, PolarityExample
from zoo.data.motion_batches import FARTHEST, Batches, fixed, group_of, with_noise
from zoo.data.synthetic_motions import onsets

SPEC = PolarityInput(100.0, 160, 96, 1.0, {"name": "max-abs"})
NOISE = np.random.default_rng(9).standard_normal((4, 600)).astype(np.float32)


def _example(up, told=False, quality="analyst"):
    """A spike of three samples that begins at the onset, up where that is likely."""
    vertical = np.zeros(2 * REACH, np.float16)
    vertical[REACH : REACH + 3] = 1.0 if (up or 0) > 0.5 else -1.0
    return PolarityExample("a", "s", "e", "train", quality, vertical, up, told)


def _batches(examples, synthetic=0.0, noise=NOISE):
    groups = {"analyst": group_of(examples, 1.0)} if examples else {}
    return Batches(groups, noise, SPEC, synthetic)


def test_synthetic_ground_first_moves_up():
    motion, first = onsets(np.random.default_rng(0), 200, 400, 150)

    before = np.abs(motion[:, :140]).max(axis=1)
    swing = np.argmax(np.abs(motion) > 0.4 * first[:, None], axis=1)
    assert (first > 0).all()
    assert np.median(before / first) < 0.01  # but for the ringing of the digitizer
    assert np.mean(before < 0.3 * first) > 0.98
    assert np.mean(motion[np.arange(200), swing] > 0) > 0.95


def test_some_synthetic_onsets_are_emergent_and_some_are_not():
    motion, first = onsets(np.random.default_rng(0), 200, 400, 150)

    later = np.abs(motion[:, 150:]).max(axis=1) / first
    assert np.mean(later > 3) > 0.15
    assert np.mean(later < 1.5) > 0.15


def test_a_batch_is_the_same_for_the_same_generator():
    batches = _batches([_example(1.0), _example(0.0)], synthetic=0.5)

    one, other = (batches.batch(np.random.default_rng((3, 1, 4)), 32) for _ in range(2))

    np.testing.assert_array_equal(one.windows, other.windows)
    np.testing.assert_array_equal(one.up, other.up)


def test_a_window_that_is_turned_over_has_its_label_turned_over():
    quiet = np.zeros_like(NOISE)
    batch = _batches([_example(1.0)], noise=quiet).batch(np.random.default_rng(0), 64)

    right = []
    for window, up, onset in zip(batch.windows, batch.up, batch.onset, strict=True):
        begin = int(np.floor(onset)) - 1
        swing = window[begin : begin + 4] - window[begin - 1]
        right.append(np.sign(swing[np.argmax(np.abs(swing))]) == (1 if up else -1))
    assert set(batch.up) == {0.0, 1.0}
    assert np.mean(right) > 0.8  # a slow wave under some of them is larger than the spike
    assert 0.25 < batch.up.mean() < 0.75


def test_windows_are_normalised_and_cut_near_their_onset():
    batch = _batches([_example(1.0)], synthetic=0.5).batch(np.random.default_rng(0), 256)

    np.testing.assert_allclose(np.abs(batch.windows).max(axis=1), 1, rtol=1e-5)
    away = np.abs(batch.onset - SPEC.before)
    assert np.median(away) < 6
    assert 10 < away.max() <= FARTHEST


def test_noise_lies_under_the_first_motion_by_what_was_asked():
    clean = np.zeros((500, 160), np.float32)
    noisy = with_noise(np.random.default_rng(0), clean, np.full(500, 10.0, np.float32), NOISE, (20.0, 20.0))

    np.testing.assert_allclose(noisy.std(axis=1), 1.0, rtol=1e-4)


def test_the_shares_of_a_batch_are_those_asked_for():
    groups = {
        "up": group_of([_example(1.0)], 0.75),
        "unknown": group_of([_example(None, told=True)], 0.25),
    }
    batch = Batches(groups, NOISE, SPEC, 0.5).batch(np.random.default_rng(0), 1000)

    assert 90 < batch.unknown.sum() < 160


def test_dev_windows_are_what_the_station_would_cut():
    from edge.polarity import cut, normalised

    example = _example(1.0)
    batch = fixed([example], SPEC, (-5, 0, 20))

    for window, offset in zip(batch.windows, (-5, 0, 20), strict=True):
        expected = cut(example.vertical.astype(np.float32), REACH + offset, SPEC)
        np.testing.assert_array_equal(window, normalised(expected))
