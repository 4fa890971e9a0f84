"""Where a task's store lies on this host: one folder per generation; the highest number is the store.

    state/purchases-3/1      held open by a worker that stands still
    state/purchases-3/2      its successor's, made from 1 or from a checkpoint

A store is held by its process (RocksDB locks it). Workers on one host share the data directory, so after a
rebalance the new owner waits for the old one to close the store. An old owner that does not within a few
seconds stands still or is stuck: its successor copies the store into a new generation. If the old one wakes
up, it writes to a folder that nobody reads any more. A new generation gets its name when it is whole.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
from pathlib import Path

from state.errors import StoreLocked
from state.storage.files import copy_held, is_held

log = logging.getLogger("alsobought")

PARTIAL = ".partial"
RECOMMENDER_FOLDER = "recommender"
"""Under the data directory, what `state` is to a worker."""


class StoreFolder:
    """The generations of one task's store under `root`, `data_dir`/state/<task>."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._adopt()

    def newest(self) -> Path | None:
        """Return the store's folder; None on an empty disk."""
        numbers = self._numbers()
        return self.root / str(numbers[-1]) if numbers else None

    def next_generation(self) -> Path:
        """Return the folder of the next generation, which does not exist yet."""
        return self.root / str(max(self._numbers(), default=0) + 1)

    def take_over(self) -> Path:
        """Copy the newest generation, which another process holds open, into the next; return its folder.

        Raises
        ------
        StoreError
            If it cannot be read. This may pass, if its owner is just changing it.
        """
        newest, to = self.newest(), self.next_generation()
        assert newest is not None
        partial = to.with_suffix(PARTIAL)
        shutil.rmtree(partial, ignore_errors=True)
        copy_held(newest, partial)
        partial.rename(to)
        log.warning("%s is held by a worker that does not answer: copied to %s", newest, to.name)
        return to

    def clean(self) -> None:
        """Remove older generations and broken attempts, except what a process still holds."""
        newest = self.newest()
        for path in self.root.iterdir() if self.root.is_dir() else ():
            if path == newest or (path.name.isdigit() and is_held(path)):
                continue
            if path.name.isdigit() or path.suffix == PARTIAL:
                shutil.rmtree(path, ignore_errors=True)

    def _numbers(self) -> list[int]:
        with contextlib.suppress(FileNotFoundError):
            return sorted(int(path.name) for path in self.root.iterdir() if path.name.isdigit())
        return []

    def _adopt(self) -> None:
        """Turn a store from before there were generations into the first generation."""
        aside = self.root.with_name(f"{self.root.name}{PARTIAL}")
        if (self.root / "CURRENT").exists():
            if is_held(self.root):
                raise StoreLocked(f"{self.root} is open in a worker of an earlier version: stop it")
            self.root.rename(aside)
        if aside.is_dir():
            self.root.mkdir(exist_ok=True)
            aside.rename(self.root / "1")
