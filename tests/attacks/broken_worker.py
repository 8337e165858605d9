"""`python -m PROGRAM …` of a worker with one defence removed; see broken.py."""

from __future__ import annotations

import importlib
import os
import sys

from tests.attacks.broken import BREAK

if __name__ == "__main__":
    importlib.import_module(f"tests.attacks.breaks.attack_{os.environ[BREAK]}").apply()
    importlib.import_module(sys.argv.pop(1)).main()
