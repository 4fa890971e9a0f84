"""A recommender's task without Kafka."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from faust.types import TP

from state.storage.store import MemoryStore
from streams.connections.bootstrap import Bootstrap
from streams.kafka.lease import Lease
from streams.kinds import BOUGHT, BUILT_IN
from streams.recommending.board import Boards
from streams.recommending.follower import BoardFollower
from streams.recommending.task import RecommenderTask
from streams.recommending.tasks import Shared
from streams.settings import Settings
from streams.stores.opening import Stores
from streams.tasks.context import Context
from streams.topics import PURCHASES
from tests.streams.pipeline import EmptyTopics


class Record(NamedTuple):
    """A record as aiokafka delivers it."""

    offset: int
    key: bytes
    value: bytes
    timestamp: int = 1_800_000_000_000  # the time of publishing
    timestamp_type: int = 1
    headers: tuple[tuple[str, bytes], ...] = ()
    partition: int = 0
    topic: str = PURCHASES.name


def new_task(root: Path) -> RecommenderTask:
    """Return a task of the first partition of purchases, with an empty store."""
    settings = Settings.model_validate({"data_dir": root})
    lease = Lease(3600)
    lease.confirm()
    context = Context(
        settings, None, 1, Stores(root / "state", None, lambda _topic: "log 1"), lease,  # type: ignore[arg-type]
        EmptyTopics(), lambda _tp: True,  # type: ignore[arg-type]
    )  # fmt: skip
    boards = Boards(BUILT_IN, settings.list_length)
    shared = Shared(boards, BoardFollower(Bootstrap("nowhere"), boards), lambda: [])
    task = RecommenderTask(TP(PURCHASES.name, 0), context, BOUGHT, shared)
    task.saver = task.new_saver(MemoryStore())  # type: ignore[arg-type]
    return task
