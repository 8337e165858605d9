"""Federated computation over data that stays where it is.

import sandbox
s = sandbox.connect("DIR")
q = s.sql("SELECT product_type, AVG(torque_nm) FROM machines GROUP BY product_type")
q.explain(epsilon=1, delta=1e-6)      # free: what it costs, who learns what
r = q.run(epsilon=1, delta=1e-6)      # spends; r.to_pandas(), r.receipt
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.version import __version__

if TYPE_CHECKING:
    from sandbox.client import Session

__all__ = ["__version__", "connect"]


def connect(profile: str | Path) -> Session:
    """Open a session with the identity in `profile`: a researcher's folder, or the folder of a
    deployment that has one.

    Raises StateError if the folder holds no identity, Unavailable if the coordinator does not answer.
    """
    # Imported here: `sandbox --help` must not wait for gRPC and Arrow.
    from sandbox.client import Session

    folder = Path(profile)
    own = folder / "researcher"
    return Session.open(own if own.is_dir() else folder)
