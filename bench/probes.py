"""Measures the latency that an outside client sees, in a process of its own with a plain Kafka client.

A probe is a new customer that buys a known item, and a second later an item of its own that nobody ever
bought. The list of the known item then has to change, because the new item enters it. The clock starts when
the second purchase is given to the producer (acks=all), and stops when the consumer has the list with the new
item. For recommendations it starts with the first purchase, and stops with the customer's first
recommendations. The bench uses nothing of the product but its topics and messages.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from streams.connections.bootstrap import Bootstrap

PURCHASES, LISTS, RECOMMENDATIONS = "purchases", "related-items", "recommendations"
PAUSE_S = 1.0
PATIENCE_S = 10.0
FETCH_WAIT_MS = 5  # a fetch that waits for longer may not include the partition in which the list arrives


@dataclass
class Probe:
    """A customer of the bench, its purchases, and when answers arrived (time.perf_counter; 0: never)."""

    customer: str
    known: str
    own: str
    first_s: float = 0.0
    second_s: float = 0.0
    acknowledged_s: float = 0.0
    listed_s: float = 0.0
    own_listed_s: float = 0.0
    place: int = -1  # place of the own item in the known item's list, from 0
    recommended_s: float = 0.0


@dataclass
class ProbeResults:
    """The results of all probes of a run, in milliseconds; probes without an answer count with the time they
    waited.

    Attributes
    ----------
    lists_ms, own_lists_ms, recommendations_ms
        In the order of the probes, the times until the known item's list, the first list of the own item, and
        the         customer's first recommendations.
    acknowledgements_ms
        The times until the second purchases were acknowledged, which are a part of `lists_ms`.
    known, places
        The known item of each probe, and the place of the own item in its list; -1 without an answer.
    """

    lists_ms: list[float] = field(default_factory=list)
    own_lists_ms: list[float] = field(default_factory=list)
    recommendations_ms: list[float] = field(default_factory=list)
    acknowledgements_ms: list[float] = field(default_factory=list)
    known: list[str] = field(default_factory=list)
    places: list[int] = field(default_factory=list)


class Client:
    """Sends the purchases of probes, and listens to lists and recommendations."""

    def __init__(self, bootstrap: Bootstrap, time_ms: int) -> None:
        self._time_ms = time_ms
        self._producer = AIOKafkaProducer(bootstrap_servers=bootstrap.servers, acks="all")
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap.servers, fetch_max_wait_ms=FETCH_WAIT_MS
        )
        self._waiting: dict[bytes, list[tuple[bytes, Probe]]] = defaultdict(list)
        self._new: dict[bytes, Probe] = {}  # probes by customer, and by the item of their own

    async def start(self) -> None:
        """Connect, and read what comes from now on."""
        await self._producer.start()
        await self._consumer.start()
        partitions = [
            TopicPartition(topic, partition)
            for topic in (LISTS, RECOMMENDATIONS)
            for partition in await self._producer.partitions_for(topic)
        ]
        self._consumer.assign(partitions)
        await self._consumer.seek_to_end(*partitions)
        for partition in partitions:
            await self._consumer.position(partition)

    async def stop(self) -> None:
        """Close the connections."""
        await self._consumer.stop()
        await self._producer.stop()

    async def listen(self) -> None:
        """Note when the expected messages arrive."""
        while True:
            for partition, records in (await self._consumer.getmany(timeout_ms=1_000)).items():
                now = time.perf_counter()
                for record in records:
                    if partition.topic == RECOMMENDATIONS:
                        if probe := self._new.pop(record.key, None):
                            probe.recommended_s = now
                    elif probe := self._new.pop(record.key, None):
                        probe.own_listed_s = now
                    elif waiting := self._waiting.get(record.key):
                        value = record.value or b""
                        for pair in [pair for pair in waiting if pair[0] in value]:
                            pair[1].listed_s, pair[1].place = now, _place(value, pair[1].own)
                            waiting.remove(pair)

    async def probe(self, probe: Probe) -> None:
        """Buy the known item, then the own one, and wait for both lists, or until the time limit."""
        self._waiting[probe.known.encode()].append((f'"{probe.own}"'.encode(), probe))
        self._new[probe.customer.encode()] = self._new[probe.own.encode()] = probe
        probe.first_s = time.perf_counter()
        await self._buy(probe, probe.known)
        await asyncio.sleep(max(0.0, probe.first_s + PAUSE_S - time.perf_counter()))
        probe.second_s = time.perf_counter()
        await self._buy(probe, probe.own)
        probe.acknowledged_s = time.perf_counter()
        while not (probe.listed_s and probe.recommended_s):
            if time.perf_counter() > probe.second_s + PATIENCE_S:
                break
            await asyncio.sleep(0.1)

    async def _buy(self, probe: Probe, item: str) -> None:
        event = {"customer_id": probe.customer, "item_id": item, "timestamp": self._time_ms}
        value = json.dumps({**event, "event_id": f"{probe.customer}-{item}"}).encode()
        await self._producer.send_and_wait(PURCHASES, value, key=probe.customer.encode())


def _place(value: bytes, item: str) -> int:
    return [entry["item_id"] for entry in json.loads(value)["related"]].index(item)


async def ask(
    bootstrap: Bootstrap, known: Sequence[str], *, per_s: float, count: int, time_ms: int, name: str
) -> ProbeResults:
    """Send a number of probes, evenly at a rate, about randomly chosen known items."""
    chance = random.Random(name)
    client = Client(bootstrap, time_ms)
    await client.start()
    listening = asyncio.create_task(client.listen())
    probes, running = [], []
    begin = time.perf_counter()
    for number in range(count):
        await asyncio.sleep(max(0.0, begin + number / per_s - time.perf_counter()))
        item = known[number] if count == len(known) else chance.choice(known)
        probes.append(Probe(f"{name}-customer-{number}", item, f"{name}-item-{number}"))
        running.append(asyncio.create_task(client.probe(probes[-1])))
    await asyncio.gather(*running)
    listening.cancel()
    await client.stop()
    end = time.perf_counter()
    return ProbeResults(
        [1000 * ((p.listed_s or end) - p.second_s) for p in probes],
        [1000 * ((p.own_listed_s or end) - p.second_s) for p in probes],
        [1000 * ((p.recommended_s or end) - p.first_s) for p in probes],
        [1000 * (p.acknowledged_s - p.second_s) for p in probes],
        [p.known for p in probes],
        [p.place for p in probes],
    )


def apart(
    bootstrap: Bootstrap, known: Sequence[str], *, per_s: float, count: int, time_ms: int, name: str
) -> ProbeResults:
    """Send the probes from another process, whose clock nothing here disturbs."""
    command = [
        sys.executable, "-m", "bench.probes", "--kafka", bootstrap.servers, "--per-s", str(per_s),
        "--count", str(count), "--time-ms", str(time_ms), "--name", name,
    ]  # fmt: skip
    done = subprocess.run(
        command, check=True, input=json.dumps(list(known)), text=True, stdout=subprocess.PIPE
    )
    return ProbeResults(**json.loads(done.stdout))


def main() -> None:
    """Read known items as a JSON list from standard input, and print the results as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kafka", required=True)
    parser.add_argument("--per-s", type=float, required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--time-ms", type=int, required=True, help="event time of the purchases")
    parser.add_argument("--name", required=True, help="what the probes' ids begin with")
    o = parser.parse_args()
    results = asyncio.run(
        ask(
            Bootstrap(o.kafka),
            json.load(sys.stdin),
            per_s=o.per_s,
            count=o.count,
            time_ms=o.time_ms,
            name=o.name,
        )
    )
    print(json.dumps(asdict(results)))


if __name__ == "__main__":
    main()
