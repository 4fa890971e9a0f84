"""Rows of a catalogue as messages of the topic `items`."""

from __future__ import annotations

from alsobought.sources.table import Refuse, RowBatch, Table
from alsobought.sources.values import BadValue, Notes, available_value, id_value, price_value, text_value
from streams.messages.checks import MAX_VALUE_BYTES
from streams.messages.schema import CatalogueItem, encode

_COLUMNS = ("item_id", "title", "category", "brand", "price", "available")

ITEMS_TABLE = Table(kind="items", required=(("item_id",),), columns=_COLUMNS)


LONGEST_TEXTS = 10_000
"""Characters of title, category and brand together, which surely fit into a message."""


def items(rows: RowBatch, refuse: Refuse, notes: Notes) -> list[CatalogueItem]:
    """Return the messages of the rows; rows that make none are refused. An empty `available` is true."""
    found = []
    everything = range(len(rows.numbers))
    cells = zip(*(rows.cells(name, everything) for name in _COLUMNS), strict=True)
    for number, (item, title, category, brand, price, available) in zip(rows.numbers, cells, strict=True):
        try:
            made = CatalogueItem(
                item_id=id_value("item_id", item, notes),
                title=text_value("title", title),
                category=text_value("category", category),
                brand=text_value("brand", brand),
                price=price_value(price),
                available=available_value(available),
            )
            _check_size(made)
        except BadValue as error:
            refuse(number, str(error))
        else:
            found.append(made)
    return found


def _check_size(item: CatalogueItem) -> None:
    if len(item.title or "") + len(item.category or "") + len(item.brand or "") <= LONGEST_TEXTS:
        return
    if (size := len(encode(item))) > MAX_VALUE_BYTES:
        raise BadValue(
            f"title, category and brand make a message of {size:,} bytes, more than {MAX_VALUE_BYTES:,}"
        )
