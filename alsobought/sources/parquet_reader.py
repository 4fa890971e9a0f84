"""Parquet: the columns by their names, of whatever type their values can be read from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from alsobought.sources.errors import SourceError
from alsobought.sources.lines import open_file
from alsobought.sources.table import Position, Refuse, RowBatch, Table

BATCH_ROWS = 20_000


class ParquetReader:
    """One pass over a Parquet file; a row's number counts from 1."""

    def __init__(self, path: Path, table: Table) -> None:
        self._path = path
        self._table = table
        self._done = 0
        self._total: int | None = None

    @property
    def position(self) -> Position:
        """How many rows have been read."""
        return Position(self._done, self._total, "rows")

    def batches(self, refuse: Refuse) -> Iterator[RowBatch]:  # noqa: ARG002  # every row of a table has all columns
        """Yield the rows, `BATCH_ROWS` at a time."""
        with open_file(self._path) as handle:
            try:
                with pq.ParquetFile(handle) as file:
                    names = file.schema_arrow.names
                    self._table.check(str(self._path), names)
                    self._total = file.metadata.num_rows
                    wanted = [name for name in names if name in self._table.columns]
                    for batch in file.iter_batches(BATCH_ROWS, columns=wanted):
                        yield self._rows(batch)
            except (pa.ArrowException, OSError) as error:
                raise SourceError(
                    f"{self._path} cannot be read as Parquet ({error}). Write it again, or give CSV."
                ) from error

    def _rows(self, batch: pa.RecordBatch) -> RowBatch:
        numbers = range(self._done + 1, self._done + batch.num_rows + 1)
        self._done += batch.num_rows
        names = batch.schema.names
        return RowBatch(numbers, dict(zip(names, batch.columns, strict=True)))
