"""What the host rooms' tests share: a labelled data set of a few synthetic earthquakes, and a run on it."""

import csv

import pytest
from hypothesis import HealthCheck, settings

from firmware_bridge.synthetic import synthetic_earthquake

# A busy computer is no failure.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

LONGEST = ("test_protocols.py", "test_train.py")
NS = 1_000_000_000
COLUMNS = (
    "trace_name",
    "split",
    "label_quality",
    "trace_category",
    "trace_P_arrival_sample",
    "trace_S_arrival_sample",
    "trace_sampling_rate_hz",
)
TINY = (
    "-n",
    4,
    "-S",
    8,
    "-T",
    512,
    "--backbone",
    "wide",
    "--steps",
    4,
    "--epoch",
    2,
    "--batch",
    4,
    "--learning-rate",
    0.01,
)


def pytest_collection_modifyitems(items):
    """What takes longest comes first: begun last, it would keep one worker while the other waits."""
    items.sort(key=lambda item: item.path.name not in LONGEST)


def _event(seed, split):
    record = synthetic_earthquake(seed)
    p, s = ((onset - record.start_ns) * record.rate // NS for onset in (record.p_ns, record.s_ns))
    return f"event{seed}", split, "analyst", "earthquake", p, s, record.samples


def _noise(seed, split):
    return f"noise{seed}", split, "noise", "noise", "", "", synthetic_earthquake(seed).samples[:1900]


@pytest.fixture(scope="session")
def quakes(tmp_path_factory):
    """SeisBench folder: eight earthquakes and two pieces of noise to train on, four and one to score on."""
    h5py = pytest.importorskip("h5py", reason="the host side needs the [host] extra")
    folder = tmp_path_factory.mktemp("data") / "quakes"
    folder.mkdir()
    traces = [_event(seed, "train") for seed in range(8)] + [_noise(seed, "train") for seed in (8, 9)]
    traces += [_event(seed, "dev") for seed in range(20, 24)] + [_noise(24, "dev")]
    with (folder / "metadata.csv").open("w", newline="") as metadata:
        rows = csv.writer(metadata)
        rows.writerow(COLUMNS)
        rows.writerows([*trace[:-1], 100] for trace in traces)
    with h5py.File(folder / "waveforms.hdf5", "w") as waveforms:
        for name, *_, samples in traces:
            waveforms[f"data/{name}"] = samples.T
    return folder


@pytest.fixture(scope="session")
def op_by_op():
    """`compile_model` of a few steps: they are taken op by op, because compiling them takes longer. What the
    network answers is compiled: it is asked a hundred times."""
    pytest.importorskip("keras", reason="the host side needs the [host] extra")
    from zoo.losses import compile_model

    def compiled(model, *args):
        compile_model(model, *args)
        model.run_eagerly = True
        model.make_train_function()
        model.run_eagerly = False

    return compiled


@pytest.fixture(scope="session")
def edge_train(quakes, op_by_op):
    """The command on a network that is as small as can be, two epochs of two steps: edge_train(run, …)
    returns its exit status. Its cache lies beside the data."""
    from zoo import train

    def run(folder, *arguments):
        data = ("--data", quakes, "--dev", quakes, "--run", folder, "--cache", quakes.parent / "cache")
        return train.main(["lppn", *map(str, (*data, *TINY, *arguments))])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "compile_model", op_by_op)
        yield run


@pytest.fixture(scope="session")
def tiny_run(edge_train, tmp_path_factory):
    """The folder of a finished run."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    assert edge_train(folder) == 0
    return folder
