"""Back up a party's private keys to one file, and put them back where there are none.

A lost result key makes every stored answer unreadable, and so does the lost seed of a job's checks.
The backup is a tar archive that only its owner can read (0600); where it is kept is kept as well as
the keys.
"""

from __future__ import annotations

import io
import tarfile
from pathlib import Path, PurePosixPath

from sandbox.crypto.identity import write_secret
from sandbox.errors import InputError

# What cannot be made again. Logs and databases are not keys: a restored one would be an old copy.
KEPT = (
    "identity.json",
    "identity.key",
    "tls.crt",
    "tls.key",
    "ca.crt",
    "config.toml",
    "trusted.json",
    "result-key/*.key",
    "jobs/*/job.json",
    "jobs/*/seed.key",
)
LIMIT_BYTES = 64 << 20


def write_backup(profile: Path, file: Path) -> list[str]:
    """Write the keys of `profile` to `file`, which must not exist; return what was kept."""
    found = [path for pattern in KEPT for path in sorted(profile.glob(pattern))]
    names = [path.relative_to(profile).as_posix() for path in found if path.is_file()]
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for name in names:
            tar.add(profile / name, arcname=name, recursive=False)
    write_secret(file, archive.getvalue())
    return names


def read_backup(file: Path, profile: Path) -> list[str]:
    """Put the keys in `file` into `profile`; raises InputError SB-1380, SB-1381 and writes nothing."""
    if (profile / "identity.key").exists():
        raise InputError("SB-1381", folder=str(profile))
    contents = _contents(file)
    for name, content in contents.items():
        target = profile / name
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_secret(target, content)
    return list(contents)


def _contents(file: Path) -> dict[str, bytes]:
    """Read the archive's members that a backup has, and no others."""
    contents: dict[str, bytes] = {}
    try:
        with tarfile.open(file) as tar:
            for member in tar:
                wanted = member.isfile() and _is_kept(member.name)
                if not wanted or member.size > LIMIT_BYTES:
                    raise InputError("SB-1380", file=str(file))
                opened = tar.extractfile(member)
                contents[member.name] = opened.read() if opened else b""
    except (OSError, tarfile.TarError):
        raise InputError("SB-1380", file=str(file)) from None
    if "identity.key" not in contents:
        raise InputError("SB-1380", file=str(file))
    return contents


def _is_kept(name: str) -> bool:
    parts = PurePosixPath(name).parts
    return ".." not in parts and any(
        len(parts) == pattern.count("/") + 1 and PurePosixPath(name).match(pattern)
        for pattern in KEPT
    )
