"""Both machines, their logs and stores run in any interleaving that hypothesis finds, and must equal the
oracle.

The examples are the same in every run. For a longer search with others:
`pytest tests/state/test_stateful.py --hypothesis-profile=search`.
"""

from __future__ import annotations

from itertools import count
from typing import Any

from hypothesis import settings as profile
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from state.customers.actions import Action
from state.customers.events import Event
from state.customers.machine import CustomerMachine
from state.customers.saver import CustomerSaver
from state.items.machine import ItemMachine
from state.items.saver import ItemSaver
from state.messages.deltas import Source, decode, encode
from state.settings import CountingSettings
from state.storage.saving import Saver
from state.storage.store import MemoryStore
from tests.oracles.counts import Oracle
from tests.state.machines import START_MS, check_counts, check_histories
from tests.state.memory.test_budget import check_same

profile.register_profile("search", max_examples=3000, stateful_step_count=150, deadline=None)

CUSTOMERS = st.integers(0, 5).map("c{}".format)
ITEMS = st.integers(0, 11).map("i{}".format)
EVENT_SOURCES = st.sampled_from(["file", "till"])
SHARES = st.sampled_from([0.0, 0.3, 1.0])
BUDGETS = st.sampled_from([None, 0, 800, 3_000, 20_000])
SOURCES = 2


def source_of(customer_id: str) -> int:
    return int(customer_id[1:]) % SOURCES


class Shop(RuleBasedStateMachine):
    """A shop with two partitions of customers, and one of items."""

    def __init__(self) -> None:
        super().__init__()
        self.settings = CountingSettings(window=2, list_length=5)
        self.events: list[Event] = []
        self.logs: list[list[Event]] = [[] for _ in range(SOURCES)]
        self.deltas: list[bytes] = []
        self.stores = [MemoryStore() for _ in range(SOURCES + 1)]
        self.checkpoints: list[dict[bytes, bytes] | None] = [None] * (SOURCES + 1)
        self.savers: list[Any] = []
        self.ids = count()
        self.numbers = count()  # the number of events of all sources

    @initialize(
        window=st.integers(1, 3), capacity=st.sampled_from([1 << 15, 8]), most=st.sampled_from([0, 2])
    )
    def begin(self, window: int, capacity: int, most: int) -> None:
        self.settings = CountingSettings(window=window, row_capacity=capacity, list_length=5, most_a_day=most)
        for which in range(SOURCES + 1):
            self.savers.append(self.opened(which, None))

    def opened(self, which: int, budget: int | None) -> Saver:
        saver: Saver
        if which < SOURCES:
            customers = CustomerMachine(self.settings, Source(0, which), budget_bytes=budget)
            saver = CustomerSaver(customers, self.stores[which])
        else:
            saver = ItemSaver(ItemMachine(self.settings, budget_bytes=budget), self.stores[which])
        saver.load()
        return saver

    # ------------------------------------------------------------------ events

    def log(self, event: Event) -> None:
        self.events.append(event)
        self.logs[source_of(event.customer_id)].append(event)

    def named(self, customer: str, item: str, quantity: int, action: Action, named: bool) -> None:
        number = next(self.ids)
        event_id = f"e{number}" if named else None
        self.log(Event(customer, item, START_MS + 50_000_000 * number, quantity, action, event_id))

    @rule(customer=CUSTOMERS, items=st.lists(ITEMS, min_size=1, max_size=6), named=st.booleans())
    def purchase(self, customer: str, items: list[str], named: bool) -> None:
        for item in items:
            self.named(customer, item, 2, Action.PURCHASE, named)

    @precondition(lambda self: self.events)
    @rule(
        data=st.data(), action=st.sampled_from([Action.PURCHASE, Action.RETURN]), quantity=st.integers(1, 3)
    )
    def same_item_again(self, data: st.DataObject, action: Action, quantity: int) -> None:
        """Buy an item again, or return it in part, in whole, or more than there is."""
        before = data.draw(st.sampled_from(self.events))
        if before.item_id:
            self.named(before.customer_id, before.item_id, quantity, action, True)

    @rule(customer=CUSTOMERS, items=st.lists(ITEMS, min_size=1, max_size=4), source=EVENT_SOURCES)
    def purchase_of_a_source(self, customer: str, items: list[str], source: str) -> None:
        for item in items:
            time_ms = START_MS + 50_000_000 * next(self.ids)
            self.log(Event(customer, item, time_ms, source=source, sequence=next(self.numbers)))

    @rule(source=EVENT_SOURCES, share=SHARES)
    def source_again(self, source: str, share: float) -> None:
        """Publish a source once more, or its beginning."""
        met = dict.fromkeys(event for event in self.events if event.source == source)
        for event in list(met)[: round(share * len(met))]:
            self.log(event)

    @rule(customer=CUSTOMERS, named=st.booleans())
    def forget(self, customer: str, named: bool) -> None:
        self.named(customer, "", 1, Action.FORGET, named)

    @precondition(lambda self: self.events)
    @rule(back=st.integers(1, 10))
    def event_twice(self, back: int) -> None:
        self.log(self.events[-min(back, len(self.events))])

    # ------------------------------------------------------------------ counting

    @rule(source=st.integers(0, SOURCES - 1), n=st.integers(1, 30))
    def count_purchases(self, source: int, n: int) -> None:
        machine = self.savers[source].machine
        batch = self.logs[source][machine.position : machine.position + n]
        if batch:
            self.deltas += [encode(m) for m in machine.apply(machine.batch(batch)).deltas[0]]

    @rule(n=st.integers(1, 8))
    def count_deltas(self, n: int) -> None:
        machine = self.savers[-1].machine
        for position in range(machine.position, min(machine.position + n, len(self.deltas))):
            machine.apply(decode(self.deltas[position]), position)

    @precondition(lambda self: self.deltas)
    @rule(back=st.integers(1, 5))
    def deltas_twice(self, back: int) -> None:
        """Send a message again, as a source does that got no answer."""
        self.deltas.append(self.deltas[-min(back, len(self.deltas))])

    @rule(item=ITEMS)
    def look(self, item: str) -> None:
        self.savers[-1].machine.related(item)

    @rule(customer=CUSTOMERS)
    def look_at_a_customer(self, customer: str) -> None:
        self.savers[source_of(customer)].machine.history(customer)

    @rule()
    def refresh_lists(self) -> None:
        machine = self.savers[-1].machine
        machine.mark_published(machine.rank(machine.waiting()))

    # ------------------------------------------------------------------ stores

    @rule(which=st.integers(0, SOURCES), share=SHARES)
    def sweep(self, which: int, share: float) -> None:
        self.savers[which].step(share)

    @rule(which=st.integers(0, SOURCES))
    def save_all(self, which: int) -> None:
        self.savers[which].save_all()

    @rule(which=st.integers(0, SOURCES), budget=BUDGETS)
    def evict(self, which: int, budget: int | None) -> None:
        self.savers[which].machine.budget_bytes = budget
        self.savers[which].shrink()
        assert not self.savers[which].over_budget()

    @rule(which=st.integers(0, SOURCES), budget=BUDGETS)
    def crash(self, which: int, budget: int | None) -> None:
        """Crash: what was not written is lost."""
        self.savers[which] = self.opened(which, budget)

    @rule(which=st.integers(0, SOURCES))
    def take_checkpoint(self, which: int) -> None:
        self.checkpoints[which] = dict(self.stores[which].records)

    @rule(which=st.integers(0, SOURCES), budget=BUDGETS)
    def restore_checkpoint(self, which: int, budget: int | None) -> None:
        """Restore a checkpoint; the log and the other machines stay where they are."""
        checkpoint = self.checkpoints[which]
        if checkpoint is not None:
            self.stores[which] = MemoryStore()
            self.stores[which].records |= checkpoint
            self.savers[which] = self.opened(which, budget)

    # ------------------------------------------------------------------ the oracle

    @rule()
    def check(self) -> None:
        for source in range(SOURCES):
            self.count_purchases(source, len(self.logs[source]) + 1)
        self.count_deltas(len(self.deltas) + 1)
        oracle = Oracle(
            self.settings.window, partition_of=source_of, most_a_day=self.settings.most_a_day
        ).feed(self.events)
        customers, items = [saver.machine for saver in self.savers[:-1]], self.savers[-1].machine
        check_histories(customers, source_of, oracle)
        assert sum(machine.customer_count for machine in customers) == oracle.customers()
        known = {name for machine in customers for name in (*machine.customers, *machine.erased)}
        assert known <= oracle.histories.keys()
        for saver in self.savers[:-1]:  # erasures wait for the next step
            saver.step(0.0)
            gone = [c for c, h in oracle.histories.items() if not h and not oracle.seen[c]]
            assert not {*saver.machine.customers, *saver.machine.erased}.intersection(gone)
        if self.settings.row_capacity > 8:
            check_counts([items], lambda _: 0, oracle)
        plain = ItemMachine(self.settings)
        for position, raw in enumerate(self.deltas):
            plain.apply(decode(raw), position)
        check_same(items, plain)

    def teardown(self) -> None:
        if self.savers:
            self.check()


TestShop = Shop.TestCase
if profile.get_current_profile_name() != "search":
    TestShop.settings = profile(
        max_examples=120, stateful_step_count=50, deadline=None, derandomize=True, database=None
    )
