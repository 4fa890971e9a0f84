"""Follow single events as spans: from the event to its deltas, and from each delta to its lists.

What follows from an event is done for whole chunks, and a list follows from many of them. So a span here is
the time from a record's appearance in Kafka until Kafka has what follows from its chunk, or the lists in
which its deltas are contained. The way from one to the other is the header `traceparent` of the records of
deltas, one for each traced event in a record.

Only a few events of a chunk are followed, because this is done in Python, one by one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from faust.types import TP

from state.customers import pairing
from state.messages.deltas import Deltas
from streams.messages.decoding import Refused, published_ms
from streams.messages.reasons import class_of

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from streams.process.traces import Traces

MOST_OF_A_CHUNK = 256
MOST_OF_A_RECORD = 8
MOST_WAITING = 256
"""Spans of a partition whose lists wait to be made."""

OUTCOMES = {
    pairing.NEW: "new", pairing.REPEAT: "repeat", pairing.GONE: "gone",
    pairing.PART_RETURNED: "part_returned", pairing.NOT_OWNED: "not_owned",
    pairing.EMPTIED: "emptied", pairing.LIMITED: "limited", pairing.FULL: "full",
    pairing.DUPLICATE: "duplicate", pairing.INCLUDED: "included",
}  # fmt: skip
"""What became of an event, as the attribute `alsobought.outcome` says it."""


def _attributes(operation: str, tp: TP, record: Any) -> dict[str, str | int]:
    """Return the attributes of a span by OpenTelemetry's conventions for messaging."""
    return {
        "messaging.system": "kafka",
        "messaging.operation.type": "process",
        "messaging.operation.name": operation,
        "messaging.destination.name": tp.topic,
        "messaging.destination.partition.id": str(tp.partition),
        "messaging.kafka.offset": record.offset,
    }


def _parents(record: Any) -> list[bytes | None]:
    return [value for name, value in record.headers if name == "traceparent"]


class FollowedEvents:
    """The traced events of a chunk, with their spans by offset."""

    def __init__(self, traces: Traces, spans: dict[int, Span]) -> None:
        self._traces = traces
        self._spans = spans
        self._partitions = dict.fromkeys(spans, 0)  # to which a context was sent
        self._left = 0

    def headers(self, message: Deltas) -> tuple[bytes, ...]:
        """Return the contexts that go with a message: of those of its events that are followed."""
        offsets = np.fromiter(self._spans, np.int64, len(self._spans))
        concerned = offsets[np.isin(offsets, message.offsets())][:MOST_OF_A_RECORD].tolist()
        for offset in concerned:
            self._partitions[offset] += 1
        return tuple(self._traces.header_of(self._spans[offset]) for offset in concerned)

    def counted(
        self, records: Sequence[Any], outcomes: npt.NDArray[np.uint8], refused: Sequence[Refused]
    ) -> None:
        """Note what became of the events: the outcome of each record, and those that were refused.

        Of a refusal only the class is noted, because the sentence may name the customer.
        """
        for one in refused:
            if (span := self._spans.get(one.record.offset)) is not None:
                span.set_attribute("alsobought.outcome", "refused")
                self._traces.failed(span, class_of(one.reason))
        for record, outcome in zip(records, outcomes.tolist(), strict=True):
            if (span := self._spans.get(record.offset)) is not None:
                span.set_attribute("alsobought.outcome", OUTCOMES[outcome])
        for offset, span in self._spans.items():
            span.set_attribute("alsobought.item_partitions", self._partitions[offset])
            span.add_event("counted")

    def end_with(self, sent: Sequence[asyncio.Future[int]]) -> None:
        """End the spans once Kafka has everything that was sent."""
        self._left = len(sent)
        if not sent:
            self._end()
        for future in sent:
            future.add_done_callback(self._acknowledged)

    def _acknowledged(self, future: asyncio.Future[int]) -> None:
        if future.cancelled() or future.exception() is not None:
            for span in self._spans.values():
                self._traces.failed(span, "Kafka did not take what follows: it is counted again")
        self._left -= 1
        if not self._left:
            self._end()

    def _end(self) -> None:
        for span in self._spans.values():
            span.end()


def follow_events(traces: Traces, tp: TP, records: Sequence[Any], now_ms: int) -> FollowedEvents | None:
    """Return the spans of those events of a chunk that are traced, None without any."""
    spans: dict[int, Span] = {}
    for record in records:
        if not record.headers and not traces.draws:
            continue
        if len(spans) == MOST_OF_A_CHUNK:
            break
        known, context = traces.parent_of(found[-1]) if (found := _parents(record)) else (False, None)
        if context is None and (known or not traces.drawn()):
            continue
        start_ms = min(published_ms(record, now_ms), now_ms)
        spans[record.offset] = traces.start(
            f"count {tp.topic}", context, start_ms, _attributes("count", tp, record)
        )
    return FollowedEvents(traces, spans) if spans else None


def follow_lists(traces: Traces, tp: TP, record: Any) -> list[Span]:
    """Return the spans of those events of a record of deltas that are traced; it was just counted."""
    now_ms = time.time_ns() // 1_000_000
    start_ms = min(published_ms(record, now_ms), now_ms)
    spans = []
    for value in _parents(record)[:MOST_OF_A_RECORD]:
        if (parent := traces.parent_of(value).context) is not None:
            span = traces.start(f"list {tp.topic}", parent, start_ms, _attributes("list", tp, record))
            span.add_event("counted")
            spans.append(span)
    return spans


def end_lists(spans: Sequence[Span], lists: int) -> None:
    """End such spans: Kafka has their lists, and `lists` were sent of the partition in the same cycle."""
    for span in spans:
        span.set_attribute("alsobought.lists", lists)
        span.end()
