"""The messages on the topics, as types: decoding is strict, and the reference in docs/ is made from these.

All are JSON. A field's unit is in its name or its description. Unknown fields are ignored, so that
producers may carry their own; a missing or mistyped known field is an error.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct

MAX_ID_BYTES = 256
MAX_SOURCE_BYTES = 64
MAX_QUANTITY = 1_000_000
LATEST_MS = 253_402_300_799_999
"""The last time of the year 9999, beyond which no date is written."""
MAX_SEQUENCE = 2**53 - 1  # what every JSON library keeps whole

Message = TypeVar("Message")


def decoder(of: type[Message]) -> Callable[[bytes], Message]:
    """Return a function that decodes JSON messages, and raises nothing but msgspec.MsgspecError.

    msgspec itself also raises UnicodeDecodeError, and RecursionError for what is nested too deeply.
    """
    decode = msgspec.json.Decoder(of).decode

    def decoded(raw: bytes) -> Message:
        try:
            return decode(raw)
        except (UnicodeDecodeError, RecursionError) as error:
            raise msgspec.DecodeError(str(error)) from None

    return decoded


Id = Annotated[str, Meta(description=f"1 to {MAX_ID_BYTES} bytes of UTF-8, no control characters")]
Timestamp = Annotated[
    int | str, Meta(description="event time: milliseconds since 1970 (UTC), or RFC 3339 with an offset or Z")
]


class EventMessage(Struct, kw_only=True, omit_defaults=True):
    """An event, a return, or an erasure of a customer. The record's key must be the customer_id."""

    customer_id: Id
    item_id: Annotated[Id, Meta(description="the item; may be left out when type is forget")] = ""
    timestamp: Timestamp
    quantity: Annotated[int, Meta(ge=1, le=MAX_QUANTITY)] = 1
    type: Annotated[
        str | None,
        Meta(
            description="the topic's own word (purchase on `purchases`, watch on `watches`), which is meant"
            " without one, too; return, which takes back `quantity`; or forget, which erases the customer's"
            " history on this topic"
        ),
    ] = None
    event_id: Annotated[
        str | None,
        Meta(description="unique per event: a second delivery among a customer's last 128 changes nothing"),
    ] = None
    basket_id: str | None = None
    price: Annotated[float | None, Meta(description="price of one, in the shop's currency")] = None
    profile_id: str | None = None
    source: Annotated[
        str | None,
        Meta(
            description="what the event is published from, such as a file; together with sequence:"
            f" 1 to {MAX_SOURCE_BYTES} bytes of UTF-8, no control characters"
        ),
    ] = None
    sequence: Annotated[
        Annotated[int, Meta(ge=0, le=MAX_SEQUENCE)] | None,
        Meta(
            description="the event's number within its source, ascending in each partition: an event whose"
            " number is not above the highest met of its source in its partition changes nothing"
        ),
    ] = None


class CatalogueItem(Struct, kw_only=True, omit_defaults=True):
    """A catalogue entry. The record's key must be the item_id; the newest message of an item holds."""

    item_id: Id
    title: str | None = None
    category: str | None = None
    brand: str | None = None
    price: Annotated[float | None, Meta(description="price of one, in the shop's currency")] = None
    available: Annotated[bool, Meta(description="false: the item leaves every list at once")] = True


class RelatedItem(Struct):
    """One entry of a list."""

    item_id: str
    score: Annotated[float, Meta(description="what the list is ordered by, highest first")]
    together: Annotated[int, Meta(description="customers in whose history the two pair")]
    after: Annotated[int, Meta(description="those of them who have this entry after the list's item")]
    recent: Annotated[float, Meta(description="`together`, each decayed with its age at as_of (30 days)")]
    expected: Annotated[
        float,
        Meta(description="`together` to be expected if buying were independent, heavy buyers considered"),
    ]


class RelatedItems(Struct):
    """The current list of an item, best first; a null value instead when the item has none."""

    item_id: str
    kind: Annotated[str, Meta(description="kind of events the list counts, such as bought")]
    as_of: Annotated[int, Meta(description="event time the list was made at, ms since 1970")]
    version: Annotated[
        int,
        Meta(description="offset in the kind's deltas up to which the list's counts are exact; only grows"),
    ]
    buyers: Annotated[int, Meta(description="customers who have the item")]
    mass: Annotated[int, Meta(description="sum of `together` over all neighbours, listed or not")]
    recent_mass: Annotated[float, Meta(description="sum of `recent` over all neighbours, listed or not")]
    related: list[RelatedItem]


class PopularityMessage(Struct, kw_only=True):
    """How popular an item is, by its owner; a null value instead when nobody has it or bought it.

    The purchases are of the newest 28 days of event time; a day before them counts no more. A record with the
    key SETTLE (a tab, then "settle") is no item's: it asks recommenders to say when they have read so far.
    Nor is one with the key COUNTED (a tab, then "counted"): it says how far the partition is, to all workers.
    """

    item_id: str
    kind: Annotated[str, Meta(description="kind of events that are counted, such as bought")]
    as_of: Annotated[
        int, Meta(description="newest event time that the item's partition had seen, ms since 1970")
    ]
    version: Annotated[
        int, Meta(description="offset in the kind's deltas up to which the counts are exact; only grows")
    ]
    buyers: Annotated[int, Meta(description="customers who have the item")]
    newest_day: Annotated[date, Meta(description="day of event time of the first of `purchases`, YYYY-MM-DD")]
    purchases: Annotated[
        list[int], Meta(description="purchases of that day, of the day before it, and so on; at most 28")
    ]
    first_days: Annotated[
        int,
        Meta(
            description="the days, since 1970, on which its buyers first bought it, all together: divided by"
            " buyers, their mean"
        ),
    ]
    recent_buyers: Annotated[
        float,
        Meta(description="its buyers, each counting exp(-d / 30), d days after its first purchase"),
    ]
    repeaters: Annotated[int, Meta(description="buyers who bought it on several days")]
    repeat_days: Annotated[int, Meta(description="their days beyond the first, all together")]
    repeat_minutes: Annotated[
        int, Meta(description="minutes from their first purchase to their newest, all together")
    ]
    customers: Annotated[int, Meta(description="customers with any item of this kind of events")]
    available: Annotated[bool, Meta(description="whether the item can be bought")]


class SettleMark(Struct):
    """The value of a record with the key SETTLE."""

    settle: Annotated[int, Meta(description="grows from one to the next")]


UNSETTLED = -1
"""The settling of a partition whose worker, since it started, has not been asked to settle."""


class CountedMessage(Struct):
    """The value of a record with the key COUNTED, which a partition writes behind what it publishes."""

    as_of: Annotated[int, Meta(description="newest event time that the partition had seen, ms since 1970")]
    settle: Annotated[
        int, Meta(description="the last settling that what is published is complete for; -1 before the first")
    ]
    sources: Annotated[
        list[tuple[int, int, int, int]],
        Meta(description="topic, partition, counted up to which offset, and customers of each source"),
    ]


def key_text(key: bytes | None) -> str:
    """Return the text of a record's key.

    Anybody may have written the record, so the key need not be a text.
    """
    return (key or b"").decode(errors="replace")


SETTLE, COUNTED = b"\tsettle", b"\tcounted"
"""Ids have no control characters, so that no item has these keys."""


class DeadLetter(Struct):
    """A record that could not be used; its partition went on."""

    topic: str
    partition: int
    offset: int
    reason: Annotated[str, Meta(description="what is wrong with it, and where")]
    timestamp_ms: Annotated[int, Meta(description="Kafka's time of the record")]
    key: Annotated[bytes | None, Meta(description="the record's key, base64")]
    value: Annotated[bytes | None, Meta(description="the record's value, base64")]


REPORTED = "recommender/"
"""What the names of recommenders' tasks begin with in `Progress`."""


class Progress(Struct, kw_only=True):
    """How far one task is. Written by its worker, or its recommender, about once a second.

    A worker's task is a partition of an input topic, such as purchases-3; a recommender's is a partition of
    events, such as recommender/purchases-3.

    `alsobought rebuild` writes records of no worker, with tasks such as "beginning of purchases-3": where
    counting begins.
    """

    task: Annotated[
        str, Meta(description="topic and partition, such as purchases-3; recommender/ before a recommender's")
    ]
    worker: Annotated[str, Meta(description="base address of the queries of the process that owns it")]
    applied: Annotated[int, Meta(description="offset after the last record that is counted")]
    stored: Annotated[int, Meta(description="offset that a restart continues from")]
    listed: Annotated[
        int, Meta(description="deltas topics only: offset up to which every list is exactly up to date")
    ] = -1
    recommended: Annotated[
        int,
        Meta(description="recommenders only: offset up to which all recommendations follow from the events"),
    ] = -1
    settled: Annotated[
        int,
        Meta(
            description="recommenders only: the newest settle mark read in every partition of popularity,"
            " with the bestsellers that follow published"
        ),
    ] = -1
    looked_through: Annotated[
        int,
        Meta(
            description="recommenders only: offset of the published recommendations before which none is left"
            " by a process that had lost the partition"
        ),
    ] = -1
    model: Annotated[
        int,
        Meta(description="recommenders only: version of the chronological model in use; -1: none"),
    ] = -1
    events: Annotated[int, Meta(description="records counted since the worker started")] = 0
    pair_updates: Annotated[int, Meta(description="neighbour counts changed since the worker started")] = 0
    lists: Annotated[int, Meta(description="lists published since the worker started")] = 0
    dead_letters: Annotated[int, Meta(description="records refused since the worker started")] = 0
    misplaced: Annotated[
        int,
        Meta(
            description="topics of events only: events since the worker started whose partition is not that"
            " of their key, because their producer has another partitioner; they are counted"
        ),
    ] = 0
    staleness_ms: Annotated[
        float, Meta(description="longest from a count to its changed lists in Kafka, last interval")
    ] = -1.0
    latency_p50_ms: Annotated[
        float, Meta(description="event in Kafka to its changed lists in Kafka, last interval, median")
    ] = -1.0
    latency_p99_ms: Annotated[float, Meta(description="the same, 99th percentile")] = -1.0


encode = msgspec.json.Encoder().encode
decode_event = msgspec.json.Decoder(EventMessage).decode
"""Unlike the others here it also raises what msgspec does beside its own errors: see `decoder`."""

decode_item = decoder(CatalogueItem)
decode_related = decoder(RelatedItems)
decode_popularity = decoder(PopularityMessage)
decode_counted = decoder(CountedMessage)
decode_settle_mark = decoder(SettleMark)
decode_dead_letter = decoder(DeadLetter)
decode_progress = decoder(Progress)


def progress_of(value: bytes | None) -> Progress | None:
    """Return the report in a record of `progress`; None if there is none, or if somebody else wrote it."""
    try:
        return None if value is None else decode_progress(value)
    except msgspec.MsgspecError:
        return None
