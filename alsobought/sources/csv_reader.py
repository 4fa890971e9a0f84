"""CSV: a header, then a row a line; double quotes, UTF-8, separated by commas or what the header shows.

Chunks without a quote are split by Arrow's reader, ten million cells a second. All others, and those that it
does not accept as a whole, are read with the standard library's reader, which knows the line of each row. If
it cannot read a row, the row's first line is refused and reading continues with the next line, so a wrong
quote costs one row.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.csv

from alsobought.sources.errors import SourceError
from alsobought.sources.lines import Lines
from alsobought.sources.table import Position, Refuse, RowBatch, Table
from alsobought.sources.values import Notes

LONGEST_ROW_CHARACTERS = 1 << 20
"""A quote that is open for longer is taken for a wrong one."""

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}

Add = Callable[[int, list[str]], None]


class CsvReader:
    """One pass over CSV.

    Parameters
    ----------
    notes
        Gets the separator, where it is not a comma and was not given.
    separator
        One character; None: a comma, or that of `SEPARATORS` which alone makes the header one of the table.
    """

    def __init__(self, lines: Lines, table: Table, notes: Notes, separator: str | None = None) -> None:
        self._lines = lines
        self._table = table
        self._notes = notes
        self._separator = separator or ","
        self._given = separator is not None
        self._header: list[str] = []

    @property
    def position(self) -> Position:
        """How many bytes have been read."""
        return self._lines.position

    def batches(self, refuse: Refuse) -> Iterator[RowBatch]:
        """Yield the rows of each chunk; those that are no CSV, or have too few or many cells, are refused."""
        try:
            done = 0  # lines before `lines`
            left: list[bytes] = []
            for chunk in self._lines.chunks():
                lines = left + chunk
                begin = 0 if self._header else self._find_header(lines)
                rows, used = self._rows(lines, begin, done, refuse, last=False)
                if rows is not None:
                    yield rows
                left, done = lines[used:], done + used
            if not self._header:
                self._table.check(self._lines.name, [])
            rows, _ = self._rows(left, 0, done, refuse, last=True)
            if rows is not None:
                yield rows
        finally:
            self._lines.close()

    def _find_header(self, lines: list[bytes]) -> int:
        """Take the header from the first line that is not blank.

        Return how many lines are before the rows.
        """
        for number, line in enumerate(map(_decoded, lines)):
            if number == 0 and line.strip()[:4] == "sep=" and len(line.strip()) == 5:
                self._separator, self._given = line.strip()[4], True  # as spreadsheets write
            elif line.strip():
                self._header = self._split(line)
                return number + 1
        return len(lines)

    def _split(self, line: str) -> list[str]:
        header = _cells(line, self._separator)
        if not self._given and self._table.missing(header):
            others = {mark: _cells(line, mark) for mark in SEPARATORS if mark != ","}
            fitting = [mark for mark, cells in others.items() if not self._table.missing(cells)]
            if len(fitting) == 1:
                (self._separator,) = fitting
                header = others[self._separator]
                self._notes.say(
                    f"{self._lines.name}: its columns are separated by {SEPARATORS[self._separator]}"
                )
            else:
                self._refuse_separator(header, others)
        self._table.check(self._lines.name, header)
        return header

    def _refuse_separator(self, header: list[str], others: dict[str, list[str]]) -> None:
        """Raise SourceError if something else than a comma seems to be between the columns."""
        mark, cells = max(others.items(), key=lambda other: len(other[1]))
        if len(cells) <= len(header):
            return
        missing = self._table.missing(cells)
        raise SourceError(
            f"{self._lines.name}: its columns seem to be separated by {SEPARATORS[mark]}, not commas; so"
            f" separated, {self._table.kind} lack {', '.join(missing) or 'nothing'} among"
            f" {', '.join(map(repr, cells))}. Rename the columns, or say what separates them:"
            f" --separator {'tab' if mark == chr(9) else repr(mark)}"
        )

    def _rows(
        self, lines: list[bytes], begin: int, done: int, refuse: Refuse, *, last: bool
    ) -> tuple[RowBatch | None, int]:
        """Return the rows of the lines from `begin`, and how many lines they take; a row may continue in
        later lines.
        """
        if (plain := self._plain(lines[begin:])) is not None:
            return RowBatch(range(done + begin + 1, done + len(lines) + 1), plain), len(lines)
        numbers: list[int] = []
        rows: list[list[str]] = []
        width = len(self._header)

        def add(line: int, row: list[str]) -> None:
            if len(row) == width:
                numbers.append(done + line + 1)
                rows.append(row)
            elif row:
                refuse(done + line + 1, f"{len(row)} cells where the header has {width}")

        used = self._parse(lines, begin, add, lambda line, why: refuse(done + line + 1, why), last=last)
        if not rows:
            return None, used
        cells = zip(*rows, strict=True)
        columns = zip(self._header, cells, strict=True)
        return RowBatch(numbers, {n: column for n, column in columns if n in self._table.columns}), used

    def _plain(self, lines: list[bytes]) -> dict[str, Any] | None:
        """Return the columns of lines without quotes, one row each; None if they are not such lines."""
        text = b"".join(lines)
        if not text or b'"' in text:
            return None
        wanted = [name for name in self._header if name in self._table.columns]
        try:
            found = pyarrow.csv.read_csv(
                io.BytesIO(text),
                # One block: the columns have one piece each.
                pyarrow.csv.ReadOptions(
                    use_threads=False, block_size=len(text) + 1, column_names=self._header
                ),
                pyarrow.csv.ParseOptions(
                    delimiter=self._separator, quote_char=False, ignore_empty_lines=False
                ),
                pyarrow.csv.ConvertOptions(
                    include_columns=wanted,
                    column_types={name: pa.string() for name in wanted},
                    strings_can_be_null=False,
                ),
            )
        except pa.ArrowException:
            return None
        if found.num_rows != len(lines):
            return None
        return {name: found.column(name).combine_chunks() for name in wanted}

    def _parse(self, lines: list[bytes], at: int, add: Add, refuse: Refuse, *, last: bool) -> int:
        """Hand over each row with the index of its first line; return the index of the first line left."""
        width = len(self._header)
        while at < len(lines):
            reader = csv.reader(map(_decoded, lines[at:]), delimiter=self._separator, strict=True)
            begin = 0
            try:
                for row in reader:
                    end = reader.line_num
                    if end - begin > 1 and len(row) != width:
                        refuse(at + begin, f"a quote opens a cell of {end - begin} lines: {_QUOTES}")
                        at += begin + 1
                        break
                    add(at + begin, row)
                    begin = end
                else:
                    return len(lines)
            except csv.Error as error:
                open_to_the_end = reader.line_num == len(lines) - at and "end of data" in str(error)
                if open_to_the_end and not last:
                    size = sum(map(len, lines[at + begin :]))
                    if size <= LONGEST_ROW_CHARACTERS:
                        return at + begin
                refuse(at + begin, f"not CSV ({error}): {_QUOTES}")
                at += begin + 1
        return at


_QUOTES = 'a " inside of a quoted cell is written twice, ""; Spark writes so with .option("escape", "\\"")'


def _decoded(line: bytes) -> str:
    """Return a line as text.

    Bytes that are not UTF-8 become lone surrogates, which the cell's check refuses.
    """
    return line.decode("utf-8", "surrogateescape")


def _cells(line: str, separator: str) -> list[str]:
    return next(csv.reader([line], delimiter=separator), [])
