"""Machines of purchases, watches, the crossing and items, with stores, that take steps in any order."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable

from state.customers.events import Event
from state.customers.machine import CustomerMachine
from state.customers.saver import CustomerSaver
from state.items.machine import ItemMachine
from state.items.saver import ItemSaver
from state.messages.deltas import Source
from state.messages.history_changes import BOUGHT, WATCHED
from state.messages.pair_changes import decode_pairs, encode_pairs
from state.messages.transfer import Step, Transfer, decode_message, encode_message
from state.settings import CountingSettings
from state.storage.store import MemoryStore, Store
from state.watched_bought.exchange import Exchange
from state.watched_bought.machine import CrossingMachine
from tests.oracles.counts import Oracle
from tests.oracles.watched_bought import CrossingOracle
from tests.state.machines import each, hashed
from tests.state.watched_bought.checks import check_crossing, check_pairs

PARTITIONS = 2
SIDES = BOUGHT, WATCHED


class CrossingCluster:
    """Each partition has two customer machines, a crossing machine and an item machine.

    Attributes
    ----------
    begun, broken_off, swapped
        How many transfers began, and how many a crash ended; how often another store took a store's place.
    """

    def __init__(
        self, bought: list[Event], watched: list[Event], settings: CountingSettings, days: int,
        rng: random.Random, open_store: Callable[[str], Store], budgets: tuple[int | None, ...] = (None,),
    ) -> None:  # fmt: skip
        self.settings, self.days, self.rng = settings, days, rng
        self.open_store, self.budgets = open_store, budgets
        self.partition_of = hashed(PARTITIONS)
        self.events = bought, watched
        self.logs = [
            [[e for e in events if self.partition_of(e.customer_id) == p] for p in range(PARTITIONS)]
            for events in self.events
        ]
        self.first: list[list[bytes]] = [[] for _ in range(PARTITIONS)]
        self.changes: list[list[bytes]] = [[] for _ in range(PARTITIONS)]
        # on their way from a process that is gone
        self.late: list[list[bytes]] = [[] for _ in range(PARTITIONS)]
        self.set_aside: dict[int, MemoryStore] = {}
        self.swaps: dict[int, MemoryStore] = {}
        self.crashes = self.shrunk = self.numbers = self.begun = self.broken_off = self.swapped = 0
        self.customers = [[self.open_customers(side, p) for p in range(PARTITIONS)] for side in SIDES]
        self.crossings = [self.open_crossing(p) for p in range(PARTITIONS)]
        self.items = [self.open_items(p) for p in range(PARTITIONS)]
        self.exchanges = [self.exchange(p) for p in range(PARTITIONS)]

    def open_customers(self, side: int, p: int) -> CustomerSaver[CustomerMachine]:
        machine = CustomerMachine(
            self.settings, Source(0, p), PARTITIONS, each(self.partition_of), self.rng.choice(self.budgets),
            publishes_as=Source(side, p), waits=side == BOUGHT,
        )  # fmt: skip
        swapped = self.swaps.get(p) if side == BOUGHT else None
        saver = CustomerSaver(machine, swapped or self.open_store(f"customers-{side}-{p}"))
        saver.load()
        return saver

    def open_crossing(self, p: int) -> CustomerSaver[CrossingMachine]:
        machine = CrossingMachine(
            self.settings, Source(0, p), PARTITIONS, each(self.partition_of), self.rng.choice(self.budgets),
            days=self.days,
        )  # fmt: skip
        saver = CustomerSaver(machine, self.open_store(f"crossing-{p}"))
        saver.load()
        return saver

    def open_items(self, p: int) -> ItemSaver:
        machine = ItemMachine(self.settings, p, self.rng.choice(self.budgets))
        saver = ItemSaver(machine, self.open_store(f"items-{p}"))
        saver.load()
        return saver

    def exchange(self, p: int) -> Exchange:
        """Return an exchange, as of a process that has just loaded the two machines."""
        exchange = Exchange(self._number)
        exchange.log_end = len(self.first[p])
        return exchange

    def _number(self) -> int:
        self.numbers += 1
        return self.numbers

    def apply_events(self, side: int, p: int, n: int) -> None:
        """Apply up to n events of a log."""
        self.transfer(p)
        machine = self.customers[side][p].machine
        batch = self.logs[side][p][machine.position : machine.position + n]
        if batch:
            messages = machine.apply(machine.batch(batch)).history_changes
            self.first[p] += [encode_message(message) for message in messages]

    def cross(self, p: int, n: int) -> None:
        """Apply up to n messages of history changes."""
        machine = self.crossings[p].machine
        for position in range(machine.position, min(len(self.first[p]), machine.position + n)):
            read = decode_message(self.first[p][position])
            for log, messages in zip(self.changes, machine.apply(read, position), strict=True):
                log += [encode_pairs(message) for message in messages]
            if isinstance(read, Transfer):
                self.exchanges[p].note_applied(read)
        if machine.watched and not machine.asked:
            machine.asked = True
            for log in self.first:
                log.append(encode_message(Transfer(Step.ASK, Source(WATCHED, p))))

    def transfer(self, p: int, *, whole: bool = True) -> None:
        """Send the due part of a transfer from a partition's purchases to its crossing machine.

        If not `whole`, the process ends while it sends; the rest may arrive after the next messages.
        """
        machine, crossing = self.customers[BOUGHT][p].machine, self.crossings[p].machine
        messages = list(self.exchanges[p].due(machine, crossing))
        self.begun += sum(message.step == Step.BEGIN for message in messages)
        encoded = [encode_message(message) for message in messages]
        if whole or not encoded:
            self.first[p] += encoded
            return
        sent = self.rng.randrange(len(encoded) + 1)
        self.first[p] += encoded[:sent]
        self.late[p] += encoded[sent:] if self.rng.random() < 0.5 else []
        self.broken_off += 1
        self.fail(p)

    def fail(self, p: int) -> None:
        """End the process of a partition's purchases and crossing, and let another take over."""
        self.crash(0, p, BOUGHT)
        self.crash(1, p, BOUGHT)

    def swap(self, p: int) -> None:
        """Replace the store of a partition's purchases by another: an older one, or the newer one."""
        store = self.customers[BOUGHT][p].store
        assert isinstance(store, MemoryStore)
        other = self.set_aside.get(p)
        if other is None or self.rng.random() < 0.3:
            self.set_aside[p] = copy.deepcopy(store)
            return
        self.set_aside[p], self.swaps[p] = store, other
        self.swapped += 1
        self.fail(p)

    def finish(self) -> None:
        """Apply everything that is left, without a fault."""
        while not self.done:
            for p in range(PARTITIONS):
                self.first[p] += self.late[p]
                self.late[p] = []
                for side in SIDES:
                    self.apply_events(side, p, 1 << 30)
                self.cross(p, 1 << 30)
                self.transfer(p)
                self.count(p, 1 << 30)

    def count(self, p: int, n: int) -> None:
        """Apply up to n messages of pair changes."""
        items = self.items[p].machine
        for position in range(items.position, min(len(self.changes[p]), items.position + n)):
            items.apply_pairs(decode_pairs(self.changes[p][position]), position)

    @property
    def done(self) -> bool:
        return all(
            not self.late[p]
            and self.exchanges[p].is_settled(self.customers[BOUGHT][p].machine, self.crossings[p].machine)
            and self.items[p].position() == len(self.changes[p])
            and self.crossings[p].position() == len(self.first[p])
            and all(self.customers[side][p].position() == len(self.logs[side][p]) for side in SIDES)
            for p in range(PARTITIONS)
        )

    def run(self) -> None:
        """Take random steps of machines and stores, and crashes, until everything is applied."""
        while not self.done:
            self._step(self.rng.random(), self.rng.randrange(PARTITIONS), self.rng.choice(SIDES))

    def _step(self, dice: float, p: int, side: int) -> None:
        # this may come before and after anything that is applied
        self.transfer(p, whole=self.rng.random() < 0.8)
        if dice < 0.3:
            self.apply_events(side, p, self.rng.randrange(1, 80))
        elif dice < 0.5:
            self.cross(p, 4)
            self.transfer(p, whole=self.rng.random() < 0.8)
        elif dice < 0.7:
            self.count(p, 5)
        elif dice < 0.9:
            savers = (self.customers[side][p], self.crossings[p], self.items[p])
            saver = self.rng.choice(savers)
            if saver.over_budget():
                saver.shrink()
                self.shrunk += 1
            saver.step(self.rng.random() * 0.5)
        elif dice < 0.92 and self.first[p]:
            # messages without an answer are sent again by their sender
            self.first[p].append(self.first[p][-self.rng.randrange(1, min(4, len(self.first[p])) + 1)])
        elif dice < 0.97:
            self.crash(self.rng.randrange(3), p, side)
        elif dice < 0.98:
            self.crossings[p].save_all()
            self.items[p].save_all()
        elif dice < 0.985 and isinstance(self.customers[BOUGHT][p].store, MemoryStore):
            self.swap(p)
        elif self.late[p]:
            self.first[p].append(self.late[p].pop(0))

    def crash(self, which: int, p: int, side: int) -> None:
        """Crash: what was not written of one machine is lost."""
        self.crashes += 1
        if which == 0:
            self.customers[side][p].close()
            self.customers[side][p] = self.open_customers(side, p)
        elif which == 1:
            self.crossings[p].close()
            self.crossings[p] = self.open_crossing(p)
        if which < 2:
            self.exchanges[p] = self.exchange(p)
        if which == 2:
            self.items[p].close()
            self.items[p] = self.open_items(p)

    def oracle(self) -> CrossingOracle:
        """Return the oracle over the whole logs."""
        bought, watched = (Oracle(self.settings.window).feed(events) for events in self.events)
        return CrossingOracle(watched, bought, self.days)

    def check(self) -> None:
        """Check that everything equals the oracle."""
        oracle = self.oracle()
        check_crossing([saver.machine for saver in self.crossings], self.partition_of, oracle)
        check_pairs([saver.machine for saver in self.items], oracle)
