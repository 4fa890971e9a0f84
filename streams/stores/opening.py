"""Find a task's state when its partition is assigned.

1. Use the store on this host, if there is one; if a worker holds it that does not let go, use a copy of it.
2. Use the newest whole checkpoint if there is no store here, or the store is far behind because the partition
   was elsewhere for a while.
3. Otherwise the whole log is replayed. The caller must check that it reaches back so far.

A store that `alsobought rebuild` discarded, on whichever host it ran, is ignored.

Any of these is correct, since state is a function of the log; they differ in how much is replayed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from state.errors import StoreError, StoreLocked
from state.storage.rocks_store import RocksStore
from state.storage.saving import stored_log, stored_position
from streams.kafka.log_identity import given_up
from streams.kinds import counted_of, is_deltas
from streams.process.threads import in_thread
from streams.settings import Settings
from streams.stores.checkpoints import Checkpoints
from streams.stores.folder import StoreFolder
from streams.topics import topic_of

log = logging.getLogger("alsobought")

LOCK_WAIT_S = 5.0
LOCK_LOOK_S = 0.1
AHEAD_RECORDS = 20_000
"""How far a checkpoint must be ahead of the store here to be worth copying."""


class Stores:
    """Opens the stores of a worker.

    Parameters
    ----------
    root
        The folder of the stores on this host.
    checkpoints
        Where checkpoints are; None if there are none.
    identity_of
        The Kafka topics, and the rebuild, that the state of a topic's tasks must have been counted from.
    """

    def __init__(
        self, root: Path, checkpoints: Checkpoints | None, identity_of: Callable[[str], str]
    ) -> None:
        self.root = root
        self.checkpoints = checkpoints
        self._identity_of = identity_of

    @classmethod
    def of(cls, settings: Settings, folder: str, identity_of: Callable[[str], str]) -> Stores:
        """Return what opens the stores in a folder of the data directory, with the checkpoints of the
        settings.
        """
        url = settings.checkpoint_url
        checkpoints = (
            None if url is None else Checkpoints(url, settings.checkpoints_kept, counted_of(settings))
        )
        return cls(settings.data_dir / folder, checkpoints, identity_of)

    def log_identity(self, task: str) -> str:
        """Return which topics a task's state must have been counted from."""
        return self._identity_of(topic_of(task))

    def folder(self, task: str) -> StoreFolder:
        """Return where a task's store is."""
        return StoreFolder(self.root / task)

    async def open(self, task: str) -> RocksStore:
        """Return a task's store, opened; it is empty only if there is neither a store nor a checkpoint.

        Raises
        ------
        StoreError
            If the store here can be neither opened nor copied.
        """
        folder = await in_thread(self.folder, task)
        store = await self._open_newest(task, folder)
        if given_up(await in_thread(stored_log, store), self.log_identity(task)):
            log.warning("%s: %s was discarded by `alsobought rebuild`", task, store.path)
            await in_thread(store.close)
            if not await in_thread(self._restore, task, folder):
                folder.next_generation().mkdir()
            store = await self._open_newest(task, folder)
        if await self._is_behind(task, store):
            await in_thread(store.close)
            await in_thread(self._restore, task, folder)
            store = await self._open_newest(task, folder)
        await in_thread(folder.clean)
        return store

    def is_newest(self, task: str, store: RocksStore) -> bool:
        """Return whether a store is the newest generation of the task's store on this host."""
        return self.folder(task).newest() == store.path

    async def reopen(self, task: str, store: RocksStore) -> RocksStore | None:
        """Return the newest checkpoint in place of a store that does not fit Kafka's log; None if there is
        none.
        """
        folder = self.folder(task)
        if not await in_thread(self._restore, task, folder):
            return None
        await in_thread(store.close)
        return await self._open_newest(task, folder)

    async def _open_newest(self, task: str, folder: StoreFolder) -> RocksStore:
        begin = time.monotonic()
        if folder.newest() is None:
            await in_thread(self._restore, task, folder)
        while True:
            try:
                path = folder.newest() or folder.next_generation()
                return await in_thread(partial(RocksStore, path, large=is_deltas(topic_of(task))))
            except StoreLocked:
                # its owner before the rebalance, a worker on the same data directory, is closing it
                if time.monotonic() > begin + LOCK_WAIT_S:
                    await in_thread(self._take_over, folder)
                else:
                    await asyncio.sleep(LOCK_LOOK_S)

    @staticmethod
    def _take_over(folder: StoreFolder) -> None:
        for attempts_left in (2, 1, 0):
            try:
                folder.take_over()
                return
            except StoreError:
                if not attempts_left:
                    raise

    async def _is_behind(self, task: str, store: RocksStore) -> bool:
        if self.checkpoints is None:
            return False
        known = await in_thread(self.checkpoints.known, task)
        newest = max(
            (c.position for c in known if not c.problem and c.log == self.log_identity(task)), default=0
        )
        return newest > await in_thread(stored_position, store) + AHEAD_RECORDS

    def _restore(self, task: str, folder: StoreFolder) -> bool:
        if self.checkpoints is None:
            return False
        to = folder.next_generation()
        to.parent.mkdir(parents=True, exist_ok=True)
        checkpoint = self.checkpoints.restore(task, to, identity=self.log_identity(task))
        if checkpoint is None:
            log.info("%s: no checkpoint to restore", task)
            return False
        log.info("%s: restored checkpoint %d, offset %d", task, checkpoint.number, checkpoint.position)
        return True
