"""Machines with stores that take steps in random order, including crashes. A helper of the tests here."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np

from state.customers.events import Event
from state.customers.machine import CustomerMachine
from state.customers.saver import CustomerSaver
from state.items.machine import ItemMachine
from state.items.neighbour_popularity import NeighbourPopularity
from state.items.saver import ItemSaver
from state.items.sharing import Sharing
from state.messages.deltas import Source, decode, encode
from state.settings import CountingSettings
from state.storage.store import Store
from tests.oracles.counts import Oracle
from tests.state.machines import check_counts, check_histories, each, hashed

PARTITIONS = 2


class Cluster:
    """Two customer and two item machines with their logs, which take steps in random order."""

    def __init__(
        self,
        events: list[Event],
        settings: CountingSettings,
        rng: random.Random,
        open_store: Callable[[str], Store],
        budgets: tuple[int | None, ...] = (None,),
    ) -> None:
        self.settings, self.rng, self.open_store, self.budgets = settings, rng, open_store, budgets
        self.partition_of = hashed(PARTITIONS)
        self.logs = [[e for e in events if self.partition_of(e.customer_id) == p] for p in range(PARTITIONS)]
        self.deltas: list[list[bytes]] = [[] for _ in range(PARTITIONS)]
        self.sharing = Sharing()
        self.customers = [self._open_customers(p) for p in range(PARTITIONS)]
        self.items = [self._open_items(p) for p in range(PARTITIONS)]
        self.crashes = self.shrunk = 0
        self.most_absent = 0  # rows

    def _open_customers(self, p: int) -> CustomerSaver[CustomerMachine]:
        machine = CustomerMachine(
            self.settings, Source(0, p), PARTITIONS, each(self.partition_of), self.rng.choice(self.budgets)
        )
        saver = CustomerSaver(machine, self.open_store(f"customers-{p}"))
        saver.load()
        return saver

    def _open_items(self, p: int) -> ItemSaver:
        others = NeighbourPopularity(self.sharing.view)
        machine = ItemMachine(self.settings, p, self.rng.choice(self.budgets), others)
        saver = ItemSaver(machine, self.open_store(f"items-{p}"))
        saver.load()
        machine.replayed_to = len(self.deltas[p])
        self.sharing.add(machine)
        return saver

    def run(self) -> None:
        """Take random steps until everything is applied."""
        while any(
            self.customers[p].position() < len(self.logs[p]) or self.items[p].position() < len(self.deltas[p])
            for p in range(PARTITIONS)
        ):
            self._step(self.rng.random(), self.rng.randrange(PARTITIONS))

    def _step(self, dice: float, p: int) -> None:
        if dice < 0.45:
            customers = self.customers[p].machine
            batch = self.logs[p][customers.position : customers.position + self.rng.randrange(1, 80)]
            if batch:
                if self.customers[p].over_budget():
                    self.customers[p].shrink()
                    assert not self.customers[p].over_budget()
                    self.shrunk += 1
                for log, messages in zip(
                    self.deltas, customers.apply(customers.batch(batch)).deltas, strict=True
                ):
                    log += [encode(message) for message in messages]
        elif dice < 0.75:
            items = self.items[p].machine
            for position in range(items.position, min(len(self.deltas[p]), items.position + 5)):
                items.apply(decode(self.deltas[p][position]), position)
            if self.rng.random() < 0.3:  # after a crash, other machines know more for a while
                self.sharing.share()
            if self.rng.random() < 0.3:
                items.rank(np.arange(items.row_count))
            self.most_absent = max(self.most_absent, items.absent)
        elif dice < 0.85:
            self.customers[p].step(self.rng.random() * 0.5)
        elif dice < 0.95:
            self.items[p].step(self.rng.random() * 0.5)
        elif dice < 0.97:
            self.customers[p].close()
            self.customers[p] = self._open_customers(p)
            self.crashes += 1
        elif dice < 0.99:
            self.items[p].close()
            self.items[p] = self._open_items(p)
            self.crashes += 1
        elif dice < 0.995:
            self.items[p].save_all()
            self.customers[p].save_all()
        else:
            self.customers[p].machine.budget_bytes = self.rng.choice(self.budgets)
            self.items[p].machine.budget_bytes = self.rng.choice(self.budgets)

    def check(self, events: list[Event]) -> None:
        """Check that everything equals the oracle."""
        oracle = Oracle(self.settings.window, partition_of=self.partition_of).feed(events)
        self.sharing.share()
        check_histories([saver.machine for saver in self.customers], self.partition_of, oracle)
        check_counts([saver.machine for saver in self.items], self.partition_of, oracle)
