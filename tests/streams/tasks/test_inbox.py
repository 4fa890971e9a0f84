"""The inbox gives what was fetched in order, joined and in shares."""

from __future__ import annotations

import random

import pytest
from faust.types import TP

from streams.kafka.transport import Chunk
from streams.tasks.inbox import Inbox
from tests.streams.offline import Sent

FIRST, SECOND = TP("purchases", 0), TP("purchases", 1)


def _record(offset: int, size_bytes: int = 10) -> Sent:
    return Sent(offset, b"key", b"v" * size_bytes)


def _chunk(tp: TP, start: int, end: int, left: int = 0) -> Chunk:
    return Chunk(tp, start, end, [_record(offset) for offset in range(start, end)], left)


def _fetched(rng: random.Random, tp: TP, end: int) -> list[Chunk]:
    """Return chunks of a log up to an offset; some offsets have no record, and some chunks none at all."""
    chunks, at = [], 0
    while at < end:
        stop = min(end, at + rng.randint(1, 30))
        offsets = [offset for offset in range(at, stop) if rng.random() < rng.choice((0.0, 0.8, 1.0))]
        chunks.append(Chunk(tp, at, stop, [_record(o, rng.randint(0, 50)) for o in offsets], end - stop))
        at = stop
    return chunks


@pytest.mark.parametrize("seed", range(20))
def test_every_offset_is_given_once_and_in_order(seed: int) -> None:
    rng, end, inbox = random.Random(seed), 400, Inbox()
    fetched = {tp: _fetched(rng, tp, end) for tp in (FIRST, SECOND)}
    coming = [chunk for pair in zip(*fetched.values(), strict=False) for chunk in pair]
    coming += [chunk for tp in fetched for chunk in fetched[tp] if chunk not in coming]
    at, records = dict.fromkeys(fetched, 0), {tp: list[Sent]() for tp in fetched}
    while coming or inbox.partitions():
        some, coming = coming[:5], coming[5:]
        inbox.put(some)
        for tp in inbox.partitions():
            most, size_bytes = rng.choice((0, 1, 7, 1_000)), rng.choice((0, 1, 200, 10_000))
            taken = inbox.take(tp, most, size_bytes)
            got = [record for chunk in taken for record in chunk.records]
            assert len(got) <= max(most, 1)
            assert sum(len(record.value or b"") for record in got[:-1]) < max(size_bytes, 1)
            for chunk in taken:
                assert chunk.start == at[tp] < chunk.end
                assert all(chunk.start <= record.offset < chunk.end for record in chunk.records)
                at[tp] = chunk.end
                assert chunk.left == end - chunk.end
            records[tp] += got
    for tp, chunks in fetched.items():
        assert at[tp] == end
        assert records[tp] == [record for chunk in chunks for record in chunk.records]


def test_chunks_that_follow_one_another_are_joined_and_others_are_not() -> None:
    inbox = Inbox()
    inbox.put([_chunk(FIRST, 0, 3), _chunk(FIRST, 3, 5), _chunk(FIRST, 7, 9, left=2), _chunk(FIRST, 7, 9)])
    taken = inbox.take(FIRST, 1_000, 1_000)
    assert [(chunk.start, chunk.end) for chunk in taken] == [(0, 5), (7, 9), (7, 9)]
    assert [[record.offset for record in chunk.records] for chunk in taken] == [[*range(5)], [7, 8], [7, 8]]
    assert inbox.partitions() == []


def test_what_is_held_is_known_by_partition() -> None:
    inbox = Inbox()
    inbox.put([_chunk(FIRST, 0, 3), _chunk(SECOND, 0, 4), _chunk(FIRST, 3, 5)])
    assert inbox.size([FIRST]) == (5, 50)
    assert inbox.size(inbox.partitions()) == (9, 90)
    inbox.take(FIRST, 2, 1_000)
    assert inbox.size([FIRST]) == (3, 30)
    inbox.drop(FIRST)
    assert (inbox.partitions(), inbox.size(inbox.partitions())) == ([SECOND], (4, 40))
    inbox.clear()
    assert inbox.partitions() == []
