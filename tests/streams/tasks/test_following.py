"""Spans of traced events and of their lists, in a worker without Kafka."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from state.messages.deltas import decode
from streams.kafka.transport import Chunk
from streams.messages.schema import EventMessage
from streams.process.traces import Traces
from streams.tasks import following
from streams.tasks.following import MOST_OF_A_RECORD
from streams.topics import PAIR_DELTAS
from tests.events import START_MS, purchases
from tests.streams.listing import Shop
from tests.streams.offline import PARTITIONS, Sent, run

COUNT, LIST = "count purchases", "list pair-deltas"


def sampled(number: int, flags: str = "01") -> bytes:
    """A traceparent; the number is in its trace and its span."""
    return b"00-%032x-%016x-%s" % (number + 1, number + 1, flags.encode())


class Traced(Shop):
    """A shop whose worker makes spans, and what came of them."""

    def __init__(self, root: Path, ratio: float = 0, **settings: Any) -> None:
        super().__init__(root, **settings)
        self._exporter = InMemorySpanExporter()
        self.traces = Traces(ratio, self._exporter)
        object.__setattr__(self.worker.context, "traces", self.traces)

    def bought_with(self, messages: Sequence[EventMessage], headers: dict[int, bytes]) -> Chunk:
        """The next purchases, those of some indices with a header."""
        chunk = self.bought(messages)
        for at, header in headers.items():
            chunk.records[at].headers = (("other", None), ("traceparent", header))
        return chunk

    def spans(self, name: str) -> list[ReadableSpan]:
        """The spans that have ended."""
        self.traces._provider.force_flush()
        return [span for span in self._exporter.get_finished_spans() if span.name == name]

    async def close(self) -> None:
        await self.worker.close()
        self.traces.close()


def attribute(span: ReadableSpan, name: str) -> Any:
    return (span.attributes or {}).get(name)


def offset_of(span: ReadableSpan) -> Any:
    return attribute(span, "messaging.kafka.offset")


def test_each_event_goes_with_the_deltas_that_concern_it_and_changes_no_value(tmp_path: Path) -> None:
    async def body() -> None:
        shop, plain = Traced(tmp_path / "traced"), Shop(tmp_path / "plain")
        await shop.open()
        await plain.open()
        messages = purchases(1, customers=9, items=30, events=40)
        await shop.worker.once(shop.bought_with(messages, {at: sampled(at) for at in range(40)}))
        await plain.worker.once(plain.bought(messages))
        records = shop.broker.of(PAIR_DELTAS.name)
        assert [record.value for record in records] == [
            record.value for record in plain.broker.of(PAIR_DELTAS.name)
        ]
        by_context = {
            (b"00-%032x-%016x-01" % (span.context.trace_id, span.context.span_id)): span
            for span in shop.spans(COUNT)
        }
        assert len(by_context) == 40
        sent: Counter[int] = Counter()
        for record in records:
            (at, _), *contexts = record.headers
            assert at == "at"
            assert len(contexts) == MOST_OF_A_RECORD
            offsets = [offset_of(by_context[value]) for _, value in contexts]
            assert set(offsets) <= set(decode(record.value or b"").offsets().tolist())
            sent.update(offsets)
        for span in by_context.values():
            assert attribute(span, "alsobought.item_partitions") == sent[offset_of(span)]
            assert span.parent is not None
            assert span.parent.trace_id == span.parent.span_id == offset_of(span) + 1
        await shop.worker.once(*shop.deltas())
        assert len(shop.spans(LIST)) == MOST_OF_A_RECORD * len(records)
        await plain.worker.once(*plain.deltas())
        assert shop.lists() == plain.lists()
        await shop.close()
        await plain.worker.close()

    run(body())


def test_a_span_says_what_became_of_an_event(tmp_path: Path) -> None:
    async def body() -> None:
        shop = Traced(tmp_path)
        await shop.open()

        def event(item: str, event_id: str, kind: str | None = None) -> EventMessage:
            return EventMessage(
                customer_id="ann", item_id=item, timestamp=START_MS, event_id=event_id, type=kind
            )

        events = [
            event("tea", "1"), event("tea", "2"), event("tea", "2"), event("milk", "3", "return"),
            event("oil", "4", "loan"),
        ]  # fmt: skip
        await shop.worker.once(shop.bought_with(events, {at: sampled(at) for at in range(5)}))
        spans = sorted(shop.spans(COUNT), key=offset_of)
        outcomes = [attribute(span, "alsobought.outcome") for span in spans]
        assert outcomes == ["new", "repeat", "duplicate", "not_owned", "refused"]
        wrong = [span.status.description for span in spans if span.status.status_code is StatusCode.ERROR]
        assert wrong == ["return", "type"]
        await shop.close()

    run(body())


def test_who_is_traced(tmp_path: Path) -> None:
    async def traced(root: Path, ratio: float) -> list[tuple[int, bool]]:
        shop = Traced(root, ratio)
        await shop.open()
        headers = {0: sampled(0), 1: sampled(1, "00"), 2: b"00-0-0-01", 3: b"\xff" * 55}
        await shop.worker.once(shop.bought_with(purchases(1, 9, 30, 6), headers))
        found = sorted((offset_of(span), span.parent is not None) for span in shop.spans(COUNT))
        await shop.close()
        return found

    async def body() -> None:
        assert await traced(tmp_path / "0", 0) == [(0, True)]
        # what its producer did not sample stays so; what says nothing is drawn, and begins a trace
        assert await traced(tmp_path / "1", 1) == [(0, True), *((at, False) for at in range(2, 6))]

    run(body())


def test_a_span_ends_once_kafka_has_what_follows(tmp_path: Path) -> None:
    async def body() -> None:
        shop = Traced(tmp_path, at_once=False)
        await shop.open()
        await shop.worker.once(shop.bought_with(purchases(1, 9, 30, 40), {0: sampled(0)}))
        first = shop.broker.waiting.pop(0)
        shop.broker.acknowledge()
        await shop.worker.settle()
        assert shop.spans(COUNT) == []
        first.acknowledge()
        await shop.worker.settle()
        assert len(shop.spans(COUNT)) == 1
        await shop.worker.once(*shop.deltas())
        assert shop.spans(LIST) == []
        shop.broker.acknowledge()
        await shop.worker.settle()
        listed = shop.spans(LIST)
        assert listed
        assert sum(attribute(span, "alsobought.lists") for span in listed) > 0
        await shop.worker.once(shop.bought_with(purchases(2, 9, 30, 40), {0: sampled(0)}))
        shop.broker.waiting[0].fail(KafkaConnectionError("away"))
        shop.broker.waiting.pop(0)
        shop.broker.acknowledge()
        await shop.worker.settle()
        assert shop.spans(COUNT)[1].status.status_code is StatusCode.ERROR
        await shop.close()

    run(body())


def test_lists_that_are_sent_later_end_their_spans_then(tmp_path: Path) -> None:
    async def body() -> None:
        shop = Traced(tmp_path)
        await shop.open()
        await shop.worker.once(shop.bought_with(purchases(1, 9, 30, 40), {0: sampled(0)}))
        chunks = shop.deltas()
        count = shop.worker.cycle.computing._take_all

        def rebalanced(*args: Any) -> Any:
            counted = count(*args)
            shop.worker.owned = lambda _tp: False
            return counted

        shop.worker.cycle.computing._take_all = rebalanced  # type: ignore[method-assign, assignment]
        await shop.worker.once(*chunks)
        assert shop.published() == len(shop.spans(LIST)) == 0
        shop.worker.cycle.computing._take_all = count  # type: ignore[method-assign]
        shop.worker.owned = lambda _tp: True
        contexts = sum(len(record.headers) - 1 for chunk in chunks for record in chunk.records)
        for _ in range(PARTITIONS):  # a cycle may rank the rows of one partition only
            await shop.worker.once()
        await shop.worker.until(lambda: len(shop.spans(LIST)) == contexts > 0)
        await shop.close()

    run(body())


def test_deltas_that_come_again_are_not_traced_again(tmp_path: Path) -> None:
    async def body() -> None:
        shop = Traced(tmp_path)
        await shop.open()
        messages = purchases(1, 9, 30, 40)
        await shop.worker.once(shop.bought_with(messages, {0: sampled(0)}))
        await shop.worker.once(*shop.deltas())
        before = shop.spans(LIST)
        partition = int(attribute(before[0], "messaging.destination.partition.id"))
        task = shop.items[partition]
        log = shop.broker.logs[task.tp]
        assert len(log[0].headers) == 2
        log.append(Sent(len(log), None, log[0].value, headers=log[0].headers))  # its source was killed
        await shop.worker.once(*shop.deltas())
        assert task.position == len(log)
        assert shop.spans(LIST) == before
        await shop.close()

    run(body())


def test_what_is_followed_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "MOST_OF_A_CHUNK", 12)
    monkeypatch.setattr("streams.tasks.refresh.MOST_WAITING", 5)

    async def body() -> None:
        shop = Traced(tmp_path, ratio=1)
        await shop.open()
        await shop.count(purchases(1, 9, 30, 200))
        assert len(shop.spans(COUNT)) == 12
        listed = Counter(attribute(s, "messaging.destination.partition.id") for s in shop.spans(LIST))
        assert max(listed.values()) == 5
        await shop.close()

    run(body())
