"""The partitions that the group assigned to this process, as Faust's consumer knows them."""

from __future__ import annotations

import logging
from typing import Any

from aiokafka.errors import IllegalStateError
from faust.types import TP

log = logging.getLogger("alsobought")


class AssignedPartitions:
    """Asks the consumer of a Faust app, which is made after this object."""

    def __init__(self, app: Any) -> None:
        self._app = app

    def all(self) -> set[TP]:
        """Return the partitions of the newest assignment."""
        return self._app.consumer.assignment()  # type: ignore[no-any-return]

    def owns(self, tp: TP) -> bool:
        """Return whether a partition is this process's by the newest assignment."""
        return tp in self.all()

    def end_of(self, tp: TP) -> int | None:
        """Return the end of one of the partitions, as of the last fetch; None if not known."""
        try:
            return self._app.consumer.highwater(tp)  # type: ignore[no-any-return]
        except IllegalStateError:  # lost meanwhile
            return None

    async def log_of(self, tp: TP) -> tuple[int, int]:
        """Ask Kafka for the first offset of a partition's log and for its end, which are 0 if not known."""
        starts = await self._app.consumer.earliest_offsets(tp)
        ends = await self._app.consumer.highwaters(tp)
        return starts.get(tp) or 0, ends.get(tp) or 0

    async def seek(self, tp: TP, offset: int) -> None:
        """Read a partition from an offset next, unless it was lost meanwhile."""
        try:
            await self._app.consumer.seek_wait({tp: offset})
        except IllegalStateError:
            log.info("%s-%d: lost meanwhile, not read again", *tp)
