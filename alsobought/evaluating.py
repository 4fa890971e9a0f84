"""Events of a file, or the bundled ones, as the columns that are evaluated."""

from __future__ import annotations

from array import array
from itertools import chain
from typing import TYPE_CHECKING

from alsobought.bars import told
from alsobought.sources import BadRowsError, open_events, open_items
from alsobought.sources.complete_journey import NAME as BUNDLED
from alsobought.sources.source import STDIN
from streams.kinds import BOUGHT, EventKind

if TYPE_CHECKING:
    from evaluation.protocol import Catalogue, Events


def kind_of(file: str, kinds: tuple[EventKind, ...]) -> EventKind:
    """The first kind whose events the first rows of a file can be; purchases if none is."""
    if file in (STDIN, BUNDLED):
        return BOUGHT
    for kind in kinds:
        try:
            next(open_events(file, kind).messages(), None)
        except BadRowsError:
            continue
        return kind
    return BOUGHT


def read(file: str, kind: EventKind, items_file: str | None) -> Events:
    """Read all events in order of time; returns and erasures are left out.

    The order of the file is kept where times are equal.

    Raises
    ------
    SourceError
        A file cannot be read, or a row cannot be used.
    """
    import numpy as np

    from evaluation.protocol import Events

    customers: dict[str, int] = {}
    items: dict[str, int] = {}
    baskets: dict[str, int] = {}
    customer, item, time, basket = array("i"), array("i"), array("q"), array("q")
    source = open_events(file, kind)
    with told(f"read {file}", None) as done:
        for event in chain.from_iterable(source.messages()):
            if event.type is not None and event.type != kind.word:
                continue
            customer.append(customers.setdefault(event.customer_id, len(customers)))
            item.append(items.setdefault(event.item_id, len(items)))
            time.append(int(event.timestamp))  # sources give ms
            name = event.basket_id
            basket.append(-1 if name is None else baskets.setdefault(name, len(baskets)))
            if len(time) % 10_000 == 0:
                done(len(time))
    time_ms = np.array(time, np.int64)
    order = np.argsort(time_ms, kind="stable")
    catalogue = _catalogue(items_file, items) if items_file else None
    return Events(
        np.array(customer, np.int32)[order], np.array(item, np.int32)[order], time_ms[order],
        np.array(basket, np.int64)[order], len(customers), len(items), catalogue,
    )  # fmt: skip


def _catalogue(file: str, items: dict[str, int]) -> Catalogue:
    """What a catalogue says of the items that have events."""
    from evaluation.protocol import Catalogue

    category, brand = [""] * len(items), [""] * len(items)
    for known in chain.from_iterable(open_items(file).messages()):
        number = items.get(known.item_id)
        if number is not None:
            category[number], brand[number] = known.category or "", known.brand or ""
    return Catalogue(category, brand)
