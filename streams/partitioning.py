"""Which partition a key belongs to: as Kafka's own clients have it, so that any producer agrees with us."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from aiokafka.partitioner import murmur2

_SEED, _M = np.uint32(0x9747B28C), np.uint32(0x5BD1E995)
_Hashes = npt.NDArray[np.uint32]


@lru_cache(maxsize=1 << 17)
def partition_for(key: bytes, partitions: int) -> int:
    """Return the partition, 0 to `partitions` - 1, of a record with this key.

    The default partitioner of Kafka's Java client and of kafka-python: murmur2 without its sign, modulo. The
    hash is computed in Python (some 5 microseconds), hence the cache.

    >>> [partition_for(key, 4) for key in (b"ann", b"bob", b"carol")]
    [2, 2, 2]
    """
    return int(murmur2(key) & 0x7FFFFFFF) % partitions


def partitions_for(keys: Sequence[bytes], partitions: int) -> npt.NDArray[np.int64]:
    """Return the partition of each of many keys, as `partition_for` has it, some 0.1 microseconds a key.

    Murmur2 (A. Appleby) over columns: keys of one length are hashed together, four bytes of each at a time.

    >>> partitions_for([b"ann", b"bob", b"carol"], 4).tolist()
    [2, 2, 2]
    """
    text = np.frombuffer(b"".join(keys), np.uint8)
    sizes = np.fromiter(map(len, keys), np.int64, len(keys))
    starts = np.cumsum(sizes) - sizes
    hashes = np.empty(len(keys), np.uint32)
    for size in np.unique(sizes).tolist():
        rows = np.flatnonzero(sizes == size)
        hashes[rows] = _murmur2(text[starts[rows][:, None] + np.arange(size)])
    return (hashes & np.uint32(0x7FFFFFFF)).astype(np.int64) % partitions


def _murmur2(keys: npt.NDArray[np.uint8]) -> _Hashes:
    """The hashes of keys of one length, a row of bytes each."""
    count, size = keys.shape
    whole = size // 4 * 4
    words = np.ascontiguousarray(keys[:, :whole]).view("<u4").reshape(count, size // 4)
    found = np.full(count, _SEED ^ np.uint32(size), np.uint32)
    for place in range(size // 4):
        word = words[:, place] * _M
        word = (word ^ (word >> np.uint32(24))) * _M
        found = (found * _M) ^ word
    if size > whole:
        for place in range(size - whole):
            found ^= keys[:, whole + place].astype(np.uint32) << np.uint32(8 * place)
        found *= _M
    found = (found ^ (found >> np.uint32(13))) * _M
    return found ^ (found >> np.uint32(15))
