"""Whom the last owner of a partition may not have recommended to.

Who waits for recommendations is not stored: these are the customers of the events between the offset that
was reported last as recommended and the state's position.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from faust.types import TP

from streams.messages import decode_progress
from streams.partitioning import partition_for
from streams.topics import PROGRESS

if TYPE_CHECKING:
    from streams.context import Context
    from streams.customer_task import CustomerTask
    from streams.kinds import EventKind

RECENT = 2_000  # records of a partition of `progress`: minutes of its tasks


async def recommended_before(task: CustomerTask, context: Context) -> int:
    """The offset that the partition's last owner reported as recommended; 0 if none did."""
    key = task.name.encode()
    tp = TP(PROGRESS.name, partition_for(key, context.partitions))
    end = await context.reader.end_of(tp)
    for start in dict.fromkeys((max(0, end - RECENT), 0)):
        found = await context.reader.newest(tp, key, start, end)
        if found is not None:
            return max(decode_progress(found).recommended, 0)
    return 0


async def customers_between(
    task: CustomerTask, kind: EventKind, context: Context, start: int, end: int
) -> tuple[list[str], list[bytes]]:
    """Customers with events at offsets [start, end) who have something, and keys of messages to take back."""
    reader, partition = context.reader, task.tp.partition
    keys = await reader.keys(TP(kind.events.name, partition), start, end)
    async with task.lock:
        customers = [key.decode(errors="replace") for key in keys]
        gone = {name for name in customers if not task.machine.history(name)}
    erased: list[bytes] = []
    if gone:  # also what profiles had, whose names are not known any more
        to = TP(kind.recommendations.name, partition)
        told = await reader.keys(to, 0, await reader.end_of(to))
        erased = [key for key in told if key.decode().partition("\t")[0] in gone]
    return [name for name in customers if name not in gone], erased
