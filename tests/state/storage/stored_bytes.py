"""Reads the files of a store that may still be open."""

from __future__ import annotations

import contextlib
from pathlib import Path


def bytes_in(folder: Path) -> bytes:
    """Return the bytes of all files of a folder; RocksDB removes replaced files at some later time."""
    while True:
        files = sorted(folder.iterdir())
        with contextlib.suppress(FileNotFoundError):
            read = b"".join(file.read_bytes() for file in files)
            if sorted(folder.iterdir()) == files:
                return read
