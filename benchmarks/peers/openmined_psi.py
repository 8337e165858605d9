"""One party of OpenMined's PSI, CSV to CSV; runs in .peers/openmined, which lacks this project.

The library makes messages and leaves their transport to others: here they go through one loopback
connection in the clear. The server's set is sent RAW, its exact form; both parties work at once.
"""

import argparse
import json
import socket
import struct
import sys
import time
from pathlib import Path

from private_set_intersection import python as psi

WAIT_S = 60.0
_LENGTH = struct.Struct("<Q")
_NO_FALSE_POSITIVES = 1e-9
"""The library asks for a rate; with RAW it has no effect."""


def main() -> None:
    """Take part in one PSI."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--role", choices=("client", "server"), required=True)
    options.add_argument("--port", type=int, required=True)
    options.add_argument("--input", type=Path, required=True)
    options.add_argument("--output", type=Path, help="of the client: its rows that matched")
    chosen = options.parse_args()
    with _connected(chosen.role, chosen.port) as connection:
        print("ready", flush=True)
        sys.stdin.readline()
        with chosen.input.open(encoding="utf-8", newline="") as file:
            head, *rows = file.read().splitlines()
        ids = [row.partition(",")[0] for row in rows]
        clock = time.perf_counter()
        if chosen.role == "server":
            said = _serve(connection, ids)
        else:
            matched, said = _ask(connection, ids)
            said["crypto_s"] = time.perf_counter() - clock
            with chosen.output.open("w", encoding="utf-8", newline="") as file:
                file.write("\n".join([head, *(rows[index] for index in matched)]) + "\n")
        print(json.dumps(said), flush=True)


def _serve(connection, ids):
    server = psi.server.CreateWithNewKey(True)
    setup = server.CreateSetupMessage(_NO_FALSE_POSITIVES, len(ids), ids, psi.DataStructure.RAW)
    request = psi.Request()
    request.ParseFromString(_receive(connection))
    sent = _send(connection, setup) + _send(connection, server.ProcessRequest(request))
    return {"bytes": sent}


def _ask(connection, ids):
    client = psi.client.CreateWithNewKey(True)
    sent = _send(connection, client.CreateRequest(ids))
    setup, response = psi.ServerSetup(), psi.Response()
    setup.ParseFromString(_receive(connection))
    response.ParseFromString(_receive(connection))
    matched = client.GetIntersection(setup, response)
    return matched, {"bytes": sent, "matched": len(matched)}


def _connected(role, port):
    if role == "server":
        with socket.create_server(("127.0.0.1", port)) as listener:
            return listener.accept()[0]
    until = time.monotonic() + WAIT_S
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port))
        except ConnectionRefusedError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)


def _send(connection, message):
    content = message.SerializeToString()
    connection.sendall(_LENGTH.pack(len(content)) + content)
    return len(content)


def _receive(connection):
    (length,) = _LENGTH.unpack(_exactly(connection, _LENGTH.size))
    return _exactly(connection, length)


def _exactly(connection, length):
    parts = bytearray()
    while len(parts) < length:
        part = connection.recv(min(length - len(parts), 1 << 20))
        if not part:
            raise ConnectionError("the other party has gone")
        parts += part
    return bytes(parts)


if __name__ == "__main__":
    main()
