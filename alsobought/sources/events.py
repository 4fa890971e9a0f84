"""Rows of a table of events as messages of a topic of them, such as `purchases`.

A batch of them is an Arrow record batch of `SCHEMA`: whole columns are converted and checked at once
(`columns`, `time_columns`), and the rows that those are not sure of one by one (`values`, `times`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pyarrow as pa

from alsobought.sources import columns as whole
from alsobought.sources.arrays import Array, Mask, array, lengths, nulls
from alsobought.sources.table import Refuse, RowBatch, Table
from alsobought.sources.time_columns import times
from alsobought.sources.times import timestamp_value
from alsobought.sources.values import (
    BadValue,
    Notes,
    event_price,
    id_value,
    is_empty,
    optional_id,
    price_note,
    price_value,
    quantity_value,
    text_value,
    whole_note,
)
from streams.kinds import BUILT_IN, EventKind
from streams.messages.checks import EventTypes, Unusable
from streams.messages.schema import EventMessage

_COLUMNS = (
    "customer_id",
    "item_id",
    "timestamp",
    "quantity",
    "event_type",
    "type",
    "event_id",
    "basket_id",
    "price",
    "profile_id",
)

_TYPES: dict[str, pa.DataType] = {
    "customer_id": pa.string(),
    "item_id": pa.string(),  # empty where a customer is erased
    "timestamp": pa.int64(),  # ms since 1970
    "quantity": pa.int64(),
    "type": pa.string(),  # null: the kind's own
    "event_id": pa.string(),
    "basket_id": pa.string(),
    "price": pa.float64(),
    "profile_id": pa.string(),
}
SCHEMA = pa.schema(_TYPES)
_IDS = ("customer_id", "item_id", "event_id", "profile_id")
LONGEST_BASKET_ID = 10_000
"""Characters; with six bytes for each, as JSON may need, it fits into the longest message."""


def table_of(kind: EventKind) -> Table:
    """Return the table of a kind's events."""
    return Table(
        kind=kind.events.name,
        # Rows of type forget have no item, so a table with a column of types may lack the column of items.
        required=(("customer_id",), ("item_id", "event_type", "type"), ("timestamp",)),
        columns=_COLUMNS,
    )


def messages_of(batch: pa.RecordBatch) -> list[EventMessage]:
    """Return the rows of a batch as messages."""
    names = SCHEMA.names
    cells = zip(*(batch.column(name).to_pylist() for name in names), strict=True)
    return [EventMessage(**dict(zip(names, row, strict=True))) for row in cells]


def batch_of(messages: Iterable[EventMessage]) -> pa.RecordBatch:
    """Return messages, whose times are ms, as a batch."""
    found = list(messages)
    values = [[getattr(message, name) for message in found] for name in SCHEMA.names]
    return pa.record_batch(
        [pa.array(column, kind) for column, kind in zip(values, SCHEMA.types, strict=True)], schema=SCHEMA
    )


class EventTable:
    """Converts rows to batches.

    Parameters
    ----------
    kind
        The kind of the events.
    now_ms
        Returns the time of publishing, ms since 1970; events may be a day ahead of it. A pipe may last days.
    notes
        Gets notes on cells that are not used as they are written.
    """

    def __init__(self, kind: EventKind, now_ms: Callable[[], int], notes: Notes) -> None:
        self._types = EventTypes(kind, [*BUILT_IN, kind])
        self._word = kind.word
        self._now_ms = now_ms
        self._published_ms = 0
        self._notes = notes

    def batch(self, rows: RowBatch, refuse: Refuse) -> pa.RecordBatch:
        """Return the events of the rows, in their order; rows that make none are refused.

        An empty quantity is 1 and an empty type the kind's own. The type's column is event_type, or type as
        in the message. An invalid price is left out, because nothing is counted by it.
        """
        self._published_ms = self._now_ms()
        found, unsure = self._columns(rows)
        if found is not None and not unsure.any():
            return found
        at: list[int] = []
        fixed: list[EventMessage] = []
        for row, message in self._one_by_one(rows, np.flatnonzero(unsure).tolist(), refuse):
            at.append(row)
            fixed.append(message)
        some = batch_of(fixed)
        if found is None:
            return some
        sure = np.flatnonzero(~unsure)
        if not at:
            return found.take(array(sure))
        both = pa.Table.from_batches([found.take(array(sure)), some]).combine_chunks().to_batches()[0]
        order = np.argsort(np.concatenate([sure, np.array(at, np.int64)]), kind="stable")
        return both.take(array(order))

    def _columns(self, rows: RowBatch) -> tuple[pa.RecordBatch | None, Mask]:
        """Return the whole columns, and which rows are not sure.

        None and all rows if a column mixes types.
        """
        count = len(rows.numbers)
        everything = np.ones(count, np.bool_)
        cells: dict[str, Array] = {}
        for name in _COLUMNS:
            given = rows.columns.get(name)
            column = pa.nulls(count) if given is None else whole.array_of(given)
            if column is None:
                return None, everything
            cells[name] = column
        event_type, type_ = cells["event_type"], cells["type"]
        if not pa.types.is_null(event_type.type) and not pa.types.is_null(type_.type):
            return None, everything
        said = type_ if pa.types.is_null(event_type.type) else event_type
        prices, no_prices = whole.prices(cells["price"], price_value)
        basket, basket_unsure = whole.texts(cells["basket_id"])
        basket_unsure |= lengths(basket) > LONGEST_BASKET_ID
        parts = {
            "customer_id": whole.ids(cells["customer_id"]),
            "item_id": whole.ids(cells["item_id"]),
            "timestamp": times(cells["timestamp"], self._published_ms),
            "quantity": whole.quantities(cells["quantity"], quantity_value),
            "type": whole.by_distinct(said, self._type, pa.string()),
            "event_id": whole.optional_ids(cells["event_id"]),
            "basket_id": (basket, basket_unsure),
            "price": (prices, np.zeros(count, np.bool_)),
            "profile_id": whole.optional_ids(cells["profile_id"]),
        }
        unsure = np.logical_or.reduce([mask for _, mask in parts.values()])
        self._notes.add(price_note(), int((no_prices & ~unsure).sum()))
        for name in _IDS:
            if pa.types.is_floating(cells[name].type):
                self._notes.add(whole_note(name), int((~unsure & ~nulls(cells[name])).sum()))
        return pa.record_batch([parts[name][0] for name in SCHEMA.names], schema=SCHEMA), unsure

    def _one_by_one(
        self, rows: RowBatch, at: list[int], refuse: Refuse
    ) -> Iterable[tuple[int, EventMessage]]:
        columns = (rows.cells(name, at) for name in _COLUMNS)
        for row, cells in zip(at, zip(*columns, strict=False), strict=True):
            try:
                yield row, self._message(*cells)
            except Unusable as error:
                refuse(rows.numbers[row], str(error))

    def _message(
        self,
        customer: Any,
        item: Any,
        time: Any,
        quantity: Any,
        event_type: Any,
        type_: Any,
        event: Any,
        basket: Any,
        price: Any,
        profile: Any,
    ) -> EventMessage:
        if event_type and type_ and event_type != type_:
            raise BadValue(f"event_type {event_type!r} and type {type_!r} contradict each other")
        said = self._type(event_type or type_)
        basket_id = text_value("basket_id", basket)
        if basket_id is not None and len(basket_id) > LONGEST_BASKET_ID:
            raise BadValue(
                f"basket_id has {len(basket_id):,} characters; at most {LONGEST_BASKET_ID:,} are allowed"
            )
        notes = self._notes
        return EventMessage(
            customer_id=id_value("customer_id", customer, notes),
            item_id="" if said == "forget" and not item else id_value("item_id", item, notes),
            timestamp=timestamp_value(time, self._published_ms),
            quantity=quantity_value(quantity),
            type=said,
            event_id=optional_id("event_id", event, notes),
            basket_id=basket_id,
            price=event_price(price, notes),
            profile_id=optional_id("profile_id", profile, notes),
        )

    def _type(self, cell: Any) -> str | None:
        """Return the type of a row; None for the kind's own, which need not be sent."""
        if is_empty(cell):
            return None
        word = cell.decode("utf-8", "replace") if isinstance(cell, bytes) else cell
        try:
            self._types.number(word if isinstance(word, str) else str(word))
        except Unusable as error:
            raise BadValue(str(error)) from None
        return None if word == self._word else str(word)
