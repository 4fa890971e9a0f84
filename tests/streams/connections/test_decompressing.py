"""Batches that would fill the memory are not decompressed; what is behind them is read."""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable
from typing import Any

import cramjam
import pytest
import zstandard
from aiokafka import TopicPartition
from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from streams.connections import decompressing
from streams.connections.decompressing import BatchUnreadable, gzip_decode, lz4_decode, zstd_decode
from streams.connections.records import ConsumedRecord, PartitionRecords, UnreadableBatch

MOST = 100_000
CODECS = {
    "gzip": DefaultRecordBatch.CODEC_GZIP, "lz4": DefaultRecordBatch.CODEC_LZ4,
    "zstd": DefaultRecordBatch.CODEC_ZSTD,
}  # fmt: skip


def without_size(raw: bytes) -> bytes:
    """As Java's producers compress: how much it is stands nowhere."""
    return zstandard.ZstdCompressor(write_content_size=False).compress(raw)


def in_two(raw: bytes, compress: Callable[[bytes], bytes]) -> bytes:
    half = len(raw) // 2
    return compress(raw[:half]) + compress(raw[half:])


WAYS: dict[str, tuple[Callable[[bytes], bytes], Callable[[Any], bytes]]] = {
    "zstd": (zstandard.ZstdCompressor().compress, zstd_decode),
    "zstd without its size": (without_size, zstd_decode),
    "zstd in two frames": (lambda raw: in_two(raw, zstandard.ZstdCompressor().compress), zstd_decode),
    "lz4": (lambda raw: bytes(cramjam.lz4.compress(raw)), lz4_decode),
    "gzip": (gzip.compress, gzip_decode),
    "gzip in two members": (lambda raw: in_two(raw, gzip.compress), gzip_decode),
}


@pytest.mark.parametrize("way", WAYS)
def test_nothing_larger_than_the_bound_is_decompressed(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    compress, decode = WAYS[way]
    monkeypatch.setattr(decompressing, "MOST_UNCOMPRESSED", MOST)
    rng = random.Random(1)
    for raw in (b"a", rng.randbytes(1_000), bytes(MOST - 1), bytes(MOST)):
        assert decode(memoryview(compress(raw))) == raw
    for size in (MOST + 1, 10_000_000):
        with pytest.raises(BatchUnreadable, match="100,000 bytes"):
            decode(compress(bytes(size)))
    compressed = compress(rng.randbytes(1_000))
    for damaged in (compressed[:-100], rng.randbytes(100)):
        with pytest.raises(BatchUnreadable):
            decode(damaged)


def batch(first: int, values: list[bytes], codec: int) -> bytes:
    builder = DefaultRecordBatchBuilder(2, codec, 0, -1, -1, -1, 1 << 26)
    for n, value in enumerate(values):
        builder.append(n, 1_700_000_000_000 + n, b"key", value, [])
    raw = bytearray(builder.build())
    raw[:8] = first.to_bytes(8, "big")
    return bytes(raw)


@pytest.mark.parametrize("codec", CODECS)
def test_records_behind_such_a_batch_are_delivered(codec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decompressing, "MOST_UNCOMPRESSED", MOST)
    number, large = CODECS[codec], bytes(MOST)
    raw = b"".join((
        batch(10, [b"a", b"b"], number), batch(12, [large, b"c"], number), batch(14, [large], number),
        batch(15, [b"d"], number),
    ))  # fmt: skip
    assert len(raw) < MOST // 20
    tp = TopicPartition("purchases", 3)
    records = PartitionRecords(tp, MemoryRecords(raw), [], 10, None, None, True, 1)
    found: list[ConsumedRecord] = list(records)
    assert [record.offset for record in found] == [10, 11, 13, 14, 15]
    assert [found[n].value for n in (0, 1, 4)] == [b"a", b"b", b"d"]
    assert [type(record) for record in found[2:]] == [UnreadableBatch, UnreadableBatch, ConsumedRecord]
    assert (found[2].value or b"").startswith(b"a batch of records, offsets 12 to 13, cannot be read: it ")
    assert (found[3].value or b"").startswith(b"a batch of records, offsets 14 to 14, cannot be read: it ")
    assert {(record.topic, record.partition) for record in found} == {("purchases", 3)}
    assert (found[2].key, found[2].timestamp) == (None, 1_700_000_000_001)
    assert records.next_fetch_offset == 16
