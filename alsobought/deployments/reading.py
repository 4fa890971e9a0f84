"""Reads the published messages of two deployments, the same part of the items of both at a time.

An item's message is in partition h % n, where h is the hash of its id and n the number of partitions. If g
divides n, h % n % g is h % g. So with g, the greatest common divisor of the numbers of partitions of the two
deployments, the partitions whose numbers leave the same remainder by g have the same items, however many
partitions each deployment has. Only the messages of one such part are in memory.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from alsobought.deployments.other import Deployment
from streams.kafka.follower import positions, read_all
from streams.messages.schema import key_text
from streams.topics import TopicSpec

OWN_KEYS = b"\t"
"""Keys of records that the system writes to `popularity` for itself begin with it."""


FAST = 1  # the level of zlib: lists become four times smaller


@dataclass
class Side:
    """A topic of one deployment."""

    deployment: Deployment
    spec: TopicSpec
    where: dict[int, tuple[int, int]] = field(default_factory=dict)

    def look(self) -> int:
        """Find where its partitions begin and end now; return how many offsets there are.

        Raises
        ------
        KafkaUnreachable, TopicAbsent, RightsMissing
        """
        self.where = positions(self.deployment.bootstrap, self.spec)
        return sum(end - start for start, end in self.where.values())

    def newest(self, remainder: int, parts: int, on_read: Callable[[int], None]) -> dict[str, bytes]:
        """Return the newest message of every key of a part, packed by zlib.

        `on_read` is called with the number of offsets that were passed since the last call.
        """
        until = {p: end if p % parts == remainder else 0 for p, (_, end) in self.where.items()}
        found: dict[str, bytes] = {}
        at = {p: start for p, (start, _) in self.where.items()}
        for row in read_all(self.deployment.bootstrap, self.spec, until):
            on_read(row.offset + 1 - at[row.partition])
            at[row.partition] = row.offset + 1
            if row.key is None or row.key.startswith(OWN_KEYS):
                continue
            key = key_text(row.key)
            if row.value is None:
                found.pop(key, None)
            else:
                found[key] = zlib.compress(row.value, FAST)
        return found


def pairs(
    here: Side, there: Side, on_read: Callable[[int], None]
) -> Iterator[tuple[str, bytes | None, bytes | None]]:
    """Yield every key that either topic has, with the newest message of each; call `look` of both before."""
    parts = math.gcd(len(here.where), len(there.where))
    for remainder in range(parts):
        ours, theirs = (side.newest(remainder, parts, on_read) for side in (here, there))
        for key in sorted(ours.keys() | theirs.keys()):
            yield key, _unpacked(ours.get(key)), _unpacked(theirs.get(key))


def _unpacked(packed: bytes | None) -> bytes | None:
    return None if packed is None else zlib.decompress(packed)
