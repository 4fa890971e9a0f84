"""Tests of the contract of all stores, and of what RocksDB adds."""

from __future__ import annotations

import random
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from state.errors import StoreError, StoreFull, StoreLocked
from state.storage import rocks_store
from state.storage.rocks_store import RocksStore
from state.storage.store import MemoryStore, Store
from tests.state.storage.stored_bytes import bytes_in


@pytest.fixture(params=["memory", "rocks"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    made: Store = MemoryStore() if request.param == "memory" else RocksStore(tmp_path / "store")
    yield made
    made.close()


def test_written_records_are_read(store: Store) -> None:
    store.write([(b"a", b"1"), (b"b", b""), (b"\x00\xff", bytes(range(256)))])
    assert store.get(b"a") == b"1"
    assert store.get(b"b") == b""
    assert store.get(b"\x00\xff") == bytes(range(256))
    assert store.get(b"c") is None


def test_a_later_write_holds(store: Store) -> None:
    store.write([(b"a", b"1"), (b"a", b"2")])
    assert store.get(b"a") == b"2"
    store.write([(b"a", b"3")])
    assert list(store.scan(b"a")) == [(b"a", b"3")]


def test_a_scan_is_ascending_and_keeps_to_its_prefix(store: Store) -> None:
    rng = random.Random(1)
    written = {
        bytes([rng.choice(b"hrs")]) + rng.randbytes(4): rng.randbytes(rng.randrange(50)) for _ in range(500)
    }
    store.write(list(written.items()))
    for prefix in (b"h", b"r", b"s", b"r\x80", b"", b"z"):
        expected = sorted(item for item in written.items() if item[0].startswith(prefix))
        assert list(store.scan(prefix)) == expected


def test_deleted_records_are_gone(store: Store) -> None:
    store.write([(b"a", b"1"), (b"b", b"2")])
    store.write([(b"a", None), (b"never", None)])
    assert store.get(b"a") is None
    assert list(store.scan(b"")) == [(b"b", b"2")]
    store.write([(b"b", None), (b"b", b"3"), (b"c", b"4"), (b"c", None)])  # in their order
    assert list(store.scan(b"")) == [(b"b", b"3")]


def test_many_are_read_as_one_by_one(store: Store) -> None:
    rng = random.Random(2)
    store.write([(bytes([n]), rng.randbytes(n)) for n in range(0, 200, 3)])
    store.write([(bytes([n]), None) for n in range(0, 200, 9)])
    keys = [bytes([rng.randrange(200)]) for _ in range(500)]
    assert store.get_many(keys) == [store.get(key) for key in keys]
    assert store.get_many([]) == []


def test_a_scan_is_of_the_moment_it_began(store: Store) -> None:
    store.write([(bytes([n]), b"old") for n in range(100)])
    scan = store.scan(b"")
    found = [next(scan)]
    store.write([(bytes([n]), None) for n in range(50)] + [(bytes([n]), b"new") for n in range(50, 200)])
    found += scan
    assert found == [(bytes([n]), b"old") for n in range(100)]


@pytest.mark.parametrize("n", [1, 200])
def test_purging_leaves_the_others(store: Store, n: int) -> None:
    store.write([(b"%03d" % key, b"value %d" % key) for key in range(300)])
    store.write([(b"%03d" % key, None) for key in range(n)])
    store.purge([b"%03d" % key for key in range(n)])
    store.purge([])
    assert list(store.scan(b"")) == [(b"%03d" % key, b"value %d" % key) for key in range(n, 300)]


@pytest.mark.parametrize("n", [1, 200])
def test_purged_records_are_not_on_disk(tmp_path: Path, n: int) -> None:
    store = RocksStore(tmp_path)
    for _ in range(3):  # in several files
        store.write([(b"%04d" % key, b"secret" * 200) for key in range(n)])
        store.write([(b"%04d" % key, random.randbytes(1000)) for key in range(n, 10_000)])
    store.flush(wait=True)
    secret = b"secret" * 3
    assert secret in bytes_in(tmp_path)
    store.write([(b"%04d" % key, None if key else b"replaced") for key in range(n)])
    store.purge([b"%04d" % key for key in range(n)])
    assert secret not in bytes_in(tmp_path)
    store.close()


def test_writing_nothing_is_allowed(store: Store) -> None:
    store.write([])
    assert list(store.scan(b"")) == []


def test_an_empty_store_has_nothing(store: Store) -> None:
    assert store.get(b"m") is None
    assert list(store.scan(b"m")) == []


def test_a_store_on_disk_is_there_when_opened_again(tmp_path: Path) -> None:
    first = RocksStore(tmp_path / "deep" / "store")
    first.write([(b"a", b"1" * 100_000)])
    first.close()
    again = RocksStore(tmp_path / "deep" / "store")
    assert again.get(b"a") == b"1" * 100_000
    again.close()


def test_a_folder_is_held_once(tmp_path: Path) -> None:
    held = RocksStore(tmp_path)
    with pytest.raises(StoreLocked, match="is open in another process"):
        RocksStore(tmp_path)
    held.close()
    RocksStore(tmp_path).close()


def test_a_damaged_folder_is_an_error(tmp_path: Path) -> None:
    store = RocksStore(tmp_path)
    store.write([(b"a", b"1")])
    store.close()
    (tmp_path / "CURRENT").write_text("nonsense\n")
    with pytest.raises(StoreError, match="cannot open"):
        RocksStore(tmp_path)


@contextmanager
def _full_disk() -> Iterator[None]:
    """Make writes beyond the first 64 KiB of a file fail, as they do on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 << 10, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_the_last_flush(tmp_path: Path) -> None:
    store = RocksStore(tmp_path)
    store.write([(b"a", b"1"), (b"b", b"2")])
    store.flush(wait=True)
    store.write([(b"a", None), *((b"%03d" % n, random.randbytes(1_000)) for n in range(200))])
    with _full_disk(), pytest.raises(StoreFull, match=rf"cannot write to {tmp_path}: .*Free some space"):
        store.flush(wait=True)
    # the writer believes that the rest was written
    with pytest.raises(StoreFull, match="continues from what it last wrote"):
        store.write([(b"c", b"3")])
    with pytest.raises(StoreFull, match="continues from what it last wrote"):
        store.flush(wait=True)
    with pytest.raises(StoreFull, match="cannot close"):
        store.close()
    again = RocksStore(tmp_path)
    assert list(again.scan(b"")) == [(b"a", b"1"), (b"b", b"2")]
    again.write([(b"c", b"3")])
    assert again.get(b"c") == b"3"
    again.close()


def test_a_full_disk_is_noticed_without_a_flush(tmp_path: Path) -> None:
    """When much is in memory it is written to the disk, and an error there makes a later write fail."""
    store = RocksStore(tmp_path)
    store.write([(b"first", b"1")])
    store.flush(wait=True)

    def write_much() -> None:
        for n in range(100):
            store.write([(b"%03d" % n, random.randbytes(1 << 20))])

    with _full_disk(), pytest.raises(StoreFull, match="cannot write to"):
        write_much()
    with pytest.raises(StoreFull, match="cannot write to"):
        store.write([(b"c", b"3")])
    with pytest.raises(StoreFull, match="cannot close"):
        store.close()
    again = RocksStore(tmp_path)
    assert list(again.scan(b"")) == [(b"first", b"1")]
    again.close()


def test_a_store_does_not_close_on_a_full_disk(tmp_path: Path) -> None:
    store = RocksStore(tmp_path)
    store.write([(b"a", b"1")])
    store.flush(wait=True)
    store.write([(b"%03d" % n, random.randbytes(1_000)) for n in range(200)])
    with _full_disk(), pytest.raises(StoreFull, match="cannot close"):
        store.close()
    again = RocksStore(tmp_path)
    assert list(again.scan(b"")) == [(b"a", b"1")]
    again.close()


_WRITER = """
import os, pathlib, sys
from state.storage import rocks_store
from state.storage.rocks_store import RocksStore
store = RocksStore(pathlib.Path(sys.argv[1]))
for n in range(400):
    store.write([(b"%03d" % n, os.urandom(100_000)), (b"newest", b"%d" % n)])
    if n == 250:
        store.flush(wait=True)
os.kill(os.getpid(), 9)
"""


def test_a_crash_leaves_all_writes_up_to_some_moment(tmp_path: Path) -> None:
    """This holds without RocksDB's own log: writes remain in order, and at least up to the last flush."""
    killed = subprocess.run([sys.executable, "-c", _WRITER, str(tmp_path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    store = RocksStore(tmp_path)
    newest = int(store.get(b"newest") or b"-1")
    assert 250 <= newest <= 399
    assert [key for key, _ in store.scan(b"")] == [*(b"%03d" % n for n in range(newest + 1)), b"newest"]
    store.close()


def test_what_rocksdb_notes_does_not_grow_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In an hour of a small shop its log grew to 170 MB, beside 23 MB of data."""
    monkeypatch.setattr(rocks_store, "LOG_BYTES", 16 << 10)
    monkeypatch.setattr(rocks_store, "MANIFEST_BYTES", 4 << 10)
    store, noted, listed = RocksStore(tmp_path / "store"), 0, 0
    for n in range(150):
        store.write([(b"key", b"%d" % n)])
        store.flush(wait=True)
        noted, listed = max(noted, size_of(store.path, "LOG")), max(listed, size_of(store.path, "MANIFEST"))
    assert store.get(b"key") == b"149"
    store.close()
    assert (rocks_store.LOGS - 1) * (16 << 10) < noted < (rocks_store.LOGS + 2) * (16 << 10)
    assert 4 << 10 < listed < 3 * (4 << 10)


def size_of(folder: Path, prefix: str) -> int:
    """The bytes of the files with this prefix; RocksDB removes files meanwhile."""
    total = 0
    for file in folder.glob(f"{prefix}*"):
        with suppress(FileNotFoundError):
            total += file.stat().st_size
    return total
