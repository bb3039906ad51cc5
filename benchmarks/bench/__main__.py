"""`python -m benchmarks.bench`: the same as `edge-bench`."""

import sys

from benchmarks.bench.cli import main

if __name__ == "__main__":
    sys.exit(main())
