"""CSV: a header, then a row a line; comma, double quotes, UTF-8.

Read with the standard library's reader: at over a million rows a second it is no bottleneck, and unlike a
columnar one it knows the line of each row, and goes on after a broken one.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator

from alsobought.sources.errors import SourceError
from alsobought.sources.lines import Lines
from alsobought.sources.table import Position, Refuse, Rows, Table


class CsvReader:
    """One pass over CSV."""

    def __init__(self, lines: Lines, table: Table) -> None:
        self._lines = lines
        self._table = table
        self._left_in_chunk = 0

    @property
    def position(self) -> Position:
        """How many bytes have been read."""
        return self._lines.position

    def batches(self, refuse: Refuse) -> Iterator[Rows]:
        """Yield the rows of each chunk; rows with too few or too many cells are refused."""
        reader = csv.reader(self._text(), strict=True)
        try:
            header = next(reader, [])
            while not header and reader.line_num and (more := next(reader, None)) is not None:
                header = more
            self._table.check(self._lines.name, header)
            width = len(header)
            numbers: list[int] = []
            rows: list[list[str]] = []
            for row in reader:
                if len(row) == width:
                    numbers.append(reader.line_num)
                    rows.append(row)
                elif row:
                    refuse(reader.line_num, f"{len(row)} cells where the header has {width}")
                if not self._left_in_chunk and rows:
                    yield self._rows(header, numbers, rows)
                    numbers, rows = [], []
            if rows:
                yield self._rows(header, numbers, rows)
        except csv.Error as error:
            raise SourceError(
                f"{self._lines.name}:{reader.line_num}: not CSV ({error})."
                ' Correct the quotes near it: a " inside of a quoted cell is written twice.'
            ) from error
        finally:
            self._lines.close()

    def _text(self) -> Iterator[str]:
        for chunk in self._lines.chunks():
            self._left_in_chunk = len(chunk)
            for line in chunk:
                self._left_in_chunk -= 1
                # Bytes that are not UTF-8 become lone surrogates, which the cell's own check refuses.
                yield line.decode("utf-8", "surrogateescape")

    def _rows(self, header: list[str], numbers: list[int], rows: list[list[str]]) -> Rows:
        cells = zip(*rows, strict=True)
        return Rows(
            numbers,
            {name: column for name, column in zip(header, cells, strict=True) if name in self._table.columns},
        )
