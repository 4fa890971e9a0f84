"""What the workers have refused: how many records, and since when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from streams.connections.bootstrap import Bootstrap
from streams.kafka.follower import positions, read_all
from streams.topics import DEAD_LETTERS


@dataclass(frozen=True)
class RefusedInput:
    """The records in `dead-letters`: how many there are, and when the oldest was put there, ms since 1970."""

    count: int
    since_ms: int

    def __str__(self) -> str:
        since = datetime.fromtimestamp(self.since_ms // 1000, UTC)
        records = "1 record was" if self.count == 1 else f"{self.count:,} records were"
        return (
            f"{records} refused since {since:%Y-%m-%d %H:%M:%S} UTC and not counted: see them and the reasons"
            " with `alsobought dead-letters`"
        )


def refused(bootstrap: Bootstrap) -> RefusedInput | None:
    """Return the refused records that Kafka still has; None if there are none.

    Raises
    ------
    KafkaUnreachable, TopicAbsent
    """
    kept = positions(bootstrap, DEAD_LETTERS)
    count = sum(end - begin for begin, end in kept.values())
    if not count:
        return None
    oldest = read_all(bootstrap, DEAD_LETTERS, {p: min(begin + 1, end) for p, (begin, end) in kept.items()})
    return RefusedInput(count, min(row.timestamp_ms for row in oldest))
