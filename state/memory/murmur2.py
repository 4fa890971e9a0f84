"""Murmur2 over many keys at once: the hash by which Kafka's Java client chooses the partition of a key.

The algorithm is Austin Appleby's MurmurHash2 (32 bits, public domain) with the seed that Kafka gives it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from state.memory.arrays import kernel

SEED = 0x9747B28C
MULTIPLIER = 0x5BD1E995


def hashes(keys: Sequence[bytes]) -> npt.NDArray[np.uint32]:
    """Return the hash of each key.

    >>> hashes([b"21", b"foobar"]).view(np.int32).tolist()
    [-973932308, -790332482]
    """
    ends = np.cumsum(np.fromiter(map(len, keys), np.int64, len(keys)))
    return _hashes(np.frombuffer(b"".join(keys), np.uint8), ends)


@kernel
def _hashes(text: npt.NDArray[np.uint8], ends: npt.NDArray[np.int64]) -> npt.NDArray[np.uint32]:
    found = np.empty(len(ends), np.uint32)
    m = np.uint32(MULTIPLIER)
    start = np.int64(0)
    for k in range(len(ends)):
        end = ends[k]
        length = end - start
        h = np.uint32(np.uint32(SEED) ^ np.uint32(length))
        whole = start + (length & ~np.int64(3))
        for at in range(start, whole, 4):
            word = np.uint32(
                np.uint32(text[at])
                | (np.uint32(text[at + 1]) << np.uint32(8))
                | (np.uint32(text[at + 2]) << np.uint32(16))
                | (np.uint32(text[at + 3]) << np.uint32(24))
            )
            word = np.uint32(word * m)
            word = np.uint32(word ^ (word >> np.uint32(24)))
            h = np.uint32(np.uint32(h * m) ^ np.uint32(word * m))
        if end > whole:
            for at in range(end - 1, whole - 1, -1):
                h = np.uint32(h ^ (np.uint32(text[at]) << np.uint32(8 * (at - whole))))
            h = np.uint32(h * m)
        h = np.uint32(h ^ (h >> np.uint32(13)))
        h = np.uint32(h * m)
        found[k] = np.uint32(h ^ (h >> np.uint32(15)))
        start = end
    return found
