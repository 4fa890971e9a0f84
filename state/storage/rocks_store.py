"""A store of a machine's records on disk, in RocksDB."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from rocksdict import (
    BlockBasedOptions,
    Cache,
    Checkpoint,
    DBCompressionType,
    Options,
    Rdict,
    WriteBatch,
    WriteBufferManager,
    WriteOptions,
)

from state.errors import StoreError, StoreFull, StoreLocked

CACHE_BYTES = 16 << 20  # of all stores of a process together
WRITE_BUFFERS_BYTES = 64 << 20  # the same
WRITE_BUFFER_BYTES = 8 << 20
LOG_BYTES = 256 << 10  # of one of the files in which RocksDB notes what it does; by itself they grow for ever
LOGS = 3
MANIFEST_BYTES = 4 << 20  # of the list of a store's files, before it is written anew
BLOOM_BITS = 10.0  # per key: looking up a new id then reads nothing from disk
PURGED_SINGLY = 64
LARGE_BYTES = 512
BLOB_FILE_BYTES = 32 << 20
GARBAGE_AGE, GARBAGE_SHARE = 0.25, 0.5  # of the oldest quarter of the files, how much may be garbage
FULL = tuple(os.strerror(number) for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG))


@cache
def _shared_cache() -> Cache:
    return Cache(CACHE_BYTES)


@cache
def _shared_buffers() -> WriteBufferManager:
    return WriteBufferManager(WRITE_BUFFERS_BYTES, allow_stall=False)


class RocksStore:
    """A store in a folder of its own, which one process at a time can open.

    Memory is bounded: all stores of a process together have write buffers of 64 MiB, at most 16 MiB each, and
    a block cache of 16 MiB (RocksDB's default is gigabytes); frequently used data are in the machine's own
    arrays.

    RocksDB keeps no log of its own, because Kafka has the log. After a crash the store has all writes up to
    some moment and no later ones, and those before the last `flush` are among them (docs/decisions/0016).

    After a write has failed the store takes no more, although RocksDB may do so once there is room on the
    disk again: its writer has forgotten what it believed written. When it is opened again, it has all up to
    some whole write.

    Parameters
    ----------
    large
        Whether most values are large and often replaced, as rows are, and none of them has to be purged.
        Values of `LARGE_BYTES` and more then lie in files of their own (Lu et al., WiscKey, FAST 2016), which
        compaction leaves alone until a quarter of the oldest is garbage.

    Raises
    ------
    StoreLocked
        If another process has the folder open.
    StoreFull
        When it is opened or used, if the disk is full.
    StoreError
        If it cannot be opened, or the disk fails.
    """

    def __init__(self, path: Path, *, large: bool = False) -> None:
        self.path = path
        self._failed: StoreError | None = None
        path.mkdir(parents=True, exist_ok=True)
        options = Options(raw_mode=True)
        options.create_if_missing(True)
        options.set_write_buffer_size(WRITE_BUFFER_BYTES)
        options.set_max_write_buffer_number(2)
        options.set_write_buffer_manager(_shared_buffers())
        options.set_max_background_jobs(2)
        options.set_max_open_files(256)
        options.set_keep_log_file_num(LOGS)
        options.set_max_log_file_size(LOG_BYTES)
        options.set_max_manifest_file_size(MANIFEST_BYTES)
        options.set_compression_type(DBCompressionType.none())  # hash tables do not compress
        tables = BlockBasedOptions()
        tables.set_block_cache(_shared_cache())
        tables.set_bloom_filter(BLOOM_BITS, False)
        options.set_block_based_table_factory(tables)
        if large:
            options.set_enable_blob_files(True)
            options.set_min_blob_size(LARGE_BYTES)
            options.set_blob_file_size(BLOB_FILE_BYTES)
            options.set_enable_blob_gc(True)
            options.set_blob_gc_age_cutoff(GARBAGE_AGE)
            options.set_blob_gc_force_threshold(GARBAGE_SHARE)
        self._write_options = WriteOptions()
        self._write_options.disable_wal = True
        try:
            self._db = Rdict(str(path), options)
        except Exception as error:
            if "lock" in str(error).lower():
                raise StoreLocked(f"{path} is open in another process: {error}") from error
            raise self._error("open", error) from error

    def get(self, key: bytes) -> bytes | None:
        """Return the value, None if there is none."""
        with self._asked("read"):
            value: bytes | None = self._db.get(key)
        return value

    def get_many(self, keys: list[bytes]) -> list[bytes | None]:
        """Return the value of each key, None where there is none; one request for all."""
        with self._asked("read"):
            values: list[bytes | None] = self._db.get(keys) if keys else []
        return values

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield the keys that start with `prefix`, ascending, with their values."""
        with self._asked("read"):
            for key, value in self._db.items(from_key=prefix):
                if not key.startswith(prefix):
                    return
                yield key, value

    def write(self, records: Sequence[tuple[bytes, bytes | None]]) -> None:
        """Put and delete all records in order, in one batch, or none of them."""
        if self._failed is not None:
            raise self._failed
        batch = WriteBatch(raw_mode=True)
        for key, value in records:
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        try:
            self._db.write(batch, self._write_options)
        except Exception as error:
            self._failed = self._error("write to", error)
            raise self._failed from error

    def flush(self, *, wait: bool) -> None:
        """Write what is only in memory to the disk. Without `wait`, a failure fails the next write."""
        if self._failed is not None:
            raise self._failed
        try:
            self._db.flush(wait)
        except Exception as error:
            self._failed = self._error("write to", error)
            raise self._failed from error

    def purge(self, keys: list[bytes]) -> None:
        """Rewrite the files that may hold such values, at most some 100 MB for each key.

        RocksDB would do so by itself, but only at some later time.
        """
        ranges = [(key, key + b"\0") for key in sorted(keys)]
        if len(ranges) > PURGED_SINGLY:
            ranges = [(ranges[0][0], ranges[-1][1])]
        with self._asked("purge"):
            for first, end in ranges:
                self._db.compact_range(first, end)

    def sizes(self) -> dict[str, int]:
        """Return bytes: of the files on the disk; of the write buffers of this store; of the cache of all
        stores of the process together.
        """
        with self._asked("measure"):
            on_disk = sum(map(self._number, ("total-sst-files-size", "total-blob-file-size")))
            buffers = self._number("cur-size-all-mem-tables")
            return {"disk": on_disk, "buffers": buffers, "cache": self._number("block-cache-usage")}

    def _number(self, name: str) -> int:
        return int(self._db.property_int_value(f"rocksdb.{name}") or 0)

    def checkpoint(self, to: Path) -> None:
        """Make a copy as of now in a folder that does not exist yet, of
        hard links where files never change.
        """
        with self._asked(f"make a checkpoint in {to} of"):
            Checkpoint(self._db).create_checkpoint(str(to))

    def close(self) -> None:
        """Flush and unlock the folder. It is unlocked even if flushing fails, and nothing is lost then."""
        with self._asked("close"):
            self._db.close()

    @contextmanager
    def _asked(self, to_do: str) -> Iterator[None]:
        """Raise errors of RocksDB in the block as errors of this package."""
        try:
            yield
        except Exception as error:
            raise self._error(to_do, error) from error

    def _error(self, to_do: str, error: Exception) -> StoreError:
        if any(reason in str(error) for reason in FULL):
            return StoreFull(
                f"the disk is full, cannot {to_do} {self.path}: {error}. Free some space there; nothing is"
                " lost: a worker that ended continues from what it last wrote when it is started again"
            )
        return StoreError(f"cannot {to_do} {self.path}: {error}")
