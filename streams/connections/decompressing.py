"""Decompress batches of records, but none that would fill the memory.

A megabyte of Zstandard can hold gigabytes of zeros, and Kafka looks only at the compressed size. Snappy needs
no bound: it takes at least a twentieth of what it holds.
"""

from __future__ import annotations

import sys
import threading
import zlib
from collections.abc import Callable
from typing import Any

import cramjam
import numpy as np
import zstandard
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.record.legacy_records import LegacyRecordBatch

MOST_UNCOMPRESSED = 256 << 20
"""Bytes of a batch. Those of workers have some megabytes, and more only where lists are made much longer."""

ANY_WRAPPER = 47  # of zlib: a gzip or a zlib header


class BatchUnreadable(Exception):
    """A batch of records has more than MOST_UNCOMPRESSED bytes uncompressed, or is damaged."""


class _Mine(threading.local):
    """The decompressor of a thread."""

    def __init__(self) -> None:
        self.zstd = zstandard.ZstdDecompressor().decompress


_mine = _Mine()


def zstd_decode(payload: Any) -> bytes:
    """Return what was compressed with Zstandard.

    Raises
    ------
    BatchUnreadable
        It has more than MOST_UNCOMPRESSED bytes, or is damaged.
    """
    try:
        size = zstandard.frame_content_size(payload)
        if size > MOST_UNCOMPRESSED:
            raise BatchUnreadable(f"it has {size:,} bytes, more than {MOST_UNCOMPRESSED:,} bytes")
        if size > 0:  # known, and not that of an empty first frame
            return _mine.zstd(payload, allow_extra_data=False)
    except zstandard.ZstdError:
        pass  # more than one frame, perhaps
    return _into(cramjam.zstd.decompress_into, payload)


def lz4_decode(payload: Any) -> bytes:
    """Return what was compressed with LZ4; it raises what `zstd_decode` does."""
    return _into(cramjam.lz4.decompress_into, payload)


def gzip_decode(payload: Any) -> bytes:
    """Return what was compressed with gzip; it raises what `zstd_decode` does."""
    parts: list[bytes] = []
    left = MOST_UNCOMPRESSED
    try:
        while payload:
            member = zlib.decompressobj(ANY_WRAPPER)
            parts.append(member.decompress(payload, left + 1))
            left -= len(parts[-1])
            if left < 0 or not member.eof:
                raise BatchUnreadable(f"it is cut off, or has more than {MOST_UNCOMPRESSED:,} bytes")
            payload = member.unused_data
    except zlib.error as error:
        raise BatchUnreadable(f"it is damaged: {error}") from error
    return b"".join(parts)


def _into(decompress_into: Callable[[Any, Any], int], payload: Any) -> bytes:
    """Decompress where there is only so much room; of the room only what is used takes memory."""
    room = np.empty(MOST_UNCOMPRESSED, np.uint8)
    try:
        size = decompress_into(payload, room)
    except cramjam.DecompressionError as error:
        raise BatchUnreadable(f"it is damaged, or has more than {MOST_UNCOMPRESSED:,} bytes") from error
    return room[:size].tobytes()


def bound_batches() -> None:
    """Let all consumers of this process decompress with these functions."""
    for batch in (DefaultRecordBatch, LegacyRecordBatch):
        module = sys.modules[batch.__module__]  # compiled, or in Python where aiokafka was not compiled
        for decode in (zstd_decode, lz4_decode, gzip_decode):
            if hasattr(module, decode.__name__):
                setattr(module, decode.__name__, decode)
