"""The catalogue machine: which items can be bought, one per partition of the catalogue.

It remembers the items that cannot, so that a full catalogue of items that can costs the item partitions
nothing, and sends changes only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from state import codec
from state.deltas import Availability, Source
from state.saving import Saver
from state.store import Records, Store


@dataclass
class CatalogueMachine:
    """The items of one catalogue partition that are not available.

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

    def apply(self, ids: list[str], available: npt.NDArray[np.uint8], end: int) -> Availability | None:
        """Apply entries, the newest last, of a chunk that ends before `end`; what changed, if anything."""
        changed: dict[str, bool] = {}
        for name, can_be_bought in zip(ids, available.tolist(), strict=True):
            if can_be_bought == (name in self.unavailable):
                changed[name] = bool(can_be_bought)
                (self.unavailable.discard if can_be_bought else self.unavailable.add)(name)
        self.position = end
        if not changed:
            return None
        first, self.sent_to = self.sent_to, end
        return Availability(self.source, first, end, list(changed), np.array([*changed.values()], np.uint8))


class CatalogueSaver(Saver):
    """Its store: META with the position, and the unavailable items as one PAGE `u`."""

    def __init__(self, machine: CatalogueMachine, store: Store, log: str | None = None) -> None:
        super().__init__(store, log)
        self.machine = machine

    def position(self) -> int:
        """The machine's position."""
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
        page = self.store.get(b"u")
        self.machine.unavailable = set(codec.unpack_page(b"u", page)) if page is not None else set()

    def _identity(self) -> dict[str, Any]:
        return {}

    def _begin(self) -> tuple[dict[str, Any], Records, npt.NDArray[np.int64]]:
        # no numbered records: the sweep is over in the step that begins it, in one batch with META
        page = codec.pack_page(sorted(self.machine.unavailable))
        meta = {"position": self.machine.position, "sent_to": self.machine.sent_to}
        return meta, [(b"u", page)], np.zeros(0, np.int64)

    def _pack(self, number: int) -> Records:
        raise LookupError(f"the catalogue has no record {number}")

    def _appended(self) -> Records:
        return []
