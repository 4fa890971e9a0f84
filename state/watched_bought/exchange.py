"""Publishing late: the crossing machine gets purchases only once somebody has watched something.

A shop without watches has nothing to cross, so its customer machines of purchases begin *silent*: they
publish no first events, and nothing is kept of purchases twice. The first watch that is published to a
crossing machine makes it ask the crossing machines of all partitions (ASK), for buyers and popularity are
counted over all customers. Where one is asked, and the machine of the same partition's purchases is silent,
the `Exchange` between the two transfers the histories (`state.messages.transfer`). It

    1. sends a BEGIN with a number of its own. From where the crossing machine reads it, nothing of purchases
       counts there any more but the parts of this very transfer;
    2. once it has been read: compares what the crossing machine has with what the customer machine has, both
       as they are, and sends the difference (PART ..., LAST). From then on the machine publishes first events
       as its events come, and its stored state says so as soon as Kafka has all of the difference.

It does not matter what was published before, by whom, or how far the machines' stores are: what is compared
is what the two have at that moment, and the log keeps out what others send who do not know of it. After a
crash in between the customer machine is silent as before, and the next exchange begins a new transfer.

What histories no longer contain counts only as the newest event time: it is sent as an item that came to
nobody, and went.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from state.customers.machine import CustomerMachine
from state.messages.deltas import Effect, Source
from state.messages.first_events import FirstEvents
from state.messages.transfer import Step, Transfer
from state.watched_bought.machine import CrossingMachine

PART_EFFECTS = 10_000  # half of the machine's ROOM, were all of them one customer's
NOBODY = ""

Change = tuple[str, str, int, int]
"""Customer, item, effect, and time in ms."""


class Exchange:
    """Between a customer machine and the crossing machine of its partition, in one process.

    Parameters
    ----------
    draw
        Returns a number that no transfer had before, in whichever process.

    Attributes
    ----------
    log_end : int
        Where first-events ended when the two were loaded: what was published before ends there.
    """

    def __init__(self, draw: Callable[[], int]) -> None:
        self._draw = draw
        self.log_end = 0
        self._loaded_at: int | None = None  # the customer machine's position when it was loaded
        self._compared = False  # whether what was published before is known to reach that
        self._number: int | None = None  # of our last transfer
        self._read = self._sent = False  # whether its BEGIN was read, and whether its parts were sent

    def note_applied(self, message: Transfer) -> None:
        """Note a message that the crossing machine has applied."""
        if message.step == Step.BEGIN and message.number == self._number:
            self._read = True

    def is_settled(self, machine: CustomerMachine, crossing: CrossingMachine) -> bool:
        """Whether all purchases that are wanted were published, or are as they come: nothing is due."""
        if not self._compared or crossing.begun or (machine.silent and crossing.wanted):
            return False
        return self._number is None or self._read

    def due(self, machine: CustomerMachine, crossing: CrossingMachine) -> Iterator[Transfer]:
        """What is to be sent now. Call it before anything is applied, and whenever something was."""
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
            return nothing  # ours is on its way, and keeps others out
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
        """Whether first events were published that the crossing machine has not applied, and will not read.

        That is where somebody with an older store transferred everything in between, and not as much.
        """
        if self._compared or crossing.position < self.log_end or self._loaded_at is None:
            return False
        publishes = not machine.silent and machine.published_from < self._loaded_at
        return publishes and crossing.ends.get(source, 0) < self._loaded_at


def whole(machine: CustomerMachine, crossing: CrossingMachine, number: int) -> Iterator[Transfer]:
    """What has to change for the crossing machine to have what the customer machine has."""
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


def _message(machine: CustomerMachine, changes: list[Change]) -> FirstEvents:
    assert machine.publishes_as is not None
    customers: dict[str, int] = {}
    items: dict[str, int] = {}
    whose = [customers.setdefault(customer, len(customers)) for customer, *_ in changes]
    which = [items.setdefault(item, len(items)) for _, item, *_ in changes]
    return FirstEvents(
        machine.publishes_as, machine.position, machine.position, machine.published_from,
        list(customers), list(items),
        np.zeros(len(changes), np.uint32), np.array(whose, np.uint32), np.array(which, np.uint32),
        np.array([effect for *_, effect, _ in changes], np.uint8),
        np.array([time_ms for *_, time_ms in changes], np.int64),
    )  # fmt: skip
