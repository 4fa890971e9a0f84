"""What kafka-python needs to read compressed records, given to it from cramjam, which aiokafka uses as well.

kafka-python looks for a library of its own for each codec (zstandard, lz4, python-snappy) and cannot read a
topic without it: not our lists, and nothing of a producer or broker that compresses. It is imported by
`streams.views`, through which everything outside the workers reads.
"""

from __future__ import annotations

from typing import Any

import cramjam
import kafka.codec
from kafka.record import default_records


class _Reader:
    """Of a stream, read as a whole."""

    def __init__(self, compressed: Any) -> None:
        self._compressed = compressed

    def __enter__(self) -> _Reader:
        return self

    def __exit__(self, *_exc: object) -> None:
        """Nothing is held."""

    def read(self) -> bytes:
        """All of it."""
        return bytes(cramjam.zstd.decompress(self._compressed.read()))


class _Zstandard:
    """What kafka-python uses of the library zstandard for reading."""

    class ZstdDecompressor:
        """As there."""

        def stream_reader(self, compressed: Any, **_options: Any) -> _Reader:
            """As there."""
            return _Reader(compressed)


class _Snappy:
    """What kafka-python uses of python-snappy for reading."""

    @staticmethod
    def decompress(block: bytes) -> bytes:
        """One block without a frame."""
        return bytes(cramjam.snappy.decompress_raw(block))


def _lz4_decode(payload: Any) -> bytes:
    return bytes(cramjam.lz4.decompress(bytes(payload)))


def install() -> None:
    """Give kafka-python those codecs that it has no library for."""
    codec = kafka.codec
    codec.zstd = codec.zstd or _Zstandard
    codec.snappy = codec.snappy or _Snappy
    if not codec.has_lz4():
        codec.lz4, codec.lz4_decode = cramjam.lz4, _lz4_decode
        default_records.lz4_decode = _lz4_decode  # imported there by its name


install()
