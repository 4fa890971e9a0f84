"""The store of a task, filled and counted. Helpers of the tests in this folder."""

from __future__ import annotations

from pathlib import Path

from state.storage.rocks_store import RocksStore

TASK = "purchases-0"
LOG = "purchases 1 pair-deltas 2"


def fill(store: RocksStore, start: int, n: int = 300) -> None:
    """Write n records, from number `start` on."""
    store.write([(b"k%06d" % i, bytes([i % 251]) * 1_000) for i in range(start, start + n)])


def count(folder: Path) -> int:
    """Return how many records the store in a folder has."""
    restored = RocksStore(folder)
    n = sum(1 for _ in restored.scan(b"k"))
    restored.close()
    return n
