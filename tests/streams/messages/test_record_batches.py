"""Batches that are written whole are read by aiokafka and kafka-python."""

from __future__ import annotations

import random

import numpy as np
import pytest
from aiokafka.record.default_records import DefaultRecordBatch
from kafka.record.default_records import DefaultRecordBatch as OtherBatch

from streams.messages.record_batches import RecordBatch, compressed, frame, framed, parts_of, successive

Records = list[tuple[bytes | None, bytes | None]]
NOW_MS = 1_750_000_000_123


def _random(n: int) -> Records:
    rng = random.Random(n)
    sizes = (0, 1, 63, 64, 127, 128, 8_191, 8_192, 20_000)
    return [
        (rng.randbytes(rng.choice(sizes)), None if rng.random() < 0.2 else rng.randbytes(rng.choice(sizes)))
        for _ in range(n)
    ]


def _read(batch: RecordBatch) -> Records:
    batch._set_producer_state(7, 3, 11)
    raw = bytes(batch._build())
    assert len(raw) == batch.size()
    read = DefaultRecordBatch(bytearray(raw))
    assert read.validate_crc()
    assert (read.producer_id, read.base_offset, read.next_offset) == (7, 0, batch.record_count())
    assert OtherBatch(raw).validate_crc()
    records = list(read)
    assert [record.offset for record in records] == list(range(batch.record_count()))
    assert {record.timestamp for record in records} == {NOW_MS}
    return [(record.key, record.value) for record in records]


def _framed_by_kernel(records: Records) -> memoryview:
    keys, values = [key or b"" for key, _ in records], [value or b"" for _, value in records]
    return frame(parts_of(keys), parts_of(values), np.array([value is None for _, value in records]))


@pytest.mark.parametrize("n", [1, 2, 200])
@pytest.mark.parametrize("packed", [False, True])
def test_records_framed_by_the_kernel_are_read_as_they_were(n: int, packed: bool) -> None:
    records = _random(n)
    raw = _framed_by_kernel(records)
    batch = RecordBatch(compressed(raw) if packed else raw, n, NOW_MS, compressed=packed)
    assert _read(batch) == records


def test_parts_may_lie_anywhere_in_an_array() -> None:
    keys, values = parts_of([b"one", b"", b"three"]), parts_of([b"first", b"second", b""])
    places = np.array([2, 0, 1])
    keys = keys._replace(starts=keys.starts[places], ends=keys.ends[places])
    raw = frame(keys, successive(values.raw, values.ends), np.array([False, False, True]))
    assert _read(RecordBatch(raw, 3, NOW_MS)) == [(b"three", b"first"), (b"one", b"second"), (b"", None)]


@pytest.mark.parametrize("n", [1, 2, 200])
def test_records_framed_one_by_one_are_read_as_they_were(n: int) -> None:
    records: Records = [*_random(n), (None, b"without a key")]
    raw, count = framed(records)
    assert _read(RecordBatch(raw, count, NOW_MS)) == records


def test_headers_and_parts_of_a_batch() -> None:
    first, n = framed([(b"a", b"1"), (b"b", b"2")], [("at", b"12345678")])
    second, m = framed([(b"c", b"3")], [("at", b"87654321")], n)
    batch = RecordBatch(first + second, n + m, NOW_MS)
    records = list(DefaultRecordBatch(bytearray(batch._build())))
    assert [(r.offset, r.key, r.headers) for r in records] == [
        (0, b"a", [("at", b"12345678")]), (1, b"b", [("at", b"12345678")]), (2, b"c", [("at", b"87654321")]),
    ]  # fmt: skip


def test_a_batch_takes_no_further_record() -> None:
    batch = RecordBatch(*framed([(b"a", b"1")]), NOW_MS)
    batch.close()
    assert batch.closed()
    assert batch.append(timestamp=None, key=b"b", value=b"2") is None  # type: ignore[func-returns-value]
    assert batch.record_count() == 1
