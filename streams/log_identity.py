"""Of which log the state is: the ids Kafka gave the topics, and where the log began for us.

A topic that is deleted and made again has another id, and its offsets mean other records: state of the one
must not go on with the other.
"""

from __future__ import annotations

from faust.types import TP

from streams.broker.topics_admin import topic_ids
from streams.messages import Progress, decode_progress
from streams.topics import ITEMS, PAIR_DELTAS, PROGRESS, PURCHASES
from streams.views import read_all

BEGINNING = "beginning of "
"""Task of a progress record which says that counting begins at offset `applied` of a partition."""


def log_identity(bootstrap: str) -> str:
    """The ids of the topics that state is counted from."""
    ids = topic_ids(bootstrap, [PURCHASES, ITEMS, PAIR_DELTAS])
    return " ".join(f"{name} {ids[name]}" for name in sorted(ids))


def beginning(topic: str, partition: int, offset: int) -> Progress:
    """The record which says that counting begins at an offset: what was before is given up."""
    return Progress(task=f"{BEGINNING}{topic}-{partition}", worker="", applied=offset, stored=offset)


def beginnings(bootstrap: str) -> dict[TP, int]:
    """Offsets at which counting begins, for partitions where that is not 0."""
    found: dict[TP, int] = {}
    for row in read_all(bootstrap, PROGRESS):
        if row.key and row.value and row.key.decode().startswith(BEGINNING):
            topic, _, partition = row.key.decode().removeprefix(BEGINNING).rpartition("-")
            found[TP(topic, int(partition))] = decode_progress(row.value).applied
    return found
