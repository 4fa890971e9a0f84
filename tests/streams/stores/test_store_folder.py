"""Generations of a store are taken over from a process that stands still, adopted, and cleaned."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from state.errors import StoreError, StoreLocked
from state.storage.files import copy_held, is_held
from state.storage.rocks_store import RocksStore
from streams.stores.folder import StoreFolder

HOLDER = """
import sys
from pathlib import Path
from state.storage.rocks_store import RocksStore
store = RocksStore(Path(sys.argv[1]))
store.write([(b"r%05d" % n, bytes(200)) for n in range(20_000)])
store.write([(b"m", b"written at the end of a sweep")])
store.flush(wait=True)
store.write([(b"m", b"written after it, on no disk yet")])
print("ready", flush=True)
sys.stdin.readline()
store.write([(b"m", b"written by the one that woke up")])
print("written", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def folder(tmp_path: Path) -> StoreFolder:
    return StoreFolder(tmp_path / "purchases-0")


@pytest.fixture
def holder(folder: StoreFolder) -> Iterator[subprocess.Popen[str]]:
    """Start a process that holds generation 1, and stands still."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder.next_generation())],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        os.kill(process.pid, signal.SIGSTOP)
        yield process
        process.kill()


def test_an_empty_disk_has_no_store(folder: StoreFolder) -> None:
    assert folder.newest() is None
    assert folder.next_generation().name == "1"
    folder.clean()


def test_a_store_that_is_held_is_copied_and_its_owner_writes_in_vain(
    folder: StoreFolder, holder: subprocess.Popen[str]
) -> None:
    held = folder.newest()
    assert held is not None
    assert is_held(held)
    with pytest.raises(StoreLocked):
        RocksStore(held)
    copied = folder.take_over()
    assert copied == folder.newest() != held
    store = RocksStore(copied)
    assert store.get(b"m") == b"written at the end of a sweep"
    assert sum(1 for _ in store.scan(b"r")) == 20_000

    assert holder.stdin is not None
    assert holder.stdout is not None
    os.kill(holder.pid, signal.SIGCONT)
    holder.stdin.write("\n")
    holder.stdin.flush()
    assert holder.stdout.readline() == "written\n"
    assert store.get(b"m") == b"written at the end of a sweep"
    store.close()

    folder.clean()
    assert held.exists()  # its owner is alive
    holder.kill()
    holder.wait()
    folder.clean()
    assert not held.exists()
    assert folder.newest() == copied


def test_broken_attempts_are_not_stores_and_are_cleaned(folder: StoreFolder) -> None:
    RocksStore(folder.next_generation()).close()
    broken = folder.root / "2.partial"
    broken.mkdir()
    (broken / "000001.sst").write_bytes(b"half")
    assert folder.newest() == folder.root / "1"
    folder.clean()
    assert not broken.exists()
    assert folder.newest() == folder.root / "1"


def test_unreadable_stores_are_not_taken_over(folder: StoreFolder) -> None:
    RocksStore(folder.next_generation()).close()
    newest = folder.newest()
    assert newest is not None
    (newest / "CURRENT").write_text("MANIFEST-999999\n")
    with pytest.raises(StoreError, match="cannot copy the store in"):
        folder.take_over()
    assert folder.newest() == newest


def test_a_store_of_the_time_before_generations_is_the_first(tmp_path: Path) -> None:
    root = tmp_path / "items-1"
    store = RocksStore(root)
    store.write([(b"m", b"old")])
    store.close()
    assert StoreFolder(root).newest() == root / "1"
    # this is a crash after the first of its two renames
    (root / "1").rename(tmp_path / "items-1.partial")
    root.rmdir()
    newest = StoreFolder(root).newest()
    assert newest == root / "1"
    store = RocksStore(root / "1")
    assert store.get(b"m") == b"old"
    store.close()


def test_a_copy_is_whole(tmp_path: Path) -> None:
    store = RocksStore(tmp_path / "one")
    records = [(b"k%06d" % n, os.urandom(3_000)) for n in range(3_000)]  # several batches
    store.write(records)
    store.flush(wait=True)
    copy_held(tmp_path / "one", tmp_path / "two")
    store.close()
    copy = RocksStore(tmp_path / "two")
    assert list(copy.scan(b"k")) == records
    copy.close()
