"""The only noiseless node there is: `python tests/plain_node.py DIR` serves DIR with ZeroNoise.

For tests and benchmarks that compare with exact answers. Its receipts say UNPROTECTED and fail
verification; nothing in sandbox/ or nodes/ can switch this on.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from nodes.server import run
from tests.noise import ZeroNoise

if __name__ == "__main__":
    sys.exit(run(Path(sys.argv[1]), ZeroNoise()))
