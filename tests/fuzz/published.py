"""Readers of records that anybody may have written to a topic, each with valid examples."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np

from recommending.averaging import average
from recommending.related_lists import RelatedLists
from recommending.starting_weights import new_rankers
from serving import statistics
from serving.read_model import ReadModel
from state.customers.machine import CustomerMachine
from state.items.machine import ItemMachine
from state.memory.ids import Dictionary
from state.settings import CountingSettings
from streams.kinds import BOUGHT, BUILT_IN, LISTED
from streams.messages.checks import LOG_APPEND_TIME, EventTypes
from streams.messages.decoding import BY_COLUMNS, decode_events, decode_items
from streams.messages.popularity_json import popularity_of
from streams.messages.reasons import OTHER, class_of
from streams.messages.schema import (
    COUNTED,
    SETTLE,
    CountedMessage,
    PopularityMessage,
    SettleMark,
    decode_counted,
    decode_settle_mark,
    encode,
)
from streams.recommending.list_reading import ListReader
from streams.recommending.messages import decode_model, decode_ranker
from streams.recommending.offers import Offers
from streams.tasks.others import Others
from streams.topics import RANKER
from tests.serving.shop import NOW_MS, Message, messages

SETTINGS = CountingSettings(window=4)
POPULARITY = BOUGHT.popularity.name


def _record(value: bytes | None, key: bytes | None, offset: int = 0) -> Any:
    return SimpleNamespace(
        value=value, key=key, offset=offset, timestamp=NOW_MS, timestamp_type=LOG_APPEND_TIME, partition=0
    )


def events() -> Iterator[bytes]:
    """Yield events of all types."""
    for more in (
        {}, {"quantity": 3, "event_id": "e1", "price": 1.5}, {"type": "return"}, {"type": "purchase"},
        {"type": "forget"}, {"profile_id": "kids", "source": "till", "sequence": 7},
        {"timestamp": "2025-06-15T12:00:00+02:00"},
    ):  # fmt: skip
        yield encode({"customer_id": "ann", "item_id": "tea", "timestamp": NOW_MS, **more})


def take_event(value: bytes) -> str:
    """Decode and apply an event between two others, alone and in a chunk that is decoded by columns."""
    outcomes = []
    for beside in (1, BY_COLUMNS):
        machine = CustomerMachine(SETTINGS)
        good = next(events())
        records = [_record(good, b"ann", n) for n in range(beside)]
        records += [_record(value, b"ann", beside), _record(good, b"ann", beside + 1)]
        decoded = decode_events(records, beside + 2, machine, EventTypes(BOUGHT, BUILT_IN), NOW_MS)
        assert len(decoded.batch) + len(decoded.refused) == beside + 2
        machine.apply(decoded.batch)
        event = [column[beside:-1].tolist() for column in vars(decoded.batch).values() if np.ndim(column)]
        outcomes.append(([refused.reason for refused in decoded.refused], event[1:]))
    assert outcomes[0] == outcomes[1], "one at a time and by columns differ"
    for reason in outcomes[0][0]:
        assert class_of(reason) != OTHER, reason
        return f"dead letter: {class_of(reason)}"
    return "counted"


def catalogue() -> Iterator[bytes]:
    """Yield entries of the catalogue."""
    yield encode({"item_id": "tea", "title": "Tea", "category": "drinks", "brand": "Assam", "price": 1.5})
    yield encode({"item_id": "tea", "available": False})


def take_item(value: bytes) -> str:
    """Decode an entry of the catalogue."""
    decoded = decode_items([_record(value, b"tea")])
    assert len(decoded.ids) + len(decoded.refused) == 1
    for refused in decoded.refused:
        assert class_of(refused.reason) != OTHER, refused.reason
        return f"dead letter: {class_of(refused.reason)}"
    return "taken"


def popularity() -> Iterator[bytes]:
    """Yield records of popularity topics."""
    message = msgspec.json.decode(
        b'{"item_id":"tea","kind":"bought","as_of":1750075200000,"version":7,"buyers":5,'
        b'"newest_day":"2025-06-16","purchases":[3,0,2],"first_days":100000,"recent_buyers":2.5,'
        b'"repeaters":1,"repeat_days":2,"repeat_minutes":3000,"customers":9,"available":true}',
        type=PopularityMessage,
    )
    yield encode(message)
    yield encode(CountedMessage(NOW_MS, 5, [(0, 1, 70, 9), (1, 0, 3, 2)]))
    yield encode(SettleMark(7))


def take_popularity(value: bytes) -> str:
    """Take a record in as workers and recommenders do, and rank by it."""
    others = Others()
    view = others.view(BOUGHT)
    machine = ItemMachine(SETTINGS)
    for key in (b"tea", COUNTED, SETTLE):
        others.take(POPULARITY, [_record(value, key), _record(next(popularity()), b"tea")])
    assert view.items.get("tea") is not None
    assert np.isfinite(view.popularity.recent_buyers).all()
    assert machine.customers >= 0
    for decode in (popularity_of, decode_counted, decode_settle_mark):
        with contextlib.suppress(msgspec.MsgspecError):
            decode(value)
            return "taken"
    return "ignored"


def _published(*of: str) -> Iterator[Message]:
    topics = {kind.lists.name for kind in LISTED} if of == ("lists",) else set(of)
    yield from (m for m in messages("http://127.0.0.1:9") if not topics or m.topic in topics)


def lists() -> Iterator[bytes]:
    """Yield lists."""
    yield from (m.value for m in _published("lists") if m.value is not None)


def take_list(value: bytes) -> str:
    """Take a list in as a recommender does, between two others."""
    related = RelatedLists(3)
    good = next(lists())
    ListReader(related).take([(b"a", good), (b"b", value), (b"c", good)])
    a = related.arrays
    assert np.isfinite(a.recent).all()
    assert np.isfinite(a.to_landmark).all()
    assert np.isfinite(a.recent_mass).all()
    assert a.item.max(initial=0) < len(related.items)
    assert a.length.max() <= 3
    return f"{len(related.items)} items"


def anything() -> Iterator[bytes]:
    """Yield a record of each kind that the page reads."""
    yield from (m.value for m in _published() if m.value is not None)


def take_anything(value: bytes) -> str:
    """Take a record in as the page does, of every topic, and ask everything of it."""
    model = ReadModel(LISTED)
    for spec in model.specs():
        for key in (b"tea", b"all", b"category:drinks", b"ann", b"bought/0"):
            model.take(spec.name, key, value, NOW_MS)
    for of in model.kinds.values():
        of.related("tea")
    for of in model.of_events.values():
        of.sellers(None, trending=False)
        of.sellers("drinks", trending=False)
        of.recommendations("ann")
        of.profiles("ann")
        statistics.quality(of)
        statistics.experiments(of)
        msgspec.json.encode(statistics.learner(of))
    offers = Offers(Dictionary(), 5)
    for decode in (lambda raw: offers.read(b"ann", raw), decode_model):
        with contextlib.suppress(msgspec.MsgspecError):
            decode(value)
    return f"{model.refused * 10 // (5 * len(model.specs()))} tenths refused"


def learnt() -> Iterator[bytes]:
    """Yield what a partition has learnt."""
    yield from (m.value for m in _published(RANKER.name) if m.value is not None)


def take_learnt(value: bytes) -> str:
    """Average what was learnt, and continue from it."""
    try:
        state = decode_ranker(value)
    except msgspec.MsgspecError as error:
        return f"ignored: {type(error).__name__}"
    own = new_rankers()
    for name, ranker in state.rankers.items():
        mean = average([ranker, ranker])
        if name in own:
            own[name].restore(mean)
    return "taken"
