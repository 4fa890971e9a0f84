"""Damaged checkpoints, crashes and places that cannot be used lose nothing, and the message says why."""

from __future__ import annotations

import sys
from pathlib import Path

import fsspec
import msgspec
import pytest

from state.storage.rocks_store import RocksStore
from streams.stores.checkpoints import CheckpointError, Checkpoints, UnusableUrl
from streams.stores.checkpoints.manifest import LAYOUT, Checkpoint, decode, encode
from tests.streams.checkpoints.stores import LOG, TASK, count, fill


def spoil(url: str, checkpoint: Checkpoint, name: str, how: str) -> None:
    fs, root = fsspec.url_to_fs(url)
    file = next(f for f in checkpoint.files if f.name.endswith(name))
    path = f"{root}/{checkpoint.task}/files/{file.stored_as}"
    raw = fs.cat_file(path)
    fs.rm_file(path)
    if how == "flipped":
        fs.pipe_file(path, raw[:-1] + bytes([raw[-1] ^ 1]))
    elif how == "cut":
        fs.pipe_file(path, raw[:-1])


@pytest.mark.parametrize("name", [".sst", "CURRENT"])
@pytest.mark.parametrize("how", ["flipped", "cut", "missing"])
def test_a_damaged_checkpoint_is_passed_over(
    tmp_path: Path, store: RocksStore, name: str, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    url = str(tmp_path / "there")
    checkpoints = Checkpoints(url, 3)
    fill(store, 0)
    first = checkpoints.save(TASK, store, 1, LOG).checkpoint
    fill(store, 300)
    second = checkpoints.save(TASK, store, 2, LOG).checkpoint
    shared = {f.stored_as for f in first.files}
    spoilt = msgspec.structs.replace(second, files=[f for f in second.files if f.stored_as not in shared])
    spoil(url, spoilt, name, how)
    problem = checkpoints.verify(second)
    assert name in problem
    assert ("with another checksum than was written" in problem) == (how != "missing")
    assert checkpoints.verify(first) == ""
    assert checkpoints.restore(TASK, tmp_path / "new" / "1", identity=LOG) == first
    assert "checkpoint 2 of purchases-0 cannot be used" in caplog.text
    assert count(tmp_path / "new" / "1") == 300
    with pytest.raises(CheckpointError, match=rf"checkpoint 2 of purchases-0 cannot be used: .*{name}"):
        checkpoints.restore(TASK, tmp_path / "new" / "2", identity=LOG, number=2)


@pytest.mark.parametrize("how", ["flipped", "cut", "missing"])
def test_a_damaged_file_that_all_share_is_copied_again(
    url: str, store: RocksStore, tmp_path: Path, how: str
) -> None:
    checkpoints = Checkpoints(url, 3)
    fill(store, 0)
    first = checkpoints.save(TASK, store, 1, LOG).checkpoint
    fill(store, 300)
    checkpoints.save(TASK, store, 2, LOG)
    spoil(url, first, ".sst", how)
    assert checkpoints.restore(TASK, tmp_path / "new" / "1", identity=LOG) is None  # the file is in both
    assert not (tmp_path / "new" / "1").exists()
    third = checkpoints.save(TASK, store, 3, LOG).checkpoint
    assert checkpoints.restore(TASK, tmp_path / "new" / "1", identity=LOG) == third
    assert checkpoints.verify(first) == ""
    assert count(tmp_path / "new" / "1") == 600


def test_damaged_manifests_are_listed_and_passed_over(url: str, store: RocksStore, tmp_path: Path) -> None:
    checkpoints = Checkpoints(url, 9)
    fill(store, 0)
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


def test_a_crash_before_the_manifest_leaves_the_one_before(
    url: str, store: RocksStore, tmp_path: Path
) -> None:
    checkpoints = Checkpoints(url, 3)
    fill(store, 0)
    first = checkpoints.save(TASK, store, 1, LOG).checkpoint
    fill(store, 300)

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
    fill(store, 0)
    checkpoints.save(TASK, store, 1, LOG)
    half = tmp_path / "new" / "1.restoring"
    half.mkdir(parents=True)
    (half / "CURRENT").write_text("half")
    assert checkpoints.restore(TASK, tmp_path / "new" / "1", identity=LOG) is not None
    assert not half.exists()
    assert count(tmp_path / "new" / "1") == 300


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
