"""The tasks of a recommender, one for each partition of events, and what they share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from faust.types import TP

from streams.kinds import EventKind
from streams.recommending.board import Boards
from streams.recommending.follower import BoardFollower
from streams.recommending.models import Models
from streams.recommending.sellers import SellersPublisher
from streams.recommending.task import RecommenderTask
from streams.settings import Settings
from streams.stores.folder import RECOMMENDER_FOLDER
from streams.tasks.context import Context
from streams.tasks.intake import EVERYTHING
from streams.tasks.task import Task
from streams.worker import Tasks


@dataclass(frozen=True)
class Shared:
    """What the tasks of a recommender share; `open_tasks` returns the open tasks."""

    boards: Boards
    follower: BoardFollower
    open_tasks: Callable[[], Iterable[Task]]

    def tasks(self, kind: EventKind) -> list[RecommenderTask]:
        """Return the open tasks of a kind."""
        return [task for task in self.open_tasks() if isinstance(task, RecommenderTask) and task.kind == kind]

    def training_steps(self, kind: EventKind) -> dict[int, dict[str, float]]:
        """Return the training steps of each ranker from the customers of each open partition of a kind."""
        steps = {task.tp.partition: task.advice.steps for task in self.tasks(kind)}
        return {
            partition: training_steps
            for partition, training_steps in steps.items()
            if training_steps is not None
        }


class RecommenderTasks(Tasks):
    """The open tasks of a recommender."""

    role = "recommender"
    folder = RECOMMENDER_FOLDER
    # several purchases cost hardly more than one, and the worker needs the cores when they come
    fetch_wait_ms, fetch_least_bytes = 100, 512 << 10
    share = EVERYTHING  # no list waits for the end of a cycle
    sharing = ((RecommenderTask,),)

    def __init__(self, app: Any, settings: Settings) -> None:
        super().__init__(app, settings)
        boards = Boards(self.kinds, settings.list_length)
        self._shared_state = Shared(boards, BoardFollower(self.bootstrap, boards), self.all)

    def threads(self) -> int:
        """Return one: all partitions train the same rankers."""
        return 1

    def traces(self, _settings: Settings) -> None:
        """Trace nothing: what is traced are lists."""

    def waits_for(self) -> list[str]:
        """Return what is missing until this process recommends to all customers of its partitions."""
        missing = super().waits_for()
        if not missing and not self._shared_state.follower.caught_up.is_set():
            missing.append("what is published is not read yet")
        return missing

    def makers(self) -> dict[str, Callable[[TP, Context], Task]]:
        """Return a task for each partition of every kind's events."""
        return {kind.events.name: partial(self._make, kind) for kind in self.kinds}

    def _make(self, kind: EventKind, tp: TP, context: Context) -> Task:
        return RecommenderTask(tp, context, kind, self._shared_state)

    def background(self, context: Context) -> list[Coroutine[Any, Any, None]]:
        """Return the loops that read and publish for all tasks together."""
        shared = self._shared_state
        sellers = [SellersPublisher(board, shared, context) for board in shared.boards.by_kind.values()]
        return [
            shared.follower.run(context.partitions),
            Models(shared.boards, self.settings.models_url).run(),
            *(one.run() for one in sellers),
            self._spread(sellers),
        ]

    async def _spread(self, sellers: list[SellersPublisher]) -> None:
        """Wake the publishers of what follows from what was read; if an item is hidden, at once."""
        changed = self._shared_state.follower.changed
        boards = self._shared_state.boards.by_kind.values()
        seen: tuple[tuple[int, int], ...] = ()
        while True:
            await changed.wait()
            changed.clear()
            now = tuple((board.hidden, board.mark(self.partitions)) for board in boards)
            if now != seen:
                seen = now
                for one in sellers:
                    one.wake()
                for task in self.all():
                    if isinstance(task, RecommenderTask):
                        task.publisher.wake()
            await asyncio.sleep(0)

    def recommenders(self, partition: int) -> dict[str, RecommenderTask]:
        """Return the tasks that recommend to the customers of a partition, by kind; none if another process
        does.
        """
        return {
            kind.name: task
            for kind in self.kinds
            for task in self._shared_state.tasks(kind)
            if task.tp.partition == partition
        }
