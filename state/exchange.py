"""Telling late: purchases are told to the crossing machine only once somebody has watched something.

A shop without watches has nothing to cross, so its customer machines of purchases begin *silent*: they tell
nothing, and nothing is kept of them twice. The first watch that a crossing machine is told of makes it ask
the crossing machines of all partitions (ASK), for buyers and popularity are counted over all customers. Where
one is asked, and the machine of the same partition's purchases is silent, the `Exchange` between the two

    1. sends a BEGIN with a number of its own. From where the crossing machine reads it, nothing of purchases
       counts there any more but the parts of this very telling;
    2. once it has been read: compares what the crossing machine has with what the customer machine has, both
       as they are, and sends the difference (PART ..., LAST). From then on the machine tells its events as
       they come, and its stored state says so as soon as Kafka has all of it.

It does not matter what was told before, by whom, or how far the machines' stores are: what is compared is
what the two have at that moment, and the log keeps out what others send who do not know of it. After a crash
in between the customer machine is silent as before, and the next exchange begins anew.

What histories do not say any more counts only as the newest event time: it is told as an item that came to
nobody, and went.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from state.crossing import CrossingMachine
from state.customers import CustomerMachine
from state.deltas import Effect, Source
from state.first_events import FirstEvents
from state.telling import Step, Telling

PART_EFFECTS = 10_000  # half of what `state.crossing.ROOM` has room for, were all of them one customer's
NOBODY = ""

Change = tuple[str, str, int, int]
"""Customer, item, effect, and time in ms."""


class Exchange:
    """Between a customer machine and the crossing machine of its partition, in one process.

    Parameters
    ----------
    draw
        Returns a number that no telling had before, in whichever process.

    Attributes
    ----------
    log_end : int
        Where first-events ended when the two were loaded: up to there is what was told before.
    """

    def __init__(self, draw: Callable[[], int]) -> None:
        self._draw = draw
        self.log_end = 0
        self._loaded_at: int | None = None  # the teller's position when it was loaded
        self._compared = False  # whether what was told before is known to reach that
        self._number: int | None = None  # of our last telling
        self._read = self._told = False  # whether its BEGIN was read, and whether its parts were sent

    def heard(self, said: Telling) -> None:
        """Note a message that the crossing machine has applied."""
        if said.step == Step.BEGIN and said.number == self._number:
            self._read = True

    def is_settled(self, teller: CustomerMachine, crossing: CrossingMachine) -> bool:
        """Whether all that is to be told was told, or is told as it comes: nothing is to be said."""
        if not self._compared or crossing.begun or (teller.silent and crossing.wanted):
            return False
        return self._number is None or self._read

    def due(self, teller: CustomerMachine, crossing: CrossingMachine) -> Iterator[Telling]:
        """What is to be sent now. Call it before anything is applied, and whenever something was."""
        if self._loaded_at is None:
            self._loaded_at = teller.position
        said = self._due(teller, crossing)
        self._compared = self._compared or crossing.position >= self.log_end
        return said

    def _due(self, teller: CustomerMachine, crossing: CrossingMachine) -> Iterator[Telling]:
        source, nothing = teller.tells_as, iter(())
        if source is None or self.is_settled(teller, crossing):
            return nothing
        begun = crossing.begun.get(source)
        if begun is not None and begun == self._number:
            if self._told:
                return nothing
            self._told, teller.silent = True, False
            return whole(teller, crossing, begun)
        if self._number is not None and not self._read:
            return nothing  # ours is on its way, and keeps others out
        if begun is None and not self._is_missing(teller, crossing, source):
            if not (teller.silent and crossing.wanted):
                return nothing
            if teller.is_new:
                teller.silent = False
                return nothing
        self._read = self._told = False
        self._number = self._draw()
        return iter([Telling(Step.BEGIN, source, self._number)])

    def _is_missing(self, teller: CustomerMachine, crossing: CrossingMachine, source: Source) -> bool:
        """Whether the teller has told what the crossing machine has not, and will not read.

        That is where somebody with an older store told everything in between, and not as much.
        """
        if self._compared or crossing.position < self.log_end or self._loaded_at is None:
            return False
        tells = not teller.silent and teller.told_from < self._loaded_at
        return tells and crossing.ends.get(source, 0) < self._loaded_at


def whole(teller: CustomerMachine, crossing: CrossingMachine, number: int) -> Iterator[Telling]:
    """What has to change for the crossing machine to have what the customer machine has."""
    assert teller.tells_as is not None
    part: list[Change] = []
    for change in _changes(teller, crossing, teller.tells_as):
        part.append(change)
        if len(part) == PART_EFFECTS:
            yield Telling(Step.PART, teller.tells_as, number, _message(teller, part))
            part = []
    yield Telling(Step.LAST, teller.tells_as, number, _message(teller, part))


def _changes(teller: CustomerMachine, crossing: CrossingMachine, source: Source) -> Iterator[Change]:
    new, gone = int(Effect.NEW), int(Effect.GONE)
    known = crossing.side(source.topic)
    newest_ms = -1
    for customer, items, times_ms in teller.everyone():
        names, times = teller.items.ids(items.tolist()), times_ms.tolist()
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
    if teller.newest_ms > newest_ms:
        item = teller.items.id(0)
        yield NOBODY, item, new, teller.newest_ms
        yield NOBODY, item, gone, 0


def _message(teller: CustomerMachine, changes: list[Change]) -> FirstEvents:
    assert teller.tells_as is not None
    customers: dict[str, int] = {}
    items: dict[str, int] = {}
    whose = [customers.setdefault(customer, len(customers)) for customer, *_ in changes]
    which = [items.setdefault(item, len(items)) for _, item, *_ in changes]
    return FirstEvents(
        teller.tells_as, teller.position, teller.position, teller.told_from, list(customers), list(items),
        np.zeros(len(changes), np.uint32), np.array(whose, np.uint32), np.array(which, np.uint32),
        np.array([effect for *_, effect, _ in changes], np.uint8),
        np.array([time_ms for *_, time_ms in changes], np.int64),
    )  # fmt: skip
