"""Text files as people give them, and why one cannot be used, in the reader's language: the system's own
words are English."""

from __future__ import annotations

import errno
from pathlib import Path

from sandbox.errors import InputError
from sandbox.messages import text

_FAULTS = {
    errno.ENOENT: "missing",
    errno.EACCES: "forbidden",
    errno.EPERM: "forbidden",
    errno.EISDIR: "folder",
    errno.ENOTDIR: "no_folder",
    errno.EEXIST: "exists",
    errno.ENOSPC: "full",
    errno.EROFS: "read_only",
}


def read_text(file: Path) -> str:
    """Return what is written in a file; raises InputError SB-1300 if that cannot be read as UTF-8."""
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("SB-1300", file=str(file), reason=fault_of(error)) from None


def fault_of(error: OSError | UnicodeDecodeError) -> str:
    """Return why a file cannot be read or written."""
    if isinstance(error, UnicodeDecodeError):
        return text("fault.encoding")
    number = error.errno or 0
    return text(f"fault.{_FAULTS.get(number, 'other')}", name=errno.errorcode.get(number, "?"))
