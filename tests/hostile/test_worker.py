"""Hostile records at a worker: each becomes a dead letter that Kafka takes, and the others are counted."""

from __future__ import annotations

import json
from base64 import b64decode
from collections import Counter
from pathlib import Path

import pytest
from faust.types import TP

from streams.connections.records import UnreadableBatch
from streams.kafka.transport import Chunk
from streams.messages.reasons import class_of
from streams.topics import DEAD_LETTERS, PAIR_DELTAS, PURCHASES
from tests.events import purchases
from tests.fuzz.decoders import INPUTS
from tests.streams.listing import EVENTS, Shop, oracle_of
from tests.streams.offline import NOW_MS, Sent, records_of, run

LARGE = 10 << 20
DAY_MS = 86_400_000


def _event(item: str, time_ms: int | str, customer: str = "ann") -> bytes:
    return json.dumps({"customer_id": customer, "item_id": item, "timestamp": time_ms}).encode()


def test_hostile_records_are_dead_letters_and_the_others_are_counted(tmp_path: Path) -> None:
    async def body() -> None:
        shop = Shop(tmp_path, most_a_day=30)
        await shop.open()
        good = purchases(3, 20, 15, 120)
        hostile = [
            (b"x" * LARGE, "value"),
            (b"[" * LARGE, "value"),
            (b"[" * 60_000, "json"),
            (_event("tea", "1900-01-01T00:00:00Z"), "time"),
            (_event("tea", "3000-01-01T00:00:00Z"), "time"),
            (_event("tea", NOW_MS + 2 * DAY_MS), "time"),
            *((_event("spam", NOW_MS), "") for _ in range(30)),
            *((_event("spam", NOW_MS), "limit") for _ in range(7)),
        ]
        records = records_of(good)
        records += [Sent(len(good) + n, b"ann", value) for n, (value, _) in enumerate(hostile)]
        records.append(Sent(len(records), b"k" * LARGE, _event("tea", NOW_MS)))
        await shop.worker.once(Chunk(EVENTS, 0, len(records), records))
        while shop.worker.cycle.intake._inbox.partitions():  # they are larger than what one cycle takes
            await shop.worker.once()
        await shop.worker.once(*shop.deltas())
        letters = shop.broker.of(DEAD_LETTERS.name)
        reasons = [json.loads(letter.value or b"")["reason"] for letter in letters]
        expected = [reason for _, reason in hostile if reason]
        assert Counter(map(class_of, reasons)) == Counter([*expected, "key"])
        assert all(
            len(letter.key or b"") + len(letter.value or b"") < DEAD_LETTERS.max_message_bytes
            for letter in letters
        )
        assert "only the beginning is kept" in reasons[0]
        whole = json.loads(letters[2].value or b"")
        assert b64decode(whole["value"]) == hostile[2][0]
        buyers = oracle_of(good).buyers()
        for task in shop.items:
            for number, name in enumerate(task.machine.items):
                if task.machine.tables.row_of[number] >= 0:
                    assert task.machine.popularity.buyers[number] == (buyers[name] or int(name == "spam"))
        assert shop.events.context.measured.refused[PURCHASES.name, "limit"] == 7
        await shop.worker.close()

    run(body())


@pytest.mark.parametrize("more", [b"", b"AD\x04\x01" + b"\xff" * LARGE], ids=["small", "of 10 MB"])
def test_hostile_deltas_are_dead_letters_and_the_others_are_counted(tmp_path: Path, more: bytes) -> None:
    async def body() -> None:
        shop = Shop(tmp_path)
        await shop.open()
        good = purchases(4, 20, 15, 100)
        await shop.worker.once(shop.bought(good))
        hostile = [path.read_bytes() for path in sorted((INPUTS / "pair-deltas").glob("*.bin"))]
        hostile.append(more)
        chunks = []
        for task in shop.items:
            records = shop.worker.deltas(task.tp).records
            records += [Sent(len(records) + n, None, raw) for n, raw in enumerate(hostile)]
            chunks.append(Chunk(task.tp, 0, len(records), records))
        await shop.worker.once(*chunks)
        letters = [json.loads(letter.value or b"") for letter in shop.broker.of(DEAD_LETTERS.name)]
        assert len(letters) == len(hostile) * len(shop.items)
        assert {class_of(letter["reason"]) for letter in letters} == {"foreign"}
        assert {TP(letter["topic"], 0).topic for letter in letters} == {PAIR_DELTAS.name}
        buyers, found = oracle_of(good).buyers(), {}
        for task in shop.items:
            for number, name in enumerate(task.machine.items):
                if task.machine.tables.row_of[number] >= 0:
                    found[name] = int(task.machine.popularity.buyers[number])
        assert found == dict(buyers)
        await shop.worker.close()

    run(body())


def test_what_stands_in_for_a_batch_is_one_dead_letter_with_its_reason(tmp_path: Path) -> None:
    """Of events and of deltas alike; what comes behind it is counted."""

    def stand_in(tp: TP, offset: int) -> UnreadableBatch:
        reason = f"a batch of records, offsets {offset - 3} to {offset}, cannot be read: it is damaged"
        return UnreadableBatch(tp.topic, tp.partition, offset, NOW_MS, 0, None, reason.encode(), [])

    async def body() -> None:
        shop = Shop(tmp_path)
        await shop.open()
        good = purchases(5, 20, 15, 100)
        before, behind = records_of(good[:50]), records_of(good[50:], 54)
        records = [*before, stand_in(EVENTS, 53), *behind]
        await shop.worker.once(Chunk(EVENTS, 0, 104, records))
        expected = {EVENTS: 53}
        for task in shop.items:
            coming = shop.worker.deltas(task.tp).records
            expected[task.tp] = len(coming) + 3
            coming.append(stand_in(task.tp, len(coming) + 3))
            await shop.worker.once(Chunk(task.tp, 0, len(coming) + 3, coming))
        letters = [json.loads(letter.value or b"") for letter in shop.broker.of(DEAD_LETTERS.name)]
        found = {TP(letter["topic"], letter["partition"]): letter["offset"] for letter in letters}
        assert (found, len(letters)) == (expected, len(expected))
        assert {class_of(letter["reason"]) for letter in letters} == {"batch"}
        assert letters[0]["reason"] == ("a batch of records, offsets 50 to 53, cannot be read: it is damaged")
        assert shop.events.context.measured.refused[PURCHASES.name, "batch"] == 1
        assert (shop.events.position, [task.position for task in shop.items]) == (
            104, [expected[task.tp] + 1 for task in shop.items],
        )  # fmt: skip
        buyers, counted = oracle_of(good).buyers(), {}
        for task in shop.items:
            for number, name in enumerate(task.machine.items):
                if task.machine.tables.row_of[number] >= 0:
                    counted[name] = int(task.machine.popularity.buyers[number])
        assert counted == dict(buyers)
        await shop.worker.close()

    run(body())
