"""What is in the files of a store that may still be at work."""

from __future__ import annotations

import contextlib
from pathlib import Path


def bytes_in(folder: Path) -> bytes:
    """The bytes of all files of a folder; RocksDB removes those that it has replaced in its own time."""
    while True:
        files = sorted(folder.iterdir())
        with contextlib.suppress(FileNotFoundError):
            read = b"".join(file.read_bytes() for file in files)
            if sorted(folder.iterdir()) == files:
                return read
