"""Which partition a key belongs to: the same as in Kafka's own clients,
so that any producer agrees with us.
"""

from __future__ import annotations

from functools import lru_cache

from aiokafka.partitioner import murmur2

SIGN = 0x7FFFFFFF


@lru_cache(maxsize=1 << 14)
def partition_for(key: bytes, partitions: int) -> int:
    """Return the partition, 0 to `partitions` - 1, of a record with this key.

    It is that of the default partitioner of Kafka's Java client and of kafka-python: murmur2 without its
    sign, modulo. The hash is computed in Python (some 5 microseconds), hence the cache.

    >>> [partition_for(key, 4) for key in (b"ann", b"bob", b"carol")]
    [2, 2, 2]
    """
    return int(murmur2(key) & SIGN) % partitions
