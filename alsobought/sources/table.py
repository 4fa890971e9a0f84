"""The rows that readers of all formats return: a few thousand at a time, column by column."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any, Literal, Protocol

import pyarrow as pa

from alsobought.sources.errors import SourceError

Refuse = Callable[[int, str], None]
"""Called with the number of a row that cannot be used and the reason; may raise to stop the reading."""


@dataclass(frozen=True)
class Position:
    """How far a source has been read; `total` is None if it cannot be known (a pipe)."""

    done: int
    total: int | None
    unit: Literal["bytes", "rows"]


@dataclass(frozen=True)
class RowBatch:
    """Some rows: their numbers in the file, and their cells by column; absent columns are empty."""

    numbers: Sequence[int]
    columns: dict[str, Sequence[object] | pa.Array[Any]]

    def cells(self, name: str, at: Sequence[int]) -> Iterable[object]:
        """Return the cells of a column in some of the rows, `at`."""
        column = self.columns.get(name)
        if column is None:
            return repeat(None, len(at))
        if isinstance(column, pa.Array):
            return python_cells(column.take(pa.array(at, pa.int64())))
        return [column[n] for n in at]


def python_cells(column: pa.Array[Any]) -> list[object]:
    """Return the values of an Arrow array; times as naive datetimes in UTC, to the millisecond."""
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("ms"), safe=False)
    values: list[object] = column.to_pylist()
    return values


@dataclass(frozen=True)
class Table:
    """The columns of a kind of table; other columns are not read.

    `required` has groups of names: one column of each group must be there; errors name the first.
    """

    kind: str
    required: tuple[tuple[str, ...], ...]
    columns: tuple[str, ...]

    def missing(self, found: Iterable[str]) -> list[str]:
        """Return the first name of each required group that has none among `found`."""
        names = set(found)
        return [group[0] for group in self.required if not names & set(group)]

    def check(self, name: str, found: Iterable[str]) -> None:
        """Raise SourceError if the columns `found` in the file `name` do not make this table."""
        columns = list(found)
        if missing := self.missing(columns):
            raise SourceError(
                f"{name}: {self.kind} need the column{'s' * (len(missing) > 1)} {', '.join(missing)};"
                f" found are {', '.join(map(repr, columns)) or 'none'}. Rename or add what is missing."
            )
        twice = sorted({column for column in columns if column in self.columns and columns.count(column) > 1})
        if twice:
            raise SourceError(f"{name}: the column {twice[0]} is there twice. Rename or remove one of them.")


class TableReader(Protocol):
    """One pass over one file."""

    @property
    def position(self) -> Position:
        """How far the file has been read."""

    def batches(self, refuse: Refuse) -> Iterator[RowBatch]:
        """Yield all rows, in order; close the file at the end."""
