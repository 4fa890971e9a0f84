"""The whole pipeline on a real broker turns real purchases into lists that equal the oracle's."""

from __future__ import annotations

import base64
import contextlib
import json
import math
import signal
from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest
from kafka import KafkaProducer

from alsobought.sources import open_purchases
from state.customers.events import Event
from streams import topics
from streams.broker.embedded import EmbeddedKafka
from streams.connections.decompressing import MOST_UNCOMPRESSED
from streams.messages.schema import EventMessage, decode_event
from tests.events import as_event
from tests.oracles.counts import Oracle
from tests.streams.pipeline import Wires, Worker, until

REAL = 12_000
WINDOW = 50
LISTED = 100

pytestmark = pytest.mark.timeout(240)


def real_records(n: int) -> list[tuple[bytes, bytes]]:
    records: list[tuple[bytes, bytes]] = []
    for batch in open_purchases("complete-journey").records():
        records += batch
        if len(records) >= n:
            return records[:n]
    raise AssertionError("fewer purchases than asked for")


def events_of(records: list[tuple[bytes, bytes]]) -> list[Event]:
    return [as_event(decode_event(value)) for _, value in records]


def keyed(messages: Iterable[EventMessage]) -> list[tuple[bytes | None, bytes | None]]:
    """Return records to publish."""
    return [(message.customer_id.encode(), msgspec.json.encode(message)) for message in messages]


def check(lists: dict[str, dict[str, object]], oracle: Oracle) -> None:
    """Check that counts are exact, expectations within half a percent, and entries ordered."""
    buyers, after, recent = oracle.buyers(), oracle.after(), oracle.recent()
    expected_lists = oracle.lists("mix", LISTED)
    assert set(lists) == {item for item, entries in expected_lists.items() if entries}
    for item, message in lists.items():
        assert message["buyers"] == buyers[item]
        related = message["related"]
        assert isinstance(related, list)
        scores = [entry["score"] for entry in related]
        assert scores == sorted(scores, reverse=True)
        wanted = {y: (score, e) for y, score, e in expected_lists[item]}
        # a list that is not full ends where no further item is related
        least = min(score for score, _ in wanted.values()) if len(wanted) == LISTED else 0.0

        def slack(y: str, e: float) -> float:
            """Return how far half a percent of the expectation can move a score."""
            moved = 0.005 * e * (0.5 / math.sqrt(e + 20) + 1 / math.sqrt(e + 5))
            return math.sqrt(recent[y] + 0.5) * moved + 1e-3

        for entry in related:
            y = entry["item_id"]
            assert entry["after"] == after[item, y], (item, y)
            assert entry["together"] == after[item, y] + after[y, item], (item, y)
            if y in wanted:
                assert entry["expected"] == pytest.approx(wanted[y][1], rel=5e-3)
                assert entry["score"] == pytest.approx(wanted[y][0], rel=1e-4, abs=slack(y, wanted[y][1]))
            else:  # the oracle's list ends with another entry or before it, equally good up to that error
                assert entry["score"] == pytest.approx(least, rel=1e-4, abs=2 * slack(y, entry["expected"]))


def test_real_purchases_stop_and_kill(kafka: EmbeddedKafka, wires: Wires, tmp_path: Path) -> None:
    records = real_records(REAL)
    first, second, third = records[: REAL // 3], records[REAL // 3 : REAL * 2 // 3], records[REAL * 2 // 3 :]
    data = tmp_path / "data"

    worker = Worker(kafka.bootstrap, data, instance="one")
    try:
        wires.publish(topics.PURCHASES.name, first)
        wires.drain()
        check(wires.lists(), Oracle(WINDOW).feed(events_of(first)))

        # after a stop everything is stored, so the next worker continues where this one was
        assert worker.stop() == 0
        worker = Worker(kafka.bootstrap, data, instance="one")
        until(lambda: "Worker ready" in worker.log.read_text(), "the second worker")
        for partition, end in wires.ends(topics.PURCHASES.name).items():
            assert f"purchases-{partition}: opened at offset {end}" in worker.log.read_text()

        # after a kill with work in flight, what was not stored is replayed, and counted once
        wires.publish(topics.PURCHASES.name, second)
        worker.stop(signal.SIGKILL)
        worker = Worker(kafka.bootstrap, data, instance="one")
        wires.publish(topics.PURCHASES.name, third)
        wires.drain()
        check(wires.lists(), Oracle(WINDOW).feed(events_of(records)))
    finally:
        worker.stop()


def test_rubbish_returns_erasure_and_catalogue(kafka: EmbeddedKafka, wires: Wires, tmp_path: Path) -> None:
    def message(customer: str, item: str, **more: object) -> tuple[bytes, bytes]:
        value = {"customer_id": customer, "item_id": item, "timestamp": 1_700_000_000_000, **more}
        return customer.encode(), json.dumps(value).encode()

    good = [message(f"c{c}", f"i{(c * k) % 11}") for c in range(1, 40) for k in range(1, 8)]
    good += [message("c3", "i3", type="return"), message("c5", "", type="forget")]
    good += [message("c7", "i7", event_id="once"), message("c7", "i7", event_id="once")]
    rubbish: list[tuple[bytes | None, bytes | None]] = [
        (b"c1", b"{broken"), (b"c1", None), (None, message("c1", "i1")[1]), message("c1", ""),
        message("c1", "x" * 257), message("c1", "bell\a"), message("c1", "i1", quantity=0),
        message("c1", "i1", quantity=10**9), message("c1", "i1", quantity="2"),
        message("c1", "i1", timestamp=1_700_000_000),
        message("c1", "i1", timestamp="yesterday"), message("c1", "i1", timestamp=9_999_999_999_999),
        message("c1", "i1", basket_id="b" * 70_000), message("c1", "never bought", type="return"),
    ]  # fmt: skip
    worker = Worker(kafka.bootstrap, tmp_path / "data")
    try:
        wires.publish(topics.PURCHASES.name, [*good[:100], *rubbish, *good[100:]])
        wires.drain()
        oracle = Oracle(WINDOW).feed(as_event(decode_event(value)) for _, value in good)
        check(wires.lists(), oracle)

        letters = [json.loads(record.value) for record in wires.read(topics.DEAD_LETTERS.name)]
        originals = {(letter["key"], letter["value"]) for letter in letters}
        encoded = [
            tuple(base64.b64encode(part).decode() if part is not None else None for part in record)
            for record in rubbish
        ]
        assert sorted(map(str, originals)) == sorted(map(str, set(encoded)))
        assert all(letter["topic"] == "purchases" and letter["reason"] for letter in letters)
        assert sum(task.dead_letters for task in wires.tasks.values()) == len(rubbish)

        # a record of 256 MiB of zeros, in a batch of some KiB: what is behind it is counted
        with contextlib.closing(
            KafkaProducer(
                bootstrap_servers=kafka.bootstrap.servers, compression_type="zstd", max_request_size=1 << 30
            )
        ) as producer:
            producer.send(topics.PURCHASES.name, key=b"c1", value=bytes(MOST_UNCOMPRESSED)).get(60)
        behind = [message("c1", "i8"), message("c1", "i9")]
        wires.publish(topics.PURCHASES.name, behind)
        wires.drain()
        oracle = Oracle(WINDOW).feed(as_event(decode_event(value)) for _, value in [*good, *behind])
        check(wires.lists(), oracle)
        assert sum(task.dead_letters for task in wires.tasks.values()) == len(rubbish) + 1
        reasons = [json.loads(record.value)["reason"] for record in wires.read(topics.DEAD_LETTERS.name)]
        assert len([reason for reason in reasons if reason.startswith("a batch of records, offsets ")]) == 1

        gone = json.dumps({"item_id": "i2", "available": False}).encode()
        wires.publish(topics.ITEMS.name, [(b"i2", gone)])
        wires.drain()
        lists = wires.lists()
        assert not any(e["item_id"] == "i2" for m in lists.values() for e in m["related"])
        wires.publish(topics.ITEMS.name, [(b"i2", gone.replace(b"false", b"true"))])
        wires.drain()
        check(wires.lists(), oracle)
    finally:
        assert worker.stop() == 0
