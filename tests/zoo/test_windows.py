"""Training batches: finite, labelled on the onset after all augmentations, and the same for the same seed."""

from dataclasses import replace

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="the zoo needs the [host] extra")

from edge.card import InputSpec
from firmware_bridge.synthetic import synthetic_earthquake
from zoo.data import windows
from zoo.data.labels import Arrival
from zoo.data.recipes import RECIPES
from zoo.data.records import Record
from zoo.data.windows import LEAD, TrainingSet, WindowMixer
from zoo.options import NORMALISATIONS

T, S = 1024, 8
SPEC = InputSpec(100.0, T, 1.0, {"name": "max-abs"})


def event(seed=0, n=6000):
    samples = synthetic_earthquake(seed).samples[:n].astype(np.float32)
    samples.flags.writeable = False
    return Record(f"e{seed}", "test", samples, (Arrival("P", 2000.0), Arrival("S", 2600.0)), ())


def noise(seed=0, n=1500):
    samples = np.random.default_rng(seed).normal(size=(n, 3)).astype(np.float32)
    samples.flags.writeable = False
    return Record(f"n{seed}", "test", samples, (), ())


def mixer(spec=SPEC):
    groups = {"analyst": (0.7, [event(0), event(1)]), "noise": (0.3, [noise(0), noise(1, 300)])}
    return WindowMixer(groups, spec, S)


def test_batches_fit_the_network():
    x, targets = mixer().batch(np.random.default_rng(0), 16)
    assert x.shape == (16, 1, T, 3)
    assert {name: y.shape for name, y in targets.items()} == {
        "cls": (16, 1, T // S, 3), "ofs": (16, 1, T // S, 2)
    }  # fmt: skip
    assert {x.dtype, *(y.dtype for y in targets.values())} == {np.dtype(np.float32)}
    assert 0 <= targets["ofs"].min() <= targets["ofs"].max() < 1.0 + 1e-6
    assert targets["cls"][..., 1].any()
    assert targets["cls"][..., 2].any()


@pytest.mark.parametrize("normalisation", sorted(NORMALISATIONS))
def test_dead_short_and_constant_records_give_finite_windows(normalisation):
    dead = Record("dead", "test", np.zeros((2000, 3), np.float32), (Arrival("P", 500.0),), ())
    constant = Record("constant", "test", np.ones((2000, 3), np.float32), (), ())
    spike = np.zeros((2000, 3), np.float32)
    spike[700] = 1.0
    one_sample = Record("spike", "test", spike, (Arrival("P", 700.0),), ())
    groups = {"odd": (1.0, [dead, constant, one_sample, noise(0, 100), event(0, 2700)])}
    spec = replace(SPEC, normalisation=NORMALISATIONS[normalisation])
    x, targets = WindowMixer(groups, spec, S).batch(np.random.default_rng(0), 200)
    assert np.isfinite(x).all()
    assert all(np.isfinite(y).all() for y in targets.values())


def test_every_label_lies_on_its_onset_after_all_augmentations():
    """Records of bumps: wherever a draft says there is an onset, there is the top of a bump. Filters and
    faults, which move the top or hide it, have tests of their own."""
    at = 900.0
    bump = np.exp(-0.5 * ((np.arange(2000) - at) / 4) ** 2)
    records = [
        Record("a", "test", np.outer(bump, [1, 0.4, 0.2]).astype(np.float32), (Arrival("P", at),), ()),
        Record("b", "test", np.outer(bump, [0.2, -1, 0.5]).astype(np.float32), (Arrival("S", at),), ()),
    ]
    mixed = WindowMixer({"bumps": (1.0, records)}, SPEC, S, replace(RECIPES["plain"], respace=0.5))
    rng = np.random.default_rng(1)
    seen = 0
    for _ in range(400):
        draft = mixed.draw(rng)
        there = range(draft.valid.start + 20, draft.valid.stop - 20)
        inside = [a.sample for a in draft.arrivals if int(a.sample) in there]
        if len(inside) == 2 and abs(inside[0] - inside[1]) < 60:
            continue  # two bumps in one
        energy = np.square(draft.samples.astype(np.float64)).sum(axis=1)
        for sample in inside:
            around = slice(int(sample) - 15, int(sample) + 16)
            assert abs(around.start + energy[around].argmax() - sample) <= 1.5
            seen += 1
    assert seen > 300


def test_of_a_long_record_hours_without_an_onset_are_seen_too(monkeypatch):
    """Or the network would never be shown what happens at a station between events."""
    long = Record("day", "test", np.ones((200_000, 3), np.float32), (Arrival("P", 150_000.0),), ())
    monkeypatch.setattr(windows, "SUPERPOSE", 0.0)
    mixed = WindowMixer({"day": (1.0, [long])}, SPEC, S)
    rng = np.random.default_rng(0)
    drafts = [mixed.draw(rng) for _ in range(300)]
    inside = [sum(LEAD <= a.sample < LEAD + SPEC.window for a in draft.arrivals) for draft in drafts]
    assert inside.count(0) / len(inside) == pytest.approx(windows.ANYWHERE, abs=0.08)


def test_groups_come_by_their_shares(monkeypatch):
    drawn = []
    cut = windows.augment.cut
    monkeypatch.setattr(
        windows.augment, "cut", lambda record, start, T: (drawn.append(record.name), cut(record, start, T))[1]
    )
    groups = {"many": (3.0, [event(0)]), "few": (1.0, [event(1), event(2)])}
    small = WindowMixer(groups, replace(SPEC, window=128), S)
    small.batch(np.random.default_rng(0), 1000)
    shares = {name: drawn.count(name) / len(drawn) for name in set(drawn)}
    assert shares["e0"] == pytest.approx(0.75, abs=0.05)
    assert shares["e1"] == pytest.approx(0.125, abs=0.04)


def test_a_batch_depends_on_seed_epoch_and_index_alone():
    forth, back = TrainingSet(mixer(), 2, 4, 7, 0), TrainingSet(mixer(), 2, 4, 7, 0)
    one = [forth[i] for i in range(4)]
    two = [back[i] for i in reversed(range(4))][::-1]
    for (x, targets), (x2, targets2) in zip(one, two, strict=True):
        np.testing.assert_array_equal(x, x2)
        np.testing.assert_array_equal(targets["cls"], targets2["cls"])
        np.testing.assert_array_equal(targets["ofs"], targets2["ofs"])
    others = [one[1], TrainingSet(mixer(), 2, 4, 8, 0)[0], TrainingSet(mixer(), 2, 4, 7, 1)[0]]
    assert not any(np.array_equal(one[0][0], x) for x, _ in others)


class Numbers:
    """Stands in for a mixer: a batch is one number, so that an epoch's mean tells what was in it."""

    def batch(self, rng, size):
        return np.full((size, 1), rng.random(), np.float32), np.zeros((size, 1), np.float32)


@pytest.mark.skipif(
    keras.backend.backend() != "tensorflow",
    reason="on other backends fit() starts with batches left over from finding the shapes (Keras 3.15)",
)
def test_a_resumed_run_sees_the_batches_that_an_unbroken_one_would_have_seen():
    def means(done, epochs):
        inputs = keras.Input((1,))
        model = keras.Model(inputs, keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")(inputs))
        model.compile(optimizer=keras.optimizers.SGD(0.0), loss="mae")
        data = TrainingSet(Numbers(), 2, 3, 7, done)
        return model.fit(data, initial_epoch=done, epochs=epochs, verbose=0).history["loss"]

    unbroken = means(0, 4)
    assert len(set(unbroken)) == 4
    assert means(0, 2) + means(2, 4) == pytest.approx(unbroken)
