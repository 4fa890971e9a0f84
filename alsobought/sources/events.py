"""Rows of a table of events as messages of a topic of them, such as `purchases`."""

from __future__ import annotations

from alsobought.sources.table import Refuse, Rows, Table
from alsobought.sources.values import (
    BadValue,
    id_value,
    price_value,
    quantity_value,
    text_value,
    timestamp_value,
)
from streams.kinds import EventKind
from streams.messages import EventMessage

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


def table_of(kind: EventKind) -> Table:
    """The table of a kind's events."""
    return Table(
        kind=kind.events.name,
        # Rows of type forget have no item, so a table that tells types may lack the column.
        required=(("customer_id",), ("item_id", "event_type", "type"), ("timestamp",)),
        columns=_COLUMNS,
    )


def events(rows: Rows, refuse: Refuse, kind: EventKind) -> list[EventMessage]:
    """Return the messages of the rows; what makes none is refused.

    An empty quantity is 1 and an empty type the kind's own. The type's column is event_type, or type as
    in the message.
    """
    found = []
    cells = zip(*map(rows.column, _COLUMNS), strict=True)
    for number, (customer, item, time, quantity, said, same, event, basket, price, profile) in zip(
        rows.numbers, cells, strict=True
    ):
        try:
            type_ = _type(said, same, kind) if said or same else None
            found.append(
                EventMessage(
                    customer_id=id_value("customer_id", customer),
                    item_id="" if type_ == "forget" and not item else id_value("item_id", item),
                    timestamp=timestamp_value(time),
                    quantity=quantity_value(quantity),
                    type=type_,
                    event_id=text_value("event_id", event) if event is not None else None,
                    basket_id=text_value("basket_id", basket) if basket is not None else None,
                    price=price_value(price),
                    profile_id=text_value("profile_id", profile) if profile is not None else None,
                )
            )
        except BadValue as error:
            refuse(number, str(error))
    return found


def _type(event_type: object, type_: object, kind: EventKind) -> str | None:
    """The type of a row; None for the kind's own, which need not be sent."""
    if event_type and type_ and event_type != type_:
        raise BadValue(f"event_type {event_type!r} and type {type_!r} contradict each other")
    said = event_type or type_
    if said == kind.word:
        return None
    if said not in ("return", "forget"):
        raise BadValue(f"event_type {said!r} is none of {kind.word}, return, forget")
    return str(said)
