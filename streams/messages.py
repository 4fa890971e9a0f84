"""The messages on the topics, as types: decoding is strict, and the reference in docs/ is made from these.

All are JSON. A field's unit is in its name or its description. Unknown fields are ignored, so that
producers may carry their own; a missing or mistyped known field is an error.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

MAX_ID_BYTES = 256
MAX_QUANTITY = 1_000_000

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
            description="what the event was published from, such as a file: of a source a partition counts"
            " only events whose sequence is higher than any it has counted before"
        ),
    ] = None
    sequence: Annotated[
        Annotated[int, Meta(ge=0)] | None,
        Meta(description="place of the event within its source, ascending; goes with it"),
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


class DeadLetter(Struct):
    """A record that could not be used; its partition went on."""

    topic: str
    partition: int
    offset: int
    reason: Annotated[str, Meta(description="what is wrong with it, and where")]
    timestamp_ms: Annotated[int, Meta(description="Kafka's time of the record")]
    key: Annotated[bytes | None, Meta(description="the record's key, base64")]
    value: Annotated[bytes | None, Meta(description="the record's value, base64")]


class Progress(Struct, kw_only=True):
    """How far one task (a partition of an input topic) is. Written by its worker about once a second.

    `alsobought rebuild` writes records of no worker, with tasks such as "beginning of purchases-3": where
    counting begins.
    """

    task: Annotated[str, Meta(description="topic and partition, such as purchases-3")]
    worker: Annotated[str, Meta(description="base address of the owning worker's queries")]
    applied: Annotated[int, Meta(description="offset after the last record that is counted")]
    stored: Annotated[int, Meta(description="offset a restart goes on from")]
    listed: Annotated[
        int, Meta(description="deltas topics only: offset up to which every list is exactly up to date")
    ] = -1
    recommended: Annotated[
        int,
        Meta(description="topics of events only: offset up to which all recommendations follow from them"),
    ] = -1
    model: Annotated[
        int,
        Meta(description="topics of events only: version of the chronological model in use; -1: none"),
    ] = -1
    events: Annotated[int, Meta(description="records counted since the worker started")] = 0
    pair_updates: Annotated[int, Meta(description="neighbour counts changed since the worker started")] = 0
    lists: Annotated[int, Meta(description="lists published since the worker started")] = 0
    dead_letters: Annotated[int, Meta(description="records refused since the worker started")] = 0
    staleness_ms: Annotated[
        float, Meta(description="longest from a count to its changed lists in Kafka, last interval")
    ] = -1.0
    latency_p50_ms: Annotated[
        float, Meta(description="event in Kafka to its changed lists in Kafka, last interval, median")
    ] = -1.0
    latency_p99_ms: Annotated[float, Meta(description="the same, 99th percentile")] = -1.0


encode = msgspec.json.Encoder().encode
decode_event = msgspec.json.Decoder(EventMessage).decode
decode_item = msgspec.json.Decoder(CatalogueItem).decode
decode_related = msgspec.json.Decoder(RelatedItems).decode
decode_dead_letter = msgspec.json.Decoder(DeadLetter).decode
decode_progress = msgspec.json.Decoder(Progress).decode
