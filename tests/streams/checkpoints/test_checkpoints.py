"""Checkpoints in a directory and in fsspec's memory are shared, verified, cleaned, and restored."""

from __future__ import annotations

import hashlib
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import fsspec
import msgspec
import pytest

from state.storage.rocks_store import RocksStore
from streams.stores.checkpoints import CheckpointError, Checkpoints, UnusableUrl
from streams.stores.checkpoints.manifest import LAYOUT, Checkpoint, decode, encode

TASK = "purchases-0"
LOG = "purchases 1 pair-deltas 2"


@pytest.fixture(params=["directory", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "there") if request.param == "directory" else f"memory://{uuid.uuid4().hex}"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RocksStore]:
    store = RocksStore(tmp_path / "state" / TASK / "1")
    yield store
    store.close()


def _fill(store: RocksStore, start: int, n: int = 300) -> None:
    store.write([(b"k%06d" % i, bytes([i % 251]) * 1_000) for i in range(start, start + n)])


def _count(folder: Path) -> int:
    restored = RocksStore(folder)
    n = sum(1 for _ in restored.scan(b"k"))
    restored.close()
    return n


def _spoil(url: str, checkpoint: Checkpoint, name: str, how: str) -> None:
    fs, root = fsspec.url_to_fs(url)
    file = next(f for f in checkpoint.files if f.name.endswith(name))
    path = f"{root}/{checkpoint.task}/files/{file.stored_as}"
    raw = fs.cat_file(path)
    fs.rm_file(path)
    if how == "flipped":
        fs.pipe_file(path, raw[:-1] + bytes([raw[-1] ^ 1]))
    elif how == "cut":
        fs.pipe_file(path, raw[:-1])


def test_a_taken_checkpoint_is_restored(url: str, store: RocksStore, tmp_path: Path) -> None:
    checkpoints = Checkpoints(url, 3)
    assert checkpoints.restore(TASK, tmp_path / "new" / "1", identity=LOG) is None
    assert checkpoints.known() == []
    _fill(store, 0)
    taken = checkpoints.save(TASK, store, 77, LOG)
    _fill(store, 300)  # this is not in it
    assert (taken.checkpoint.number, taken.checkpoint.position) == (1, 77)
    assert taken.uploaded_files == len(taken.checkpoint.files)
    assert taken.uploaded_bytes == taken.checkpoint.bytes > 300_000
    assert checkpoints.known(TASK) == checkpoints.known() == [taken.checkpoint]
    seen: list[str] = []
    assert checkpoints.verify(taken.checkpoint, lambda file: seen.append(file.name)) == ""
    assert seen == [file.name for file in taken.checkpoint.files]
    restored = checkpoints.restore(TASK, tmp_path / "new" / "1", identity=LOG)
    assert restored == taken.checkpoint
    assert _count(tmp_path / "new" / "1") == 300


def test_files_that_are_there_are_not_copied_again(url: str, store: RocksStore, tmp_path: Path) -> None:
    checkpoints = Checkpoints(url, 3)
    _fill(store, 0, 20_000)  # this is more than the write buffers hold, so several files remain
    first = checkpoints.save(TASK, store, 1, LOG)
    _fill(store, 20_000, 10)
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
    assert _count(tmp_path / "new" / "1") == 20_010


def test_files_of_large_values_are_not_copied_again(url: str, tmp_path: Path) -> None:
    """The rows of item partitions lie in them, which are most of the state."""
    rows = RocksStore(tmp_path / "state" / "pair-deltas-0" / "1", large=True)
    checkpoints = Checkpoints(url, 3)
    _fill(rows, 0, 20_000)
    first = checkpoints.save(TASK, rows, 1, LOG)
    large = sum(file.bytes for file in first.checkpoint.files if file.name.endswith(".blob"))
    assert large > 0.9 * first.uploaded_bytes
    _fill(rows, 20_000, 10)
    second = checkpoints.save(TASK, rows, 2, LOG)
    rows.close()
    assert second.uploaded_bytes < first.uploaded_bytes / 10
    assert checkpoints.verify(second.checkpoint) == ""
    assert checkpoints.restore(TASK, tmp_path / "new" / "1", identity=LOG) == second.checkpoint
    assert _count(tmp_path / "new" / "1") == 20_010


def test_the_last_few_are_kept_and_nothing_else(url: str, store: RocksStore, tmp_path: Path) -> None:
    checkpoints = Checkpoints(url, 2)
    for n in range(6):
        _fill(store, 0, 200 + n)
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


@pytest.mark.parametrize("name", [".sst", "CURRENT"])
@pytest.mark.parametrize("how", ["flipped", "cut", "missing"])
def test_a_damaged_checkpoint_is_passed_over(
    tmp_path: Path, store: RocksStore, name: str, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    url = str(tmp_path / "there")
    checkpoints = Checkpoints(url, 3)
    _fill(store, 0)
    first = checkpoints.save(TASK, store, 1, LOG).checkpoint
    _fill(store, 300)
    second = checkpoints.save(TASK, store, 2, LOG).checkpoint
    shared = {f.stored_as for f in first.files}
    spoilt = msgspec.structs.replace(second, files=[f for f in second.files if f.stored_as not in shared])
    _spoil(url, spoilt, name, how)
    problem = checkpoints.verify(second)
    assert name in problem
    assert ("with another checksum than was written" in problem) == (how != "missing")
    assert checkpoints.verify(first) == ""
    assert checkpoints.restore(TASK, tmp_path / "new" / "1", identity=LOG) == first
    assert "checkpoint 2 of purchases-0 cannot be used" in caplog.text
    assert _count(tmp_path / "new" / "1") == 300
    with pytest.raises(CheckpointError, match=rf"checkpoint 2 of purchases-0 cannot be used: .*{name}"):
        checkpoints.restore(TASK, tmp_path / "new" / "2", identity=LOG, number=2)


@pytest.mark.parametrize("how", ["flipped", "cut", "missing"])
def test_a_damaged_file_that_all_share_is_copied_again(
    url: str, store: RocksStore, tmp_path: Path, how: str
) -> None:
    checkpoints = Checkpoints(url, 3)
    _fill(store, 0)
    first = checkpoints.save(TASK, store, 1, LOG).checkpoint
    _fill(store, 300)
    checkpoints.save(TASK, store, 2, LOG)
    _spoil(url, first, ".sst", how)
    assert checkpoints.restore(TASK, tmp_path / "new" / "1", identity=LOG) is None  # the file is in both
    assert not (tmp_path / "new" / "1").exists()
    third = checkpoints.save(TASK, store, 3, LOG).checkpoint
    assert checkpoints.restore(TASK, tmp_path / "new" / "1", identity=LOG) == third
    assert checkpoints.verify(first) == ""
    assert _count(tmp_path / "new" / "1") == 600


def test_a_checkpoint_with_the_old_file_names_is_restored(
    url: str, store: RocksStore, tmp_path: Path
) -> None:
    checkpoints = Checkpoints(url, 3)
    _fill(store, 0)
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
    assert _count(tmp_path / "new" / "1") == 300


def test_damaged_manifests_are_listed_and_passed_over(url: str, store: RocksStore, tmp_path: Path) -> None:
    checkpoints = Checkpoints(url, 9)
    _fill(store, 0)
    first = checkpoints.save(TASK, store, 1, LOG).checkpoint
    fs, root = fsspec.url_to_fs(url)
    raw = encode(first)
    newer = Checkpoint(**{**{f: getattr(first, f) for f in first.__struct_fields__}, "layout": LAYOUT + 1})
    for number, content in (
        (2, raw.replace(b'"position":1', b'"position":9')), (3, raw[:-9]), (4, b""), (5, encode(newer)),
    ):  # fmt: skip
        fs.pipe_file(f"{root}/{TASK}/manifests/{number:08}-x.json", content)
    listed = checkpoints.known(TASK)
    assert [(c.number, bool(c.problem)) for c in listed] == [
        (5, True), (4, True), (3, True), (2, True), (1, False)
    ]  # fmt: skip
    assert "layout 2, this program reads 1" in listed[0].problem
    assert "its checksum is not that of its content" in listed[3].problem
    assert checkpoints.verify(listed[0]) == listed[0].problem
    assert checkpoints.restore(TASK, tmp_path / "new" / "1", identity=LOG) == first
    assert decode(raw) == first


def test_a_checkpoint_of_other_topics_is_not_used(url: str, store: RocksStore, tmp_path: Path) -> None:
    checkpoints = Checkpoints(url, 3)
    _fill(store, 0)
    checkpoints.save(TASK, store, 5, "other topics")
    assert checkpoints.restore(TASK, tmp_path / "new" / "1", identity=LOG) is None
    assert checkpoints.restore(TASK, tmp_path / "new" / "1", identity="") is not None


def test_a_second_writer_loses_nothing(url: str, store: RocksStore, tmp_path: Path) -> None:
    """A worker that was frozen in the middle of a checkpoint continues while its successor takes several."""
    old, new = Checkpoints(url, 2), Checkpoints(url, 2)
    _fill(store, 0)
    old.save(TASK, store, 1, LOG)
    _fill(store, 300)
    write = old._remote.write

    def frozen(to: str, raw: bytes) -> None:
        new.save(TASK, store, 2, LOG)  # cleans while the files of the other are not named yet
        write(to, raw)

    old._remote.write = frozen  # type: ignore[method-assign]
    old.save(TASK, store, 2, LOG)
    numbers = [c.number for c in new.known(TASK)]
    assert numbers == [2, 2]
    assert all(new.verify(c) == "" for c in new.known(TASK))


def test_a_crash_before_the_manifest_leaves_the_one_before(
    url: str, store: RocksStore, tmp_path: Path
) -> None:
    checkpoints = Checkpoints(url, 3)
    _fill(store, 0)
    first = checkpoints.save(TASK, store, 1, LOG).checkpoint
    _fill(store, 300)

    def crash(_to: str, _raw: bytes) -> None:
        raise OSError("no space left")

    checkpoints._remote.write = crash  # type: ignore[assignment]
    with pytest.raises(CheckpointError, match=r"cannot write a checkpoint of purchases-0 .* no space left"):
        checkpoints.save(TASK, store, 2, LOG)
    again = Checkpoints(url, 3)
    assert again.known() == [first]
    assert again.restore(TASK, tmp_path / "new" / "1", identity=LOG) == first
    second = again.save(TASK, store, 2, LOG)
    # the files that the crashed worker copied are there
    assert second.uploaded_bytes < second.checkpoint.bytes
    assert again.verify(second.checkpoint) == ""


def test_half_a_restore_is_no_store(tmp_path: Path, store: RocksStore) -> None:
    checkpoints = Checkpoints(str(tmp_path / "there"), 3)
    _fill(store, 0)
    checkpoints.save(TASK, store, 1, LOG)
    half = tmp_path / "new" / "1.restoring"
    half.mkdir(parents=True)
    (half / "CURRENT").write_text("half")
    assert checkpoints.restore(TASK, tmp_path / "new" / "1", identity=LOG) is not None
    assert not half.exists()
    assert _count(tmp_path / "new" / "1") == 300


class NoCredentials(Exception):
    """An error as drivers raise them that are no OSErrors."""


def test_errors_of_a_driver_are_named(
    tmp_path: Path, store: RocksStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints = Checkpoints(f"memory://{tmp_path.name}", 3)

    def refuse(*_args: object, **_named: object) -> None:
        raise NoCredentials("no credentials were found")

    monkeypatch.setattr("fsspec.implementations.memory.MemoryFileSystem.ls", refuse)
    for attempt in (checkpoints.tasks, lambda: checkpoints.save(TASK, store, 1, LOG)):
        with pytest.raises(CheckpointError, match=r"memory://\S+: NoCredentials: no credentials were found"):
            attempt()


def test_urls_that_cannot_be_used_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnusableUrl, match="nosuch://x"):
        Checkpoints("nosuch://x", 3)
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(UnusableUrl, match=r"s3fs.*pip install 'alsobought\[s3\]'"):
        Checkpoints("s3://bucket/folder", 3)
