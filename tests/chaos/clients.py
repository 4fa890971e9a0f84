"""The clients of a chaos run, which survive the death of the broker as workers do: aiokafka with time limits.

kafka-python may wait for ever, or receive nothing more, when its broker is killed, and its calls cannot be
cancelled; a coroutine can.
"""

from __future__ import annotations

import abc
import asyncio
import queue
import threading
from collections.abc import Awaitable, Callable, Iterator
from itertools import islice
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from streams.connections.bootstrap import Bootstrap
from streams.kafka.stopping import stop
from streams.kinds import BUILT_IN, EventKind
from streams.messages.schema import Progress, decode_progress
from streams.topics import PROGRESS
from tests.streams.pipeline import PARTITIONS

ANSWER_S = 20.0
AGAIN_S = 0.5
POLL_MS = 200
TICK_S = 0.1
FAILURES = (KafkaError, OSError, TimeoutError)


async def _with_clients(make: Callable[[], Any], use: Callable[[Any], Awaitable[None]]) -> None:
    """Use a client until cancelled; replace one that fails or does not answer.

    All of it in tasks of its own: with the broker away, aiokafka may raise CancelledError without having
    been cancelled, and swallow it when it is.
    """

    async def start_and_use(client: Any) -> None:
        async with asyncio.timeout(ANSWER_S):
            await client.start()
        await use(client)

    while True:
        client = make()
        using = asyncio.create_task(start_and_use(client))
        try:
            await asyncio.wait({using})
        finally:
            using.cancel()
            await stop(client)
            await asyncio.wait({using}, timeout=ANSWER_S)
        error = None if using.cancelled() else using.exception()
        if error is not None and not isinstance(error, FAILURES):
            raise error
        await asyncio.sleep(AGAIN_S)


class _Thread(threading.Thread, abc.ABC):
    """Runs a coroutine in a loop of its own; `end` cancels it and raises what it failed with."""

    def __init__(self, bootstrap: Bootstrap) -> None:
        super().__init__(daemon=True)
        self._address = bootstrap.servers
        self._loop = asyncio.new_event_loop()
        self._main: asyncio.Task[None] | None = None
        self.failed: BaseException | None = None

    @abc.abstractmethod
    async def main(self) -> None:
        """Do the thread's work, until cancelled."""

    def run(self) -> None:
        """Run the coroutine."""
        self._main = self._loop.create_task(self.main())
        try:
            self._loop.run_until_complete(self._main)
        except asyncio.CancelledError:
            pass
        except BaseException as error:
            self.failed = error
            raise
        finally:
            self._loop.run_until_complete(self._end_what_was_given_up())
            self._loop.close()

    async def _end_what_was_given_up(self) -> None:
        """End the tasks that clients left behind when they did not stop."""
        if left := asyncio.all_tasks() - {asyncio.current_task()}:
            for task in left:
                task.cancel()
            await asyncio.wait(left, timeout=ANSWER_S)

    def end(self) -> None:
        """End the coroutine, and wait until it has ended."""
        self._loop.call_soon_threadsafe(lambda: self._main and self._main.cancel())
        self.join()
        if self.failed is not None:
            raise self.failed


class Listener(_Thread):
    """Reads what the workers report, and where the logs end.

    Attributes
    ----------
    ends : dict[str, int]
        By name of the task of events, as of some moment after the last call of `ask`; empty until then.
    """

    def __init__(self, bootstrap: Bootstrap) -> None:
        super().__init__(bootstrap)
        self._reports: queue.SimpleQueue[tuple[Progress, int]] = queue.SimpleQueue()
        self._asked = threading.Event()
        self.ends: dict[str, int] = {}

    def reported(self) -> list[tuple[Progress, int]]:
        """Return the reports since the last call with their times, in ms since 1970."""
        return [self._reports.get() for _ in range(self._reports.qsize())]

    def ask(self) -> None:
        """Make the listener find out where the logs end now."""
        self.ends = {}
        self._asked.set()

    async def main(self) -> None:
        """Listen."""

        def consumer() -> Any:
            return AIOKafkaConsumer(bootstrap_servers=self._address, group_id=None)

        async with asyncio.TaskGroup() as both:
            both.create_task(_with_clients(consumer, self._listen))
            both.create_task(_with_clients(consumer, self._answer))

    async def _listen(self, consumer: Any) -> None:
        consumer.assign([TopicPartition(PROGRESS.name, p) for p in range(PARTITIONS)])
        async with asyncio.timeout(ANSWER_S):
            await consumer.seek_to_end()
        while True:
            async with asyncio.timeout(ANSWER_S):  # at any time some worker reports
                while not (polled := await consumer.getmany(timeout_ms=POLL_MS)):
                    pass
            for records in polled.values():
                for record in records:
                    self._reports.put((decode_progress(record.value), record.timestamp))

    async def _answer(self, consumer: Any) -> None:
        tps = [TopicPartition(kind.events.name, p) for kind in BUILT_IN for p in range(PARTITIONS)]
        while True:
            await asyncio.sleep(TICK_S)
            if self._asked.is_set():
                async with asyncio.timeout(ANSWER_S):
                    ends = await consumer.end_offsets(tps)
                self._asked.clear()
                self.ends = {f"{tp.topic}-{tp.partition}": end for tp, end in ends.items()}


class Feeder(_Thread):
    """Publishes at a rate, whatever happens to the broker; sends unacknowledged records again.

    Parameters
    ----------
    records
        Keys and values by kind.
    rates
        Events a second by kind.
    kinds
        Those that are published; more may be added while it runs.
    """

    def __init__(
        self,
        bootstrap: Bootstrap,
        records: dict[EventKind, Iterator[tuple[bytes, bytes]]],
        rates: dict[EventKind, float],
        kinds: tuple[EventKind, ...],
    ) -> None:
        super().__init__(bootstrap)
        self.published = 0
        self.kinds = kinds
        self._records, self._rates = records, rates
        self._batch: list[tuple[str, bytes, bytes]] = []

    async def main(self) -> None:
        """Publish until cancelled."""
        await _with_clients(
            lambda: AIOKafkaProducer(bootstrap_servers=self._address, acks="all", linger_ms=5),
            self._publish,
        )

    async def _publish(self, producer: Any) -> None:
        while True:
            if not self._batch:
                await asyncio.sleep(TICK_S)
                self._batch = [
                    (kind.events.name, key, value)
                    for kind in self.kinds
                    for key, value in islice(self._records[kind], max(1, int(self._rates[kind] * TICK_S)))
                ]
            async with asyncio.timeout(ANSWER_S):
                sent = [await producer.send(topic, key=key, value=value) for topic, key, value in self._batch]
                await asyncio.gather(*sent)
            self.published += len(self._batch)
            self._batch = []
