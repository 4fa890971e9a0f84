"""Read a store while another process may have it open."""

from __future__ import annotations

import fcntl
from pathlib import Path

from rocksdict import AccessType, Options, Rdict, WriteBatch

from state.errors import StoreError

BATCH_BYTES = 4 << 20


def is_held(path: Path) -> bool:
    """Return whether another process has the store in a folder open.

    Must not be called for a store that this process has open.
    """
    try:
        lock = (path / "LOCK").open("r+b")
    except FileNotFoundError:
        return False
    with lock:  # closing gives up what we got
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def read_one(path: Path, key: bytes) -> bytes | None:
    """Return the value of a key in a store, as of its last flush, or None; any process may have it open.

    Raises
    ------
    StoreError
        If the store cannot be read.
    """
    try:
        store = Rdict(str(path), Options(raw_mode=True), access_type=AccessType.read_only())
        value: bytes | None = store.get(key)
        store.close()
    except Exception as error:
        raise StoreError(f"cannot read the store in {path}: {error}") from error
    return value


def copy_held(source: Path, to: Path) -> None:
    """Copy every record of a store that another process has open, as of one moment, into a new folder.

    RocksDB allows reading a folder beside its owner. Values are copied as they are, with their checksums.
    What the owner has written since its last flush may be missing, as after a crash.

    Raises
    ------
    StoreError
        If the source cannot be read. Its owner may have removed a file, and a second attempt may succeed.
    """
    to.mkdir(parents=True)
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    try:
        held = Rdict(str(source), Options(raw_mode=True), access_type=AccessType.read_only())
        copy = Rdict(str(to), options)
        batch, n_bytes = WriteBatch(raw_mode=True), 0
        for key, value in held.items():
            batch.put(key, value)
            n_bytes += len(value)
            if n_bytes > BATCH_BYTES:
                copy.write(batch)
                batch, n_bytes = WriteBatch(raw_mode=True), 0
        copy.write(batch)
        copy.close()
        held.close()
    except Exception as error:
        raise StoreError(f"cannot copy the store in {source}: {error}") from error
