"""What the processes export for Prometheus, against what happened in the system."""

from __future__ import annotations

import time

import pytest

from streams.messages.reasons import CLASSES, OTHER, class_of
from streams.topics import PURCHASES
from tests.observation.conftest import EVENTS, REFUSED, System
from tests.observation.metrics import families, sample
from tests.serving.conftest import get
from tests.streams.pipeline import PARTITIONS, until

ALL = ["worker", "recommender", "server"]


@pytest.mark.parametrize("who", ALL)
def test_every_metric_has_a_help_text_of_its_own(system: System, who: str) -> None:
    found = families(system, who)
    assert [name for name, family in found.items() if not family.documentation.strip()] == []
    assert len({family.documentation for family in found.values()}) == len(found)
    assert sample(found, "alsobought_build_info", role=who) == 1
    assert sample(found, "process_resident_memory_bytes") > 10 << 20


def test_a_worker_says_what_it_counted(system: System) -> None:
    found = families(system, "worker")
    purchases = [f"{PURCHASES.name}-{p}" for p in range(PARTITIONS)]
    assert sum(sample(found, "alsobought_events_total", task=task) for task in purchases) == EVENTS
    assert sum(sample(found, "alsobought_position", task=task) for task in purchases) >= EVENTS + REFUSED
    assert sum(sample(found, "alsobought_lag_records", task=task) for task in purchases) == 0
    assert sample(found, "alsobought_dead_letters_total") == REFUSED
    assert sample(found, "alsobought_dead_letters_total", topic=PURCHASES.name, reason="json") == REFUSED
    assert sample(found, "alsobought_lists_total") > 0
    assert sample(found, "alsobought_pair_updates_total") > 0
    assert sample(found, "alsobought_ready") == 1
    assert sample(found, "alsobought_rebalances_total") >= 1
    # all partitions of events of two kinds, the catalogue, history changes, and deltas of three kinds
    assert sample(found, "alsobought_tasks") == 7 * PARTITIONS
    for part in ("rows", "histories", "write_buffers", "block_cache"):
        assert sample(found, "alsobought_memory_bytes", part=part) > 0
    assert sample(found, "alsobought_memory_bytes", part="unacknowledged") == 0
    assert sample(found, "alsobought_evictions_total") == 0


def test_latency_is_a_histogram_over_every_event(system: System) -> None:
    found = families(system, "worker")
    name, bought = "alsobought_event_to_list_seconds", {"kind": "bought"}
    counted = sum(
        sample(found, "alsobought_events_total", task=f"pair-deltas-{p}") for p in range(PARTITIONS)
    )
    assert counted >= EVENTS
    count = sample(found, f"{name}_count", **bought)
    # once for each item partition in which it changed something
    assert count == sample(found, f"{name}_bucket", le="+Inf", **bought) == counted
    buckets = [
        s.value
        for s in found[name].samples
        if s.name.endswith("_bucket") and bought.items() <= s.labels.items()
    ]
    assert buckets == sorted(buckets)
    assert 0 < sample(found, f"{name}_sum", **bought) < count * 3_600
    assert sample(found, "alsobought_cycle_seconds_count") > 0


def test_state_is_stored_and_copied(system: System) -> None:
    task = f"{PURCHASES.name}-0"
    until(lambda: sample(families(system, "worker"), "alsobought_saves_total", task=task) > 0, "a save")
    found = families(system, "worker")
    assert sample(found, "alsobought_stored_position", task=task) > 0
    assert 0 <= time.time() - sample(found, "alsobought_saved_timestamp_seconds", task=task) < 600
    assert sample(found, "alsobought_save_seconds_count") > 0


def test_a_recommender_says_what_it_read(system: System) -> None:
    found = families(system, "recommender")
    purchases = [f"{PURCHASES.name}-{p}" for p in range(PARTITIONS)]
    assert sum(sample(found, "alsobought_position", task=task) for task in purchases) >= EVENTS
    assert sample(found, "alsobought_tasks") == 2 * PARTITIONS
    assert sample(found, "alsobought_memory_bytes", part="histories") > 0


@pytest.mark.parametrize(("who", "path"), [("worker", "/related/{id}"), ("server", "/api/related/{id}")])
def test_requests_are_counted_by_route_and_status(system: System, who: str, path: str) -> None:
    asked = path.replace("{id}", "absent")
    before = families(system, who)["alsobought_http_requests"].samples
    known = {(s.labels["path"], s.labels["status"]): s.value for s in before}
    for _ in range(3):
        assert get(f"{system.addresses[who]}{asked}")[0] == 404
    assert get(f"{system.addresses[who]}/nowhere/at/all")[0] == 404
    found = families(system, who)
    assert (
        sample(found, "alsobought_http_requests_total", path=path, status="404")
        == known.get((path, "404"), 0) + 3
    )
    assert sample(found, "alsobought_http_request_seconds_count", path=path) >= 3
    assert "/nowhere/at/all" not in {s.labels["path"] for s in found["alsobought_http_requests"].samples}


REASONS = {
    "json": "not the JSON expected: Invalid", "value": "value has 70000 bytes, more than 65536",
    "key": "the record's key b'a' is not the customer_id 'b'", "time": "timestamp 3 ms is before 1990",
    "quantity": "quantity 0 is not between 1 and 1,000,000", "type": "type 'x' is none of purchase",
    "source": "sequence is missing: an event has both source and sequence, or neither",
    "id": "item_id has the control character U+0007",
    "return": "return of more than the customer has of the item",
    "foreign": "not a pair-deltas message: starts with b'x'",
}  # fmt: skip


def test_reasons_have_few_classes() -> None:
    assert {class_of(text): text for text in REASONS.values()} == REASONS
    assert REASONS.keys() == dict(CLASSES).keys()
    assert class_of("anything new") == OTHER
