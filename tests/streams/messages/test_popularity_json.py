"""The strict decoder reads the popularity messages that the kernel writes."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import msgspec
import numpy as np

from state.customers.actions import Action
from state.customers.events import Event
from state.items.machine import ItemMachine
from state.memory.entries import decay_weight
from state.popularity import counts as pop
from state.settings import CountingSettings
from streams.messages.lists_json import JsonIds
from streams.messages.popularity_json import popularity_records
from streams.messages.schema import PopularityMessage, decode_popularity
from tests.state.machines import Run, shop

KIND = np.frombuffer(b'"bought"', np.uint8).copy()
EPOCH = date(1970, 1, 1)


def written(machine: ItemMachine) -> dict[str, bytes | None]:
    """Return the messages of all items of a machine."""
    ids = JsonIds(machine.items)
    records = popularity_records(machine, np.arange(machine.row_count), ids, KIND)
    return {key.decode(): value for key, value in records}


def expected(machine: ItemMachine, item: int) -> PopularityMessage:
    """Return the expected message, in plain Python."""
    p = machine.popularity
    newest = machine.watermark_ms // pop.DAY_MS
    days = [int(p.days[item, day % pop.DAYS]) for day in range(newest, newest - pop.DAYS, -1)]
    last = next((n for n, count in enumerate(days) if count), None)
    while days and not days[-1]:
        days.pop()
    weight = decay_weight(machine.watermark_ms // 60_000)
    repeaters, repeat_days, minutes = p.repeats[item].tolist()
    return PopularityMessage(
        item_id=machine.items.id(item), kind="bought", as_of=machine.watermark_ms, version=machine.position,
        buyers=int(p.buyers[item]), newest_day=EPOCH + timedelta(newest - (last or 0)),
        purchases=days[last or 0 :], first_days=int(p.first_days[item]),
        recent_buyers=float(f"{p.recent_buyers[item] / weight:.5g}"), repeaters=repeaters,
        repeat_days=repeat_days, repeat_minutes=minutes, customers=machine.customers,
        available=bool(p.available[item]),
    )  # fmt: skip


def test_messages_have_the_counts_of_the_machine() -> None:
    run = Run.over(shop(5, 2_000, 40, 120), CountingSettings(window=5))
    machine = run.items[0]
    found = written(machine)
    assert len(found) == machine.row_count > 60
    p = machine.popularity
    for name, value in found.items():
        item = machine.items.number(name)
        if value is None:
            assert (p.buyers[item], p.first_days[item], p.recent_buyers[item]) == (0, 0, 0)
            continue
        message = decode_popularity(value)
        assert message == expected(machine, item)
        # the kernel writes it as any encoder would, so that readers meet nothing unusual
        assert msgspec.json.decode(value) == msgspec.json.decode(msgspec.json.encode(message))
    assert sum(value is not None for value in found.values()) > 60
    assert any(len(decode_popularity(value).purchases) > 3 for value in found.values() if value)


def test_ids_and_days_of_all_sorts() -> None:
    names = ["plain", 'quote " and \\', "löffel", "☕", " ", "a/b?c#d%20", "1"]
    moments = [
        datetime(*day, tzinfo=UTC)
        for day in (
            (1999, 12, 31), (2000, 2, 29), (2024, 2, 29), (2024, 3, 1), (2025, 1, 1), (2100, 2, 28),
            (2100, 3, 1),
        )
    ]  # fmt: skip
    run = Run.new(CountingSettings(window=5))
    for n, (name, moment) in enumerate(zip(names, moments, strict=True)):
        run.apply([Event(f"c{n}", name, int(moment.timestamp() * 1000) + 3_600_000)])
        value = written(run.items[0])[name]
        assert value is not None
        message = decode_popularity(value)
        assert message.item_id == name
        assert message.newest_day == moment.date()
        assert EPOCH + timedelta(message.first_days) == moment.date()
        assert message.purchases == [1]
    value = written(run.items[0])["plain"]
    assert value is not None
    old = decode_popularity(value)
    assert (old.purchases, old.newest_day, old.buyers) == ([], moments[-1].date(), 1)


def test_hidden_items_are_marked_and_items_without_buyers_removed() -> None:
    run = Run.new(CountingSettings(window=5))
    run.apply([Event("c", "tea", 1_700_000_000_000), Event("c", "milk", 1_700_000_000_000)])
    machine = run.items[0]
    machine.popularity.available[machine.items.number("tea")] = 0
    found = {name: decode_popularity(value) for name, value in written(machine).items() if value}
    assert (found["tea"].available, found["milk"].available) == (False, True)
    run.apply([Event("c", "", 1_700_000_000_000, action=Action.FORGET)])
    assert all(value is None or decode_popularity(value).buyers == 0 for value in written(machine).values())
