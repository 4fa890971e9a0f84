"""What the processes export for Prometheus, against what happened in the system."""

from __future__ import annotations

from streams.messages.reasons import CLASSES, OTHER, class_of

ALL = ["worker", "recommender", "server"]


REASONS = {
    "json": "not the JSON expected: Invalid", "value": "value has 70000 bytes, more than 65536",
    "key": "the record's key b'a' is not the customer_id 'b'", "time": "timestamp 3 ms is before 1990",
    "quantity": "quantity 0 is not between 1 and 1,000,000", "type": "type 'x' is none of purchase",
    "source": "sequence is missing: an event has both source and sequence, or neither",
    "id": "item_id has the control character U+0007",
    "return": "return of more than the customer has of the item",
    "limit": "limit of 1,000 a day: the customer has as many events of the day of this one",
    "batch": "a batch of records cannot be read: it has more than 268435456 bytes uncompressed",
    "foreign": "not a pair-deltas message: starts with b'x'",
}  # fmt: skip


def test_reasons_have_few_classes() -> None:
    assert {class_of(text): text for text in REASONS.values()} == REASONS
    assert REASONS.keys() == dict(CLASSES).keys()
    assert class_of("anything new") == OTHER
