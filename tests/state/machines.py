"""Machines that run in process over a log, and are compared with the oracle. Helpers of the tests here."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from state.customers.actions import Action
from state.customers.events import Event
from state.customers.machine import CustomerMachine
from state.items.machine import ItemMachine
from state.items.sharing import Sharing, records
from state.memory.ids import Dictionary
from state.messages.deltas import Source, decode, encode
from state.popularity.bestsellers import Bestsellers
from state.popularity.counts import BUYERS, DAY_MS, DAYS
from state.popularity.view import PopularityView
from state.settings import CountingSettings
from tests.oracles.counts import Oracle

START_MS = 1_480_000_000_000


def hashed(partitions: int) -> Callable[[str], int]:
    """Return the partition of an id."""
    return lambda name: zlib.crc32(name.encode()) % partitions


def each(partition_of: Callable[[str], int]) -> Callable[[Sequence[str]], list[int]]:
    """Return the same for many ids at once."""
    return lambda names: [partition_of(name) for name in names]


def shop(
    seed: int, events: int, customers: int, items: int, *,
    returns: float = 0.1, duplicates: float = 0.05, forgets: float = 0.005, late_ms: int = 100_000_000,
) -> list[Event]:  # fmt: skip
    """Return purchases with all irregularities: heavy buyers, repeats, late events, refused returns."""
    rng = random.Random(seed)
    made: list[Event] = []
    now = START_MS
    for n in range(events):
        now += rng.randrange(0, 400_000)
        customer = f"c{int(rng.paretovariate(0.8)) % customers}"
        item = f"i{int(rng.paretovariate(0.7)) % items}"
        profile = rng.choice((None, "kids", "grown-ups"))
        dice = rng.random()
        action = (
            Action.FORGET
            if dice < forgets
            else Action.RETURN
            if dice < forgets + returns
            else Action.PURCHASE
        )
        if made and rng.random() < duplicates:
            made.append(rng.choice(made[-50:]))
            continue
        made.append(
            Event(
                customer,
                item,
                now - rng.randrange(late_ms + 1),
                rng.randrange(1, 3),
                action,
                f"e{n}",
                profile,
            )
        )
    return made


@dataclass
class Run:
    """Customer machines by source partition, and item machines by item partition."""

    customers: list[CustomerMachine]
    items: list[ItemMachine]
    partition_of: Callable[[str], int]
    source_of: Callable[[str], int]
    sharing: Sharing

    @staticmethod
    def over(
        events: Sequence[Event], settings: CountingSettings, *,
        partitions: int = 1, sources: int = 1, chunk: int = 500,
    ) -> Run:  # fmt: skip
        """Return a run that has applied all events, with every message encoded and decoded."""
        run = Run.new(settings, partitions, sources)
        for start in range(0, len(events), chunk):
            run.apply(events[start : start + chunk])
        return run

    @staticmethod
    def new(settings: CountingSettings, partitions: int = 1, sources: int = 1) -> Run:
        """Return a run with empty machines."""
        partition_of = hashed(partitions)
        items = [ItemMachine(settings, p) for p in range(partitions)]
        return Run(
            [CustomerMachine(settings, Source(0, s), partitions, each(partition_of)) for s in range(sources)],
            items,
            partition_of,
            hashed(sources),
            Sharing(items),
        )

    def apply(self, events: Sequence[Event]) -> None:
        """Apply events at their source partitions, then the messages that follow; let all machines share."""
        for number, machine in enumerate(self.customers):
            own = [e for e in events if self.source_of(e.customer_id) == number]
            for partition, messages in enumerate(machine.apply(machine.batch(own)).deltas):
                for message in messages:
                    self.items[partition].apply(decode(encode(message)))
        self.sharing.share()


def check_histories(
    machines: Sequence[CustomerMachine], source_of: Callable[[str], int], oracle: Oracle
) -> None:
    """Check that every customer's history equals the oracle's."""
    for customer, expected in oracle.histories.items():
        found = machines[source_of(customer)].history(customer)
        assert [(b.item_id, b.quantity, b.first_ms, b.last_ms) for b in found] == [
            (b.item, b.quantity, b.first_ms, b.last_ms) for b in expected
        ]
        for b, e in zip(found, expected, strict=True):
            assert (b.days, b.profile_id) == (e.days, e.profile)
            assert abs(b.recent - e.recent) <= 1e-5 * e.recent


def check_counts(
    machines: Sequence[ItemMachine], partition_of: Callable[[str], int], oracle: Oracle, f_error: float = 1e-9
) -> None:  # fmt: skip
    """Check that every count of every item machine, and what it knows about others, equals the oracle; F
    nearly.

    All machines must have shared what they counted.
    """
    buyers, recent, sizes = oracle.buyers(), oracle.recent(), oracle.sizes()
    after, decayed, watermark_ms = oracle.after(), oracle.decayed(), oracle.watermark_ms()
    first_days, recent_buyers, all_repeats = oracle.first_days(), oracle.recent_buyers(), oracle.repeats()
    by_day, newest = oracle.by_day(), watermark_ms // DAY_MS
    found: dict[tuple[str, str], tuple[int, int]] = {}
    assert sum(machine.purchases for machine in machines) == by_day.total()
    for machine in machines:
        machine.take_in()
        tables, p = machine.tables, machine.tables.popularity
        assert machine.customers == oracle.customers()
        assert machine.watermark_ms == watermark_ms
        assert p.totals[BUYERS] == buyers.total()
        for number, name in enumerate(machine.items):
            assert name
            assert p.buyers[number] == buyers[name], name
            assert p.recent[number] == recent[name], name
            assert p.roots[number] == (np.float32(np.sqrt(recent[name] + 0.5)) if p.available[number] else -1)
            row = int(tables.row_of[number])
            assert (row >= 0) == (partition_of(name) == machine.partition), name
            if row < 0:
                assert not p.days[number].any(), name
                continue
            assert p.first_days[number] == first_days[name], name
            assert abs(p.recent_buyers[number] - recent_buyers[name]) <= f_error * recent_buyers[name], name
            assert p.repeats[number].tolist() == all_repeats[name], name
            for day in range(newest - DAYS + 1, newest + 1):
                assert p.days[number, day % DAYS] == by_day[name, day], (name, day)
            neighbours = machine.neighbours(row)  # this loads the row, if it is not in memory
            expected = np.zeros_like(tables.sizes[row])
            for size, count in sizes[name].items():
                expected[0, machine.cells.of_size[size]] += count
                expected[1, machine.cells.of_size[size]] += count * machine.cells.above[size]
            np.testing.assert_array_equal(tables.sizes[row], expected, name)
            entries = zip(*(column.tolist() for column in neighbours), strict=True)
            for neighbour, later, earlier, f in entries:
                other = machine.items.id(neighbour)
                found[name, other] = later, earlier
                assert abs(f - decayed[name, other]) <= f_error * decayed[name, other], (name, other)
    assert found == {pair: (after[pair], after[pair[::-1]]) for x, y in after for pair in ((x, y), (y, x))}
    check_sellers(machines, oracle)


def check_sellers(machines: Sequence[ItemMachine], oracle: Oracle) -> None:
    """Check that bestsellers and trending items, from what all machines share, equal the oracle's."""
    view, lists = all_popularity(machines), Bestsellers()
    hidden = {
        name for machine in machines for number, name in enumerate(machine.items)
        if not machine.popularity.available[number]
    }  # fmt: skip
    for name in hidden:
        view.offer(name, available=False)
    lists.update(view.popularity, view.items, np.zeros(len(view.items), np.int32))
    expected = oracle.sellers(hidden)
    assert lists.lists.keys() == expected.keys()
    for board, sellers in expected.items():
        found = lists.lists[board]
        assert [seller[:2] for seller in found] == [seller[:2] for seller in sellers], board
        if board.trending:
            rises, expected_rises = ([s.rise or 0.0 for s in some] for some in (found, sellers))
            np.testing.assert_allclose(rises, expected_rises, rtol=1e-12)


def all_popularity(machines: Sequence[ItemMachine]) -> PopularityView[Dictionary]:
    """Return the popularity that all machines together have counted."""
    view = PopularityView(Dictionary())
    view.move_on(max(machine.watermark_ms for machine in machines))
    for machine in machines:
        view.put(records(machine, np.arange(machine.row_count)))
    return view
