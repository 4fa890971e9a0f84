"""The messages that recommenders write: JSON, as in `streams.messages.schema`."""

from __future__ import annotations

from itertools import chain
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from streams.messages.schema import decoder


class Recommended(Struct):
    """An item a customer should see."""

    item_id: str
    score: Annotated[float, Meta(description="what the list is ordered by, highest first")]
    because: Annotated[
        list[str], Meta(description="items of the customer that speak for it, strongest first")
    ]
    source: Annotated[str, Meta(description="related, bestseller, predicted or buy-again")]


class Recommendations(Struct, kw_only=True, omit_defaults=True):
    """What a customer, or one profile of the account, should see now; null when the customer was erased."""

    customer_id: str
    profile_id: Annotated[str | None, Meta(description="whose of the account; left out: everybody's")] = None
    kind: Annotated[str, Meta(description="kind of events it follows from")]
    as_of: Annotated[int, Meta(description="event time it was made at, ms since 1970")]
    variant: Annotated[
        str | None, Meta(description="of the experiment the customer is in, if there is one")
    ] = None
    items: list[Recommended]


class Seller(Struct, omit_defaults=True):
    """An item that sells."""

    item_id: str
    purchases: Annotated[int, Meta(description="of the newest 14 days of event time")]
    rise: Annotated[
        float | None,
        Meta(description="the newest 7 days against the 21 before them, in standard deviations; if trending"),
    ] = None


class Sellers(Struct, kw_only=True, omit_defaults=True):
    """The best sellers, or what rises most, of everything or a category; null when there is nothing."""

    kind: str
    category: Annotated[str | None, Meta(description="left out: of everything")] = None
    trending: bool = False
    as_of: Annotated[int, Meta(description="event time of the newest event counted, ms since 1970")]
    items: list[Seller]


class RankerState(Struct, kw_only=True):
    """What one partition has learnt."""

    kind: str
    partition: int
    rankers: Annotated[
        dict[str, dict[str, Any]],
        Meta(description="new and all: cases, and per feature weight, sum of squared gradients, variance"),
    ]


_MOST = 1e15


class _Learnt(Struct):
    cases: float
    features: dict[str, tuple[float, float, float]]


class _RankerState(Struct):
    rankers: dict[str, _Learnt]


class Quality(Struct, kw_only=True, omit_defaults=True):
    """How often an algorithm's six held what was then bought, in one partition and day of event time."""

    kind: str
    partition: int
    day: Annotated[str, Meta(description="of event time, YYYY-MM-DD")]
    algorithm: Annotated[
        str,
        Meta(
            description="ours, raw, flawed, corrected, bestsellers; all: ours, where any item counts; shown"
        ),
    ]
    variant: Annotated[str | None, Meta(description="of an experiment, of algorithm shown")] = None
    cases: Annotated[int, Meta(description="customers who came back")]
    hits: Annotated[int, Meta(description="of them, who bought at least one of the six")]


class ModelAnnounced(Struct, kw_only=True):
    """The chronological model that workers should use from now on; null to do without one."""

    kind: str
    version: Annotated[int, Meta(description="of those of the kind a newer one has a larger number")]
    url: Annotated[str, Meta(description="of its file: a path, or what fsspec understands")]
    sha256: Annotated[str, Meta(description="of all bytes of the file, in hexadecimal")]
    bytes: Annotated[int, Meta(description="of the file")]
    trained_until: Annotated[
        int, Meta(description="event time of the newest event it was trained on, ms since 1970")
    ]
    items: Annotated[int, Meta(description="how many items it knows")]


def key_of(customer_id: str, profile_id: str | None) -> str:
    """Return the key of a recommendations message; ids have no control characters, so that keys differ."""
    return customer_id if profile_id is None else f"{customer_id}\t{profile_id}"


encode = msgspec.json.Encoder().encode
decode_recommendations = decoder(Recommendations)
decode_sellers = decoder(Sellers)
_decode_ranker, _decode_learnt = decoder(RankerState), decoder(_RankerState)


def decode_ranker(raw: bytes) -> RankerState:
    """Return what a partition has learnt.

    Raises
    ------
    msgspec.MsgspecError
        If it is not as recommenders write it.
    """
    for of in _decode_learnt(raw).rankers.values():
        numbers = chain.from_iterable(of.features.values())
        if 0 <= of.cases <= _MOST and all(abs(number) <= _MOST for number in numbers):
            continue
        raise msgspec.ValidationError("a number is out of range")
    return _decode_ranker(raw)


_decode_quality = decoder(Quality)


def decode_quality(raw: bytes) -> Quality:
    """Return hit rates.

    Raises
    ------
    msgspec.MsgspecError
        If they are not as recommenders write them.
    """
    quality = _decode_quality(raw)
    if not 0 <= quality.hits <= quality.cases <= _MOST:
        raise msgspec.ValidationError("a number is out of range")
    return quality


decode_model = decoder(ModelAnnounced)
