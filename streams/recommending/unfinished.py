"""What the last owner of a partition left undone: customers without recommendations, and what it published.

It is not stored which customers wait for recommendations. They are the customers of the events between the
offset that was last reported as recommended and the state's position.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from faust.types import TP

from streams.messages.partitioning import partition_for
from streams.messages.schema import Progress, key_text, progress_of
from streams.process.threads import in_thread
from streams.recommending.offers import Offers
from streams.topics import PROGRESS

if TYPE_CHECKING:
    from recommending.related_lists import RelatedLists
    from streams.kinds import EventKind
    from streams.recommending.task import RecommenderTask
    from streams.tasks.context import Context

AT_ONCE = 1_000
RECENT = 2_000  # records of a partition of `progress`: minutes of its tasks


async def reported_before(task: RecommenderTask, context: Context) -> Progress | None:
    """Return what the partition's last owner reported; None if none did."""
    key = task.reported_as.encode()
    tp = TP(PROGRESS.name, partition_for(key, context.partitions))
    end = await context.reader.end_of(tp)
    for start in dict.fromkeys((max(0, end - RECENT), 0)):
        found = await context.reader.newest(tp, key, start, end)
        if found is not None:
            return progress_of(found)
    return None


async def customers_between(
    task: RecommenderTask, kind: EventKind, context: Context, start: int, end: int
) -> tuple[list[str], list[bytes]]:
    """Return the customers with events at offsets [start, end), and keys of messages to withdraw."""
    reader, partition = context.reader, task.tp.partition
    keys = await reader.keys(TP(kind.events.name, partition), start, end)
    async with task.lock:
        customers = [key_text(key) for key in keys]
        gone = {name for name in customers if not task.machine.history(name)}
    erased: list[bytes] = []
    if gone:  # also what profiles had, whose names are not known any more
        to = TP(kind.recommendations.name, partition)
        published = await reader.keys(to, 0, await reader.end_of(to))
        erased = [key for key in published if key_text(key).partition("\t")[0] in gone]
    return [name for name in customers if name not in gone], erased


async def published_before(tp: TP, context: Context, related: RelatedLists) -> Offers:
    """Return which items the newest recommendations of every key hold, as
    far as they are published by now.
    """
    offers = Offers(related.items, context.settings.recommendations)
    some: list[tuple[bytes, bytes | None]] = []

    def take() -> None:
        with related.lock:
            for key, value in some:
                try:
                    offers.read(key, value)
                except msgspec.MsgspecError:
                    continue  # of somebody else

    async for key, value in context.reader.records(tp, 0, await context.reader.end_of(tp)):
        if key is not None:
            some.append((key, value))
        if len(some) == AT_ONCE:
            await in_thread(take)
            some.clear()
    await in_thread(take)
    return offers
