"""The errors of files.

    SourceError         the file as a whole: not there, damaged, of another format, a column missing
      └─ BadRowsError   rows that are no messages; `bad` has their numbers and reasons

A row that cannot be used is never dropped silently: reading stops at it, or, if the caller asked to skip such
rows, it is counted and remembered.
"""

from __future__ import annotations

from dataclasses import dataclass, field

REMEMBERED = 10


class SourceError(Exception):
    """The file cannot be read; the message says which file, why and what to do."""


@dataclass(frozen=True)
class BadRow:
    """One row that is no message; `number` is its line in the file, or its row in Parquet, from 1."""

    number: int
    reason: str


@dataclass
class BadRows:
    """How many rows of `name` could not be used, and the first few of them."""

    name: str
    count: int = 0
    first: list[BadRow] = field(default_factory=list)

    def add(self, number: int, reason: str) -> None:
        """Count one more row."""
        self.count += 1
        if len(self.first) < REMEMBERED:
            self.first.append(BadRow(number, reason))

    def __str__(self) -> str:
        lines = [f"{self.name}:{row.number}: {row.reason}" for row in self.first]
        if self.count > len(lines):
            lines.append(f"and {self.count - len(lines):,} more")
        return "\n".join(lines)


class BadRowsError(SourceError):
    """Some rows cannot be used: correct those that the message names, or leave them out with --skip-bad."""

    def __init__(self, bad: BadRows) -> None:
        rows = "1 row cannot" if bad.count == 1 else f"{bad.count:,} rows cannot"
        super().__init__(f"{rows} be used:\n{bad}\nCorrect the file, or leave such rows out with --skip-bad.")
        self.bad = bad
