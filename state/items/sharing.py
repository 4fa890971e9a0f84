"""Share items' popularity between machines of one process, as workers do through a topic."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from state.items.machine import ItemMachine
from state.items.popularity_changes import PopularityChanges
from state.memory.entries import decay_weight
from state.memory.item_ids import ItemIds
from state.popularity.counts import DAY_MS, DAYS
from state.popularity.view import ItemPopularity, PopularityView


def records(machine: ItemMachine, rows: npt.NDArray[np.int64]) -> list[ItemPopularity]:
    """Return the popularity of the items of some rows of a machine, as it is published."""
    p = machine.popularity
    newest = machine.watermark_ms // DAY_MS
    items = machine.tables.item_of[rows]
    days = p.days[items][:, (newest - np.arange(DAYS)) % DAYS].tolist()
    recent = p.recent_buyers[items] / decay_weight(machine.watermark_ms // 60_000)
    customers = machine.customers
    return [
        ItemPopularity(
            name, machine.watermark_ms, machine.position, buyers, newest, purchases, first_days,
            recent_buyers, tuple(repeats), customers,
        )
        for name, buyers, purchases, first_days, recent_buyers, repeats in zip(
            machine.items.ids(items.tolist()), p.buyers[items].tolist(), days, p.first_days[items].tolist(),
            recent.tolist(), p.repeats[items].tolist(), strict=True,
        )
    ]  # fmt: skip


class Sharing:
    """What the machines of all partitions publish, each of its own items.

    Attributes
    ----------
    view : PopularityView
        The popularity of all items, for every machine.
    """

    def __init__(self, machines: Iterable[ItemMachine] = ()) -> None:
        self.view = PopularityView(ItemIds())
        self._machines: dict[int, tuple[ItemMachine, PopularityChanges]] = {}
        for machine in machines:
            self.add(machine)

    def add(self, machine: ItemMachine) -> None:
        """Share with one more machine, or with one that replaces that of its partition."""
        machine.others.view = self.view
        self._machines[machine.partition] = machine, PopularityChanges(machine)

    def share(self) -> None:
        """Give all machines what any has counted, but for one that replays: what it shared may be newer."""
        for machine, changes in self._machines.values():
            if machine.position < machine.replayed_to:
                continue
            self.view.put(records(machine, changes.take()))
            self.view.note(machine.partition, machine.watermark_ms, machine.counted())
