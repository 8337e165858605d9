"""One party of SecretFlow's PSI, CSV to CSV; runs in .peers/secretflow, which lacks this project.

Measured to its advantage: keys are declared unique, the output needs no order, the link is in the
clear and stands before the clock starts, only the receiver writes.
"""

import argparse
import json
import os
import re
import sys
from datetime import datetime
from pathlib import Path

PROTOCOLS = {"rr22": "PROTOCOL_RR22", "kkrt": "PROTOCOL_KKRT", "ecdh": "PROTOCOL_ECDH"}
RECEIVER = 0
RETRY_MS = 20
RETRIES = 3000
RECEIVE_MS = 3_600_000
_STAMP = re.compile(r"^\[(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3})\]")


def main() -> None:
    """Take part in one PSI."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rank", type=int, choices=(0, 1), required=True, help="0 receives")
    options.add_argument("--ports", type=int, nargs=2, required=True)
    options.add_argument("--protocol", choices=PROTOCOLS, required=True)
    options.add_argument("--input", type=Path, required=True)
    options.add_argument("--output", type=Path, required=True)
    options.add_argument("--log", type=Path, required=True)
    chosen = options.parse_args()
    printed = os.fdopen(os.dup(1), "w", buffering=1)
    log = os.open(chosen.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)

    from spu import psi
    from spu.libspu import link

    described = link.Desc()
    described.connect_retry_interval_ms = RETRY_MS
    described.connect_retry_times = RETRIES
    described.recv_timeout_ms = described.http_timeout_ms = RECEIVE_MS
    for rank, port in enumerate(chosen.ports):
        described.add_party(f"party{rank}", f"127.0.0.1:{port}")
    context = link.create_brpc(described, chosen.rank)
    config = psi.PsiExecuteConfig(
        protocol_conf=psi.PsiProtocolConfig(
            protocol=psi.parse_protocol(PROTOCOLS[chosen.protocol]),
            receiver_rank=RECEIVER,
            broadcast_result=False,
            ecdh_params=psi.EcdhParams(curve=psi.EllipticCurveType.CURVE_25519),
        ),
        input_params=psi.InputParams(
            path=str(chosen.input), selected_keys=["id"], keys_unique=True
        ),
        output_params=psi.OutputParams(path=str(chosen.output), disable_alignment=True),
    )
    print("ready", file=printed)
    sys.stdin.readline()
    report = psi.psi_execute(config, context)
    said = {"matched": report.intersection_count}
    if chosen.protocol == "rr22" and chosen.rank == RECEIVER:
        said["crypto_s"] = crypto_seconds(chosen.log.read_text("utf-8", "replace"))
    print(json.dumps(said), file=printed)
    context.stop_link()


def crypto_seconds(log: str) -> float:
    """Return what RR22 itself took, by its own log: from keys in memory to matches in memory.

    A sum over its buckets; reading, hashing and spilling the input and writing the output stay out.
    """
    total, began = 0.0, None
    for line in log.splitlines():
        stamp = _STAMP.match(line)
        if stamp and "mask size:" in line:
            began = datetime.fromisoformat(stamp[1])
        elif stamp and began is not None and "get intersection end" in line:
            total += (datetime.fromisoformat(stamp[1]) - began).total_seconds()
            began = None
    if not total or began is not None:
        raise ValueError("the log of RR22 does not say when it began and ended")
    return total


if __name__ == "__main__":
    main()
