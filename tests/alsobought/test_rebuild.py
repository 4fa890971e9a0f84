"""Tests of `rebuild`: it discards what the topics no longer hold, and counts what they hold exactly."""

from __future__ import annotations

import json
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from kafka import KafkaAdminClient, TopicPartition
from typer.testing import CliRunner, Result

from alsobought.cli import app
from alsobought.place import Place
from streams.broker.embedded import EmbeddedKafka
from streams.connections.bootstrap import Bootstrap
from streams.kafka.log_identity import beginnings, log_identity
from streams.kinds import LISTED, WATCHED, counted_of_kinds
from streams.stores.checkpoints import Checkpoints
from streams.topics import ITEMS, PAIR_DELTAS, POPULARITY, PURCHASES
from tests.oracles.counts import Oracle
from tests.streams.pipeline import PARTITIONS, Wires, Worker
from tests.streams.test_pipeline import WINDOW, check, events_of, real_records

REAL = 6_000
BANANAS = "1082185"


def run(*words: object, answer: str | None = None) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], input=answer)


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KAFKA", "DATA_DIR", "CHECKPOINT_URL", "GROUP"):
        monkeypatch.delenv(f"ALSOBOUGHT_{name}", raising=False)


def cut_off(bootstrap: Bootstrap, before: dict[int, int]) -> None:
    admin = KafkaAdminClient(bootstrap_servers=bootstrap.servers)
    admin.delete_records({TopicPartition(PURCHASES.name, p): offset for p, offset in before.items()})
    admin.close()


def bananas(available: bool) -> list[tuple[bytes | None, bytes | None]]:
    return [(BANANAS.encode(), json.dumps({"item_id": BANANAS, "available": available}).encode())]


def check_what_is_left(wires: Wires, records: list[tuple[bytes, bytes]]) -> None:
    """Check that lists equal the oracle over the records in `purchases`, fewer than were published."""
    left = [(record.key, record.value) for record in wires.read(PURCHASES.name)]
    assert 0 < len(left) < len(records)
    check(wires.lists(), Oracle(WINDOW).feed(events_of(left)))


@pytest.mark.timeout(300)
def test_remaining_records_are_counted_exactly(kafka: EmbeddedKafka, wires: Wires, tmp_path: Path) -> None:
    records = real_records(REAL)
    first, second, third = records[: REAL // 2], records[REAL // 2 : REAL * 3 // 4], records[REAL * 3 // 4 :]
    url, data, elsewhere = tmp_path / "checkpoints", tmp_path / "data", tmp_path / "elsewhere"
    asked = ["rebuild", "--kafka", kafka.bootstrap.servers, "--data-dir", data, "--url", url]

    worker = Worker(kafka.bootstrap, data, checkpoint_url=str(url))
    try:
        wires.publish(ITEMS.name, bananas(available=False))
        wires.publish(PURCHASES.name, first)
        wires.drain()
        assert run("checkpoint", "now", "--kafka", kafka.bootstrap.servers).exit_code == 0
        refused = run(*asked, "--yes")
        assert refused.exit_code == 1
        assert "is running" in refused.stderr
        assert "stop all workers and recommenders first" in refused.stderr
    finally:
        assert worker.stop() == 0
    before = wires.lists()
    shutil.copytree(data / "state", elsewhere / "state")  # another host might have these
    shutil.rmtree(data / "state")
    cut_off(kafka.bootstrap, {p: end * 2 // 3 for p, end in wires.ends(PURCHASES.name).items()})

    # without store and checkpoint, it does not silently begin empty
    worker = Worker(kafka.bootstrap, data)
    assert worker.process.wait(60) != 0
    log = worker.log.read_text()
    assert "LogTooShort" in log
    assert "the state needs the log from offset 0, Kafka has" in log
    assert "alsobought rebuild" in " ".join(log.split())

    declined = run(*asked, answer="n\n")
    assert declined.exit_code == 1
    assert "still has 1,0" in declined.stderr
    assert wires.lists() == before
    tasks = len(counted_of_kinds(LISTED)) * PARTITIONS
    assert len(Checkpoints(str(url), 3).known()) == tasks
    rebuilt = run(*asked, "--yes")
    assert rebuilt.exit_code == 0, rebuilt.stderr
    assert f"{tasks} checkpoints and {len(before):,} lists" in rebuilt.stdout
    assert not list((data / "state").glob("purchases-*"))
    assert Checkpoints(str(url), 3).known() == []
    assert wires.lists() == {}
    assert wires.newest(POPULARITY) == {}

    # this host still has its stores, which are passed over
    wires.publish(PURCHASES.name, second)
    worker = Worker(kafka.bootstrap, elsewhere, instance="one")
    try:
        wires.drain()
        lists = wires.lists()
        assert before.keys() - lists.keys(), "items that only what is gone had lists for"
        assert BANANAS not in {e["item_id"] for message in lists.values() for e in message["related"]}
        # only these hold anything: the catalogue has a record in one partition, there are no watches, but
        # their items know the catalogue; and so nothing of purchases is published to the crossing
        given_up = worker.log.read_text().count("was discarded by `alsobought rebuild`")
        assert given_up == 4 * PARTITIONS + 1
        wires.publish(ITEMS.name, bananas(available=True))
        wires.drain()
        check_what_is_left(wires, records)

        # it was killed with work in flight, and continues from what it has stored since
        wires.publish(PURCHASES.name, third)
        worker.stop(signal.SIGKILL)
        worker = Worker(kafka.bootstrap, elsewhere, instance="one")
        wires.drain()
        check_what_is_left(wires, records)
        assert "given up" not in worker.log.read_text()

        # the disk is empty once more, and the log reaches back to where counting began
        assert worker.stop() == 0
        shutil.rmtree(elsewhere / "state")
        worker = Worker(kafka.bootstrap, elsewhere, instance="one")
        wires.drain()
        check_what_is_left(wires, records)
    finally:
        worker.stop()


@pytest.mark.timeout(240)
def test_a_rebuild_that_is_repeated_counts_on(kafka: EmbeddedKafka, wires: Wires, tmp_path: Path) -> None:
    """Rebuild waits for killed workers, and each rebuild makes earlier state unusable."""
    records = real_records(200)
    data = tmp_path / "data"
    identities = []
    for number in range(2):
        worker = Worker(kafka.bootstrap, data)
        wires.publish(PURCHASES.name, records[number * 100 : (number + 1) * 100])
        wires.drain()
        check(wires.lists(), Oracle(WINDOW).feed(events_of(records[: (number + 1) * 100])))
        worker.stop(signal.SIGKILL)
        done = run("rebuild", "--yes", "--kafka", kafka.bootstrap.servers, "--data-dir", data)
        assert done.exit_code == 0, done.stderr
        begins = beginnings(kafka.bootstrap)
        assert {begins[PURCHASES.name, p] for p in range(PARTITIONS)} == {0}
        assert {p: begins[PAIR_DELTAS.name, p] for p in range(PARTITIONS)} == wires.ends(PAIR_DELTAS.name)
        identities.append(log_identity(kafka.bootstrap, LISTED))
    for topic in (PURCHASES.name, ITEMS.name, WATCHED.deltas.name):
        never = replace(identities[0], begins={}).of(topic)
        assert len({never, *(identity.of(topic) for identity in identities)}) == 3


def test_stores_in_use_and_local_stacks_are_left_alone(broker: EmbeddedKafka, tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.write(broker.bootstrap.servers, [])
    refused = run("rebuild", "--yes", "--data-dir", tmp_path)
    assert refused.exit_code == 1
    assert "has workers in" in refused.stderr
    assert "alsobought broker run" in refused.stderr
    place.clear()
    absent = run("rebuild", "--yes", "--kafka", broker.bootstrap.servers, "--data-dir", tmp_path)
    assert absent.exit_code == 1
    assert "topic purchases does not exist" in absent.stderr
