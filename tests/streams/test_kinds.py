"""Tests of kinds of events: topics, words, stores that stay valid, and who gets the catalogue."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest
from faust.types import TP
from pydantic import ValidationError

from state.customers.machine import CustomerMachine
from state.messages.deltas import decode_availability
from streams.kafka.log_identity import LogIdentity
from streams.kafka.transport import Chunk
from streams.kinds import (
    BOUGHT,
    BUILT_IN,
    WATCHED,
    WATCHED_BOUGHT,
    EventKind,
    counted_of,
    is_deltas,
    kinds_of,
    listed_of,
    topics_of,
    topics_of_kinds,
)
from streams.messages.checks import EventTypes
from streams.messages.decoding import decode_events
from streams.settings import Settings
from streams.tasks.catalogue import CatalogueTask
from streams.topics import ITEMS, SHARED
from tests.streams.offline import PARTITIONS, Broker, Offline


def _settings(words: str | None = None, **more: Any) -> Settings:
    return Settings.model_validate({"event_types": words, **more})


LIKED = kinds_of(_settings("liked"))[-1]


# ---------------------------------------------------------------------- topics and words


def test_purchases_and_watches_are_always_there() -> None:
    assert kinds_of(_settings()) == BUILT_IN == (BOUGHT, WATCHED)
    assert [spec.name for spec in topics_of(_settings())] == [
        "purchases", "pair-deltas", "related-items", "popularity", "bestsellers", "recommendations",
        "watches", "pair-deltas-watched", "related-items-watched", "popularity-watched",
        "bestsellers-watched", "recommendations-watched", "first-events", "pair-deltas-watched-bought",
        "related-items-watched-bought", *(spec.name for spec in SHARED),
    ]  # fmt: skip


def test_the_relation_between_watches_and_purchases_can_be_switched_off() -> None:
    off = Settings.model_validate({"watched_bought_days": 0})
    assert listed_of(off) == BUILT_IN
    assert listed_of(_settings()) == (*BUILT_IN, WATCHED_BOUGHT)
    assert not {spec.name for spec in WATCHED_BOUGHT.topics} & {spec.name for spec in topics_of(off)}
    ids = {spec.name: f"id-{spec.name}" for spec in topics_of(_settings())}
    on = LogIdentity(listed_of(_settings()), ids, {})
    assert on.of("purchases") == LogIdentity(BUILT_IN, ids, {}).of("purchases")  # stores stay valid
    sources = ("purchases", "watches", "first-events", "pair-deltas-watched-bought", "items")
    assert all(f"id-{name}" in on.of("first-events") for name in sources)
    rebuilt = LogIdentity(listed_of(_settings()), ids, {("watches", 0): 5})
    assert rebuilt.of("pair-deltas-watched-bought") == rebuilt.of("first-events") != on.of("first-events")


def test_each_further_type_has_topics_of_its_own() -> None:
    settings = _settings(" liked, put-in-cart ,")
    *_, liked, cart = kinds_of(settings)
    assert (liked.name, liked.word, liked.events.name) == ("liked", "liked", "liked")
    assert cart.recommendations.name == "recommendations-put-in-cart"
    assert liked.lists.config == BOUGHT.lists.config
    assert {spec.name for spec in counted_of(settings)} == {
        "purchases", "pair-deltas", "watches", "pair-deltas-watched", "liked", "pair-deltas-liked",
        "put-in-cart", "pair-deltas-put-in-cart", "first-events", "pair-deltas-watched-bought", "items",
    }  # fmt: skip
    names = [spec.name for spec in topics_of(settings)]
    assert len(set(names)) == len(names) == 6 * 4 + len(WATCHED_BOUGHT.topics) + len(SHARED)
    assert [name for name in names if is_deltas(name)] == [kind.deltas.name for kind in listed_of(settings)]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("Liked", "'Liked' is not a word of a-z, 0-9 and -"),
        ("put in cart", "not a word"),
        ("a_b", "not a word"),
        ("liked-", "not a word"),
        ("x" * 41, "at most 40 long"),
        ("liked,liked", "'liked' is there twice"),
        *((name, "a name of ours") for name in ("purchase", "watch", "watched", "bought", "forget")),
        *((spec.name, "a name of ours") for spec in topics_of_kinds(BUILT_IN)),
        ("pair-deltas-liked", "a name of ours"),
        ("related-items-watched-bought", "a name of ours"),
    ],
)
def test_words_that_cannot_be_topics_are_refused(words: str, reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        _settings(words)


@dataclass
class _Raw:
    value: bytes | None
    key: bytes | None = b"ann"
    offset: int = 0
    timestamp: int = 1_750_000_000_000
    timestamp_type: int = 1
    headers: tuple[Any, ...] = ()


def _decode(word: str | None, kind: EventKind, kinds: Sequence[EventKind]) -> int | str:
    """Return the kind number of an event whose type is `word`, or why it is refused."""
    event = {"customer_id": "ann", "item_id": "tea", "timestamp": 1_750_000_000_000, "type": word}
    if word is None:
        del event["type"]
    decoded = decode_events(
        [_Raw(msgspec.json.encode(event))], 1, CustomerMachine(), EventTypes(kind, kinds), 0
    )
    return decoded.refused[0].reason if decoded.refused else int(decoded.batch.actions[0])


def test_a_topic_takes_its_own_word_and_names_the_topic_of_others() -> None:
    kinds = (*BUILT_IN, LIKED)
    for kind in kinds:
        assert [_decode(word, kind, kinds) for word in (None, kind.word, "return", "forget")] == [0, 0, 1, 2]
        for other in kinds:
            if other is not kind:
                assert _decode(other.word, kind, kinds) == (
                    f"type '{other.word}' is not for the topic {kind.events.name}:"
                    f" publish it to {other.events.name}"
                )
    assert _decode("liked", WATCHED, BUILT_IN) == (
        "type 'liked' is none of watch, return, forget, which the topic watches takes"
    )


# ---------------------------------------------------------------------- identity


def test_a_new_kind_changes_no_other_kinds_identity() -> None:
    ids = {spec.name: f"id-{spec.name}" for spec in topics_of(_settings("liked"))}
    before = LogIdentity(BUILT_IN, ids, {})
    after = LogIdentity((*BUILT_IN, LIKED), ids, {("liked", 0): 5, ("pair-deltas-liked", 1): 3})
    purchases = "items id-items pair-deltas id-pair-deltas purchases id-purchases"
    for topic in ("purchases", "pair-deltas", "items"):  # as in stores from before there were kinds
        assert before.of(topic) == after.of(topic) == purchases
    assert before.of("watches") == after.of("pair-deltas-watched")
    watches = "items id-items pair-deltas-watched id-pair-deltas-watched watches id-watches"
    assert before.of("watches") == watches
    assert after.of("liked").startswith("items id-items liked id-liked pair-deltas-liked ")
    assert " rebuilt " in after.of("liked")


def test_where_counting_begins_is_in_the_identity() -> None:
    ids = {spec.name: "x" for spec in topics_of_kinds(BUILT_IN)}
    begins = {("items", 0): 0, ("purchases", 0): 7, ("pair-deltas", 0): 9, ("watches", 0): 1}
    known = LogIdentity(BUILT_IN, ids, begins)
    others = LogIdentity(BUILT_IN, ids, begins | {("watches", 0): 2})
    assert known.of("purchases") == others.of("items") != LogIdentity(BUILT_IN, ids, {}).of("purchases")
    assert known.of("watches") != others.of("watches")


# ---------------------------------------------------------------------- the catalogue


def _sent_by_topic(broker: Broker) -> dict[str, dict[str, int]]:
    """Return by topic what was sent to its partition 0; every partition must have got the same."""
    found: dict[str, dict[str, int]] = {}
    for topic, partition in sorted(broker.logs):
        raws = [record.value for record in broker.logs[TP(topic, partition)]]
        assert raws == [record.value for record in broker.logs[TP(topic, 0)]]
        assert TP(topic, PARTITIONS - 1) in broker.logs
        for message in [decode_availability(raw or b"") for raw in raws] if partition == 0 else ():
            answer = zip(message.ids, message.available.tolist(), strict=True)
            found.setdefault(topic, {}).update(answer)
            found[topic]["end"] = message.end
    return found


def _item(name: str, *, available: bool, offset: int) -> _Raw:
    return _Raw(msgspec.json.encode({"item_id": name, "available": available}), name.encode(), offset)


async def _catalogue(
    root: Path, kinds: Sequence[EventKind], records: Sequence[_Raw] = (), *, save: bool = True
) -> dict[str, dict[str, int]]:
    """Return what a catalogue task sends that is opened, given records and closed."""
    worker = Offline(root)
    task = CatalogueTask(TP(ITEMS.name, 0), worker.context, kinds)
    await worker.open(task)
    if records:
        await worker.once(Chunk(task.tp, records[0].offset, records[-1].offset + 1, list(records)))
        assert task.position == records[-1].offset + 1
    await worker.close(save=save)
    return _sent_by_topic(worker.broker)


def test_every_kind_gets_the_catalogue_and_a_new_one_everything_before(tmp_path: Path) -> None:
    async def main() -> None:
        gone = [_item("tea", available=False, offset=0), _item("milk", available=False, offset=1)]
        answer = await _catalogue(tmp_path, [BOUGHT], gone)
        assert answer == {"pair-deltas": {"tea": 0, "milk": 0, "end": 2}}
        back = [_item("tea", available=True, offset=2), _item("rum", available=True, offset=3)]
        assert await _catalogue(tmp_path, [BOUGHT], back) == {"pair-deltas": {"tea": 1, "end": 4}}

        # a new kind gets it once, also items that became available again, because it may have been away
        everything = {"milk": 0, "tea": 1, "end": 4}
        assert await _catalogue(tmp_path, BUILT_IN, save=False) == {"pair-deltas-watched": everything}
        more = [_item("rum", available=False, offset=4)]
        assert await _catalogue(tmp_path, BUILT_IN, more) == {
            "pair-deltas": {"rum": 0, "end": 5},
            "pair-deltas-watched": everything | {"rum": 0, "end": 5},
        }
        assert await _catalogue(tmp_path, BUILT_IN) == {}

        # watches are removed from the settings for a while
        gone = [_item("milk", available=True, offset=5)]
        assert await _catalogue(tmp_path, [BOUGHT], gone) == {"pair-deltas": {"milk": 1, "end": 6}}
        everything = {"rum": 0, "milk": 1, "tea": 1, "end": 6}
        assert await _catalogue(tmp_path, BUILT_IN) == {"pair-deltas-watched": everything}

    asyncio.run(main())
