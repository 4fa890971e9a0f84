"""Read the events of a file, or the bundled ones, into the columns that are evaluated."""

from __future__ import annotations

from array import array
from itertools import chain
from typing import TYPE_CHECKING

from alsobought.bars import progress_bar
from alsobought.sources import BadRowsError, open_events, open_items
from alsobought.sources.complete_journey import NAME as BUNDLED
from alsobought.sources.opening import is_stream
from streams.kinds import BOUGHT, EventKind

if TYPE_CHECKING:
    from evaluation.protocol import Events, ItemProperties

ERASURE = -1  # instead of an item


def kind_of(file: str, kinds: tuple[EventKind, ...]) -> EventKind:
    """Return the first kind whose events the first rows of a file can be; purchases if none is."""
    if file == BUNDLED or is_stream(file):
        return BOUGHT
    for kind in kinds:
        try:
            next(open_events(file, kind).messages(), None)
        except BadRowsError:
            continue
        return kind
    return BOUGHT


def read(file: str, kind: EventKind, items_file: str | None) -> Events:
    """Read all valid events, in order of time; events with equal times stay in the order of the file.

    See `alsobought.holding`; the order of the file decides what a return or an erasure takes back.

    Raises
    ------
    SourceError
        A file cannot be read, or a row cannot be used.
    """
    import numpy as np

    from alsobought.holding import holding
    from evaluation.protocol import Events

    customers: dict[str, int] = {}
    items: dict[str, int] = {}
    customer, item, time, quantity = array("i"), array("i"), array("q"), array("q")
    source = open_events(file, kind)
    with progress_bar(f"read {file}", None) as done:
        for event in chain.from_iterable(source.messages()):
            customer.append(customers.setdefault(event.customer_id, len(customers)))
            item.append(ERASURE if event.type == "forget" else items.setdefault(event.item_id, len(items)))
            time.append(int(event.timestamp))  # sources give ms
            quantity.append(-event.quantity if event.type == "return" else event.quantity)
            if len(time) % 10_000 == 0:
                done(len(time))
    customer_of, item_of = np.array(customer, np.int32), np.array(item, np.int32)
    kept = holding(customer_of, item_of, np.array(quantity, np.int64), item_of == ERASURE)
    time_ms = np.array(time, np.int64)[kept]
    order = np.argsort(time_ms, kind="stable")
    who, of_customer = np.unique(customer_of[kept], return_inverse=True)
    which, of_item = np.unique(item_of[kept], return_inverse=True)
    ids = list(items)
    catalogue = _catalogue(items_file, [ids[n] for n in which.tolist()]) if items_file else None
    return Events(
        of_customer.astype(np.int32)[order], of_item.astype(np.int32)[order], time_ms[order],
        len(who), len(which), catalogue,
    )  # fmt: skip


def _catalogue(file: str, ids: list[str]) -> ItemProperties:
    """Return the catalogue's properties of the items that have events."""
    from evaluation.protocol import ItemProperties

    items = {name: n for n, name in enumerate(ids)}
    category, brand = [""] * len(items), [""] * len(items)
    for known in chain.from_iterable(open_items(file).messages()):
        number = items.get(known.item_id)
        if number is not None:
            category[number], brand[number] = known.category or "", known.brand or ""
    return ItemProperties(category, brand)
