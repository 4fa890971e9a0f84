"""Files at a URL: they are whole or absent, and are read with their checksums."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import IO, ParamSpec, TypeVar

import fsspec

from streams.stores.checkpoints.errors import UnusableUrl
from streams.stores.checkpoints.manifest import StoredFile

BLOCK_BYTES = 4 << 20
P = ParamSpec("P")
R = TypeVar("R")
EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs"}
"""The extra that has the driver of a protocol."""


def _raises_os_errors(method: Callable[P, R]) -> Callable[P, R]:
    """Make a driver's own errors, such as that it has no credentials, OSErrors."""

    @wraps(method)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(*args, **kwargs)
        except Exception as error:
            if isinstance(error, OSError) or type(error).__module__ == "builtins":
                raise
            raise OSError(f"{type(error).__name__}: {error}") from error

    return wrapped


class Remote:
    """A folder at a URL; paths are relative to it. Errors are OSErrors.

    Raises
    ------
    UnusableUrl
    """

    def __init__(self, url: str) -> None:
        try:
            self._fs, self._root = fsspec.url_to_fs(url)
        except ImportError as error:
            extra = EXTRAS.get(url.partition("://")[0])
            to_do = f": pip install 'alsobought[{extra}]'" if extra else ""
            raise UnusableUrl(f"cannot use {url}: {error}{to_do}") from error
        except ValueError as error:
            raise UnusableUrl(f"cannot use {url}: {error}") from error

    @_raises_os_errors
    def names(self, folder: str) -> set[str]:
        """Return the names of files and folders in a folder; empty if it does not exist."""
        self._fs.invalidate_cache()
        try:
            paths = self._fs.ls(self._path(folder), detail=False)
        except FileNotFoundError:
            return set()
        return {path.rstrip("/").rpartition("/")[2] for path in paths}

    @_raises_os_errors
    def make_folder(self, folder: str) -> None:
        """Make a folder, if the file system has folders."""
        self._fs.makedirs(self._path(folder), exist_ok=True)

    @_raises_os_errors
    def put(self, file: Path, to: str) -> None:
        """Copy a local file to the URL."""
        partial = self._partial(to)
        self._fs.put_file(str(file), partial)
        self._fs.mv(partial, self._path(to))

    @_raises_os_errors
    def write(self, to: str, raw: bytes) -> None:
        """Write a file."""
        partial = self._partial(to)
        self._fs.pipe_file(partial, raw)
        self._fs.mv(partial, self._path(to))

    @_raises_os_errors
    def read(self, path: str) -> bytes:
        """Return a file's bytes."""
        raw: bytes = self._fs.cat_file(self._path(path))
        return raw

    @_raises_os_errors
    def fetch(self, path: str, to: Path) -> None:
        """Copy a file from the URL to a local one."""
        self._fs.get_file(self._path(path), str(to))

    @_raises_os_errors
    def trouble(self, path: str, file: StoredFile) -> str:
        """Return what is wrong with a file that should be `file`; empty if nothing is."""
        try:
            with self._fs.open(self._path(path), "rb") as raw:
                return trouble(raw, file, self._path(path))
        except OSError as error:
            return f"{file.name} ({self._path(path)}) cannot be read: {error}"

    @_raises_os_errors
    def delete(self, path: str) -> None:
        """Delete a file."""
        self._fs.rm_file(self._path(path))

    @_raises_os_errors
    def delete_folder(self, folder: str) -> None:
        """Delete a folder with all that is in it."""
        self._fs.rm(self._path(folder), recursive=True)

    def _path(self, path: str) -> str:
        return f"{self._root}/{path}" if path else self._root

    def _partial(self, path: str) -> str:
        return f"{self._path(path)}.{uuid.uuid4().hex[:8]}"


def trouble(raw: IO[bytes], file: StoredFile, where: str) -> str:
    """Return what is wrong with an open file that should be `file`; empty if nothing is."""
    n_bytes, sha256 = 0, hashlib.sha256()
    while block := raw.read(BLOCK_BYTES):
        n_bytes += len(block)
        sha256.update(block)
    if n_bytes == file.bytes and sha256.hexdigest() == file.sha256:
        return ""
    return f"{file.name} ({where}) is damaged: {n_bytes} bytes with another checksum than was written"
