"""What was fetched and is not applied yet, of each partition."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

from faust.types import TP

from streams.kafka.transport import Chunk


class Inbox:
    """Chunks by partition, in the order of the log.

    A busy cycle finds many small chunks of a partition. They are joined, because applying two chunks takes
    nearly twice as long as applying one with the records of both, and leads to twice as many messages.
    """

    def __init__(self) -> None:
        self._chunks: dict[TP, deque[Chunk]] = {}
        self._sizes: dict[TP, tuple[int, int]] = {}  # records, and bytes of their values

    def put(self, chunks: Iterable[Chunk]) -> None:
        """Take in chunks; those of a partition come in their order."""
        for chunk in chunks:
            self._chunks.setdefault(chunk.tp, deque()).append(chunk)
            self._count(chunk, 1)

    def partitions(self) -> list[TP]:
        """Return the partitions of which something is held."""
        return list(self._chunks)

    def size(self, partitions: Iterable[TP]) -> tuple[int, int]:
        """Return how many records are held of these partitions, and the bytes of their values."""
        sizes = [self._sizes[tp] for tp in partitions]
        return sum(records for records, _ in sizes), sum(size_bytes for _, size_bytes in sizes)

    def _count(self, chunk: Chunk, sign: int) -> None:
        records, size_bytes = self._sizes.get(chunk.tp, (0, 0))
        self._sizes[chunk.tp] = records + sign * len(chunk.records), size_bytes + sign * chunk.size_bytes

    def take(self, tp: TP, records: int, size_bytes: int) -> list[Chunk]:
        """Remove and return the first records of a partition; successive chunks are joined.

        At most so many are returned, and so large that the last begins within so many bytes; at least one is.
        """
        held, taken = self._chunks[tp], list[Chunk]()
        while held and ((records > 0 and size_bytes > 0) or not taken):
            chunk = held.popleft()
            self._count(chunk, -1)
            if len(chunk.records) > records or chunk.size_bytes > size_bytes:
                chunk, rest = _split(chunk, _fitting(chunk, records, size_bytes))
                if rest is not None:
                    held.appendleft(rest)
                    self._count(rest, 1)
            records -= len(chunk.records)
            size_bytes -= chunk.size_bytes
            taken.append(chunk)
        if not held:
            self.drop(tp)
        return _joined(taken)

    def drop(self, tp: TP) -> None:
        """Forget what is held of a partition."""
        del self._chunks[tp], self._sizes[tp]

    def clear(self) -> None:
        """Forget everything."""
        self._chunks.clear()
        self._sizes.clear()


def _fitting(chunk: Chunk, records: int, size_bytes: int) -> int:
    """Return how many of the first records to take, at least one."""
    n = 0
    for record in chunk.records[: max(records, 1)]:
        n += 1
        size_bytes -= len(record.value or b"")
        if size_bytes <= 0:
            break
    return n


def _split(chunk: Chunk, n: int) -> tuple[Chunk, Chunk | None]:
    """Return a chunk of the first n records, and one of the others if there are any."""
    if n >= len(chunk.records):
        return chunk, None
    middle = chunk.records[n].offset
    return (
        Chunk(chunk.tp, chunk.start, middle, chunk.records[:n], chunk.left + chunk.end - middle),
        Chunk(chunk.tp, middle, chunk.end, chunk.records[n:], chunk.left),
    )


def _joined(chunks: Sequence[Chunk]) -> list[Chunk]:
    """Return the chunks, with those that follow one another in one."""
    joined: list[list[Chunk]] = []
    for chunk in chunks:
        if joined and joined[-1][-1].end == chunk.start:
            joined[-1].append(chunk)
        else:
            joined.append([chunk])
    return [_one_of(some) for some in joined]


def _one_of(some: Sequence[Chunk]) -> Chunk:
    if len(some) == 1:
        return some[0]
    records = [record for chunk in some for record in chunk.records]
    return Chunk(some[0].tp, some[0].start, some[-1].end, records, some[-1].left)
