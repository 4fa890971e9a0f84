"""The messages that follow from a batch of events: deltas to item partitions, and history changes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from state.customers import pairing, routing
from state.customers.memory import CustomerMemory
from state.memory.arrays import longer
from state.messages.deltas import Deltas, Source
from state.messages.history_changes import HistoryChanges


class Part(NamedTuple):
    """Events that were applied together, as arrays that may be longer than the part.

    It begins at the machine's position, which moves on when its messages are made.

    Attributes
    ----------
    columns
        Offsets, actions, customers, items, quantities, times, hashes, profiles, sources and sequences of
        the events.
    out
        What `state.customers.pairing` found.
    events, gone
        How many events are applied, and how many of them removed something.
    end
        The offset after the last of them.
    """

    columns: list[Any]
    out: pairing.Paired
    events: int
    gone: int
    end: int


class DeltaMessages:
    """Makes a machine's deltas, and knows what it has sent to each of `partitions` item partitions."""

    def __init__(self, partitions: int) -> None:
        # per item partition the end of the last message to it; after a restart all earlier ones are in Kafka
        self._sent_ends = [0] * partitions
        self._marks, self._serial = np.zeros(1024, np.int64), 1  # of `state.customers.routing`
        self._named = np.zeros(1024, np.uint8)  # also of routing: after a restart ids are sent again

    def of(self, machine: CustomerMemory, part: Part) -> Iterator[tuple[int, Deltas]]:
        """Yield the partitions that a part of a batch concerns, each with its message.

        Nothing is sent again for offsets that had been sent when the state was stored. In a replay, a
        customer who was erased after the position of the replay begins with an empty history, and the
        messages would differ.
        """
        columns, out, n, _, end = part
        if len(self._marks) < len(machine.items):
            self._marks = longer(self._marks, 2 * len(machine.items))
            self._named = longer(self._named, 2 * len(machine.items))
        r = routing.route(
            machine.partitions, machine.item_partitions, self._named, self._marks, self._serial,
            machine.position, columns[0], columns[3], columns[5],
            int(np.searchsorted(columns[0][:n], machine.sent_to)), n, out,
        )  # fmt: skip
        self._serial += machine.partitions
        table = t = words = f = 0
        hashes = machine.item_hashes
        for partition, (to_table, to_taken, to_words, to_fresh) in enumerate(r.ends.tolist()):
            if to_words > words:
                numbers, new = r.table[table:to_table], r.fresh[f:to_fresh]
                events, near, gone, histories, *_ = r.sizes[partition].tolist()
                yield partition, Deltas(
                    machine.source, self._sent_ends[partition], machine.position, end,
                    machine.customer_count, int(r.own[partition]), events, near, gone, histories,
                    machine.items.ids(numbers[new].tolist()) if to_fresh > f else [],
                    hashes[numbers], r.taken[t:to_taken], r.words[words:to_words], new,
                )  # fmt: skip
                self._sent_ends[partition] = end
            table, t, words, f = to_table, to_taken, to_words, to_fresh


def history_changes(
    machine: CustomerMemory, source: Source, published_from: int, part: Part
) -> HistoryChanges:
    """Return which items a part of a batch brought into histories, and which it took out of them.

    `source` publishes all history changes from the offset `published_from` on.
    """
    columns, out, n, gone, end = part
    new = np.flatnonzero(out.outcomes[:n] == pairing.NEW)
    events, items, effects = [new], [columns[3][new]], [np.full(len(new), pairing.NEW, np.uint8)]
    start = 0
    for event, rank, stop in zip(
        out.gone_events[:gone].tolist(), out.gone_ranks[:gone].tolist(), out.gone_ends[:gone].tolist(),
        strict=True,
    ):  # fmt: skip
        lost = out.gone_items[start:stop] if rank < 0 else out.gone_items[start + rank : start + rank + 1]
        events.append(np.full(len(lost), event))
        items.append(lost)
        effects.append(np.full(len(lost), pairing.GONE, np.uint8))
        start = stop
    at = np.concatenate(events)
    order = np.argsort(at, kind="stable")
    at = at[order]
    customers, whose = np.unique(columns[2][at], return_inverse=True)
    numbers, which = np.unique(np.concatenate(items)[order], return_inverse=True)
    return HistoryChanges(
        source, machine.position, end, published_from,
        [machine.customers.id(slot) for slot in customers.tolist()], machine.items.ids(numbers.tolist()),
        (columns[0][at] - machine.position).astype(np.uint32), whose.astype(np.uint32),
        which.astype(np.uint32), np.concatenate(effects)[order], columns[5][at].astype(np.int64),
    )  # fmt: skip
