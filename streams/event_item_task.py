"""The deltas of a kind of events to lists, and to what recommends from them: bestsellers and the board."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import numpy.typing as npt
from faust.types import TP

from state.lists import Lists
from state.recommending.list_view import Translation
from state.saving import Saver
from state.store import RocksStore
from streams.context import Context
from streams.item_task import ItemTask
from streams.kinds import EventKind
from streams.recommending.sellers import SellersPublisher
from streams.threads import in_thread

WARMED_AT_ONCE = 256


class EventItemTask(ItemTask):
    """An item task whose lists are also put on the board, and which publishes bestsellers."""

    def __init__(self, tp: TP, context: Context, kind: EventKind) -> None:
        super().__init__(tp, context, kind)
        self._board = context.boards.of(kind)

    def new_saver(self, store: RocksStore) -> Saver:
        """A new machine with its store, not loaded."""
        saver = super().new_saver(store)
        self.sellers = SellersPublisher(self, self._board, self.context)
        self._in_view = Translation(self.machine.items, self._board.view.items, adding=True)
        self.warm = False
        return saver

    def loops(self) -> list[Any]:
        """The saving loop, the one that refreshes lists, and what keeps bestsellers and the board."""
        return [*super().loops(), self.sellers.run(), self._warm_up()]

    async def _warm_up(self) -> None:
        """Put all lists on the board, as they are after the state was opened; then do nothing."""
        rows = np.arange(self.machine.row_count)
        for start in range(0, len(rows), WARMED_AT_ONCE):
            async with self.lock:
                await in_thread(self._peek, rows[start : start + WARMED_AT_ONCE])
        self.warm = True
        await asyncio.Event().wait()

    def _peek(self, rows: npt.NDArray[np.int64]) -> None:
        self.show(self.machine.peek(rows), np.arange(len(rows)))

    def show(self, lists: Lists, which: npt.NDArray[np.int64]) -> None:
        """Put lists that were just ranked on the board: those at the indices `which`."""
        self._board.view.put_lists(self.machine, lists, which, self._in_view)

    async def settled(self) -> None:
        """Publish bestsellers, too."""
        await self.sellers.publish()
