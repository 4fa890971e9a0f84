"""Publishing late: the crossing machine gets purchases only once somebody has watched something.

A shop without watches has nothing to cross. Its customer machines of purchases therefore begin *silent*: they
publish no history changes, so that purchases are not kept twice. The first watch that is published to a
crossing machine makes it ask the crossing machines of all partitions (ASK), because buyers and popularity are
counted over all customers. If the machine of a partition's purchases is silent when its crossing machine is
asked, the `Exchange` between the two transfers the histories (`state.messages.transfer`):

    1. It sends a BEGIN with a number of its own. Once the crossing machine has read it, only the parts of
       this very transfer count among all messages of purchases.
    2. Then it compares the histories of the two machines as they are at that moment, and sends the difference
       (PART ..., LAST). From then on the customer machine publishes history changes as its events come. Its
       stored state records this as soon as Kafka has the whole difference.

It does not matter what was published before, by whom, or how far the machines' stores are: the comparison
uses what the two machines have at that moment, and BEGIN excludes what others send. After a crash in between,
the customer machine is silent as before, and the next exchange begins a new transfer.

Purchases that histories no longer contain matter only for the newest event time. It is sent as an item that
came to nobody and was removed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from state.customers.machine import CustomerMachine
from state.messages.deltas import Effect, Source
from state.messages.history_changes import HistoryChanges
from state.messages.transfer import Step, Transfer
from state.watched_bought.machine import CrossingMachine

PART_EFFECTS = 10_000  # half of the machine's ROOM, in case all of them are of one customer
NOBODY = ""

Change = tuple[str, str, int, int]
"""Customer, item, effect, and time in ms."""


class Exchange:
    """The exchange between a customer machine and the crossing machine of its partition, in one process.

    Parameters
    ----------
    draw
        Returns a number that no transfer of any process had before.

    Attributes
    ----------
    log_end : int
        The offset at which first-events ended when the two machines were loaded.
    """

    def __init__(self, draw: Callable[[], int]) -> None:
        self._draw = draw
        self.log_end = 0
        self._loaded_at: int | None = None  # the customer machine's position when it was loaded
        self._compared = False  # whether it is known that everything up to that position was published
        self._number: int | None = None  # the number of our last transfer
        self._read = self._sent = False  # whether its BEGIN was read, and whether its parts were sent

    def note_applied(self, message: Transfer) -> None:
        """Note a message that the crossing machine has applied."""
        if message.step == Step.BEGIN and message.number == self._number:
            self._read = True

    def is_settled(self, machine: CustomerMachine, crossing: CrossingMachine) -> bool:
        """Return whether nothing is due: all purchases that are wanted are published, or will be as they
        come.
        """
        if not self._compared or crossing.begun or (machine.silent and crossing.wanted):
            return False
        return self._number is None or self._read

    def due(self, machine: CustomerMachine, crossing: CrossingMachine) -> Iterator[Transfer]:
        """Return what is to be sent now.

        Call it before anything is applied, and after each message applied.
        """
        if self._loaded_at is None:
            self._loaded_at = machine.position
        messages = self._due(machine, crossing)
        self._compared = self._compared or crossing.position >= self.log_end
        return messages

    def _due(self, machine: CustomerMachine, crossing: CrossingMachine) -> Iterator[Transfer]:
        source, nothing = machine.publishes_as, iter(())
        if source is None or self.is_settled(machine, crossing):
            return nothing
        begun = crossing.begun.get(source)
        if begun is not None and begun == self._number:
            if self._sent:
                return nothing
            self._sent, machine.silent = True, False
            return whole(machine, crossing, begun)
        if self._number is not None and not self._read:
            return nothing  # our BEGIN is not read yet, and excludes others
        if begun is None and not self._is_missing(machine, crossing, source):
            if not (machine.silent and crossing.wanted):
                return nothing
            if machine.is_new:
                machine.silent = False
                return nothing
        self._read = self._sent = False
        self._number = self._draw()
        return iter([Transfer(Step.BEGIN, source, self._number)])

    def _is_missing(self, machine: CustomerMachine, crossing: CrossingMachine, source: Source) -> bool:
        """Return whether history changes are missing in the crossing machine that it will not read any more.

        This happens if a worker with an older store transferred its histories in between, which are shorter.
        """
        if self._compared or crossing.position < self.log_end or self._loaded_at is None:
            return False
        publishes = not machine.silent and machine.published_from < self._loaded_at
        return publishes and crossing.ends.get(source, 0) < self._loaded_at


def whole(machine: CustomerMachine, crossing: CrossingMachine, number: int) -> Iterator[Transfer]:
    """Yield the transfer after which the crossing machine has the histories of the customer machine."""
    assert machine.publishes_as is not None
    part: list[Change] = []
    for change in _changes(machine, crossing, machine.publishes_as):
        part.append(change)
        if len(part) == PART_EFFECTS:
            yield Transfer(Step.PART, machine.publishes_as, number, _message(machine, part))
            part = []
    yield Transfer(Step.LAST, machine.publishes_as, number, _message(machine, part))


def _changes(machine: CustomerMachine, crossing: CrossingMachine, source: Source) -> Iterator[Change]:
    new, gone = int(Effect.NEW), int(Effect.GONE)
    known = crossing.side(source.topic)
    newest_ms = -1
    for customer, items, times_ms in machine.everyone():
        names, times = machine.items.ids(items.tolist()), times_ms.tolist()
        newest_ms = max(newest_ms, *times)
        before = known.pop(customer, None)
        if before is None:
            yield from ((customer, name, new, time_ms) for name, time_ms in zip(names, times, strict=True))
            continue
        now = dict(zip(names, times, strict=True))
        yield from ((customer, name, gone, 0) for name, t in before.items() if now.get(name) != t)
        yield from ((customer, name, new, t) for name, t in now.items() if before.get(name) != t)
    for customer, before in known.items():
        yield from ((customer, name, gone, 0) for name in before)
    if machine.newest_ms > newest_ms:
        item = machine.items.id(0)
        yield NOBODY, item, new, machine.newest_ms
        yield NOBODY, item, gone, 0


def _message(machine: CustomerMachine, changes: list[Change]) -> HistoryChanges:
    assert machine.publishes_as is not None
    customers: dict[str, int] = {}
    items: dict[str, int] = {}
    whose = [customers.setdefault(customer, len(customers)) for customer, *_ in changes]
    which = [items.setdefault(item, len(items)) for _, item, *_ in changes]
    return HistoryChanges(
        machine.publishes_as, machine.position, machine.position, machine.published_from,
        list(customers), list(items),
        np.zeros(len(changes), np.uint32), np.array(whose, np.uint32), np.array(which, np.uint32),
        np.array([effect for *_, effect, _ in changes], np.uint8),
        np.array([time_ms for *_, time_ms in changes], np.int64),
    )  # fmt: skip
