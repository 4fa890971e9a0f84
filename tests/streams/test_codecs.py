"""Compressed records, as aiokafka's producer writes them, read by kafka-python as all commands do."""

from __future__ import annotations

from importlib.metadata import version

import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from kafka.record.default_records import DefaultRecordBatch
from kafka.record.memory_records import MemoryRecords

from streams import views
from streams.record_batches import RecordBatch, compressed, framed

RECORDS = [(b"k%d" % n, b"value " * (n * 37 % 5_000)) for n in range(200)]


def test_views_read_what_is_compressed() -> None:
    assert vars(views)["_codecs"].__name__ == "streams.codecs"
    assert version("kafka-python") == "3.0.12"


@pytest.mark.parametrize("codec", [0, 1, 2, 3, 4])
def test_every_codec_is_read(codec: int) -> None:
    builder = DefaultRecordBatchBuilder(2, codec, 0, -1, -1, -1, 16 << 20)
    for offset, (key, value) in enumerate(RECORDS):
        assert builder.append(offset, 1_750_000_000_000, key, value, [])
    raw = bytes(builder.build())
    assert (raw[22] & 7) == codec
    (batch,) = iter(MemoryRecords(raw).next_batch, None)
    assert [(record.key, record.value) for record in batch] == RECORDS


def test_lists_are_read() -> None:
    raw, n = framed(RECORDS)
    batch = RecordBatch(compressed(memoryview(raw)), n, 1_750_000_000_000, compressed=True)
    read = DefaultRecordBatch(bytes(batch._build()))
    assert [(record.key, record.value) for record in read] == RECORDS
