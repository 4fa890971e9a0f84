"""Rows of a table of purchases as messages of the topic `purchases`."""

from __future__ import annotations

from typing import Literal, cast

from alsobought.sources.table import Refuse, Rows, Table
from alsobought.sources.values import (
    BadValue,
    id_value,
    price_value,
    quantity_value,
    text_value,
    timestamp_value,
)
from streams.messages import PurchaseEvent

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

PURCHASES_TABLE = Table(
    kind="purchases",
    # Rows of type forget have no item, so a table that tells types may lack the column.
    required=(("customer_id",), ("item_id", "event_type", "type"), ("timestamp",)),
    columns=_COLUMNS,
)

_TYPES = ("purchase", "return", "forget")


def purchases(rows: Rows, refuse: Refuse) -> list[PurchaseEvent]:
    """Return the messages of the rows; what makes none is refused.

    An empty quantity is 1 and an empty type purchase. The type's column is event_type, or type as
    in the message.
    """
    events = []
    cells = zip(*map(rows.column, _COLUMNS), strict=True)
    for number, (customer, item, time, quantity, kind, same, event, basket, price, profile) in zip(
        rows.numbers, cells, strict=True
    ):
        try:
            type_ = _type(kind, same) if kind or same else "purchase"
            events.append(
                PurchaseEvent(
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
    return events


def _type(event_type: object, type_: object) -> Literal["purchase", "return", "forget"]:
    if event_type and type_ and event_type != type_:
        raise BadValue(f"event_type {event_type!r} and type {type_!r} contradict each other")
    kind = event_type or type_
    if kind not in _TYPES:
        raise BadValue(f"event_type {kind!r} is none of {', '.join(_TYPES)}")
    return cast(Literal["purchase", "return", "forget"], kind)
