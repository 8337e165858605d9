"""Back up a party's private keys to one file, and put them back where there are none.

A lost result key makes every stored answer unreadable. The backup is a tar archive that only its
owner can read (0600); where it is kept is kept as well as the keys.
"""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from sandbox.crypto.identity import write_secret
from sandbox.errors import InputError

# What cannot be made again. Logs and databases are not keys: a restored one would be an old copy.
KEPT = ("identity.json", "identity.key", "tls.crt", "tls.key", "ca.crt", "config.toml")
KEPT_FOLDERS = ("keys",)
LIMIT_BYTES = 64 << 20


def write_backup(profile: Path, file: Path) -> list[str]:
    """Write the keys of `profile` to `file`, which must not exist; return what was kept."""
    names = [name for name in KEPT if (profile / name).is_file()]
    for folder in KEPT_FOLDERS:
        found = sorted((profile / folder).glob("*")) if (profile / folder).is_dir() else []
        names += [f"{folder}/{path.name}" for path in found if path.is_file()]
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
        target.parent.mkdir(parents=True, exist_ok=True)
        write_secret(target, content)
    return list(contents)


def _contents(file: Path) -> dict[str, bytes]:
    """Read the archive's members that a backup has, and no others."""
    contents: dict[str, bytes] = {}
    try:
        with tarfile.open(file) as tar:
            for member in tar:
                allowed = member.name in KEPT or _in_kept_folder(member.name)
                if not (member.isfile() and allowed and member.size <= LIMIT_BYTES):
                    raise InputError("SB-1380", file=str(file))
                opened = tar.extractfile(member)
                contents[member.name] = opened.read() if opened else b""
    except (OSError, tarfile.TarError):
        raise InputError("SB-1380", file=str(file)) from None
    if "identity.key" not in contents:
        raise InputError("SB-1380", file=str(file))
    return contents


def _in_kept_folder(name: str) -> bool:
    folder, _, rest = name.partition("/")
    return folder in KEPT_FOLDERS and rest not in ("", ".", "..") and "/" not in rest
