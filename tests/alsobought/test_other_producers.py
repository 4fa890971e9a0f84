"""Tests with producers as shops have them: another partitioner, transactions, codecs, and their own times."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from typer.testing import CliRunner

from alsobought.cli import app
from alsobought.clients import newest_progress
from streams.broker.admin import admin_client
from streams.broker.embedded import EmbeddedKafka
from streams.messages.partitioning import partition_for
from streams.messages.schema import Progress
from streams.settings import Settings
from streams.topics import ITEMS, PURCHASES, TopicSpec
from tests.streams.pipeline import PARTITIONS, TOPICS, Recommender, Wires, Worker, until

CODECS = ("gzip", "snappy", "lz4", "zstd")
WHEN = "2026-01-05T10:00:00Z"
WATCHES = "watches"

pytestmark = pytest.mark.timeout(240)


def config(spec: TopicSpec, codec: str) -> dict[str, str]:
    """Return a topic's settings: a codec, unless producers choose it; for watches, the producers' times."""
    if spec.name in (PURCHASES.name, ITEMS.name):
        return spec.config
    more = {"message.timestamp.type": "CreateTime"} if spec.name == WATCHES else {"compression.type": codec}
    return {**spec.config, **more}


class Two:
    """A Kafka, two workers that have a disk each, and a recommender."""

    def __init__(self, kafka: EmbeddedKafka, folder: Path) -> None:
        self.kafka = kafka
        self.workers = [Worker(kafka.bootstrap, folder / f"host-{n}") for n in (1, 2)]
        self.processes = [*self.workers, Recommender(kafka.bootstrap, folder / "host-3")]

    def run(self, *words: object) -> str:
        done = CliRunner().invoke(app, [*map(str, words), "--kafka", self.kafka.bootstrap.servers])
        assert done.exit_code == 0, f"{words}: {done.stderr} {done.exception!r}"
        return done.stdout

    def json(self, *words: object) -> Any:
        return json.loads(self.run(*words, "--json"))

    def together(self, item: str, *more: object) -> dict[str, int]:
        """Return by item how many customers have it together with this one."""
        return {e["item_id"]: e["together"] for e in self.json("related", item, *more)["related"]}

    def ends(self, topic: str) -> int:
        """Return how many records a topic has."""
        wires = Wires(self.kafka.bootstrap)
        try:
            return sum(wires.ends(topic).values())
        finally:
            wires.close()

    def progress(self, topic: str) -> list[Progress]:
        found = newest_progress(self.kafka.bootstrap)
        names = (f"{topic}-{partition}" for partition in range(PARTITIONS))
        return [found[name] for name in names if name in found]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    folder = tmp_path_factory.mktemp("two")
    with EmbeddedKafka(folder / "kafka", cache_dir=Settings.model_validate({}).cache_dir) as kafka:
        with admin_client(kafka.bootstrap) as admin:
            topics = {
                spec.name: {
                    "num_partitions": PARTITIONS, "replication_factor": 1, "configs": config(spec, codec),
                }
                for spec, codec in zip(TOPICS, itertools.cycle(CODECS), strict=False)
            }  # fmt: skip
            admin.create_topics(topics)
        stack = Two(kafka, folder)
        try:
            until(
                lambda: len({p.worker for p in stack.progress(PURCHASES.name)}) == 2,
                "both workers to share the work",
            )
            yield stack
        finally:
            assert [process.stop() for process in stack.processes] == [0, 0, 0]


def event(customer: str, item: str, **more: object) -> tuple[bytes, bytes]:
    fields = {"customer_id": customer, "item_id": item, "timestamp": WHEN, **more}
    return customer.encode(), json.dumps(fields).encode()


def produce(
    two: Two,
    topic: str,
    records: Iterable[tuple[bytes, bytes]],
    *,
    partition: Any = None,
    timestamp_ms: int | None = None,
    **settings: Any,
) -> None:
    """Send records with aiokafka; a function of the key, if given, chooses the partition."""

    async def main() -> None:
        async with AIOKafkaProducer(
            bootstrap_servers=two.kafka.bootstrap.servers, acks="all", **settings
        ) as producer:
            for key, value in records:
                to = None if partition is None else partition(key)
                await producer.send(topic, value, key, partition=to, timestamp_ms=timestamp_ms)

    asyncio.run(main())


def as_librdkafka(key: bytes) -> int:
    """Return the partition that librdkafka chooses by default: zlib's CRC32, modulo their number."""
    return zlib.crc32(key) % PARTITIONS


def test_customers_are_found_and_erased_wherever_their_producer_put_them(two: Two) -> None:
    names = [f"lib{n}" for n in range(20)]
    elsewhere = [
        name for name in names if as_librdkafka(name.encode()) != partition_for(name.encode(), PARTITIONS)
    ]
    assert 10 < len(elsewhere) < 20
    before = {topic: sum(p.misplaced for p in two.progress(topic)) for topic in (PURCHASES.name, WATCHES)}
    for topic in (PURCHASES.name, WATCHES):
        produce(
            two,
            topic,
            [event(name, item) for name in names for item in ("libA", "libB")],
            partition=as_librdkafka,
        )
    two.run("drain", "--timeout", 60)
    assert two.together("libA") == {"libB": len(names)}
    for name in names:
        found = two.json("inspect", "customer", name)
        assert [entry["item_id"] for entry in found["history"]] == ["libA", "libB"]
        assert found["task"] == f"purchases-{as_librdkafka(name.encode())}"
    for name in (elsewhere[0], elsewhere[-1], "nobody-knows"):
        (line,) = two.run("recommend", name, "--kind", "bought", "--json").splitlines()
        assert json.loads(line)["customer_id"] == name
    again = two.json("recommend", elsewhere[0], "--kind", "bought", "--buy-again")
    assert {entry["item_id"] for entry in again["items"]} <= {"libA", "libB"}
    until(
        lambda: (
            sum(p.misplaced for p in two.progress(PURCHASES.name)) - before[PURCHASES.name]
            == 2 * len(elsewhere)
        ),
        "every event in a wrong partition to be reported",
    )
    for worker in two.workers:
        lines = [line for line in worker.log.read_text().splitlines() if "than their keys belong to" in line]
        named = [topic for topic in (PURCHASES.name, WATCHES) for line in lines if f"{topic}:" in line]
        assert named == [PURCHASES.name, WATCHES], "once a topic"
    for name in names[1:]:
        two.run("forget", name)
    two.run("drain", "--timeout", 60)
    assert two.json("inspect", "item", "libA")["buyers"] == 1
    assert two.together("libA") == {"libB": 1}
    assert two.together("libA", "--kind", "watched") == {"libB": 1}
    left = map(json.loads, two.run("export", "recommendations").splitlines())
    assert {fields["customer_id"] for fields in left} & set(names) == {names[0]}
    misplaced = sum(p.misplaced for p in two.progress(PURCHASES.name)) - before[PURCHASES.name]
    assert misplaced == 2 * len(elsewhere), "a forget goes everywhere, and is not misplaced"
    for name in elsewhere[1:3]:
        done = CliRunner().invoke(app, ["inspect", "customer", name, "--kafka", two.kafka.bootstrap.servers])
        assert done.exit_code == 1
        assert "has nothing about" in done.stderr


def test_aborted_transactions_are_not_counted_and_open_ones_not_waited_for(two: Two) -> None:
    async def main() -> None:
        producer = AIOKafkaProducer(bootstrap_servers=two.kafka.bootstrap.servers, transactional_id="shop")

        async def send(*items: str) -> None:
            for item in items:
                key, value = event("tx-customer", item)
                await producer.send_and_wait(PURCHASES.name, value, key)

        async with producer:
            await producer.begin_transaction()
            await send("txA", "txB")
            await producer.abort_transaction()
            async with producer.transaction():
                await send("txA", "txC")
            await producer.begin_transaction()
            await send("txD")
            await asyncio.to_thread(two.run, "drain", "--timeout", 60)
            assert await asyncio.to_thread(two.together, "txA") == {"txC": 1}
            await producer.abort_transaction()

    asyncio.run(main())
    two.run("drain", "--timeout", 60)
    assert two.together("txA") == {"txC": 1}
    history = two.json("inspect", "customer", "tx-customer")["history"]
    assert [entry["item_id"] for entry in history] == ["txA", "txC"]


def test_every_command_reads_every_codec(two: Two) -> None:
    for codec in CODECS:
        bought = [event(f"{codec}-{n}", f"{codec}{item}") for n in range(5) for item in (1, 2)]
        produce(two, PURCHASES.name, bought, compression_type=codec)
        produce(two, PURCHASES.name, [(b"ann", f"{codec} rubbish".encode() * 20)], compression_type=codec)
        items = [
            json.dumps({"item_id": f"{codec}{item}", "title": f"Title of {codec}{item}"}) for item in (1, 2)
        ]
        produce(
            two,
            ITEMS.name,
            [(json.loads(i)["item_id"].encode(), i.encode()) for i in items],
            compression_type=codec,
        )
    two.run("drain", "--timeout", 60)
    exported = two.run("export", "related-items")
    letters = two.run("dead-letters", "--json")
    for codec in CODECS:
        assert two.together(f"{codec}1") == {f"{codec}2": 5}
        assert f"Title of {codec}2" in two.run("related", f"{codec}1", "--titles")
        assert f'"{codec}1"' in exported
    assert len(letters.splitlines()) == len(CODECS)
    until(lambda: "gzip1" in two.run("export", "bestsellers"), "bestsellers")
    assert "gzip-1" in two.run("export", "recommendations")
    assert {entry["item_id"] for entry in two.json("bestsellers")["items"]} >= {
        f"{codec}1" for codec in CODECS
    }


def test_event_times_are_compared_with_the_clock_and_not_with_the_producers_times(two: Two) -> None:
    for customer, stamp in (("ct-old", 1_577_836_800_000), ("ct-zero", 0), ("ct-now", None)):
        produce(two, WATCHES, [event(customer, item) for item in ("ctA", "ctB")], timestamp_ms=stamp)
    soon_ms = time.time_ns() // 1_000_000 + 8 * 86_400_000
    produce(two, WATCHES, [event("ct-ahead", "ctC", timestamp=soon_ms)], timestamp_ms=0)
    two.run("drain", "--timeout", 60)
    assert two.together("ctA", "--kind", "watched") == {"ctB": 3}
    letters = map(json.loads, two.run("dead-letters", "--json").splitlines())
    (letter,) = (letter for letter in letters if letter["topic"] == WATCHES)
    assert "more than a day after it was published" in letter["reason"]
    latencies = [p.latency_p99_ms for p in two.progress("pair-deltas-watched")]
    assert max(latencies) < 60_000
    assert all(latency >= 0 or latency == -1 for latency in latencies)


def test_a_file_published_again_counts_once(two: Two, tmp_path: Path) -> None:
    customers = [f"again{n}" for n in range(12)]
    rows = [
        f"{customer},{item},2026-02-{day:02d}T10:00:00Z"
        for day in range(1, 25)
        for customer in customers
        for item in ("againA", "againB")
    ]
    whole, copy = tmp_path / "sales.csv", tmp_path / "the same under another name.csv"
    for path in (whole, copy):
        path.write_text("\n".join(["customer_id,item_id,timestamp", *rows, ""]), encoding="utf-8")

    def counted() -> tuple[dict[str, int], int, list[int]]:
        two.run("drain", "--timeout", 60)
        item = two.json("inspect", "item", "againA")
        history = two.json("inspect", "customer", customers[0])["history"]
        return two.together("againA"), item["buyers"], [entry["days"] for entry in history]

    two.run("publish", "purchases", whole)
    once = counted()
    assert once == ({"againB": len(customers)}, len(customers), [24, 24])
    ends = two.ends(PURCHASES.name)
    two.run("publish", "purchases", whole)
    two.run("publish", "purchases", copy)
    assert two.ends(PURCHASES.name) == ends + 2 * len(rows)
    assert counted() == once
    recent = two.json("inspect", "item", "againA")["recent_purchases"]
    two.run("publish", "purchases", whole, "--again")
    two.run("drain", "--timeout", 60)
    assert two.json("inspect", "item", "againA")["recent_purchases"] == 2 * recent > 0
