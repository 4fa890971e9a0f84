"""Blue has 4 partitions and green, filled by `copy`, 8: they say the same, until one counts more."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from alsobought.cli import app
from streams.broker.embedded import EmbeddedKafka
from streams.broker.topics_admin import create_topics
from streams.topics import PURCHASES, use_prefix
from tests.oracles.counts import Oracle
from tests.streams import pipeline
from tests.streams.pipeline import TOPICS, Wires, Worker
from tests.streams.test_pipeline import WINDOW, check, events_of, real_records

GREEN, MORE = "green-", 8
REAL = 2_500
TIME = 1_600_000_000_000


def run(*words: object, prefix: str = "") -> Result:
    """Run a command of a deployment."""
    try:
        return CliRunner(env={"ALSOBOUGHT_TOPIC_PREFIX": prefix}).invoke(app, [str(word) for word in words])
    finally:
        use_prefix("")


@pytest.fixture
def green(kafka: EmbeddedKafka, monkeypatch: pytest.MonkeyPatch) -> Iterator[_Green]:
    yield _Green(kafka, monkeypatch)
    use_prefix("")


class _Green:
    """Within `with`, this process is of the green deployment."""

    def __init__(self, kafka: EmbeddedKafka, monkeypatch: pytest.MonkeyPatch) -> None:
        self._kafka, self._monkeypatch = kafka, monkeypatch
        create_topics(kafka.bootstrap, [spec.of_deployment(GREEN) for spec in TOPICS], MORE, 1)

    def __enter__(self) -> Wires:
        use_prefix(GREEN)
        self._patch = self._monkeypatch.context()
        self._patch.__enter__().setattr(pipeline, "PARTITIONS", MORE)
        self.wires = Wires(self._kafka.bootstrap)
        return self.wires

    def __exit__(self, *exc: Any) -> None:
        self.wires.close()
        self._patch.__exit__(*exc)
        use_prefix("")


@pytest.mark.timeout(240)
def test_green_with_more_partitions_says_the_same(
    kafka: EmbeddedKafka, wires: Wires, green: _Green, tmp_path: Path
) -> None:
    records = real_records(REAL)
    at = "--kafka", kafka.bootstrap.servers
    publish = "publish", "purchases", "complete-journey", "--limit", REAL, *at
    # a customer is erased in every partition, and comes back
    erased = records[0][0].decode()
    forget = json.dumps({"customer_id": erased, "type": "forget", "timestamp": TIME}).encode()
    back: list[tuple[bytes | None, bytes | None]] = [_event(erased, item) for item in ("1029743", "995242")]
    blue_worker = Worker(kafka.bootstrap, tmp_path / "blue")
    green_worker = Worker(kafka.bootstrap, tmp_path / "green", topic_prefix=GREEN)
    try:
        nothing = run("compare", "--with-prefix", GREEN, *at)
        assert (nothing.exit_code, "publishes anything" in nothing.stderr) == (1, True), nothing.stdout
        absent = run("compare", "--with-prefix", "no-such-", *at)
        assert "`ALSOBOUGHT_TOPIC_PREFIX=no-such- alsobought topics create`" in absent.stderr
        assert run(*publish).exit_code == 0
        for partition in range(pipeline.PARTITIONS):
            wires.producer.send(PURCHASES.name, key=erased.encode(), value=forget, partition=partition)
        wires.publish(PURCHASES.name, back)
        copied = run("copy", "--to-prefix", GREEN, *at, "--json")
        assert copied.exit_code == 0, copied.stderr
        assert json.loads(copied.stdout)["green-purchases"] == REAL + pipeline.PARTITIONS + len(back)

        wires.drain()
        with green as there:
            there.drain()
            lists = there.lists()
        kept = [record for record in records if record[0].decode() != erased]
        events = [*kept, *((key or b"", value or b"") for key, value in back)]
        check(lists, Oracle(WINDOW).feed(events_of(events)))
        compare = "compare", "--with-prefix", GREEN, *at
        same = run(*compare, "--json")
        assert same.exit_code == 0, same.stdout + same.stderr
        found = {one["topic"]: one for one in json.loads(same.stdout)["topics"]}
        assert found["related-items"]["equal"] == len(lists) > 500
        assert found["popularity"]["equal"] > 500
        assert json.loads(same.stdout)["same"]

        # what was published before is a second delivery in green, too
        assert run(*publish, prefix=GREEN).exit_code == 0
        with green as there:
            there.drain()
            assert there.lists().keys() == lists.keys()
        told = run(*compare)
        assert (told.exit_code, "Both say the same." in told.stdout) == (0, True), told.stdout

        with green as there:
            there.publish(PURCHASES.name, [_event("new", "1029743"), _event("new", "an item")])
            there.drain()
        different = run(*compare, "--json")
        assert different.exit_code == 3
        found = {one["topic"]: one for one in json.loads(different.stdout)["topics"]}
        for topic in ("related-items", "popularity"):
            assert (found[topic]["here"], found[topic]["there"]) == (0, 1)
            assert "an item is only in green-" in " ".join(found[topic]["examples"])
        assert found["related-items"]["differing"] > 0
    finally:
        assert {blue_worker.stop(), green_worker.stop()} == {0}


def _event(customer: str, item: str) -> tuple[bytes, bytes]:
    event = {"customer_id": customer, "item_id": item, "timestamp": TIME}
    return customer.encode(), json.dumps(event).encode()
