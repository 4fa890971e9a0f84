"""Watched, then bought, through one worker that is killed: lists are published, exact, and answered."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from alsobought.cli import app
from streams.broker.embedded import EmbeddedKafka
from streams.kinds import BOUGHT, WATCHED, WATCHED_BOUGHT
from streams.messages.schema import EventMessage
from streams.topics import DEAD_LETTERS, HISTORY_CHANGES, ITEMS
from tests.events import as_event, purchases, watches
from tests.oracles.counts import Oracle
from tests.oracles.watched_bought import CrossingOracle
from tests.streams.pipeline import Wires, Worker
from tests.streams.test_pipeline import WINDOW, keyed

CUSTOMERS, ITEM_COUNT = 150, 120
INTERNAL = (HISTORY_CHANGES.name, BOUGHT.deltas.name, WATCHED_BOUGHT.deltas.name)


def _oracle(bought: list[EventMessage], watched: list[EventMessage]) -> CrossingOracle:
    of_watches, of_purchases = (Oracle(WINDOW).feed(map(as_event, log)) for log in (watched, bought))
    return CrossingOracle(of_watches, of_purchases)


def check(wires: Wires, oracle: CrossingOracle) -> None:
    """Check that every count in every list equals the oracle's."""
    lists = wires.lists(WATCHED_BOUGHT)
    pairs, watchers = oracle.pairs(), oracle.watched.buyers()
    assert {item for item, best in oracle.lists(100).items() if best} == lists.keys()
    for item, message in lists.items():
        assert (message["kind"], message["buyers"]) == ("watched-bought", watchers[item])
        assert message["mass"] == sum(n for (x, _), n in pairs.items() if x == item)
        for entry in message["related"]:
            assert entry["together"] == entry["after"] == pairs[item, entry["item_id"]]


@pytest.mark.timeout(400)
def test_watched_then_bought(kafka: EmbeddedKafka, wires: Wires, tmp_path: Path) -> None:
    bought = purchases(1, CUSTOMERS, ITEM_COUNT, 3_000, returns=0.03, duplicates=0.03)
    seen = watches(2, CUSTOMERS, ITEM_COUNT, 2_400)
    worker = Worker(kafka.bootstrap, tmp_path / "data", instance="one")
    try:
        # all purchases come before any watch, as when somebody loads a year of both
        wires.publish(BOUGHT.events.name, keyed(bought[:2_000]))
        wires.drain()
        assert wires.lists(WATCHED_BOUGHT) == {}
        assert set(wires.ends(HISTORY_CHANGES.name).values()) == {0}
        assert set(wires.ends(WATCHED_BOUGHT.deltas.name).values()) == {1}  # this is what `drain` wrote
        wires.publish(WATCHED.events.name, keyed(seen[:1_500]))
        wires.drain()
        check(wires, _oracle(bought[:2_000], seen[:1_500]))

        # somebody else writes to topics that are the workers' own
        for topic in INTERNAL:
            wires.publish(topic, [(b"k", b"rubbish"), (b"l", b"")])

        # it is killed twice while there is something to do everywhere
        for part, rest in ((bought[2_000:2_500], seen[1_500:1_900]), (bought[2_500:], seen[1_900:])):
            wires.publish(WATCHED.events.name, keyed(rest))
            wires.publish(BOUGHT.events.name, keyed(part))
            worker.stop(signal.SIGKILL)
            worker = Worker(kafka.bootstrap, tmp_path / "data", instance="one")
        wires.drain()
        check(wires, _oracle(bought, seen))
        assert len(_oracle(bought, seen).pairs()) > 1_000
        letters = [json.loads(record.value) for record in wires.read(DEAD_LETTERS.name)]
        assert {
            (one["topic"], one["reason"].partition(":")[2]) for one in letters if one["topic"] in INTERNAL
        } == {(topic, f" starts with {raw!r}") for topic in INTERNAL for raw in (b"rubbish", b"")}

        # a customer is forgotten in both, and an unavailable item leaves the lists
        answer = CliRunner().invoke(app, ["forget", "c2", "--kafka", kafka.bootstrap.servers])
        assert answer.stdout == "published a forget of c2 on purchases, watches\n"
        for log in (bought, seen):
            log.append(EventMessage(customer_id="c2", timestamp=int(time.time() * 1000), type="forget"))
        wires.drain()
        check(wires, _oracle(bought, seen))
        wires.publish(ITEMS.name, [(b"i3", b'{"item_id":"i3","available":false}')])
        wires.drain()
        lists = wires.lists(WATCHED_BOUGHT)
        assert "i3" not in {entry["item_id"] for message in lists.values() for entry in message["related"]}
        wires.publish(ITEMS.name, [(b"i3", b'{"item_id":"i3","available":true}')])
        wires.drain()

        # the list is asked for by its name
        best = max(lists, key=lambda item: len(lists[item]["related"]))
        related = CliRunner().invoke(
            app, ["related", best, "--kind", "watched-bought", "--kafka", kafka.bootstrap.servers, "--json"]
        )
        assert json.loads(related.stdout)["kind"] == "watched-bought"
        export = CliRunner().invoke(
            app, ["export", "related-items", "--kind", "watched-bought", "--kafka", kafka.bootstrap.servers]
        )
        assert len(export.stdout.splitlines()) == len(wires.lists(WATCHED_BOUGHT))
        bestsellers = CliRunner().invoke(
            app, ["export", "bestsellers", "--kind", "watched-bought", "--kafka", kafka.bootstrap.servers]
        )
        assert "kind of events must be one of bought, watched, but is 'watched-bought'" in bestsellers.stderr
    finally:
        assert worker.stop() == 0


@pytest.mark.timeout(400)
def test_switched_on_after_a_while(kafka: EmbeddedKafka, wires: Wires, tmp_path: Path) -> None:
    """Machines publish from then on, and a rebuild counts earlier events. While off, nothing is published."""
    bought = purchases(3, 60, 40, 1_200)
    seen = watches(4, 60, 40, 1_000)
    worker = Worker(kafka.bootstrap, tmp_path / "data", watched_bought_days="0")
    try:
        wires.publish(BOUGHT.events.name, keyed(bought[:600]))
        wires.publish(WATCHED.events.name, keyed(seen[:500]))
        wires.drain((BOUGHT, WATCHED))
        assert wires.ends(HISTORY_CHANGES.name) == dict.fromkeys(wires.ends(HISTORY_CHANGES.name), 0)
    finally:
        assert worker.stop() == 0
    worker = Worker(kafka.bootstrap, tmp_path / "data")
    try:
        wires.publish(BOUGHT.events.name, keyed(bought[600:]))
        wires.publish(WATCHED.events.name, keyed(seen[500:]))
        wires.drain()
        assert wires.lists(WATCHED_BOUGHT)
        assert "were not published to it" in worker.log.read_text()
    finally:
        assert worker.stop() == 0
    done = CliRunner().invoke(
        app, ["rebuild", "--yes", "--kafka", kafka.bootstrap.servers, "--data-dir", str(tmp_path / "data")]
    )
    assert done.exit_code == 0, done.output
    wires.forget_reports()
    worker = Worker(kafka.bootstrap, tmp_path / "data")
    try:
        wires.drain()
        check(wires, _oracle(bought, seen))
        assert "were not published to it" not in worker.log.read_text()
    finally:
        assert worker.stop() == 0
