"""Copy the records of a topic into the same topic of another deployment, each once and in order.

The copy may have more partitions: a multiple m = k n of the n that the original has. The records of partition
p of the original go to the partitions p, p + n, p + 2 n, ... of the copy, each to that of its key's hash
(`copied_to`). For a record that is where Kafka's partitioner puts it, this is the partition to which
producers of the new topic send the key. So every partition of the copy has records of one partition of the
original, in its order, and what is promised of the original is true of the copy: a customer's events are in
one partition in order, the sequences of a source ascend, an erasure that was sent to every partition comes
after the events that it erases, and what a worker takes for a second delivery there, it takes for one here.

A copy that was interrupted continues where it was, and one that is complete can be brought up to date at any
time, because the copy says how far it is (`alsobought.deployments.writing`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import aclosing
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from alsobought.deployments.other import Deployment
from alsobought.deployments.writing import Place, Writer, Written, copied_to
from alsobought.options import CommandError
from streams.broker.errors import KafkaUnreachable
from streams.broker.topics_admin import check_rights, topic_ids
from streams.connections import clients
from streams.kafka.blocking_reader import BlockingReader
from streams.kafka.follower import partitions_of
from streams.kafka.publishing import abandon
from streams.kafka.reading_ahead import ahead
from streams.kafka.stopping import start
from streams.rights import Right
from streams.topics import TopicSpec

POLL_MS = 500
STALL_POLLS = 60
STALL_S = 30.0


class Copying:
    """Copies a topic from one deployment to another.

    Raises
    ------
    CommandError
        The copy cannot be made, or continued: the message says why.
    KafkaUnreachable, TopicAbsent, RightsMissing
    """

    def __init__(self, source: Deployment, target: Deployment, spec: TopicSpec) -> None:
        self.source, self.target = source, target
        self.original, self.copy = spec.of_deployment(source.prefix), spec.of_deployment(target.prefix)
        self.n = partitions_of(source.bootstrap, self.original)
        self.m = partitions_of(target.bootstrap, self.copy)
        if self.m % self.n:
            raise CommandError(
                f"{self.copy.name} has {self.m} partitions and {self.original.name} has {self.n}: the number"
                f" of the copy must be a multiple, such as {2 * self.n}, so that each of its partitions is"
                f" filled from one of the original, in order. Delete the topics at {target}, and create them"
                f" with ALSOBOUGHT_PARTITIONS={2 * self.n}."
            )
        self.topic_id = topic_ids(source.bootstrap, [self.original])[self.original.name]
        with BlockingReader(source.bootstrap, self.original.name, self.n) as reader:
            begins, self.ends = reader.begins(), reader.ends()
        self._partitions = self._look_at_copy()
        self._starts = {tp: self._start_of(tp.partition, begins[tp]) for tp in begins}

    @property
    def records(self) -> int:
        """How many offsets are to be read."""
        return sum(max(0, end - self._starts[tp]) for tp, end in self.ends.items())

    def _look_at_copy(self) -> dict[int, Written]:
        """Return the partitions of the copy as they are."""
        found: dict[int, Written] = {}
        with BlockingReader(self.target.bootstrap, self.copy.name, self.m) as reader:
            begins, ends = reader.begins(), reader.ends()
            for tp, end in ends.items():
                found[tp.partition] = Written(-1, end)
                if end == 0:
                    continue
                last = _last(reader, tp, end) if begins[tp] < end else None
                place = None if last is None else Place.of(last.headers)
                if place is None or place.partition != tp.partition % self.n:
                    raise CommandError(
                        f"{self.copy.name}-{tp.partition} at {self.target.bootstrap} ends with a record that"
                        " is no copy: somebody else writes there, or its last record was deleted. Copy into"
                        " topics that nobody else has written to."
                    )
                if place.topic_id != self.topic_id:
                    raise CommandError(
                        f"{self.copy.name}-{tp.partition} at {self.target.bootstrap} was copied from another"
                        f" topic than {self.original.name} at {self.source.bootstrap}, or from one that was"
                        " deleted and created again. Delete the copy's topics, create them anew, and copy."
                    )
                found[tp.partition].copied = place.offset
        return found

    def _start_of(self, partition: int, begin: int) -> int:
        """Return from where a partition of the original is read."""
        fed = [self._partitions[to].copied for to in range(partition, self.m, self.n)]
        if -1 < max(fed) < begin - 1:
            raise CommandError(
                f"{self.original.name}-{partition} begins at offset {begin}, and was copied up to"
                f" {max(fed)}: what was between was deleted. Delete the copy's topics, create them anew, and"
                " copy; the counts then follow from the events that are left."
            )
        return max(begin, min(fed) + 1)

    def run(self, on_progress: Callable[[int], None]) -> int:
        """Copy up to the ends that the original had when this object was made; return how many records.

        Parameters
        ----------
        on_progress
            Called with the number of offsets read.

        Raises
        ------
        CommandError
            Somebody else writes to the copy, or Kafka refused a record.
        KafkaUnreachable, RightsMissing
        """
        return asyncio.run(self._run(on_progress))

    async def _run(self, on_progress: Callable[[int], None]) -> int:
        bootstrap = self.target.bootstrap
        await asyncio.to_thread(check_rights, bootstrap, [Right("topic", self.copy.name, "Write")])
        producer = clients.producer(
            bootstrap, acks="all", enable_idempotence=True, max_batch_size=4 << 20, max_request_size=8 << 20,
            request_timeout_ms=int(STALL_S * 1000),
        )  # fmt: skip
        try:
            await start(producer)
            writer = Writer(producer, self.copy.name, self.topic_id, self._partitions, self._place_of)
            async with aclosing(ahead(self._read(on_progress))) as polls:
                async for records in polls:
                    await writer.add(records)
            count = await writer.finish()
        except KafkaError as error:
            await abandon(producer)
            raise CommandError(
                f"Kafka at {bootstrap} does not take more records for {self.copy.name}: {error}. Mend that,"
                " and run the command again: it continues where it was."
            ) from error
        except BaseException:
            await abandon(producer)
            raise
        await producer.stop()
        return count

    def _place_of(self, record: Any) -> int:
        return copied_to(record.key, record.partition, self.n, self.m)

    def _read(self, on_progress: Callable[[int], None]) -> Iterator[list[Any]]:
        """Yield the records of the original, partition after partition."""
        done = 0
        with BlockingReader(self.source.bootstrap, self.original.name, self.n) as reader:
            for tp, end in self.ends.items():
                start_, silent = self._starts[tp], 0
                if start_ >= end:
                    continue
                reader.read_only(tp, start_)
                at = start_
                while not reader.reached({tp: end}):
                    records = [r for r in reader.poll(POLL_MS).get(tp, ()) if r.offset < end]
                    silent = 0 if records else silent + 1
                    if silent > STALL_POLLS:
                        raise KafkaUnreachable(
                            f"Kafka at {self.source.bootstrap} sent nothing of {tp.topic}-{tp.partition} for"
                            f" {STALL_POLLS * POLL_MS / 1000:g} s: see its log, and run the command again."
                        )
                    if records:
                        at = records[-1].offset + 1
                        on_progress(done + at - start_)
                        yield records
                done += end - start_


def _last(reader: BlockingReader, tp: TopicPartition, end: int) -> Any:
    """Return the last record of a partition; None if it cannot be read."""
    reader.read_only(tp, end - 1)
    found = None
    for _ in range(STALL_POLLS):
        for record in reader.poll(POLL_MS).get(tp, ()):
            if record.offset < end:
                found = record
        if reader.reached({tp: end}):
            break
    return found
