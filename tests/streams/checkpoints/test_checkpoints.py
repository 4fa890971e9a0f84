"""Checkpoints in a directory and in fsspec's memory are taken, shared, cleaned, and restored."""

from __future__ import annotations

import hashlib
from pathlib import Path

import fsspec
import msgspec

from state.storage.rocks_store import RocksStore
from streams.stores.checkpoints import Checkpoints
from tests.streams.checkpoints.stores import LOG, TASK, count, fill


def test_a_taken_checkpoint_is_restored(url: str, store: RocksStore, tmp_path: Path) -> None:
    checkpoints = Checkpoints(url, 3)
    assert checkpoints.restore(TASK, tmp_path / "new" / "1", identity=LOG) is None
    assert checkpoints.known() == []
    fill(store, 0)
    taken = checkpoints.save(TASK, store, 77, LOG)
    fill(store, 300)  # this is not in it
    assert (taken.checkpoint.number, taken.checkpoint.position) == (1, 77)
    assert taken.uploaded_files == len(taken.checkpoint.files)
    assert taken.uploaded_bytes == taken.checkpoint.bytes > 300_000
    assert checkpoints.known(TASK) == checkpoints.known() == [taken.checkpoint]
    seen: list[str] = []
    assert checkpoints.verify(taken.checkpoint, lambda file: seen.append(file.name)) == ""
    assert seen == [file.name for file in taken.checkpoint.files]
    restored = checkpoints.restore(TASK, tmp_path / "new" / "1", identity=LOG)
    assert restored == taken.checkpoint
    assert count(tmp_path / "new" / "1") == 300


def test_files_that_are_there_are_not_copied_again(url: str, store: RocksStore, tmp_path: Path) -> None:
    checkpoints = Checkpoints(url, 3)
    fill(store, 0, 20_000)  # this is more than the write buffers hold, so several files remain
    first = checkpoints.save(TASK, store, 1, LOG)
    fill(store, 20_000, 10)
    second = checkpoints.save(TASK, store, 2, LOG)
    assert second.checkpoint.number == 2
    assert second.uploaded_bytes < first.uploaded_bytes / 10
    # also by a worker that began from a checkpoint
    checkpoints.restore(TASK, tmp_path / "new" / "1", identity=LOG)
    restored = RocksStore(tmp_path / "new" / "1")
    third = Checkpoints(url, 3).save(TASK, restored, 3, LOG)
    restored.close()
    assert third.checkpoint.number == 3
    assert third.uploaded_bytes < first.uploaded_bytes / 10
    assert count(tmp_path / "new" / "1") == 20_010


def test_files_of_large_values_are_not_copied_again(url: str, tmp_path: Path) -> None:
    """The rows of item partitions lie in them, which are most of the state."""
    rows = RocksStore(tmp_path / "state" / "pair-deltas-0" / "1", large=True)
    checkpoints = Checkpoints(url, 3)
    fill(rows, 0, 20_000)
    first = checkpoints.save(TASK, rows, 1, LOG)
    large = sum(file.bytes for file in first.checkpoint.files if file.name.endswith(".blob"))
    assert large > 0.9 * first.uploaded_bytes
    fill(rows, 20_000, 10)
    second = checkpoints.save(TASK, rows, 2, LOG)
    rows.close()
    assert second.uploaded_bytes < first.uploaded_bytes / 10
    assert checkpoints.verify(second.checkpoint) == ""
    assert checkpoints.restore(TASK, tmp_path / "new" / "1", identity=LOG) == second.checkpoint
    assert count(tmp_path / "new" / "1") == 20_010


def test_the_last_few_are_kept_and_nothing_else(url: str, store: RocksStore, tmp_path: Path) -> None:
    checkpoints = Checkpoints(url, 2)
    for n in range(6):
        fill(store, 0, 200 + n)
        checkpoints.save(TASK, store, n, LOG)
    assert [c.position for c in checkpoints.known(TASK)] == [5, 4]
    assert checkpoints.newest(TASK) == checkpoints.known(TASK)[0]
    assert checkpoints.newest("items-7") is None
    assert all(checkpoints.verify(c) == "" for c in checkpoints.known(TASK))
    checkpoints.save(TASK, store, 6, LOG)
    fs, root = fsspec.url_to_fs(url)
    there = {path.rpartition("/")[2] for path in fs.ls(f"{root}/{TASK}/files", detail=False)}
    named = {file.stored_as for c in checkpoints.known(TASK) for file in c.files}
    last = {file.stored_as for file in checkpoints.known(TASK)[-1].files}
    assert named <= there
    assert len(there - named) <= 10  # files of the checkpoint forgotten last; those of older ones are gone
    assert last <= there
    assert not list((tmp_path / "state" / TASK).glob("*.taking"))


def test_a_checkpoint_with_the_old_file_names_is_restored(
    url: str, store: RocksStore, tmp_path: Path
) -> None:
    checkpoints = Checkpoints(url, 3)
    fill(store, 0)
    taken = checkpoints.save(TASK, store, 1, LOG).checkpoint
    fs, root = fsspec.url_to_fs(url)
    for file in taken.files:
        if file.own:
            fs.mv(f"{root}/{TASK}/files/{file.own}", f"{root}/{TASK}/files/{file.sha256}")
    fields = msgspec.to_builtins(taken) | {
        "files": [{"name": f.name, "bytes": f.bytes, "sha256": f.sha256} for f in taken.files]
    }
    raw = msgspec.json.encode(fields)
    manifest = {"sha256": hashlib.sha256(raw).hexdigest(), "checkpoint": msgspec.Raw(raw)}
    fs.pipe_file(f"{root}/{TASK}/manifests/{taken.name}", msgspec.json.encode(manifest))
    assert checkpoints.restore(TASK, tmp_path / "new" / "1", identity=LOG) is not None
    assert count(tmp_path / "new" / "1") == 300


def test_a_checkpoint_of_other_topics_is_not_used(url: str, store: RocksStore, tmp_path: Path) -> None:
    checkpoints = Checkpoints(url, 3)
    fill(store, 0)
    checkpoints.save(TASK, store, 5, "other topics")
    assert checkpoints.restore(TASK, tmp_path / "new" / "1", identity=LOG) is None
    assert checkpoints.restore(TASK, tmp_path / "new" / "1", identity="") is not None


def test_a_second_writer_loses_nothing(url: str, store: RocksStore, tmp_path: Path) -> None:
    """A worker that was frozen in the middle of a checkpoint continues while its successor takes several."""
    old, new = Checkpoints(url, 2), Checkpoints(url, 2)
    fill(store, 0)
    old.save(TASK, store, 1, LOG)
    fill(store, 300)
    write = old._remote.write

    def frozen(to: str, raw: bytes) -> None:
        new.save(TASK, store, 2, LOG)  # cleans while the files of the other are not named yet
        write(to, raw)

    old._remote.write = frozen  # type: ignore[method-assign]
    old.save(TASK, store, 2, LOG)
    numbers = [c.number for c in new.known(TASK)]
    assert numbers == [2, 2]
    assert all(new.verify(c) == "" for c in new.known(TASK))
