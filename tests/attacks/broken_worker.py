"""`python -m nodes.worker_main` with one defence removed; see broken.py."""

from __future__ import annotations

import importlib
import os

from nodes import worker_main
from tests.attacks.broken import BREAK

if __name__ == "__main__":
    importlib.import_module(f"tests.attacks.breaks.attack_{os.environ[BREAK]}").apply()
    worker_main.main()
