"""Take, list, verify and restore checkpoints. All of this blocks: call it in a thread."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import shutil
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from state.storage.rocks_store import RocksStore
from streams.kinds import LISTED, counted_of_kinds
from streams.stores.checkpoints.errors import BadManifest, CheckpointError
from streams.stores.checkpoints.manifest import Checkpoint, StoredFile, decode, encode
from streams.stores.checkpoints.remote import Remote, trouble
from streams.topics import TopicSpec, is_task

log = logging.getLogger("alsobought")

TAKING = ".taking"
RESTORING = ".restoring"
SHARED = (".sst", ".blob")  # files of tables and of large values, which never change

OnFile = Callable[[StoredFile], None]


@dataclass(frozen=True)
class Taken:
    """A checkpoint that was taken, and what had to be copied for it."""

    checkpoint: Checkpoint
    uploaded_files: int
    uploaded_bytes: int


class Checkpoints:
    """The checkpoints of all tasks at a URL.

    Parameters
    ----------
    url
        A directory, or a URL that fsspec understands.
    kept
        How many checkpoints to keep per task.
    counted
        The topics whose partitions are tasks.

    Raises
    ------
    UnusableUrl
    """

    def __init__(self, url: str, kept: int, counted: Sequence[TopicSpec] = counted_of_kinds(LISTED)) -> None:
        self.url = url
        self._counted = counted
        self._kept = kept
        self._remote = Remote(url)
        self._sums: dict[tuple[str, int, int, int], str] = {}  # by name, inode, bytes and time: of `SHARED`
        self._damaged: set[str] = set()  # names of files found so: the next checkpoint copies them again
        self._unnamed: dict[str, set[str]] = {}  # per task: files no manifest named at the last cleaning

    # ------------------------------------------------------------------ taking

    def save(self, task: str, store: RocksStore, position: int, identity: str) -> Taken:
        """Take a checkpoint of an open store, copy what is not there yet, and delete the oldest.

        Parameters
        ----------
        position
            The offset that a restart from it replays from, or an earlier one.
        identity
            The topics that the store was counted from.

        Raises
        ------
        CheckpointError
            If it cannot be written; what was written does no harm.
        StoreError
            If the store cannot be copied.
        """
        folder = store.path.with_name(f"{store.path.name}{TAKING}")
        shutil.rmtree(folder, ignore_errors=True)
        try:
            store.checkpoint(folder)
            return self._upload(task, folder, position, identity)
        except OSError as error:
            raise CheckpointError(f"cannot write a checkpoint of {task} to {self.url}: {error}") from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _upload(self, task: str, folder: Path, position: int, identity: str) -> Taken:
        there = self._remote.names(f"{task}/files")
        self._remote.make_folder(f"{task}/files")
        self._remote.make_folder(f"{task}/manifests")
        files, uploaded_files, uploaded_bytes = [], 0, 0
        for path in sorted(folder.iterdir()):
            file = self._described(path)
            files.append(file)
            if file.stored_as not in there - self._damaged:
                self._remote.put(path, f"{task}/files/{file.stored_as}")
                self._damaged.discard(file.stored_as)
                uploaded_files += 1
                uploaded_bytes += file.bytes
        number = 1 + max((int(name.partition("-")[0]) for name in self._manifests(task)), default=0)
        checkpoint = Checkpoint(
            task=task, number=number, name=f"{number:08}-{uuid.uuid4().hex[:8]}.json", position=position,
            log=identity, created_ms=int(time.time() * 1000), files=files,
        )  # fmt: skip
        self._remote.write(f"{task}/manifests/{checkpoint.name}", encode(checkpoint))
        self._clean(task)
        return Taken(checkpoint, uploaded_files, uploaded_bytes)

    def _described(self, path: Path) -> StoredFile:
        """Return a file's description. Only files of `SHARED` are shared, since a damaged CURRENT would
        spoil every checkpoint.
        """
        stat = path.stat()
        key = path.name, stat.st_ino, stat.st_size, stat.st_mtime_ns
        sha256 = self._sums.get(key)
        if sha256 is None:
            with path.open("rb") as raw:
                sha256 = hashlib.file_digest(raw, "sha256").hexdigest()
            if path.suffix not in SHARED:
                return StoredFile(path.name, stat.st_size, sha256, own=f"{sha256}-{uuid.uuid4().hex[:8]}")
            self._sums[key] = sha256
        return StoredFile(path.name, stat.st_size, sha256)

    def _clean(self, task: str) -> None:
        """Delete all but the last manifests, and the files that none of them names.

        A file is deleted only if no manifest named it at the last cleaning either: another worker, frozen and
        replaced, may be about to name what it has just copied.
        """
        with contextlib.suppress(OSError):  # tried again the next time
            for name in self._manifests(task)[self._kept :]:
                self._remote.delete(f"{task}/manifests/{name}")
            named = {file.stored_as for one in self.known(task) for file in one.files}
            unnamed = self._remote.names(f"{task}/files") - named
            for name in unnamed & self._unnamed.get(task, set()):
                self._remote.delete(f"{task}/files/{name}")
            self._unnamed[task] = unnamed

    # ------------------------------------------------------------------ looking

    def tasks(self) -> list[str]:
        """Return the tasks that have checkpoints. Raises as `known` does."""
        try:
            return sorted(name for name in self._remote.names("") if is_task(name, self._counted))
        except OSError as error:
            raise CheckpointError(f"cannot read {self.url}: {error}") from error

    def known(self, task: str | None = None) -> list[Checkpoint]:
        """Return the checkpoints of a task or of all, newest first; of unreadable ones, what is wrong with
        them.

        Raises
        ------
        CheckpointError
            If the URL cannot be read.
        """
        try:
            return [
                self._read(one, name)
                for one in ([task] if task is not None else self.tasks())
                for name in self._manifests(one)
            ]
        except OSError as error:
            raise CheckpointError(f"cannot read {self.url}: {error}") from error

    def newest(self, task: str) -> Checkpoint | None:
        """Return the newest checkpoint of a task; None without one. Raises as `known` does."""
        try:
            names = self._manifests(task)
            return self._read(task, names[0]) if names else None
        except OSError as error:
            raise CheckpointError(f"cannot read {self.url}: {error}") from error

    def verify(self, checkpoint: Checkpoint, on_file: OnFile = lambda _file: None) -> str:
        """Return what is wrong with a checkpoint: the first missing or damaged file; empty if nothing is."""
        if checkpoint.problem:
            return checkpoint.problem
        for file in checkpoint.files:
            if problem := self._remote.trouble(f"{checkpoint.task}/files/{file.stored_as}", file):
                return problem
            on_file(file)
        return ""

    def restore(
        self,
        task: str,
        folder: Path,
        *,
        identity: str,
        number: int | None = None,
        on_file: OnFile = lambda _file: None,
    ) -> Checkpoint | None:
        """Make the newest whole checkpoint, or the given one, the store in a folder that does not exist yet.

        With an `identity`, only a checkpoint of the same topics is used. Return None if there is none;
        damaged ones are named in the log and skipped.

        Raises
        ------
        CheckpointError
            If the URL cannot be read, or the given checkpoint cannot be used.
        """
        for checkpoint in self.known(task):
            if number is not None and checkpoint.number != number:
                continue
            problem = checkpoint.problem
            if not problem and identity and checkpoint.log != identity:
                problem = "it was counted from other topics"
            problem = problem or self._fetch(checkpoint, folder, on_file)
            if not problem:
                return checkpoint
            if number is not None:
                raise CheckpointError(f"checkpoint {number} of {task} cannot be used: {problem}")
            log.error("checkpoint %d of %s cannot be used: %s", checkpoint.number, task, problem)
        if number is not None:
            raise CheckpointError(f"{self.url} has no checkpoint {number} of {task}")
        return None

    def _fetch(self, checkpoint: Checkpoint, folder: Path, on_file: OnFile) -> str:
        """Copy a checkpoint's files into a folder, which gets its name when all of them are right."""
        partial = folder.with_name(f"{folder.name}{RESTORING}")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        for file in checkpoint.files:
            path, to = f"{checkpoint.task}/files/{file.stored_as}", partial / file.name
            try:
                self._remote.fetch(path, to)
                with to.open("rb") as raw:
                    problem = trouble(raw, file, path)
            except OSError as error:
                problem = f"{file.name} ({path}) cannot be read: {error}"
            if problem:
                self._damaged.add(file.stored_as)
                shutil.rmtree(partial)
                return problem
            on_file(file)
        partial.rename(folder)
        return ""

    def delete_all(self) -> None:
        """Delete every checkpoint.

        Raises
        ------
        CheckpointError
            If the URL cannot be written.
        """
        try:
            for task in self.tasks():
                self._remote.delete_folder(task)
        except OSError as error:
            raise CheckpointError(f"cannot delete the checkpoints at {self.url}: {error}") from error

    def _manifests(self, task: str) -> list[str]:
        """Return the names of manifests, newest first."""
        names = self._remote.names(f"{task}/manifests")
        return sorted((name for name in names if name.endswith(".json")), reverse=True)

    def _read(self, task: str, name: str) -> Checkpoint:
        try:
            return decode(self._remote.read(f"{task}/manifests/{name}"))
        except (BadManifest, OSError) as error:
            return Checkpoint(
                task=task, number=int(name.partition("-")[0]), name=name, position=-1, log="", created_ms=0,
                files=[], problem=str(error),
            )  # fmt: skip
