"""The catalogue machine: which items can be bought, one machine per partition of the catalogue.

It remembers the items that cannot be bought, and sends only changes, so that items that can be bought cost
the item partitions nothing. It also remembers the items that could not be bought once and now can. From the
two sets it makes one message with everything it ever sent, for a reader that is new or had been away.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from state.messages.deltas import Availability, Source
from state.storage import codec
from state.storage.saving import Saver
from state.storage.store import Records, Store


@dataclass
class CatalogueMachine:
    """The items of one catalogue partition that are not available, and those available again.

    >>> machine = CatalogueMachine(Source(1, 0))
    >>> machine.apply(["tea", "milk"], np.array([True, False]), end=2).ids
    ['milk']
    >>> machine.apply(["milk"], np.array([False]), end=3) is None
    True
    """

    source: Source
    position: int = 0
    sent_to: int = 0  # offset before which everything has been sent
    unavailable: set[str] = field(default_factory=set)
    available_again: set[str] = field(default_factory=set)

    def apply(self, ids: list[str], available: npt.NDArray[np.uint8], end: int) -> Availability | None:
        """Apply the entries of a chunk that ends before `end`, the newest last.

        Return what changed, or None if nothing did.
        """
        changed: dict[str, bool] = {}
        for name, can_be_bought in zip(ids, available.tolist(), strict=True):
            if can_be_bought == (name in self.unavailable):
                changed[name] = bool(can_be_bought)
                gained, lost = self.available_again, self.unavailable
                if not can_be_bought:
                    gained, lost = lost, gained
                lost.discard(name)
                gained.add(name)
        self.position = end
        if not changed:
            return None
        first, self.sent_to = self.sent_to, end
        return Availability(self.source, first, end, list(changed), np.array([*changed.values()], np.uint8))

    def all_sent(self) -> Availability | None:
        """Return everything sent so far in one message, or None if nothing was sent.

        It is for a reader that has received nothing, or only a part.

        >>> machine = CatalogueMachine(Source(1, 0))
        >>> _ = machine.apply(["tea", "milk"], np.array([False, False]), end=2)
        >>> _ = machine.apply(["tea"], np.array([True]), end=3)
        >>> message = machine.all_sent()
        >>> message.first, message.end, message.ids, message.available.tolist()
        (0, 3, ['milk', 'tea'], [0, 1])
        """
        if self.sent_to == 0:
            return None
        ids = [*sorted(self.unavailable), *sorted(self.available_again)]
        available = np.arange(len(ids)) >= len(self.unavailable)
        return Availability(self.source, 0, self.sent_to, ids, available.astype(np.uint8))


class CatalogueSaver(Saver):
    """The store of a catalogue machine.

    META has the position and the readers; the PAGE `u` has the unavailable items, the PAGE `v` those that are
    available again.

    Attributes
    ----------
    readers : list[str]
        The readers to which everything that the machine had applied was sent when it was stored. The sender
        sets it. It is empty if the store is empty or of a version that did not record it.
    """

    def __init__(self, machine: CatalogueMachine, store: Store, log: str | None = None) -> None:
        super().__init__(store, log)
        self.machine = machine
        self.readers: list[str] = []

    def position(self) -> int:
        """Return the machine's position."""
        return self.machine.position

    def begin_at(self, position: int) -> None:
        """Let an empty machine begin at an offset of the log other than 0."""
        self.stored = self.machine.position = position

    def load(self) -> None:
        """Fill the empty machine from the store.

        Raises
        ------
        ForeignLog, UnknownLayout, CorruptRecord
        """
        meta = self._open()
        if meta is None:
            return
        self.machine.position = self.stored
        self.machine.sent_to = int(meta.get("sent_to", 0))
        self.readers = list(meta.get("readers", ()))
        self.machine.unavailable, self.machine.available_again = (
            set(codec.unpack_page(key, page)) if page is not None else set()
            for key, page in ((key, self.store.get(key)) for key in (b"u", b"v"))
        )

    def _identity(self) -> dict[str, Any]:
        return {}

    def _begin(self) -> tuple[dict[str, Any], Records, npt.NDArray[np.int64]]:
        # no numbered records: the sweep is over in the step that begins it, in one batch with META
        machine = self.machine
        pages: Records = [
            (b"u", codec.pack_page(sorted(machine.unavailable))),
            (b"v", codec.pack_page(sorted(machine.available_again))),
        ]
        meta = {"position": machine.position, "sent_to": machine.sent_to, "readers": self.readers}
        return meta, pages, np.zeros(0, np.int64)

    def _pack(self, numbers: list[int]) -> Records:
        assert not numbers, "the catalogue has no numbered records"
        return []

    def _appended(self) -> Records:
        return []
