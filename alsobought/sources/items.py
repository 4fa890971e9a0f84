"""Rows of a catalogue as messages of the topic `items`."""

from __future__ import annotations

from alsobought.sources.table import Refuse, Rows, Table
from alsobought.sources.values import BadValue, available_value, id_value, price_value, text_value
from streams.messages import CatalogueItem

_COLUMNS = ("item_id", "title", "category", "brand", "price", "available")

ITEMS_TABLE = Table(kind="items", required=(("item_id",),), columns=_COLUMNS)


def items(rows: Rows, refuse: Refuse) -> list[CatalogueItem]:
    """Return the messages of the rows; what makes none is refused. An empty `available` is true."""
    found = []
    everything = range(len(rows.numbers))
    cells = zip(*(rows.cells(name, everything) for name in _COLUMNS), strict=True)
    for number, (item, title, category, brand, price, available) in zip(rows.numbers, cells, strict=True):
        try:
            found.append(
                CatalogueItem(
                    item_id=id_value("item_id", item),
                    title=text_value("title", title),
                    category=text_value("category", category),
                    brand=text_value("brand", brand),
                    price=price_value(price),
                    available=available_value(available),
                )
            )
        except BadValue as error:
            refuse(number, str(error))
    return found
