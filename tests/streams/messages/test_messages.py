"""The wire types are strict about known fields, and ignore unknown ones."""

from __future__ import annotations

import msgspec
import pytest

from streams.messages import schema as ms
from streams.topics import DAY_MS
from tests.streams.pipeline import TOPICS


def test_a_purchase_needs_little() -> None:
    event = ms.decode_event(b'{"customer_id":"ann","item_id":"tea","timestamp":1750000000000}')
    assert (event.quantity, event.type, event.event_id) == (1, None, None)
    assert ms.decode_event(ms.encode(event)) == event
    assert b"quantity" not in ms.encode(event)  # defaults are left out


def test_unknown_fields_are_ignored() -> None:
    item = ms.decode_item(b'{"item_id":"tea","colour":"green","available":false}')
    assert item == ms.CatalogueItem(item_id="tea", available=False)


def test_every_message_round_trips() -> None:
    entry = ms.RelatedItem("milk", 1.5, 3, 2, 0.25, 0.5)
    related = ms.RelatedItems("tea", "bought", 1, 2, 3, 4, 0.5, [entry])
    assert ms.decode_related(ms.encode(related)) == related
    letter = ms.DeadLetter("purchases", 1, 2, "why", 3, None, b"\xff\x00")
    assert ms.decode_dead_letter(ms.encode(letter)) == letter
    progress = ms.Progress(task="purchases-3", worker="http://w", applied=7, stored=5)
    assert ms.decode_progress(ms.encode(progress)) == progress


@pytest.mark.parametrize(
    "raw", [b'{"item_id":7}', b"{}", b'{"item_id":"tea","price":"2"}', b'{"item_id":"tea","available":null}']
)
def test_known_fields_of_another_type_are_refused(raw: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        ms.decode_item(raw)


def test_topics_have_names_of_their_own() -> None:
    assert len({topic.name for topic in TOPICS}) == len(TOPICS)


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_topic_configuration_follows_the_specification(topic: object) -> None:
    from streams.topics import TopicSpec

    assert isinstance(topic, TopicSpec)
    config = topic.config
    assert config["message.timestamp.type"] == "LogAppendTime"
    assert config["cleanup.policy"] == topic.cleanup
    assert ("retention.ms" in config) == (topic.cleanup == "delete")
    assert topic.retention_ms == -1 or topic.retention_ms >= 7 * DAY_MS
    assert all(isinstance(value, str) for value in config.values())
