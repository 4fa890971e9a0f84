"""Purchases, watches and likes of the same customers and items, through one worker, do not mix."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from alsobought.cli import app
from alsobought.clients import NotHeld, ask_owner
from streams.broker.embedded import EmbeddedKafka
from streams.broker.topics_admin import create_topics
from streams.connections.bootstrap import Bootstrap
from streams.kinds import BOUGHT, WATCHED, EventKind, kinds_of, topics_of
from streams.messages.schema import EventMessage
from streams.settings import Settings
from streams.topics import DEAD_LETTERS, ITEMS
from tests.events import as_event, purchases, watches
from tests.oracles.counts import Oracle
from tests.streams.pipeline import PARTITIONS, Wires, Worker
from tests.streams.test_pipeline import WINDOW, check, keyed

SETTINGS = Settings.model_validate({"event_types": "liked"})
KINDS = kinds_of(SETTINGS)
LIKED = KINDS[-1]
CUSTOMERS, ITEM_COUNT = 150, 120


class Logs:
    """What was published of each kind, with the oracle over it."""

    def __init__(self, wires: Wires) -> None:
        self.wires = wires
        self.events: dict[EventKind, list[EventMessage]] = {kind: [] for kind in KINDS}

    def publish(self, kind: EventKind, events: list[EventMessage]) -> None:
        """Publish events and remember them."""
        self.events[kind] += events
        self.wires.publish(kind.events.name, keyed(events))

    def check(self) -> None:
        """Drain, and check that every count in every list equals the oracle's of its kind alone."""
        self.wires.drain(KINDS)
        for kind, events in self.events.items():
            lists = self.wires.lists(kind)
            assert {message["kind"] for message in lists.values()} == {kind.name}
            check(lists, Oracle(WINDOW).feed(map(as_event, events)))


@pytest.fixture
def logs(kafka: EmbeddedKafka, wires: Wires) -> Logs:
    create_topics(kafka.bootstrap, topics_of(SETTINGS), PARTITIONS, 1)
    return Logs(wires)


def _history(bootstrap: Bootstrap, kind: EventKind, customer: str) -> list[str]:
    try:
        found = ask_owner(bootstrap, kind.events, customer, "customers", {"kind": kind.name})
    except NotHeld:
        return []
    return [entry["item_id"] for entry in found["history"]]


def _expected(events: list[EventMessage], customer: str) -> list[str]:
    return [b.item for b in Oracle(WINDOW).feed(map(as_event, events)).histories[customer]]


@pytest.mark.timeout(400)
def test_kinds_do_not_mix(kafka: EmbeddedKafka, logs: Logs, tmp_path: Path) -> None:
    bought = purchases(1, CUSTOMERS, ITEM_COUNT, 3_000, returns=0.03, duplicates=0.03)
    seen = watches(2, CUSTOMERS, ITEM_COUNT, 2_400)
    liked = [msgspec.structs.replace(event, type=None) for event in seen[:600]]
    worker = Worker(kafka.bootstrap, tmp_path / "data", event_types="liked", instance="one")
    try:
        logs.publish(BOUGHT, bought[:1_500])
        logs.publish(WATCHED, seen[:1_200])
        logs.publish(LIKED, liked[:300])
        logs.check()

        # it is killed while all of them have something to do
        logs.publish(WATCHED, seen[1_200:])
        logs.publish(BOUGHT, bought[1_500:])
        logs.publish(LIKED, liked[300:])
        worker.stop(signal.SIGKILL)
        worker = Worker(kafka.bootstrap, tmp_path / "data", event_types="liked", instance="one")
        logs.check()

        # only the watches of a customer are erased
        forget = EventMessage(customer_id="c1", timestamp=seen[-1].timestamp, type="forget")
        logs.publish(WATCHED, [forget])
        logs.check()
        assert _history(kafka.bootstrap, WATCHED, "c1") == []
        for kind in (BOUGHT, LIKED):
            history = _history(kafka.bootstrap, kind, "c1")
            assert history == _expected(logs.events[kind], "c1") != []

        # then what concerns all kinds: the command `forget`, and the catalogue
        answer = CliRunner(env={"ALSOBOUGHT_EVENT_TYPES": "liked"}).invoke(
            app, ["forget", "c2", "--kafka", kafka.bootstrap.servers]
        )
        assert answer.stdout == "published a forget of c2 on purchases, watches, liked\n"
        for kind in KINDS:
            now = int(time.time() * 1000)
            logs.events[kind].append(EventMessage(customer_id="c2", timestamp=now, type="forget"))
        logs.check()
        assert [_history(kafka.bootstrap, kind, "c2") for kind in KINDS] == [[], [], []]
        logs.wires.publish(ITEMS.name, [(b"i3", b'{"item_id":"i3","available":false}')])
        logs.wires.drain(KINDS)
        for kind in KINDS:
            assert "i3" not in {e["item_id"] for m in logs.wires.lists(kind).values() for e in m["related"]}
    finally:
        assert worker.stop() == 0


@pytest.mark.timeout(200)
def test_events_on_the_wrong_topic_go_to_the_dead_letters(
    kafka: EmbeddedKafka, logs: Logs, tmp_path: Path
) -> None:
    event = EventMessage(customer_id="ann", item_id="tea", timestamp=1_750_000_000_000)
    worker = Worker(kafka.bootstrap, tmp_path / "data", event_types="liked")
    try:
        for topic, word in (("watches", "purchase"), ("purchases", "watch"), ("liked", "liked")):
            logs.wires.publish(topic, keyed([msgspec.structs.replace(event, type=word)]))
        logs.wires.drain(KINDS)
        letters = [json.loads(record.value) for record in logs.wires.read(DEAD_LETTERS.name)]
        assert {letter["topic"]: letter["reason"] for letter in letters} == {
            "watches": "type 'purchase' is not for the topic watches: publish it to purchases",
            "purchases": "type 'watch' is not for the topic purchases: publish it to watches",
        }
        assert [len(_history(kafka.bootstrap, kind, "ann")) for kind in KINDS] == [0, 0, 1]
    finally:
        assert worker.stop() == 0


@pytest.mark.timeout(200)
def test_a_kind_that_is_new_gets_the_catalogue(kafka: EmbeddedKafka, logs: Logs, tmp_path: Path) -> None:
    """In an installation from before likes, stores stay valid, and unavailable items stay unavailable."""
    liked = [msgspec.structs.replace(event, type="liked") for event in watches(5, 40, 30, 500)]
    worker = Worker(kafka.bootstrap, tmp_path / "data")
    try:
        logs.wires.publish(ITEMS.name, [(b"i3", b'{"item_id":"i3","available":false}')])
        logs.publish(BOUGHT, purchases(4, 40, 30, 500))
        logs.wires.drain()
    finally:
        assert worker.stop() == 0
    ends = logs.wires.ends(BOUGHT.events.name)
    worker = Worker(kafka.bootstrap, tmp_path / "data", event_types="liked")
    try:
        logs.publish(LIKED, liked)
        logs.wires.drain(KINDS)
        lists = logs.wires.lists(LIKED)
        assert len(lists) > 20
        assert "i3" not in {entry["item_id"] for message in lists.values() for entry in message["related"]}
        log = worker.log.read_text()
        assert all(f"purchases-{p}: opened at offset {end} in" in log for p, end in ends.items())
    finally:
        assert worker.stop() == 0


@pytest.mark.timeout(120)
def test_a_worker_without_its_topics_ends_and_says_so(kafka: EmbeddedKafka, tmp_path: Path) -> None:
    worker = Worker(kafka.bootstrap, tmp_path / "data", event_types="liked")
    assert worker.process.wait(60) != 0
    said = " ".join(worker.log.read_text().split())
    assert "lacks the topics liked, pair-deltas-liked, related-items-liked" in said
    assert "create them with `alsobought topics create`" in said
    created = create_topics(kafka.bootstrap, topics_of(SETTINGS), PARTITIONS, 1)
    assert created == [spec.name for spec in LIKED.topics]  # the question has created nothing
