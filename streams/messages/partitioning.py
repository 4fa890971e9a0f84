"""Which partition a key belongs to: the same as in Kafka's own clients,
so that any producer agrees with us.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from aiokafka.partitioner import murmur2

from state.memory.murmur2 import hashes

SIGN = 0x7FFFFFFF


@lru_cache(maxsize=1 << 17)
def partition_for(key: bytes, partitions: int) -> int:
    """Return the partition, 0 to `partitions` - 1, of a record with this key.

    It is that of the default partitioner of Kafka's Java client and of kafka-python: murmur2 without its
    sign, modulo. The hash is computed in Python (some 5 microseconds), hence the cache.

    >>> [partition_for(key, 4) for key in (b"ann", b"bob", b"carol")]
    [2, 2, 2]
    """
    return int(murmur2(key) & SIGN) % partitions


def partitions_for(keys: Sequence[bytes], partitions: int) -> npt.NDArray[np.uint32]:
    """Return the partition of each key, as `partition_for` does; a key takes a tenth of a microsecond.

    >>> partitions_for([b"ann", b"bob", b"carol"], 4).tolist()
    [2, 2, 2]
    """
    return (hashes(keys) & np.uint32(SIGN)) % np.uint32(partitions)
