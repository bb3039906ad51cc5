"""The station side starts on a computer that has nothing of the host side installed."""

import subprocess
import sys

SCRIPT = """
import importlib, pkgutil, sys

BLOCKED = {"tensorflow", "keras", "torch", "jax", "obspy", "matplotlib", "h5py"}
BLOCKED |= {"sqlalchemy", "prometheus_client", "psycopg"}
BLOCKED |= {"zoo", "convert", "collect", "benchmarks"}

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ImportError(f"the station side has no {name}")

sys.meta_path.insert(0, Blocker())
for room in ("edge", "firmware_bridge"):
    package = importlib.import_module(room)
    for module in pkgutil.walk_packages(package.__path__, room + "."):
        importlib.import_module(module.name)
        print(module.name)
assert not BLOCKED & {name.partition(".")[0] for name in sys.modules}
"""


def test_every_module_of_the_station_side_imports_without_the_host_side():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    imported = set(done.stdout.split())
    assert {"edge.cli", "edge.picker", "edge.models", "firmware_bridge.anyshake"} <= imported
